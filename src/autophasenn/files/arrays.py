"""Patterns in plain array files: ``.npy``, ``.npz`` and multi-page TIFF."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autophasenn.errors import InputError
from autophasenn.files.stored import StoredPattern

if TYPE_CHECKING:
    from tifffile import TiffFile

COUNT_NAMES = ("counts", "data", "pattern")
"""Names of the counts in an ``.npz`` file, the first that is there."""
OTHER_NAMES = ("mask", "reciprocal_steps", "scattering_vector")


def read_npy(path: Path) -> StoredPattern:
    """One array, the counts."""
    try:
        with path.open("rb") as file:
            return StoredPattern(np.lib.format.read_array(file, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} cannot be read as a NumPy array ({error}); the file is damaged or no .npy file."
        ) from error


def read_npz(path: Path) -> StoredPattern:
    """Counts, named as in `COUNT_NAMES` or the only array; with them `OTHER_NAMES`, where they are there."""
    arrays = _load_npz(path)
    others = {name: arrays.pop(name) for name in OTHER_NAMES if name in arrays}
    names = [name for name in COUNT_NAMES if name in arrays] or (list(arrays) if len(arrays) == 1 else [])
    if not names:
        raise InputError(
            f"{path} holds {_listing(arrays)}; name the array of counts {' or '.join(map(repr, COUNT_NAMES))}."
        )
    return StoredPattern(arrays[names[0]], **others)


def read_npz_mask(path: Path) -> np.ndarray:
    """The array `mask`, or the only array."""
    arrays = _load_npz(path)
    if "mask" not in arrays and len(arrays) != 1:
        raise InputError(f"{path} holds {_listing(arrays)}; name the mask 'mask'.")
    return arrays["mask"] if "mask" in arrays else next(iter(arrays.values()))


def read_tiff(path: Path) -> StoredPattern:
    """The pages of a TIFF file, one a frame."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            if tiff.pages and tiff.pages.first.samplesperpixel > 1:
                raise InputError(f"{path} holds colour images; give the detector's counts, one number a pixel.")
            if len(tiff.series) > 1:
                raise InputError(f"{path} holds pages of different sizes; all frames of a pattern have the same size.")
            counts = tiff.asarray()
            if counts.size == 0 or _chain_is_cut(tiff):
                raise InputError(
                    f"{path} is truncated: its last pages are missing. Copy it again from where it was made."
                )
    except (ValueError, IndexError, struct.error) as error:
        if "imagecodecs" in str(error):
            raise InputError(
                f"{path} is compressed ({error}); store it without compression, or `pip install imagecodecs`."
            ) from error
        raise InputError(
            f"{path} is truncated or no TIFF file ({error}); copy it again from where it was made."
        ) from error
    return StoredPattern(counts)


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read as a NumPy archive ({error}); the file is damaged or no .npz file."
        ) from error


def _chain_is_cut(tiff: TiffFile) -> bool:
    """Does the last page that was found name a further one? tifffile passes over the rest of a truncated file."""
    layout, last = tiff.tiff, tiff.pages[-1]
    file = tiff.filehandle
    file.seek(last.offset)
    (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    file.seek(last.offset + layout.tagnosize + tags * layout.tagsize)
    (following,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
    return bool(following != 0)


def _listing(arrays: dict[str, np.ndarray]) -> str:
    if not arrays:
        return "no array"
    return "the arrays " + ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
