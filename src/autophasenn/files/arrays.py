"""Patterns in plain array files: ``.npy``, ``.npz`` and multi-page TIFF."""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from autophasenn.errors import InputError
from autophasenn.files.stored import StoredPattern
from autophasenn.files.tree import node, opened, quoted

if TYPE_CHECKING:
    from tifffile import TiffFile

COUNT_NAMES = ("counts", "data", "pattern", "iobs")
"""Names of the counts in an ``.npz`` file, the first that is there."""
FRAMES_LAST = "The array of {} is taken as row, column, frame, as MATLAB keeps it; say so where it is not, with --axes."
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
    mask, steps, vector = (others.get(name) for name in OTHER_NAMES)
    stored = StoredPattern(arrays[names[0]], mask, steps, vector)
    return with_mask_as_measured(stored, str(path))


def with_mask_as_measured(stored: StoredPattern, name: str) -> StoredPattern:
    """The same, its mask 1 = measured; bcdi and PyNX store 1 = masked.

    A mask of numbers, not of truth values, is taken for one of theirs where that is the only way in which it makes sense:
    what it calls 1 is the smaller part of the voxels and holds the smaller part of the counts.
    """
    mask, counts = stored.mask, stored.counts
    if mask is None or mask.dtype.kind not in "iuf" or mask.shape not in (counts.shape, counts.shape[1:]):
        return stored
    ones = np.broadcast_to(mask == 1, counts.shape)
    if counts.dtype.kind not in "uif" or not np.isin(mask, (0, 1)).all() or not 0 < ones.mean() < 0.5:
        return stored
    known = np.nan_to_num(np.maximum(counts.astype(np.float64), 0), posinf=0)
    total = float(known.sum())
    if total <= 0 or float(known[ones].sum()) > 0.5 * total:
        return stored
    warning = (
        f"In the mask of {name} 1 stands for {100 * ones.mean():.2g} % of the voxels, which hold "
        f"{100 * known[ones].sum() / total:.2g} % of the counts: it is taken as 1 = masked, as bcdi and PyNX write it."
    )
    return replace(stored, mask=mask == 0, warnings=(*stored.warnings, warning))


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
            return StoredPattern(np.asarray(file[chosen][()]).transpose(0, 2, 1), warnings=(FRAMES_LAST.format(path),))
    try:
        found = {key: shape for key, shape, _ in whosmat(path) if len(shape) == 3}
        chosen = _named(path, found, name)
        counts = loadmat(path, variable_names=[chosen])[chosen]
    except InputError:
        raise
    except Exception as error:  # SciPy raises what its decoders do
        raise InputError(
            f"{path} cannot be read as a MATLAB file ({quoted(error)}); save it again with -v7."
        ) from error
    return StoredPattern(np.moveaxis(np.asarray(counts), 2, 0), warnings=(FRAMES_LAST.format(path),))


def _named(path: Path, found: dict[str, tuple[int, ...]], name: str | None) -> str:
    listed = ", ".join(f"{key} {shape}" for key, shape in found.items()) or "none"
    if name is not None:
        if name.strip("/") not in found:
            raise InputError(f"{path} has no 3-D array {name!r}; its 3-D arrays are {listed}.")
        return name.strip("/")
    if len(found) != 1:
        raise InputError(f"Say which array of {path} holds the counts, as in {path}:NAME; its 3-D arrays are {listed}.")
    return next(iter(found))


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
