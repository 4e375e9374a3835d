"""The level that a detector gives without light, and the noise about it.

Most voxels of a Bragg pattern are dark. A photon counter has zeros there; an integrating detector (CCD, sCMOS, a converter)
has a level of its own and read noise about it, or noise on both sides of zero where somebody subtracted that level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped

SAMPLE = 400_000
"""Voxels that are looked at."""
LEAST_HEIGHT = 4.0
"""Standard deviations by which a level stands above zero: speckles and few photons spread as widely as they are high."""
WIDTH = 5.0
"""Standard deviations about the level that hold the dark voxels."""
LEAST_DARK = 0.5
"""Share of the voxels that must be dark for the level to be known."""
MOST_BELOW = 1e-3
"""Share of the voxels that may lie below what noise explains."""
FEWEST_NEGATIVE = 0.02
"""Share of negative values from which on they are noise of subtracted data: half of the dark voxels are, when the level is
right."""
FARTHEST_BELOW = 9.0
"""Standard deviations below zero, of the negative values, that noise reaches in some voxel."""


@dataclass(frozen=True)
class Level:
    """What dark voxels hold.

    Parameters
    ----------
    height : float
        In the units of the values.
    noise : float
        Standard deviation about it, same units.
    is_subtracted : bool
        Whether somebody subtracted the level before: there are values on both sides of zero.
    """

    height: float
    noise: float
    is_subtracted: bool = False


def dark_level(
    values: Shaped[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> Level | None:
    """The level of the dark voxels; None for counts, whose dark voxels hold none or few.

    It is the middle of the shortest interval that holds a quarter of the voxels; the voxels below it tell the noise.

    Parameters
    ----------
    values : array (frames, rows, columns)
        As the file has them.
    mask : bool array (frames, rows, columns)
        True = measured.
    """
    known = mask & values.any(0)
    sample = values[known]
    if sample.size == 0:
        return None
    if sample.min() == sample.max():
        return None  # that there is no peak says more
    sample = np.sort(sample[:: max(1, sample.size // SAMPLE)].astype(np.float64))
    height = _densest(sample)
    noise = _noise_below(sample, height)
    if np.count_nonzero(sample < 0) >= FEWEST_NEGATIVE * sample.size:
        is_noise = -sample[0] <= FARTHEST_BELOW * noise and abs(height) <= 3 * noise
        return Level(height, noise, is_subtracted=True) if is_noise else None
    around = WIDTH * max(noise, 1e-6 * abs(height))
    dark = np.searchsorted(sample, height + around, "right") - np.searchsorted(sample, height - around, "left")
    below = np.searchsorted(sample, height - 1.5 * around, "left")
    if height <= 0 or height < LEAST_HEIGHT * noise:
        return None
    if dark < LEAST_DARK * sample.size or below > MOST_BELOW * sample.size:
        return None
    return Level(height, noise)


def _densest(ordered: np.ndarray) -> float:
    """Median of the densest quarter of sorted values: few photons about the level do not move it."""
    quarter = max(1, len(ordered) // 4)
    widths = ordered[quarter - 1 :] - ordered[: len(ordered) - quarter + 1]
    start = int(np.median(np.flatnonzero(widths == widths.min())))
    return float(np.median(ordered[start : start + quarter]))


def _noise_below(ordered: np.ndarray, height: float) -> float:
    """Standard deviation of the side of the level on which no photons are, without what lies far off."""
    below = height - ordered[: np.searchsorted(ordered, height, "left")]
    equal = np.searchsorted(ordered, height, "right") - len(below)
    spread = np.inf
    for _ in range(2):
        near = below[below < WIDTH * spread]
        # Of the values at the level one half belongs to either side.
        spread = float(np.sqrt(np.square(near).sum() / max(1.0, len(near) + 0.5 * equal)))
    return spread
