"""What a counter cannot hold: voxels at its end, and whole numbers that overflowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped
from scipy import ndimage

from autophasenn.errors import InputError

COUNTERS = (10, 12, 14, 15, 16, 20, 24, 32)
"""Bits of the counters and converters of detectors: Medipix 12 and 24, EIGER 12 and 32, PILATUS 20, CCDs 14 to 16."""
TIMEPIX = 11810
"""To which the 14-bit counter of a Timepix counts (Llopart et al., Nucl. Instrum. Methods A 581, 485 (2007))."""
MOST_SUMMED = 100
"""Exposures that are added up to one frame."""
LEAST_END = 4095
"""Largest value from which one voxel at the end of a known counter is no chance."""
LEAST_TOP = 1000
"""Largest value from which equal ones are no chance."""
LEAST_CLIPPED, FEWEST_CLIPPED, NEARLY = 100, 12, 0.9
"""Largest value, and voxels that hold it, from which on these were cut off where fewer hold this share of it or more."""
FEWEST_BESIDE, FEWEST_ANYWHERE = 3, 4
"""Voxels that share the largest value, side by side or anywhere, from which on it is no chance."""
OVERFLOWING = 16
"""Bits of the types whose overflow is looked for: no detector fills 32."""
DEEP, HIGH = 0.25, 0.3
"""A hole is this share of the voxels on both sides of it or less, and they are this share of the type's range or more. The
fringes of a crystal that is sampled as finely as it must be are no such holes."""
FEWEST_HOLES = 3
LOW_ENOUGH = 0.25
"""Share of the range of a type with sign that an overflow reaches down; noise does not."""


@dataclass(frozen=True, eq=False)
class Full:
    """Voxels in which the counter was full.

    Parameters
    ----------
    where : bool array (frames, rows, columns)
    limit : float
        From which value on.
    words : str
        Whose end it is, as ``the most that a 12-bit counter holds``; empty where no counter is known.
    """

    where: np.ndarray
    limit: float
    words: str = ""


def saturated(
    frames: Shaped[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    limit: float | None = None,
    *,
    of_exposure: float | None = None,
) -> Full | None:
    """The voxels that are full, or None where chance explains that they share the largest value.

    Parameters
    ----------
    frames : array (frames, rows, columns)
        As the file has them.
    mask : bool array (frames, rows, columns)
        True = measured, hot pixels not.
    limit : float, optional
        As the user says.
    of_exposure : float, optional
        Of the detector. Where frames hold more they are sums of exposures, of which it says nothing.
    """
    if limit is None and of_exposure is not None and float(frames.max(where=mask, initial=0)) <= of_exposure:
        limit = of_exposure
    if limit is not None:
        where = mask & (frames >= limit)
        return Full(where, limit, "the detector's limit") if where.any() else None
    top = float(frames.max(where=mask, initial=0))
    if top <= LEAST_CLIPPED:
        return None
    where = mask & (frames == top)
    shared, words = int(np.count_nonzero(where)), counter_of(top)
    if shared >= FEWEST_CLIPPED:  # a peak that was not cut off has fewer voxels the higher they are
        nearly = mask & (frames >= NEARLY * top) & ~where
        if shared > np.count_nonzero(nearly):
            return Full(where, top, words)
    if top <= LEAST_TOP:
        return None
    if words and (shared >= 2 or top >= LEAST_END):
        return Full(where, top, words)
    if shared >= FEWEST_ANYWHERE or (shared >= FEWEST_BESIDE and _side_by_side(where) >= FEWEST_BESIDE):
        return Full(where, top)
    return None


def clipped_voxels(
    frames: Shaped[np.ndarray, "frames rows columns"], markers: Iterable[int | str]
) -> Bool[np.ndarray, "frames rows columns"] | None:
    """Voxels that hold the largest value of their type, in pixels that do so in some frames only, as no gap does."""
    if frames.dtype.kind not in "iu" or np.iinfo(frames.dtype).max not in markers:
        return None
    largest = frames == np.iinfo(frames.dtype).max
    largest &= ~largest.all(0)
    return largest if largest.any() else None


def counter_of(top: float) -> str:
    """``the most that a 12-bit counter holds`` for 4095 and its like, else nothing."""
    bits = next((bits for bits in COUNTERS if top == 2**bits - 1), None)
    if bits is not None:
        return f"the most that a {bits}-bit counter holds"
    exposures, rest = divmod(top, TIMEPIX)
    if rest or not 1 <= exposures <= MOST_SUMMED:
        return ""
    return "the most that a Timepix counts" + (f", in {exposures:.0f} exposures" if exposures > 1 else "")


def without_overflow(
    frames: Shaped[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> tuple[Shaped[np.ndarray, "frames rows columns"], str]:
    """The same with what ran over the sign of its type put right, and the sentence on it; empty where nothing did.

    Raises
    ------
    InputError
        If counts ran over the whole range of their type, once or more, which cannot be told apart.
    """
    kind = frames.dtype
    if kind.kind not in "iu" or 8 * kind.itemsize > OVERFLOWING:
        return frames, ""
    bits = 8 * kind.itemsize
    if kind.kind == "i":
        lowest = int(frames.min(where=mask, initial=0))
        if lowest >= LOW_ENOUGH * np.iinfo(kind).min:
            return frames, ""
    unsigned = frames.view(np.dtype(f"u{kind.itemsize}"))
    if _holes(unsigned, mask, 2.0**bits) >= FEWEST_HOLES:
        amid = "negative" if kind.kind == "i" else "nearly empty"
        raise InputError(
            f"The counts ran over the end of their type {kind}: amid the brightest voxels there are {amid} ones, and how "
            f"often {2**bits} is missing in each is not known; give the frames in a type that holds them, as uint32."
        )
    if kind.kind == "u":
        return frames, ""
    number = int(np.count_nonzero(mask & (frames < 0)))
    return unsigned, (
        f"{number} voxels amid the brightest are negative (down to {lowest}), as counts above {np.iinfo(kind).max} are in "
        f"the type {kind}: the values are taken as {unsigned.dtype}."
    )


def _holes(values: np.ndarray, mask: np.ndarray, size: float) -> int:
    """Voxels far below their neighbours on both sides, along some axis, where these are bright."""
    bright = np.argwhere(mask & (values >= HIGH * size))
    if len(bright) == 0:
        return 0
    region = tuple(slice(max(0, a - 1), b + 2) for a, b in zip(bright.min(0), bright.max(0), strict=True))
    part = np.where(mask[region], values[region], 0).astype(np.float64)
    found = np.zeros(part.shape, bool)
    for axis in range(part.ndim):
        lines = np.moveaxis(part, axis, 0)
        beside = np.minimum(lines[:-2], lines[2:])
        measured = np.moveaxis(mask[region], axis, 0)[1:-1]
        hole = measured & (beside >= HIGH * size) & (lines[1:-1] <= DEEP * beside)
        np.moveaxis(found, axis, 0)[1:-1] |= hole
    return int(np.count_nonzero(found))


def _side_by_side(where: np.ndarray) -> int:
    """Voxels of the largest connected part."""
    _, number = labels = ndimage.label(where, np.ones((3, 3, 3)))
    return int(np.bincount(labels[0].ravel())[1:].max()) if number else 0
