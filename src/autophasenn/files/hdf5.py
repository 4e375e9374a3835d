"""Patterns in HDF5 files: CXI, or any dataset by its path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from autophasenn.errors import InputError
from autophasenn.files.stored import StoredPattern

CXI_DATA = ("entry_1/instrument_1/detector_1/data", "entry_1/data_1/data", "entry_1/image_1/data")
"""Where CXI files keep a pattern, the first that is there."""
CXI_MASKS = ("entry_1/instrument_1/detector_1/mask", "entry_1/data_1/mask")
MAX_LISTED = 10
"""How many datasets a message lists."""


def read_cxi(path: Path) -> StoredPattern:
    """The pattern of a CXI file with its mask (there 0 = good pixel) and, in files of this package, its sampling."""
    with _opened(path) as file:
        name = next((name for name in CXI_DATA if isinstance(file.get(name), h5py.Dataset)), None)
        if name is None:
            raise InputError(f"{path} has no pattern at {' or '.join(CXI_DATA)}; {_what_it_holds(path, file)}")
        counts = _load(path, file[name])
        if "/image_1/" in name and _is_set(file, "entry_1/image_1/is_fft_shifted"):
            raise InputError(
                f"The pattern in {path} is stored with its centre in the corners (is_fft_shifted); centre it."
            )
        group = file[name].parent
        extra = {
            key: np.asarray(group[key][()], np.float64)
            for key in ("reciprocal_steps", "scattering_vector")
            if key in group
        }
        return StoredPattern(counts, _read_mask(path, file), **extra)


def read_cxi_mask(path: Path) -> np.ndarray:
    """The mask of a CXI file, True = measured."""
    with _opened(path) as file:
        mask = _read_mask(path, file)
        if mask is None:
            raise InputError(f"{path} has no mask at {' or '.join(CXI_MASKS)}; {_what_it_holds(path, file)}")
        return mask


def read_dataset(path: Path, name: str | None) -> StoredPattern:
    """The dataset `name` of an HDF5 file; a CXI file in disguise needs no name."""
    with _opened(path) as file:
        if name is not None:
            if not isinstance(file.get(name), h5py.Dataset):
                raise InputError(f"{path} has no dataset {name}; {_what_it_holds(path, file)}")
            return StoredPattern(_load(path, file[name]))
        if "cxi_version" not in file:
            raise InputError(
                f"{path} is an HDF5 file: say which dataset, as in {path}:/entry/data; {_what_it_holds(path, file)}"
            )
    return read_cxi(path)


def _is_set(file: h5py.File, name: str) -> bool:
    return name in file and bool(np.any(file[name][()]))


def _read_mask(path: Path, file: h5py.File) -> np.ndarray | None:
    """CXI file format 1.5, table of mask bits: any bit set = unusable pixel."""
    for name in CXI_MASKS:
        if isinstance(file.get(name), h5py.Dataset):
            return np.asarray(_load(path, file[name]) == 0)
    return None


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors (bitshuffle, lz4, blosc)

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path} is truncated or no HDF5 file ({error}); copy it again from where it was made."
        ) from error
    with file:
        yield file


def _load(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    try:
        return np.asarray(dataset[()])
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"The dataset {dataset.name} of {path} cannot be read ({error}); the file is damaged."
        ) from error


def _what_it_holds(path: Path, file: h5py.File) -> str:
    volumes: list[str] = []

    def note(name: str, node: h5py.HLObject) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim == 3:
            volumes.append(f"{path}:/{name} {node.shape}")

    file.visititems(note)
    if not volumes:
        return "it holds no 3-D dataset."
    return "its 3-D datasets are " + ", ".join(volumes[:MAX_LISTED]) + (", ..." if len(volumes) > MAX_LISTED else ".")
