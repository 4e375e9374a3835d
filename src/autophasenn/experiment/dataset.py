"""Dataset files: simulated patterns and the crystals behind them, one sample a chunk (docs/guide/datasets.md)::

    /patterns  (N, 64, 64, 64) uint32, counts
    /objects   (N, 32, 32, 32) complex64, the truth where it is known: for evaluation only, never for training
    /masks     (N, 64, 64, 64) bool, True = measured; absent where every voxel is
    attributes format, version, source, seed, provenance (JSON)

A large file is made of blocks: small dataset files of consecutive samples, whose chunks are copied as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import h5py
import hdf5plugin
import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.errors import InputError
from autophasenn.experiment.experiment import Samples
from autophasenn.files.boundary import check_regular, reading
from autophasenn.files.damaged_hdf5 import check_heaps, memory_bounded
from autophasenn.volumes import OBJECT_VOXELS, PATTERN_VOXELS

FORMAT = "autophasenn-dataset"
VERSION = 1
COUNTS_END = 2**32
"""Counts are below it."""

PATTERN = (PATTERN_VOXELS,) * 3
OBJECT = (OBJECT_VOXELS,) * 3
COMPRESSION: dict[str, Any] = {**hdf5plugin.Zstd(clevel=9), "shuffle": True}
"""A tenth smaller than gzip and six times quicker to read (docs/guide/datasets.md)."""
OBJECT_BITS = 12
"""Significant bits that are kept of the real and imaginary part of an object. The rest, 1e-8 in chi2, would be two
fifths of the size of the objects."""


@dataclass(frozen=True)
class Description:
    """What a dataset file says of itself.

    Parameters
    ----------
    source : str
        Name of the source of the crystals.
    seed : int
        With the index of a sample it makes the sample again.
    provenance : dict
        Whatever else that takes, JSON-serialisable: `source` and `experiment` (their parameters), `versions`, `indices`
        (first, and one past the last).
    """

    source: str
    seed: int
    provenance: dict[str, Any]

    def write_to(self, file: h5py.File) -> None:
        """Set the attributes of an open file."""
        file.attrs.update(format=FORMAT, version=VERSION, source=self.source, seed=self.seed)
        file.attrs["provenance"] = json.dumps(self.provenance, sort_keys=True, allow_nan=False)


def encoded(samples: Samples, description: Description) -> bytes:
    """A whole dataset file of these samples, in memory. The same samples give the same bytes.

    Raises
    ------
    InputError
        If a count is negative, not a number, or too large for the 32 bits of the file.
    """
    if not ((samples.counts >= 0) & (samples.counts < COUNTS_END)).all():
        raise InputError(
            f"The counts reach from {float(samples.counts.min()):g} to {float(samples.counts.max()):g}, and a dataset file "
            f"holds 0 to {COUNTS_END - 1}; simulate fewer photons."
        )
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        description.write_to(file)
        _create(file, len(samples.counts), with_masks=not bool(samples.masks.all()))
        file["patterns"][:] = samples.counts.cpu().numpy().astype(np.uint32)
        file["objects"][:] = rounded(samples.objects).numpy()
        if "masks" in file:
            file["masks"][:] = samples.masks.cpu().numpy()
    return buffer.getvalue()


def join(blocks: Sequence[Path], target: BinaryIO, description: Description) -> Iterator[int]:
    """Write the samples of all blocks, in their order, as one dataset file; memory stays that of one sample.

    Parameters
    ----------
    blocks : sequence of Path
        Dataset files.
    target : binary file
        Open for reading and writing, and empty.
    description : Description
        Of the whole.

    Yields
    ------
    int
        How many blocks are written.
    """
    lengths, masked = [], False
    for path in blocks:
        with DatasetFile(path) as block:
            lengths.append(len(block))
            masked |= block.has_masks
    with h5py.File(target, "w") as file:
        description.write_to(file)
        _create(file, sum(lengths), with_masks=masked)
        first = 0
        for number, (path, length) in enumerate(zip(blocks, lengths, strict=True), 1):
            with h5py.File(path, "r") as block:
                for name in block:
                    _copy_chunks(block[name], file[name], first)
            first += length
            yield number


def rounded(objects: Complex[Tensor, "*shape"]) -> Complex[Tensor, "*shape"]:
    """The objects with `OBJECT_BITS` significant bits, rounded to nearest: their other bits are 0 and compress away."""
    bits = torch.view_as_real(objects.cpu().resolve_conj()).contiguous().view(torch.int32)
    dropped = 23 - OBJECT_BITS + 1  # float32 has 23 stored bits, and one before the point that is not stored
    kept = (bits + (1 << (dropped - 1))) >> dropped << dropped
    return torch.view_as_complex(kept.view(torch.float32))


def open_dataset(path: str | Path) -> DatasetFile:
    """Open a dataset file for reading; see `DatasetFile`."""
    return DatasetFile(path)


class DatasetFile:
    """A dataset file, open for reading any samples in any order.

    Use it in a `with` block. Every process opens a file of its own: HDF5 handles do not survive a fork.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        If the file is missing, no dataset file, of another version, truncated or incomplete.

    Examples
    --------
    >>> with open_dataset("crystals.h5") as dataset:  # doctest: +SKIP
    ...     counts = dataset.patterns(range(8))
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _opened(self.path)
        try:
            with reading(self.path, "a dataset file"):
                self.description = _checked(self._file, self.path)
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        """How many samples."""
        return int(self._file["patterns"].shape[0])

    @property
    def has_masks(self) -> bool:
        """Is any voxel of any sample unmeasured?"""
        return "masks" in self._file

    @property
    def has_truth(self) -> bool:
        """Are the objects known?"""
        return "objects" in self._file

    def patterns(self, indices: Iterable[int]) -> Float[Tensor, "batch 64 64 64"]:
        """Counts of these samples, float32 (len(indices), 64, 64, 64)."""
        return torch.from_numpy(self._read("patterns", indices, PATTERN, np.float32))

    def masks(self, indices: Iterable[int]) -> Bool[Tensor, "batch 64 64 64"]:
        """Which of their voxels were measured, bool (len(indices), 64, 64, 64)."""
        if not self.has_masks:
            return torch.ones((len(self._places(indices)), *PATTERN), dtype=torch.bool)
        return torch.from_numpy(self._read("masks", indices, PATTERN, np.bool_))

    def objects(self, indices: Iterable[int]) -> Complex[Tensor, "batch 32 32 32"]:
        """The true objects, complex64 (len(indices), 32, 32, 32). For evaluation only: training without labels sees none.

        Raises
        ------
        InputError
            If the truth is not known.
        """
        if not self.has_truth:
            raise InputError(
                f"The dataset {self.path} has no /objects: its patterns were measured, the truth is unknown."
            )
        return torch.from_numpy(self._read("objects", indices, OBJECT, np.complex64))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> DatasetFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _places(self, indices: Iterable[int]) -> list[int]:
        return [range(len(self))[index] for index in indices]

    def _read(self, name: str, indices: Iterable[int], shape: tuple[int, ...], kind: type) -> np.ndarray:
        places, data = self._places(indices), self._file[name]
        values: np.ndarray = np.empty((len(places), *shape), kind)
        with reading(self.path, "a dataset file"):
            for row, place in zip(values, places, strict=True):
                row[...] = data[place]  # HDF5 would convert to float several times slower
        return values


def _create(file: h5py.File, count: int, *, with_masks: bool) -> None:
    file.create_dataset("patterns", (count, *PATTERN), np.uint32, chunks=(1, *PATTERN), **COMPRESSION)
    file.create_dataset("objects", (count, *OBJECT), np.complex64, chunks=(1, *OBJECT), **COMPRESSION)
    if with_masks:  # a chunk that is never written reads as all measured
        file.create_dataset("masks", (count, *PATTERN), bool, chunks=(1, *PATTERN), fillvalue=True, **COMPRESSION)


def _copy_chunks(source: h5py.Dataset, target: h5py.Dataset, first: int) -> None:
    """The compressed chunks of all samples of `source`, to sample `first` and on of `target`."""
    for place in range(len(source)):
        filters, chunk = source.id.read_direct_chunk((place, 0, 0, 0))
        target.id.write_direct_chunk((first + place, 0, 0, 0), chunk, filters)


def _opened(path: Path) -> h5py.File:
    check_regular(path, "dataset file")
    with reading(path, "an HDF5 file"), memory_bounded():
        check_heaps(path)
        return h5py.File(path, "r")


def _checked(file: h5py.File, path: Path) -> Description:
    """The description of a file that keeps what the format promises."""
    with reading(path, "a dataset file"), memory_bounded():
        return _description_of(file, path)


def _description_of(file: h5py.File, path: Path) -> Description:
    attributes = dict(file.attrs)
    if not np.array_equal(attributes.get("format", ""), FORMAT):
        raise InputError(f"{path} is no dataset file of autophasenn; make one with `autophasenn simulate`.")
    version = attributes.get("version", "unknown")
    if not np.array_equal(version, VERSION):
        raise InputError(
            f"{path} is a dataset file of version {version}, and this program reads version {VERSION}; install the "
            "version of autophasenn that wrote it, or make it anew."
        )
    lacking = [name for name in ("source", "seed", "provenance") if name not in attributes]
    lacking += ["/patterns"] if "patterns" not in file else []
    if lacking:
        raise InputError(f"The dataset {path} lacks {' and '.join(lacking)}; make it anew.")
    shape = getattr(file["patterns"], "shape", None) or (0,)
    for name, (inner, kind) in LAYOUT.items():
        if name in file:
            _check_array(file[name], (shape[0], *inner), np.dtype(kind), f"In the dataset {path} /{name}")
    if shape[0] == 0:
        raise InputError(f"The dataset {path} holds no sample; make it anew.")
    return _description(attributes, path)


LAYOUT: dict[str, tuple[tuple[int, ...], type]] = {
    "patterns": (PATTERN, np.uint32),
    "objects": (OBJECT, np.complex64),
    "masks": (PATTERN, np.bool_),
}
"""Name -> shape and type of a sample."""


def _check_array(data: Any, shape: tuple[int, ...], kind: np.dtype, where: str) -> None:
    if not isinstance(data, h5py.Dataset):
        raise InputError(f"{where} is no array; version {VERSION} has {shape} {kind} there. Make it anew.")
    if data.is_virtual or data.external:
        raise InputError(f"{where} takes its numbers from another file, which is not followed; make it anew.")
    if data.shape != shape or data.dtype.kind != kind.kind:
        raise InputError(
            f"{where} has shape {data.shape} and type {data.dtype}; version {VERSION} has {shape} and {kind} there. Make "
            "it anew."
        )
    written = shape[0] if data.chunks is None else data.id.get_num_chunks()
    if kind != np.bool_ and written < shape[0]:
        raise InputError(
            f"{where} is incomplete: it holds {written} of {shape[0]} samples. Make it anew, or copy it again from where "
            "it was made."
        )


def _description(attributes: Mapping[str, Any], path: Path) -> Description:
    seed, text = attributes["seed"], attributes["provenance"]
    if not isinstance(seed, int | np.integer):
        raise InputError(f"The seed of the dataset {path} is {seed!r}, no whole number; make it anew.")
    try:
        provenance = json.loads(text)
    except (TypeError, ValueError):
        provenance = None
    if not isinstance(provenance, dict):
        raise InputError(f"The provenance of the dataset {path} is no JSON object; it is damaged, make it anew.")
    return Description(str(attributes["source"]), int(seed), provenance)
