"""Gaps of the detector: pixels that hold a marker instead of a count, and empty ones that nobody marked."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import ndimage

from autophasenn.errors import InputError
from autophasenn.markers import GAP_MARKERS, NO_COUNTS, SHORT_MARKER

MOST_MARKED = 0.3
"""Largest share of voxels that may hold a gap marker; more is no detector with gaps but a wrong file."""
SCATTERED = 0.5
"""Share of the frames in which a gap holds its marker, and noise does not."""
UNLIKELY = 25.0
"""Expected counts from which on finding none is no chance: exp(-25) = 1e-11."""


def mask_markers(
    frames: Shaped[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> dict[int | str, int]:
    """Set `mask` False where the detector wrote a gap marker; how many measured voxels held which marker.

    Markers are known by their value, since files are converted: -1 and -2 if no other value is negative (and they are not
    scattered as noise is), `NO_COUNTS`, the largest value of an integer type, 65535 in pixels that hold it in every frame,
    and NaN in pixels that hold it in every frame.

    Raises
    ------
    InputError
        If more voxels hold markers than any detector has gaps.
    """
    largest = {int(np.iinfo(frames.dtype).max)} if frames.dtype.kind in "iu" else set()
    holds = (
        float(np.finfo(frames.dtype).max) if frames.dtype.kind == "f" else np.inf
    )  # a marker beyond would be infinity
    values = sorted((each for each in {*NO_COUNTS, SHORT_MARKER, *largest} if each <= holds), reverse=True)
    negative = int(np.count_nonzero(mask & (frames < 0)))
    marked = np.count_nonzero(mask & ((frames == GAP_MARKERS[0]) | (frames == GAP_MARKERS[1]))) if negative else 0
    if negative and negative == marked and not _is_noise(frames, mask):
        values += GAP_MARKERS
    markers: dict[int | str, int] = {}
    if frames.dtype.kind == "f":
        unknown = np.isnan(frames).all(0) & mask.any(0)
        if unknown.any():
            markers["NaN"] = int(np.count_nonzero(mask[:, unknown]))
            mask[:, unknown] = False
    for value in values:
        where = mask & (frames == value)
        if value == SHORT_MARKER and value not in largest:
            where &= (where | ~mask).all(0)
        if where.any():
            markers[value] = int(np.count_nonzero(where))
            mask &= ~where
    share = sum(markers.values()) / frames.size
    if share > MOST_MARKED:
        raise InputError(
            f"{share:.0%} of the voxels hold a gap marker ({listing(markers)}); no detector has so many gaps. Give "
            "counts >= 0, or a mask of the unmeasured pixels."
        )
    return markers


def detector_gaps(
    total: Float[np.ndarray, "rows columns"], measured: Bool[np.ndarray, "rows columns"]
) -> Bool[np.ndarray, "rows columns"]:
    """Pixels that counted nothing although what surrounds them says that they should have.

    Conservative: the empty corner of a weak pattern is no gap. Found are whole rows and columns, filled rectangles of
    at least 3 x 3 pixels, and single pixels amid high counts.

    Parameters
    ----------
    total : float array (rows, columns)
        Counts of all frames.
    measured : bool array (rows, columns)
        Pixels known to be bad are neither gaps nor witnesses.
    """
    rows = empty_lines(total.sum(1)) & measured.any(1)
    columns = empty_lines(total.sum(0)) & measured.any(0)
    gaps = rows[:, None] | columns[None, :]
    empty = (total == 0) & measured & ~gaps
    blocks, _ = ndimage.label(ndimage.binary_opening(empty, np.ones((3, 3))))
    for label, region in enumerate(ndimage.find_objects(blocks), start=1):
        around = tuple(slice(max(0, s.start - 3), s.stop + 3) for s in region)
        block = blocks[around] == label
        witness = ndimage.binary_dilation(block, np.ones((3, 3)), 3) & ~block & measured[around] & ~gaps[around]
        is_rectangle = block.sum() >= 0.9 * block.any(1).sum() * block.any(0).sum()
        sides = total[around][witness]
        # Nearly all pixels about it must count, else it lies in an empty corner.
        if is_rectangle and sides.size and np.count_nonzero(sides) >= 0.8 * sides.size and np.median(sides) >= 4:
            gaps[around] |= block
    neighbours = ndimage.minimum_filter(total, footprint=ring(2), mode="nearest")
    return (gaps & measured) | (empty & (neighbours >= UNLIKELY))


def empty_lines(totals: Float[np.ndarray, " lines"]) -> Bool[np.ndarray, " lines"]:
    """Bands of at least two empty lines between lines with counts, or a wide sharp edge beyond which nothing counts.

    One empty line alone may be an extinction: the sinc of a box-shaped crystal has them. But none lies beside the brightest
    line, as from the peak to its first minimum there are as many lines as the pattern is oversampled, 2 or more.
    """
    empty = np.zeros(len(totals), bool)
    bands, _ = ndimage.label(totals == 0)
    for (band,) in ndimage.find_objects(bands):
        sides = [float(totals[i]) for i in (band.start - 1, band.stop) if 0 <= i < len(totals)]
        needed = 2 * UNLIKELY if len(sides) == 2 else 20 * UNLIKELY
        fewest = 1 if int(totals.argmax()) in (band.start - 1, band.stop) and len(sides) == 2 else 2
        if band.stop - band.start >= fewest and sides and min(sides) > needed:
            empty[band] = True
    return empty


def _is_noise(frames: np.ndarray, mask: np.ndarray) -> bool:
    """Are -1 and -2 scattered over pixels that count at other times, as where a dark level was subtracted?"""
    negative = mask & (frames < 0)
    pixels = negative.any(0)
    times = negative.sum(0)[pixels]
    return bool(pixels.mean() > MOST_MARKED and np.median(times) < SCATTERED * len(frames))


def listing(markers: Iterable[int | str]) -> str:
    """``-2, -1, 65535, NaN`` for a sentence."""
    return ", ".join(map(str, sorted(markers, key=lambda m: (isinstance(m, str), m))))


def ring(dimensions: int) -> np.ndarray:
    """The block of 3 voxels a side without its middle."""
    block = np.ones((3,) * dimensions, bool)
    block[(1,) * dimensions] = False
    return block
