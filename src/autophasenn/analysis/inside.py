"""Quantities inside of a crystal: gradients that stay in it, how uncertain strain is, layers below the surface."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autophasenn.analysis.quantity import Floats
from autophasenn.image import CrystalImage

CELL = 2.0
"""Edge of a cell of the resolution, voxels, where the resolution is not known."""


def gradient_inside(
    values: Floats, support: NDArray[np.bool_], spacing: tuple[float, ...], period: float | None = None
) -> Floats:
    """Gradient of values inside of the support: central, one-sided at its surface; 0 where there is no neighbour.

    Parameters
    ----------
    values : float array (n0, n1, n2)
        Anything outside of the support.
    support : bool array (n0, n1, n2)
    spacing : 3 floats
        Edges of a voxel.
    period : float, optional
        Of the values, as 2 pi of a phase: differences between neighbours are wrapped.

    Returns
    -------
    float array (3, n0, n1, n2)
    """
    gradient = np.zeros((3, *values.shape), np.float32)
    for axis in range(3):
        low = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        both = support[low] & support[high]
        step = np.where(both, values[high] - values[low], 0)
        if period is not None:
            step -= period * np.round(step / period)
        neighbours = np.zeros(values.shape, np.float32)
        for place in (low, high):
            gradient[axis][place] += step
            neighbours[place] += both
        gradient[axis] /= np.maximum(neighbours, 1) * spacing[axis]
    return gradient


def interior(support: NDArray[np.bool_], layers: int = 1) -> NDArray[np.bool_]:
    """The body without its outermost layers, where slopes are one-sided; the whole where nothing would be left."""
    inside = ndimage.binary_erosion(support, iterations=layers) if layers else support
    return np.asarray(inside if inside.any() else support)


def slope_spread(image: CrystalImage) -> Floats | None:
    """One standard deviation of the phase's slope along any axis in each voxel, rad/m; None where it is not known.

    A slope is the difference of two voxels' phases over two voxels; were their errors independent, its error would be
    ``spread / (sqrt(2) voxel)``. Neighbours err alike, so this is an upper bound.
    """
    return None if image.phase_spread is None else _slope_of(image, image.phase_spread)


def strain_spread(image: CrystalImage) -> Floats | None:
    """One standard deviation of the strain of each voxel, that of the phase's slope over ``|Q|``; None where not known."""
    return None if image.phase_spread is None else strain_error(image, image.phase_spread)


def strain_error(image: CrystalImage, errors: Floats) -> Floats | None:
    """One standard deviation of the strain of each voxel, as `strain_spread`, of phases with other errors (rad)."""
    slope = _slope_of(image, errors)
    if slope is None or image.scattering_vector is None:
        return None
    return np.asarray(slope / float(np.linalg.norm(image.scattering_vector)), np.float32)


def _slope_of(image: CrystalImage, errors: Floats) -> Floats | None:
    if image.voxel_size is None:
        return None
    voxel = float(np.prod(image.voxel_size)) ** (1 / 3)
    return np.asarray(errors / (math.sqrt(2) * voxel))


def phase_error(image: CrystalImage, photons: float | None, cells: float) -> Floats | None:
    """One standard deviation of each voxel's phase, rad: spread of the reconstructions and counting noise.

    All reconstructions are of the same counts, so that their spread does not hold what counting noise makes wrong in all of
    them. The amplitude of a diffracted wave is counted to half of the root of a photon, however many there are, and its
    phase not at all: half of what any change of the object makes of the wave is seen, and its Fisher information is 2 for
    each of the real and the imaginary part, in units of the root of a photon. So the phase of a cell of the resolution that
    scatters n of the photons is known to ``1 / sqrt(2 n)`` at best.

    Parameters
    ----------
    image : CrystalImage
    photons : float, optional
        Of the whole pattern; None: unknown, the spread alone.
    cells : float
        Voxels in a cell of the resolution.

    Returns
    -------
    float array (nx, ny, nz) or None
        NaN outside of the crystal. None: the spread is not known.
    """
    if image.phase_spread is None or photons is None or not photons > 0:
        return image.phase_spread
    weight = np.where(image.support, np.square(image.amplitude, dtype=np.float64), 0.0)
    scattered = np.where(weight > 0, photons * cells / max(float(weight.sum()), 1e-300) * weight, np.nan)
    return np.asarray(np.sqrt(np.square(image.phase_spread) + 1 / (2 * scattered)), np.float32)


def displacement_spread_nm(image: CrystalImage) -> Floats | None:
    """One standard deviation of the displacement of each voxel, nm; None where it is not known."""
    if image.phase_spread is None or image.scattering_vector is None:
        return None
    return np.asarray(image.phase_spread / float(np.linalg.norm(image.scattering_vector)) * 1e9, np.float32)


def cells_of(image: CrystalImage, resolution_nm: float | None) -> float:
    """Voxels in a cell of the resolution (half of the full period along each edge), inside which errors are alike."""
    volume = math.prod(image.spacing)
    if resolution_nm is None or image.voxel_size is None:
        return CELL**3
    return max(1.0, (resolution_nm / 2) ** 3 / volume)


def depth_of(image: CrystalImage) -> Floats:
    """Distance of every voxel inside from the outside, nm (voxels without geometry), 0 outside."""
    padded = np.pad(image.support, 1)
    depth: Any = ndimage.distance_transform_edt(padded, sampling=image.spacing)
    edge = min(image.spacing) / 2  # the surface lies half a voxel before the first one outside
    return np.where(image.support, depth[1:-1, 1:-1, 1:-1] - edge, 0).astype(np.float32)
