"""Result files as strangers may give them: no more memory than is allowed, and no data of any other file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
from numpy.typing import NDArray

from autophasenn.errors import InputError, quoted
from autophasenn.files.boundary import check_regular, reading
from autophasenn.files.damaged_hdf5 import check_heaps, memory_bounded, unbounded

CREATOR = "autophasenn"
"""How the attribute `creator` of a result file begins."""

LENGTHS = (1e-13, 1e15)
"""Of vectors in a file: from voxels, m, to scattering vectors, 1/m."""
REAL, COMPLEX = "biuf", "c"
"""Kinds of NumPy types."""
SHORTER = {"g": np.dtype(np.float64), "G": np.dtype(np.complex128)}
"""What takes the place of numbers that PyTorch has not, by their code in NumPy."""


@dataclass(frozen=True)
class Limits:
    """What is refused before it is read.

    Parameters
    ----------
    file_bytes : int, optional
        Size of a file; None: any.
    memory_bytes : int, optional
        Of the arrays that are read from one file, uncompressed; None: any. Never more than half of the free memory.
    """

    file_bytes: int | None = 4 * 2**30
    memory_bytes: int | None = 2 * 2**30


UNLIMITED = Limits(None, None)
"""For files that the user names: only the free memory limits what is read."""


@dataclass
class GuardedFile:
    """An HDF5 file of which arrays are read as long as the memory lasts; what lies in another file is refused.

    Parameters
    ----------
    file : h5py.File
    left : int
        Bytes that may still be read.
    """

    file: h5py.File
    left: int

    def has(self, name: str) -> bool:
        """Is there such a dataset?"""
        return self._find(name) is not None

    def array(
        self, name: str, shape: tuple[int, ...] | None = None, ndim: int | None = None, kinds: str = REAL
    ) -> NDArray[Any]:
        """The numbers of a dataset, in the byte order of this machine and in no more than 64 bits.

        Parameters
        ----------
        name : str
            Path in the file.
        shape, ndim : optional
            What they must have.
        kinds : str
            Kinds of NumPy types that they may be of.

        Raises
        ------
        InputError
            If they do not fit into the memory, or lie in another file.
        KeyError, ValueError
            If there is no such dataset, or it has another shape or type.
        """
        node = self._there(name)
        if node.dtype.kind not in kinds or shape not in (None, node.shape) or ndim not in (None, node.ndim):
            numbers = {REAL: "numbers", COMPLEX: "complex numbers"}[kinds]
            wanted = numbers if shape is None and ndim is None else f"{numbers} of shape {shape or f'({ndim} axes)'}"
            raise ValueError(f"{name} has shape {node.shape} and type {node.dtype}, not {wanted}")
        self.left -= node.size * node.dtype.itemsize
        if self.left < 0:
            raise InputError(
                f"The arrays of {self.file.filename} do not fit into the memory that is allowed for one result; phase a "
                "smaller part of the pattern, or bin it."
            )
        with unbounded():
            values = np.asarray(node[()])
        return values.astype(SHORTER.get(values.dtype.char, values.dtype.newbyteorder("=")), copy=False)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a dataset that is there."""
        shape: tuple[int, ...] = self._there(name).shape
        return shape

    def find(self, name: str, shape: tuple[int, ...] | None = None) -> NDArray[Any] | None:
        """As `array`; None where the file does not have it."""
        return self.array(name, shape) if self.has(name) else None

    def volume(self, name: str, shape: tuple[int, ...] | None = None, kinds: str = REAL) -> NDArray[Any]:
        """As `array`, with three axes."""
        return self.array(name, shape, ndim=3, kinds=kinds)

    def inside(self, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """As `volume`, of a support: 1 inside, 0 outside, and somewhere 1.

        Raises
        ------
        ValueError
            If it has other values, or is 0 everywhere.
        """
        values = self.volume(name, shape)
        inside: NDArray[np.bool_] = values == 1
        if not inside.any() or not np.all(inside | (values == 0)):
            raise ValueError(f"{name} is no support, which is 1 inside the crystal and 0 elsewhere")
        return inside

    def vectors(self, name: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
        """As `find`, of vectors of reciprocal or real space along the last axis, 1/m or m.

        Raises
        ------
        ValueError
            If one is not finite, or is shorter or longer than any that is measured.
        """
        found = self.find(name, shape)
        if found is None:
            return None
        largest = np.abs(found).max(axis=-1)  # component; the squares of a length could overflow
        if not ((largest >= LENGTHS[0]) & (largest <= LENGTHS[1])).all():
            raise ValueError(
                f"{name} is {found.tolist()}, and must be finite, not zero, and of a size that is measured"
            )
        return found

    def whole(self, name: str, low: int, high: int) -> int:
        """A single whole number from `low` to `high`.

        Raises
        ------
        ValueError
            If it is another.
        """
        value = self.number(name)
        if not (low <= value <= high and value.is_integer()):
            raise ValueError(f"{name} is {value:g}, and must be a whole number from {low} to {high}")
        return int(value)

    def number(self, name: str) -> float:
        """A single number."""
        return float(self.array(name, ()))

    def text(self, name: str) -> str:
        """What a string says."""
        return str(self._there(name).asstr()[()])

    def _there(self, name: str) -> h5py.Dataset:
        node = self._find(name)
        if node is None:
            raise KeyError(f"it lacks {name}")
        return node

    def _find(self, name: str) -> h5py.Dataset | None:
        """The dataset, None where there is none. All is read through here: what lies in another file is refused."""
        elsewhere = InputError(
            f"{self.file.filename} takes {name} from another file, which is not followed; give a file that holds all of "
            "its data."
        )
        node: Any = self.file
        for part in name.split("/"):
            if not isinstance(node, h5py.Group):
                raise ValueError(f"{node.name} is no group")
            link = node.get(part, getlink=True)
            if link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                raise elsewhere
            node = node[part]
            if node.file.filename != self.file.filename:  # a soft link may lead through an external one
                raise elsewhere
        if not isinstance(node, h5py.Dataset):
            raise ValueError(f"{name} is no dataset")
        if node.is_virtual or node.external:
            raise elsewhere
        return node


def _whole(path: Path) -> h5py.File:
    check_heaps(path)
    return h5py.File(path, "r")


@contextmanager
def opened_result(path: Path, limits: Limits = UNLIMITED) -> Iterator[GuardedFile]:
    """Open a result file of this package to read arrays from it.

    Raises
    ------
    InputError
        If it is missing, damaged, larger than the limits, or no result of this package.
    """
    check_regular(path, "result file")
    size = path.stat().st_size
    if limits.file_bytes is not None and size > limits.file_bytes:
        raise InputError(
            f"{quoted(path)} has {size / 2**30:.1f} GiB, more than the {limits.file_bytes / 2**30:.1f} GiB that are opened; "
            "bin the pattern, or phase a smaller part of it."
        )
    with reading(path, "a result file of autophasenn"):
        is_hdf5 = h5py.is_hdf5(path)
    if not is_hdf5:
        raise InputError(
            f"{quoted(path)} does not begin as an HDF5 file, which results are, or is damaged; give the .cxi file of a "
            "reconstruction or its folder, and phase a pattern first."
        )
    with reading(path, "a result file of autophasenn"), memory_bounded(), _whole(path) as file:
        if not str(file.attrs.get("creator", "")).startswith(CREATOR):
            raise InputError(
                f"{quoted(path)} is no result file of autophasenn, as another program made it; give the .cxi file of a "
                "reconstruction."
            )
        free = psutil.virtual_memory().available // 2
        yield GuardedFile(file, free if limits.memory_bytes is None else min(limits.memory_bytes, free))
