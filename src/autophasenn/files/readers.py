"""Read a pattern from a plain file: what is not a stack of numbers is refused here, before any work is done."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autophasenn.errors import InputError, quoted
from autophasenn.files.arrays import read_mat, read_npy, read_npz, read_npz_mask, read_tiff
from autophasenn.files.boundary import check_regular, reading
from autophasenn.files.hdf5 import read_cxi, read_cxi_mask, read_dataset
from autophasenn.files.orientation import with_mask_as_measured
from autophasenn.files.stored import StoredPattern, sha256_of
from autophasenn.files.tiled_server import is_address, read_tiled
from autophasenn.markers import Marks
from autophasenn.physics.geometry import FixedGeometry
from autophasenn.volumes import Scan

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".nxs", ".cxi")
READERS: dict[str, Callable[[Path], StoredPattern]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".cxi": read_cxi,
    ".mat": read_mat,
}
"""Suffix -> reader. HDF5 files other than .cxi take the name of a dataset: ``file.h5:/entry/data``."""
NAMED = (*HDF5_SUFFIXES, ".mat")
"""Suffixes of files that hold several arrays, of which one is named behind a colon."""
AXES = ("frame", "row", "column")
MOST_MASKED = 0.98
"""Share of the voxels that no mask of a detector removes."""

MASKS_THAT_SAY_IT = (".cxi",)
"""Suffixes of files whose format says what a mask's numbers mean."""
MASK_READERS: dict[str, Callable[[Path], np.ndarray]] = {".npz": read_npz_mask, ".cxi": read_cxi_mask}
"""Suffix -> reader of a mask, where it differs from the reader of counts."""


def read_pattern_file(
    path: str | Path,
    mask_path: str | Path | None = None,
    axes: tuple[str, ...] | None = None,
    mask_marks: Marks | None = None,
) -> Scan:
    """Read a 3-D pattern of counts.

    Parameters
    ----------
    path : str or Path
        ``.npy``; ``.npz`` with the array ``counts`` (or ``data``, ``pattern``, or its only array) and optionally
        ``mask``, ``reciprocal_steps`` and ``scattering_vector`` (1/m, laboratory frame); multi-page ``.tif``;
        ``.cxi``; a dataset of an HDF5 file, ``file.h5:/entry/data``; or an entry of a Tiled server,
        ``tiled://host:port/path``.
    mask_path : str or Path, optional
        A file of the same kinds with the mask, True or 1 = measured (in a CXI file 0 = good pixel, as that format
        says), of the pattern's shape or of one frame's. It takes the place of a mask in the pattern's file.
    axes : 3 of 'frame', 'row', 'column', optional
        What the axes of the stored array are, where they are not frame, row, column.
    mask_marks : "measured" or "bad", optional
        What 1 stands for in a mask; None: as the values under it say (`files.orientation`). A CXI file says it itself.

    Returns
    -------
    Scan
        Values as stored, gap markers, NaN and negative numbers too; native byte order. Without steps and scattering
        vector its geometry is None.

    Raises
    ------
    InputError
        If the file is missing, damaged, of unknown kind, larger than the memory, or holds no stack of numbers; or the
        mask does not fit.
    GeometryError
        If the steps or the scattering vector describe no volume.
    """
    with reading(path):
        return _read_scan(path, mask_path, axes, mask_marks)


def read_mask_file(path: str | Path) -> np.ndarray:
    """The array of a mask's file, as stored; which shape it must have, and what its values mean, is not looked at.

    Parameters
    ----------
    path : str or Path
        As :func:`read_pattern_file` takes a mask: a frame in a TIFF file, an array of any other kind of file.

    Raises
    ------
    InputError
        If the file is missing, damaged or of unknown kind.
    """
    with reading(path):
        return _read_mask(*_split(path))


def scan_of_arrays(stored: StoredPattern, name: str, mask_marks: Marks | None = None) -> Scan:
    """The scan of arrays in memory, checked as those of a file are.

    Parameters
    ----------
    stored : StoredPattern
    name : str
        What error messages and the result call it.
    mask_marks : "measured" or "bad", optional
        As `read_pattern_file` takes it.

    Raises
    ------
    InputError
        If they hold no stack of numbers, or the mask does not fit.
    GeometryError
        If the steps or the scattering vector describe no volume.
    """
    counts = _checked_counts(stored.counts, name)
    given = with_mask_as_measured(replace(stored, counts=counts), name, mask_marks)
    mask = None if given.mask is None else _checked_mask(given.mask, counts.shape, name)
    source = {"path": name, "sha256": hashlib.sha256(counts.data).hexdigest()}
    return Scan(counts, mask=mask, geometry=_geometry(stored, name), source=source, warnings=given.warnings)


def _read_scan(
    path: str | Path, mask_path: str | Path | None, axes: tuple[str, ...] | None, mask_marks: Marks | None
) -> Scan:
    if is_address(path):
        file, dataset, stored = Path(str(path)), None, read_tiled(str(path))
    else:
        file, dataset = _split(path)
        stored = _read(file, dataset)
    stored = _in_order(stored, file, axes)
    counts = _checked_counts(stored.counts, str(path))
    source: dict[str, Any] = {"path": str(path), "sha256": hashlib.sha256(counts.data).hexdigest()}
    if not is_address(path):
        source = {"path": str(file), "sha256": sha256_of(file), "dataset": dataset}
    mask, warnings, holder, where = stored.mask, stored.warnings, file, path
    if mask_path is not None:
        holder, mask_dataset = _split(mask_path)
        mask, where = _read_mask(holder, mask_dataset), mask_path
        source |= {"mask_path": str(mask_path), "mask_sha256": sha256_of(holder)}
    mask = _of_two_values(mask)
    if mask is not None and holder.suffix.lower() not in MASKS_THAT_SAY_IT:
        given = with_mask_as_measured(StoredPattern(counts, mask), str(where), mask_marks)
        mask, warnings = given.mask, (*warnings, *given.warnings)
    if mask is not None:
        mask = _checked_mask(mask, counts.shape, str(path if mask_path is None else mask_path))
    if stored.recorded:
        source["recorded"] = stored.recorded
    return Scan(counts, mask=mask, geometry=_geometry(stored, str(path)), source=source, warnings=warnings)


def _split(path: str | Path) -> tuple[Path, str | None]:
    """``file.h5:/entry/data`` -> file and dataset; checks that the file is there and of a known kind."""
    suffixes = "|".join(map(re.escape, NAMED))
    match = re.fullmatch(rf"(.+(?:{suffixes}))(?:::?)(/?[^:]+)", str(path), re.IGNORECASE | re.DOTALL)
    if match and _exists(Path(path)):
        match = None  # a colon in the name of a file
    file, dataset = (Path(match[1]), match[2]) if match else (Path(path), None)
    known = sorted({*READERS, *HDF5_SUFFIXES})
    if file.suffix.lower() not in known:
        if str(path).lower().startswith(("http://", "https://")):
            raise InputError(
                f"{quoted(path)} is no file; the address of an entry of a Tiled server begins with tiled+https://."
            )
        kind = f"a file of unknown kind {quoted(file.suffix, 40)!r}" if file.suffix else "a file without a suffix"
        if not _exists(file):
            kind = "not there"
        raise InputError(f"{quoted(file)} is {kind}; a pattern is a file of one of {', '.join(known)}.")
    check_regular(file)
    if file.stat().st_size == 0:
        raise InputError(f"The file {quoted(file)} is empty (0 bytes); copy it again from where it was made.")
    return file, dataset


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than the system's limit
        return False


def _read(file: Path, dataset: str | None) -> StoredPattern:
    suffix = file.suffix.lower()
    if suffix == ".mat":
        return read_mat(file, dataset)
    return READERS[suffix](file) if dataset is None and suffix in READERS else read_dataset(file, dataset)


def _read_mask(file: Path, dataset: str | None) -> np.ndarray:
    if dataset is None and file.suffix.lower() in MASK_READERS:
        return MASK_READERS[file.suffix.lower()](file)
    return _read(file, dataset).counts


def _in_order(stored: StoredPattern, file: Path, axes: tuple[str, ...] | None) -> StoredPattern:
    """Frame, row, column; of more than three axes those of one element are dropped."""
    counts = stored.counts
    while counts.ndim > 3 and 1 in counts.shape:
        counts = counts.squeeze(counts.shape.index(1))
    if axes is None:
        return replace(stored, counts=counts, warnings=(*stored.warnings, *_on_order(counts.shape, file)))
    if sorted(axes) != sorted(AXES):
        raise InputError(
            f"The axes are {', '.join(axes)}; they are frame, row and column, each once, as they are stored."
        )
    if file.suffix.lower() == ".mat" and counts.ndim == 3:
        counts = np.moveaxis(counts, 0, 2)  # back to how the file has it
    if counts.ndim != 3:
        return replace(stored, counts=counts)
    order = [axes.index(name) for name in AXES]
    mask = stored.mask.transpose(order) if stored.mask is not None and stored.mask.ndim == 3 else stored.mask
    warnings = tuple(w for w in stored.warnings if "--axes" not in w)
    steps = None if stored.reciprocal_steps is None else np.asarray(stored.reciprocal_steps)[order]
    return replace(stored, counts=counts.transpose(order), mask=mask, reciprocal_steps=steps, warnings=warnings)


def _on_order(shape: tuple[int, ...], file: Path) -> tuple[str, ...]:
    """A word where the first two axes are alike and the last is not, as those of square frames that are stored last."""
    if len(shape) != 3 or shape[0] != shape[1] or shape[1] == shape[2] or file.suffix.lower() == ".mat":
        return ()
    said = " x ".join(map(str, shape))
    return (
        f"The array of {file} is {said} and is taken as frame, row, column; if its frames have {shape[0]} x {shape[1]} "
        "pixels, say --axes row,column,frame.",
    )


def _checked_counts(counts: np.ndarray, name: str) -> np.ndarray:
    if counts.dtype.kind == "c":
        raise InputError(
            f"{name} holds complex numbers: it is a reconstruction, not a measured "
            "pattern. Give the counts of the detector."
        )
    if counts.dtype.kind not in "uif":
        raise InputError(
            f"{name} holds values of type {quoted(counts.dtype)}; a pattern holds counts, integers or floats."
        )
    if counts.ndim != 3:
        raise InputError(
            f"{name} has {counts.ndim} dimensions, shape {counts.shape}; a pattern is a 3-D stack [frame, row, "
            "column]. Give all frames of a rocking scan in one array."
        )
    if counts.size == 0:
        raise InputError(f"{name} has shape {counts.shape}: there is no voxel in it. Give a stack of frames.")
    kind = counts.dtype.newbyteorder("=") if counts.dtype.itemsize <= 8 else np.float64  # long double
    return np.ascontiguousarray(counts, kind)


def _of_two_values(mask: np.ndarray | None) -> np.ndarray | None:
    """0 and 1 in place of 0 and another number, as 255 in a picture, or of NaN and another number."""
    if mask is None or mask.dtype.kind not in "uif" or mask.size == 0:
        return mask
    bad = np.isnan(mask) if mask.dtype.kind == "f" else np.zeros(mask.shape, bool)
    values = np.unique(mask[~bad])
    other = values[values != 0]
    is_pair = (
        len(other) == 1 and other[0] > 0 and bool(bad.any()) != bool(len(values) > 1)
    )  # one beside 0, or beside NaN
    return np.where(bad, 0, mask != 0).astype(np.uint8) if is_pair else mask


def _checked_mask(mask: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    if mask.shape not in (shape, shape[1:]):
        raise InputError(
            f"The mask in {name} has shape {mask.shape} and the pattern {shape}; give a mask of the pattern's shape or "
            f"of one frame, {shape[1:]}."
        )
    if mask.dtype.kind not in "biuf" or not ((mask == 0) | (mask == 1)).all():
        raise InputError(
            f"The mask in {name}, of type {quoted(mask.dtype)}, holds values other than 0 and 1; give True or 1 = measured, "
            "False or 0 = not."
        )
    mask = mask.astype(bool)
    removed = float(1 - mask.mean())
    if removed > MOST_MASKED:
        raise InputError(
            f"The mask in {name} leaves {'few' if mask.any() else 'no'} measured voxels: it removes {100 * removed:.3g} % "
            "of them. True means measured, so it may be inverted: give its opposite."
        )
    return mask


def _geometry(stored: StoredPattern, name: str) -> FixedGeometry | None:
    if stored.reciprocal_steps is None and stored.scattering_vector is None:
        return None
    if stored.reciprocal_steps is None or stored.scattering_vector is None:
        raise InputError(
            f"{name} has only one of 'reciprocal_steps' and 'scattering_vector'; the geometry needs both, in 1/m."
        )
    steps, q = np.asarray(stored.reciprocal_steps), np.asarray(stored.scattering_vector)
    if steps.shape != (3, 3) or q.shape != (3,):
        raise InputError(
            f"In {name} 'reciprocal_steps' has shape {steps.shape} and 'scattering_vector' {q.shape}; they are (3, 3), "
            "one row an axis, and (3,), in 1/m."
        )
    for key, values in {"reciprocal_steps": steps, "scattering_vector": q}.items():
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise InputError(
                f"In {name} {key!r} holds no finite numbers ({quoted(values.ravel()[0], 40)}, ...); the geometry is in 1/m."
            )
    steps, q = steps.astype(np.float64), q.astype(np.float64)
    return FixedGeometry(torch.tensor(steps, dtype=torch.float64), torch.tensor(q, dtype=torch.float64))
