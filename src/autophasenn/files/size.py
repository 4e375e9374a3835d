"""How large the counts of a file are, known before any of them is read."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import h5py
import numpy as np

from autophasenn import machine


def check_room(file: Path, dataset: str | None = None) -> None:
    """Refuse a pattern that this machine's memory cannot hold, before it is read.

    Raises
    ------
    InputError
        With what it takes and what is free.
    """
    machine.check_room(stored_voxels(file, dataset), str(file))


def stored_voxels(file: Path, dataset: str | None = None) -> int:
    """The most numbers that reading a pattern brings into memory; 0 where only the reader can tell.

    Parameters
    ----------
    file : Path
    dataset : str, optional
        Of an HDF5 file; None: its largest one.
    """
    suffix = file.suffix.lower()
    try:
        if suffix == ".npy":
            return int(np.load(file, mmap_mode="r", allow_pickle=False).size)
        if suffix == ".npz":
            with zipfile.ZipFile(file) as archive:  # an element has 8 bytes at most
                return max((member.file_size for member in archive.infolist()), default=0) // 8
        if suffix in (".tif", ".tiff"):
            return file.stat().st_size // 8
        return _largest(file, dataset)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError):
        return 0  # the reader says what is wrong with it


def _largest(file: Path, dataset: str | None) -> int:
    sizes = [0]

    def note(name: str, node: h5py.HLObject) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim == 3 and dataset in (None, name, f"/{name}"):
            sizes.append(math.prod(node.shape))

    with h5py.File(file, "r") as opened:
        opened.visititems(note)
    return max(sizes)
