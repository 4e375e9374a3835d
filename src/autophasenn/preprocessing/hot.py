"""Pixels and voxels that count what is no light: alone, in pairs, or in whole blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import ndimage

from autophasenn.preprocessing.gaps import UNLIKELY, ring

CLIFF = 10.0
"""How many times above all that touches it every voxel of a hot block is. Light falls gradually: a peak that is sampled
twice as finely as needed falls 2.5 times from voxel to voxel."""
LEAST_BLOCK = 100.0
"""Counts in each voxel of a hot block: few photons can be heaped by chance."""
LARGEST_BLOCK = 0.02
"""Share of the pixels that a hot block may cover."""
FAINTEST_BLOCK = 2
"""Voxels that touch each other; fewer are found by `hot_pixels` and `hot_voxels`."""


@dataclass(frozen=True)
class Block:
    """A hot block.

    Parameters
    ----------
    first, last : (frame, row, column)
        Corners of the smallest box about it.
    voxels : int
    largest : float
        Its largest value, in counts.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    voxels: int
    largest: float


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
    dim = _dimmer_half(counts, mask)
    neighbours = ndimage.maximum_filter(dim, footprint=ring(2), mode="constant")
    return _stands_out(dim, np.maximum(neighbours, threshold * _half(counts)), contrast)


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


def hot_blocks(
    counts: Float[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"], threshold: float
) -> tuple[Bool[np.ndarray, "frames rows columns"], list[Block]]:
    """Groups of voxels, or of pixels in every frame, that rise like a cliff from all that touches them.

    Parameters
    ----------
    counts : float array (frames, rows, columns)
    mask : bool array (frames, rows, columns)
    threshold : float
        Counts that somebody set to 0 below it.

    Returns
    -------
    where : bool array (frames, rows, columns)
    blocks : list of Block
        Brightest first.
    """
    where = np.zeros(counts.shape, bool)
    blocks = []
    measured = np.where(mask, counts, 0)
    most = LARGEST_BLOCK * counts.shape[1] * counts.shape[2]
    for pixels in _cliffs(_dimmer_half(counts, mask), LEAST_BLOCK, threshold * _half(counts)):
        if FAINTEST_BLOCK <= len(pixels) <= most:
            where[:, pixels[:, 0], pixels[:, 1]] = True
            lit = measured[:, pixels[:, 0], pixels[:, 1]]
            box = [(0, len(counts) - 1), *zip(pixels.min(0).tolist(), pixels.max(0).tolist(), strict=True)]
            first, last = zip(*box, strict=True)
            blocks.append(Block(first, last, lit.size, float(lit.max())))
    measured[where] = 0
    for voxels in _cliffs(measured, LEAST_BLOCK, threshold):
        pixels = np.unique(voxels[:, 1:], axis=0)
        if len(voxels) > FAINTEST_BLOCK and len(pixels) <= most:
            index = tuple(voxels.T)
            where[index] = True
            first, last = tuple(voxels.min(0).tolist()), tuple(voxels.max(0).tolist())
            blocks.append(Block(first, last, len(voxels), float(measured[index].max())))
    return where & mask, sorted(blocks, key=lambda block: -block.largest)


def _cliffs(values: np.ndarray, least: float, threshold: float) -> list[np.ndarray]:
    """Indices (n, axes) of each group whose smallest value is `CLIFF` times the largest beside it, and `least` or more."""
    found = []
    done = np.zeros(values.shape, bool)
    top = float(values.max(initial=0))
    touching = np.ones((3,) * values.ndim, bool)
    level = least
    while level <= min(top, np.finfo(np.float64).max):  # else it would go on at infinity
        lit = np.argwhere(values >= level)
        low, high = np.maximum(lit.min(0) - 1, 0), lit.max(0) + 2
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        groups, number = ndimage.label(values[region] >= level, touching)
        for label, box in enumerate(ndimage.find_objects(groups, number), start=1):
            wide = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
            group = groups[wide] == label
            if group.sum() < FAINTEST_BLOCK or done[region][wide][group].any():
                continue
            beside = ndimage.binary_dilation(group, touching) & ~group
            around = max(float(values[region][wide].max(where=beside, initial=0)), threshold)
            if float(values[region][wide].min(where=group, initial=np.inf)) > CLIFF * max(around, 1.0):
                done[region][wide] |= group
                found.append(np.argwhere(group) + [s.start + a for s, a in zip(wide, low, strict=True)])
        level *= CLIFF
    return found


def _dimmer_half(counts: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sum of each pixel's counts over the half of the frames in which it has fewest, float64 (rows, columns)."""
    ordered = np.where(mask, counts, 0)
    ordered.partition(_half(counts) - 1, axis=0)
    return np.asarray(ordered[: _half(counts)].sum(0, dtype=np.float64))


def _half(counts: np.ndarray) -> int:
    return counts.shape[0] // 2 + 1


def _stands_out(value: np.ndarray, others: np.ndarray, contrast: float) -> np.ndarray:
    """Is `value` both `contrast` times above `others` and beyond what Poisson noise of their rate can reach?"""
    return np.asarray((value > contrast * others) & (value > others + 8 * np.sqrt(others) + UNLIKELY / 2))
