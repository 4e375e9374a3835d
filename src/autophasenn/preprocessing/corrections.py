"""Raw frames -> counts and mask: gap markers, dark, white field, dead and hot pixels, gaps that nobody marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped
from scipy import ndimage

from autophasenn.errors import InputError
from autophasenn.preprocessing.gaps import UNLIKELY, detector_gaps, empty_lines, listing, mask_markers, ring
from autophasenn.volumes import Scan

COUNTERS = (10, 12, 14, 15, 16, 20, 24, 32)
"""Bits of the counters and converters of detectors: Medipix 12 and 24, EIGER 12 and 32, PILATUS 20, CCDs 14 to 16."""


@dataclass(frozen=True, eq=False)
class Corrected:
    """A scan after detector corrections, still on its raw grid.

    Parameters
    ----------
    counts : float32 array (frames, rows, columns)
        Finite and >= 0 everywhere; 0 where the file held a gap marker or NaN.
    mask : bool array (frames, rows, columns)
        True = measured.
    warnings : list of sentences
    facts : dict
        ``gap_pixels``, ``hot_pixels``, ``hot_voxels``, ``dead_pixels`` (numbers).
    """

    counts: np.ndarray
    mask: np.ndarray
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, int | float] = field(default_factory=dict)


def correct(scan: Scan, *, dark_threshold: float, dead_response: float, hot_contrast: float) -> Corrected:
    """Apply every detector correction to a scan.

    Parameters
    ----------
    scan : Scan
    dark_threshold : float
        Pixels whose dark counts exceed it are masked; the dark is not subtracted (photon-counting detectors).
    dead_response : float
        Pixels whose white field is below this share of its median are masked.
    hot_contrast : float
        How many times above its neighbours a lone pixel or voxel must be to count as hot.

    Raises
    ------
    InputError
        Not 3-D, an auxiliary image of another shape, NaN or negative counts in measured voxels.
    """
    warnings: list[str] = []
    frames = np.asarray(scan.frames)
    _check_shapes(scan, frames)
    mask = np.ones(frames.shape, bool) if scan.mask is None else np.array(np.broadcast_to(scan.mask, frames.shape))
    if markers := mask_markers(frames, mask):
        warnings.append(
            f"{sum(markers.values())} voxels hold a detector's gap marker ({listing(markers)}) and are taken as "
            "unmeasured."
        )
    if clipped := clipped_voxels(frames, markers):
        warnings.append(
            f"Saturation suspected: {clipped} of these voxels hold the largest value of their type in some frames only, as "
            "a clipped peak does. Measure with an attenuator or shorter."
        )
    _check_measured(frames, mask)
    counts = np.where(mask, frames, 0).astype(np.float32)
    dead = np.zeros(frames.shape[1:], bool)
    if scan.dark is not None:
        dead |= ~(scan.dark <= dark_threshold)
    if scan.white is not None:
        dead |= apply_white_field(counts, scan.white, dead_response)
    mask &= ~dead
    threshold = applied_threshold(counts, mask)
    hot = hot_pixels(counts, mask, hot_contrast, threshold)
    mask &= ~hot
    lone = hot_voxels(counts, mask, hot_contrast, threshold)
    mask[tuple(lone.T)] = False
    top, clipped = saturated(frames, mask)
    if clipped > 0:
        warnings.append(
            f"Saturation suspected: {clipped} voxels share the largest value {top:g}{counter_of(top)}; a clipped peak "
            "biases amplitude and strain. Measure with an attenuator or shorter, or mask those voxels."
        )
    measured = np.where(mask, counts, 0)
    # Zeros that a threshold made are no evidence of a gap.
    gaps, empty_frames = np.zeros(counts.shape[1:], bool), np.zeros(len(counts), bool)
    if threshold == 0:
        gaps = detector_gaps(measured.sum(0, dtype=np.float64), np.asarray(mask.any(0)))
        empty_frames = empty_lines(measured.sum((1, 2), dtype=np.float64))
    mask &= ~(gaps | empty_frames[:, None, None])
    if gaps.any():
        warnings.append(f"{gaps.sum()} pixels amid counts are zero in every frame and are taken as a detector gap.")
    if empty_frames.any():
        warnings.append(f"{empty_frames.sum()} frames amid the scan are empty and are taken as unmeasured.")
    facts: dict[str, int | float] = {
        "gap_pixels": int((gaps | ~(mask | dead | hot).any(0)).sum()),
        "dead_pixels": int(dead.sum()),
        "hot_pixels": int(hot.sum()),
        "hot_voxels": len(lone),
    }
    return Corrected(counts, mask, warnings, facts)


def saturated(
    frames: Shaped[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> tuple[float, int]:
    """The largest measured value, and how many voxels share it; 0 where chance explains so few or such small counts.

    Of the largest value of a known counter two suffice.
    """
    top = float(frames.max(where=mask, initial=0))
    shared = int(np.count_nonzero((frames == top) & mask))
    fewest = 2 if counter_of(top) else 4
    return top, shared if top > 1000 and shared >= fewest else 0


def clipped_voxels(frames: Shaped[np.ndarray, "frames rows columns"], markers: Iterable[int]) -> int:
    """How many voxels hold the largest value of their type, in pixels that do so in some frames only, as no gap does."""
    if frames.dtype.kind not in "iu" or np.iinfo(frames.dtype).max not in markers:
        return 0
    largest = frames == np.iinfo(frames.dtype).max
    return int(np.count_nonzero(largest & ~largest.all(0)))


def counter_of(top: float) -> str:
    """`` (the most that a 12-bit counter holds)`` for 4095 and its like, else nothing."""
    bits = next((bits for bits in COUNTERS if top == 2**bits - 1), None)
    return "" if bits is None else f" (the most that a {bits}-bit counter holds)"


def apply_white_field(
    counts: Float[np.ndarray, "frames rows columns"], white: Shaped[np.ndarray, "rows columns"], dead_response: float
) -> Bool[np.ndarray, "rows columns"]:
    """Multiply counts by ``median(white) / white`` in place; return the dead pixels, which are left as they are.

    Raises
    ------
    InputError
        If the white field has no positive pixel.
    """
    white = np.where(np.isfinite(white), white, 0).astype(np.float64)
    if not (white > 0).any():
        raise InputError("The white field has no pixel above zero; give a picture of uniform illumination, or none.")
    median = float(np.median(white[white > 0]))
    dead = white <= dead_response * median
    counts *= np.where(dead, 1, median / np.where(dead, 1, white)).astype(np.float32)
    return dead


def applied_threshold(
    counts: Float[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> float:
    """The threshold below which somebody set counts to 0 before; 0 if nobody did.

    Told by no count of 1, though pixels that count in some frames are zero in others.
    """
    smallest = float(counts.min(where=mask & (counts > 0), initial=np.inf))
    if not 1.5 < smallest < np.inf:
        return 0.0
    return smallest if bool(((counts == 0) & mask & (counts > 0).any(0)).any()) else 0.0


def hot_pixels(
    counts: Float[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    contrast: float,
    threshold: float,
) -> Bool[np.ndarray, "rows columns"]:
    """Pixels that count far more than all their neighbours in the dimmer half of the frames.

    A rod or a peak crosses a pixel in a few frames and lights its neighbours too; a hot pixel does neither. Where a
    threshold was applied, neighbours at zero may have held that much.
    """
    half = counts.shape[0] // 2 + 1
    sorted_counts = np.where(mask, counts, 0)
    sorted_counts.partition(half - 1, axis=0)
    dim = sorted_counts[:half].sum(0, dtype=np.float64)
    neighbours = ndimage.maximum_filter(dim, footprint=ring(2), mode="constant")
    return _stands_out(dim, np.maximum(neighbours, threshold * half), contrast)


def hot_voxels(
    counts: Float[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    contrast: float,
    threshold: float,
) -> Integer[np.ndarray, "hot 3"]:
    """Indices of voxels that stand alone: far above the second brightest of their 26 neighbours (cosmic rays).

    The second brightest, so that a pair of hot voxels is found too.
    """
    measured = np.where(mask, counts, 0)
    block = ndimage.uniform_filter(measured, 3, mode="constant")
    block *= 27
    # A lone voxel makes up nearly all of its block; this sieve leaves few for the exact test.
    candidates = np.argwhere((measured > UNLIKELY / 2) & (2.2 * measured > block))
    if len(candidates) == 0:
        return candidates
    padded = np.pad(measured, 1)
    offsets = np.argwhere(ring(3))
    around = padded[tuple(np.moveaxis(candidates[:, None] + offsets, -1, 0))]
    second = np.partition(around, -2, axis=1)[:, -2].astype(np.float64)
    values = measured[tuple(candidates.T)].astype(np.float64)
    return candidates[_stands_out(values, np.maximum(second, threshold), contrast)]


def _check_shapes(scan: Scan, frames: np.ndarray) -> None:
    if frames.ndim != 3 or frames.dtype.kind not in "uif":
        raise InputError(
            f"The frames form an array of shape {frames.shape} and type {frames.dtype}; a rocking scan is a 3-D volume "
            "[frame, row, column] of real counts. Give a stack of frames."
        )
    if min(frames.shape) < 4:
        raise InputError(
            f"The scan has shape {frames.shape}; every axis needs at least 4 voxels to hold a Bragg peak. "
            "Give the whole rocking scan."
        )
    for name, image, legal in (
        ("dark", scan.dark, [frames.shape[1:]]),
        ("white field", scan.white, [frames.shape[1:]]),
        ("mask", scan.mask, [frames.shape[1:], frames.shape]),
    ):
        if image is not None and image.shape not in legal:
            raise InputError(
                f"The {name} has shape {image.shape} but the frames have {frames.shape[1:]}; "
                "give the detector region that the frames show."
            )
    if scan.mask is not None and scan.mask.dtype != bool:
        raise InputError(f"The mask has type {scan.mask.dtype}; give booleans, True = measured.")


def _check_measured(frames: np.ndarray, mask: np.ndarray) -> None:
    if not mask.any():
        raise InputError("The mask leaves no measured voxel; True means measured, so the mask may be inverted.")
    if frames.dtype.kind == "f" and (bad := mask & ~np.isfinite(frames)).any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{np.count_nonzero(bad)} measured voxels are NaN or infinite, the first at [frame, row, column] = {where}; "
            "mask them (False = unmeasured) or repair the file."
        )
    if (bad := mask & (frames < 0)).any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{np.count_nonzero(bad)} measured voxels are negative, the first {frames[where]:g} at [frame, row, column]"
            f" = {where}; intensities are counts >= 0. Subtract no background, or clip it at zero."
        )


def _stands_out(value: np.ndarray, others: np.ndarray, contrast: float) -> np.ndarray:
    """Is `value` both `contrast` times above `others` and beyond what Poisson noise of their rate can reach?"""
    return np.asarray((value > contrast * others) & (value > others + 8 * np.sqrt(others) + UNLIKELY / 2))
