"""Patterns in plain array files: ``.npy``, ``.npz`` and multi-page TIFF."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING

import h5py
import numpy as np

from autophasenn.errors import InputError, quoted
from autophasenn.files.boundary import reading
from autophasenn.files.stored import StoredPattern
from autophasenn.files.tree import load, node, opened
from autophasenn.machine import BYTES_PER_VOXEL, check_room

if TYPE_CHECKING:
    from tifffile import TiffFile

COUNT_NAMES = ("counts", "data", "pattern", "iobs")
"""Names of the counts in an ``.npz`` file, the first that is there."""
FRAMES_LAST = "The array of {} is taken as row, column, frame, as MATLAB keeps it; say so where it is not, with --axes."
OTHER_NAMES = ("mask", "reciprocal_steps", "scattering_vector")
MAX_LISTED = 10
"""How many arrays a message lists."""


def read_npy(path: Path) -> StoredPattern:
    """One array, the counts."""
    with reading(path, "a NumPy array"), path.open("rb") as file:
        return StoredPattern(_read_array(file, path, path.stat().st_size))


def read_npz(path: Path) -> StoredPattern:
    """Counts, named as in `COUNT_NAMES` or the only array; with them `OTHER_NAMES`, where they are there."""
    with reading(path, "a NumPy archive"), zipfile.ZipFile(path) as archive:
        names = _arrays_in(archive)
        counts = [name for name in names if name not in OTHER_NAMES]
        named = [name for name in COUNT_NAMES if name in counts] or (counts if len(counts) == 1 else [])
        if not named:
            raise InputError(
                f"{path} holds {_listing(archive, path)}; name the array of counts {' or '.join(map(repr, COUNT_NAMES))}."
            )
        arrays = {name: _member(archive, name, path) for name in (named[0], *OTHER_NAMES) if name in names}
    mask, steps, scattering_vector = (arrays.get(name) for name in OTHER_NAMES)
    return StoredPattern(arrays[named[0]], mask, steps, scattering_vector)


def read_mat(path: Path, name: str | None = None) -> StoredPattern:
    """A 3-D array of a MATLAB file, of any version; `name` or the only one. MATLAB keeps the frames in the last axis.

    Raises
    ------
    InputError
        If the file is damaged, or has no such array, or several and no name is given.
    """
    from scipy.io import loadmat, whosmat

    if h5py.is_hdf5(path):
        with opened(path) as file:
            found = {
                key: array.shape[::-1]
                for key in file
                if isinstance(array := node(file, key), h5py.Dataset) and array.ndim == 3
            }
            chosen = _named(path, found, name)
            return StoredPattern(load(file[chosen]).transpose(0, 2, 1), warnings=(FRAMES_LAST.format(path),))
    with reading(path, "a MATLAB file"):
        found = {key: shape for key, shape, _ in whosmat(path) if len(shape) == 3}
        chosen = _named(path, found, name)
        check_room(math.prod(found[chosen]), str(path))
        counts = loadmat(path, variable_names=[chosen])[chosen]
    return StoredPattern(np.moveaxis(np.asarray(counts), 2, 0), warnings=(FRAMES_LAST.format(path),))


def _named(path: Path, found: dict[str, tuple[int, ...]], name: str | None) -> str:
    listed = ", ".join(f"{quoted(key, 40)} {shape}" for key, shape in list(found.items())[:MAX_LISTED]) or "none"
    if name is not None:
        if name.strip("/") not in found:
            raise InputError(f"{path} has no 3-D array {name!r}; its 3-D arrays are {listed}.")
        return name.strip("/")
    if len(found) != 1:
        raise InputError(f"Say which array of {path} holds the counts, as in {path}:NAME; its 3-D arrays are {listed}.")
    return next(iter(found))


def read_npz_mask(path: Path) -> np.ndarray:
    """The array `mask`, or the only array."""
    with reading(path, "a NumPy archive"), zipfile.ZipFile(path) as archive:
        names = _arrays_in(archive)
        if "mask" not in names and len(names) != 1:
            raise InputError(f"{path} holds {_listing(archive, path)}; name the mask 'mask'.")
        return _member(archive, "mask" if "mask" in names else names[0], path)


def read_tiff(path: Path) -> StoredPattern:
    """The pages of a TIFF file, one a frame."""
    import tifffile

    with tiff_explained(str(path)), tifffile.TiffFile(path) as tiff:
        if tiff.pages and tiff.pages.first.samplesperpixel > 1:
            raise InputError(f"{path} holds colour images; give the detector's counts, one number a pixel.")
        series = tiff.series
        if len(series) > 1:
            raise InputError(f"{path} holds pages of different sizes; all frames of a pattern have the same size.")
        for images in series:
            check_room(math.prod(images.shape), str(path))
        counts = tiff.asarray()
        if counts.size == 0 or _chain_is_cut(tiff):
            raise InputError(f"{path} is truncated: its last pages are missing. Copy it again from where it was made.")
    return StoredPattern(counts)


@contextmanager
def tiff_explained(name: str) -> Iterator[None]:
    """As `boundary.reading`, for TIFF: what is compressed in a way that needs another library is no damage.

    Raises
    ------
    InputError
    """
    try:
        with reading(name, "a TIFF file"):
            yield
    except InputError as error:
        if "imagecodecs" in str(error.__cause__):
            raise InputError(
                f"{name} is compressed ({quoted(error.__cause__)}); store it without compression, or `pip install "
                "imagecodecs`."
            ) from error
        raise


def _arrays_in(archive: zipfile.ZipFile) -> list[str]:
    """Names of the arrays of an .npz file; other members are passed over."""
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        return _read_array(file, path, member.file_size)


def _read_array(file: BufferedIOBase | IO[bytes], path: Path, size: int) -> np.ndarray:
    """An array in NumPy's format, which may take no more than `size` bytes; its size is checked before it is read."""
    shape, kind = _header(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"its shape is {quoted(shape)}")
    if kind.hasobject:
        raise ValueError("it holds Python objects, not numbers")
    needed = math.prod(shape) * kind.itemsize
    check_room(max(math.prod(shape), needed // BYTES_PER_VOXEL), str(path))
    if needed > size - file.tell():
        raise ValueError(
            f"it is truncated: {needed} bytes belong to the shape {quoted(shape)}, and {size - file.tell()} are there"
        )
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _header(file: BufferedIOBase | IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:  # (3, 0) is for structured arrays with names beyond Latin-1
        raise ValueError(f"its format has the version {version}, and plain numbers have 1.0 or 2.0")
    shape, _, kind = read[version](file)
    return shape, kind


def _chain_is_cut(tiff: TiffFile) -> bool:
    """Does the last page that was found name a further one? tifffile passes over the rest of a truncated file."""
    layout, last = tiff.tiff, tiff.pages[-1]
    file = tiff.filehandle
    file.seek(last.offset)
    (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    file.seek(last.offset + layout.tagnosize + tags * layout.tagsize)
    (following,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
    return bool(following != 0)


def _listing(archive: zipfile.ZipFile, path: Path) -> str:
    names = _arrays_in(archive)
    if not names:
        return "no array"
    listed = []
    for name in names[:MAX_LISTED]:
        with archive.open(f"{name}.npy") as file:
            listed.append(f"{quoted(name, 40)} {quoted(_header(file)[0], 40)}")
    return "the arrays " + ", ".join(listed) + (", ..." if len(names) > MAX_LISTED else "")
