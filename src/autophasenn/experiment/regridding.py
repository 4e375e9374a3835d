"""A measured pattern on another grid: counts interpolated between voxels that stay counts of photons.

An interpolated count has the right mean but too little noise: a weighted mean of Poisson variates of rate L has the
variance c L, where c < 1 is the sum of the squared weights. :func:`recount` gives back what is missing, in whole photons.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from scipy import ndimage
from torch import Tensor

from autophasenn.physics.fourier import back_propagate
from autophasenn.physics.nearest import nearest_known

Array = Float[np.ndarray, "n0 n1 n2"]

FEW = 5.0
"""Counts below which the interpolation is linear. A cubic one has negative weights, which lone photons do not bear; and
where counts are few, the noise hides what a linear one smears."""
WHOLE = 0.999
"""Share of the weights that must have measured."""
LEAST_AUTOCORRELATION = 0.01
"""Share of its highest value down to which the autocorrelation of a crystal is held to be the crystal's."""


def regrid(
    counts: Array,
    mask: Bool[np.ndarray, "n0 n1 n2"],
    old_from_new: Float[np.ndarray, "3 3"],
    random: np.random.Generator,
) -> tuple[Array, Bool[np.ndarray, "n0 n1 n2"]]:
    """Counts and mask where voxel k of the new grid lies at ``old_from_new @ k`` of the old one, both from ``n // 2``.

    Cubic splines where there are photons enough, and every voxel about has measured; else linear. The pattern must be
    sampled twice as finely as its speckles (oversampling 2 or more).

    Returns
    -------
    counts : float32 array (n0, n1, n2)
        Whole numbers, 0 where unmeasured.
    mask : bool array (n0, n1, n2)
        True where all voxels between which a voxel lies have measured.
    """
    filled = fill(counts, mask)
    middle = np.array([n // 2 for n in counts.shape])
    offset = middle - old_from_new @ middle

    def at_new_places(volume: np.ndarray, order: int) -> np.ndarray:
        return ndimage.affine_transform(volume, old_from_new, offset, order=order, mode="constant", cval=0.0)

    measured = at_new_places(mask.astype(np.float32), 1) > WHOLE
    amid = at_new_places(ndimage.binary_erosion(mask, np.ones((3, 3, 3)), border_value=1).astype(np.float32), 1) > WHOLE
    value = at_new_places(filled, 1).astype(np.float64)
    cubic = at_new_places(filled.astype(np.float64), 3)
    smooth = amid & (value >= FEW) & (cubic > 0)
    value[smooth] = cubic[smooth]
    share = np.ones(counts.shape)
    index = np.indices(counts.shape, dtype=np.float64)
    for axis in range(3):
        place = np.tensordot(old_from_new[axis], index, 1) + offset[axis]
        fraction = place - np.floor(place)
        share *= np.where(smooth, _cubic_noise(fraction), fraction**2 + (1 - fraction) ** 2)
    value[~measured] = 0
    return recount(value, share, random).astype(np.float32), measured


def recount(value: Array, share: Array, random: np.random.Generator) -> Integer[np.ndarray, "n0 n1 n2"]:
    """Whole photons of mean `value` L and variance L, from values whose own variance is only ``share * L``.

    ``Binomial(L / c, c)`` has the mean L and adds the variance ``(1 - c) L``; L / c is rounded at random to keep the mean.
    A value that was not interpolated (c = 1) comes back as it is.
    """
    trials = np.floor(value / share + random.random(value.shape)).astype(np.int64)
    return random.binomial(trials, np.minimum(share, 1.0))


def fill(counts: Array, mask: Bool[np.ndarray, "n0 n1 n2"]) -> Array:
    """Counts with those of the nearest measured voxel where nothing was measured."""
    if mask.all():
        return counts
    return counts[nearest_known(mask)]


def autocorrelation_reach(counts: Array, rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    """How far the autocorrelation of the crystal reaches along each axis of a rotated grid, in shares of its period.

    That is 1 / oversampling: beyond 1/2 the pattern is sampled too coarsely.

    Parameters
    ----------
    counts : array (n0, n1, n2)
        Without gaps (:func:`fill`).
    rotation : array (3, 3)
        Takes a voxel k of this grid, from the middle, to the rotated one.
    """
    wave = torch.from_numpy(np.ascontiguousarray(counts, np.float32)).to(torch.complex64)
    amplitude: Tensor = back_propagate(wave).abs()
    noise = 5 / np.sqrt(max(float(counts.sum(dtype=np.float64)), 1.0))
    threshold = float(amplitude.max()) * max(LEAST_AUTOCORRELATION, noise)
    distances = torch.nonzero(amplitude > threshold).numpy() - np.array(counts.shape) // 2
    return np.abs(distances / np.array(counts.shape) @ rotation.T).max(0)


def _cubic_noise(fraction: Array) -> Array:
    """Sum of the squared weights of a cubic spline at a fraction of a voxel."""
    places, sums = _cubic_table()
    return np.interp(fraction, places, sums)


@lru_cache(1)
def _cubic_table() -> tuple[Float[np.ndarray, " places"], Float[np.ndarray, " places"]]:
    point = np.zeros(33)
    point[16] = 1
    places = np.linspace(0, 1, 129)
    weights = np.stack([ndimage.shift(point, place, order=3) for place in places])
    return places, np.square(weights).sum(1)
