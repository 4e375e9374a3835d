"""Values along a line through a crystal, and how they are spread: the two plots beside the slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autophasenn.image import Floats
from autophasenn.viewer.quantities import Quantity
from autophasenn.viewer.results import StoredImage

SAMPLES = 301
"""Places along a profile."""
BINS = 80


@dataclass(frozen=True, eq=False)
class Profile:
    """What one result has along a line.

    Parameters
    ----------
    distance : float array (SAMPLES,)
        From the first end, nm (or voxels).
    values : float array (SAMPLES,)
        In the unit of the quantity; NaN outside of the crystal.
    amplitude : float array (SAMPLES,)
    """

    distance: Floats
    values: Floats
    amplitude: Floats


def profile_of(
    image: StoredImage, volume: Floats, ends: tuple[Sequence[float], Sequence[float]], is_cyclic: bool = False
) -> Profile:
    """Sample a volume and the amplitude along a line, linearly between the voxels.

    Parameters
    ----------
    image : StoredImage
    volume : float array (nx, ny, nz)
        What is sampled; NaN where it has no value.
    ends : two places
        Each three floats from the origin, nm (or voxels).
    is_cyclic : bool
        True: angles in rad, whose sines and cosines are interpolated; between neighbours they may differ by a turn.
    """
    from scipy.ndimage import map_coordinates

    first, last = (np.asarray(end, float) for end in ends)
    share = np.linspace(0, 1, SAMPLES)[:, None]
    places = first + share * (last - first)
    index = (places / np.array(image.spacing) + np.array([n // 2 for n in image.shape])).T

    def sampled(values: Floats) -> Floats:
        return np.asarray(map_coordinates(values, index, order=1, mode="constant", cval=np.nan))

    values = np.arctan2(sampled(np.sin(volume)), sampled(np.cos(volume))) if is_cyclic else sampled(volume)
    return Profile(np.linalg.norm(places - first, axis=1), values, sampled(image.amplitude))


@dataclass(frozen=True, eq=False)
class Spread:
    """How the values of one result are spread inside of its crystal.

    Parameters
    ----------
    edges : float array (BINS + 1,)
        Of the bins, in the unit of the quantity; what lies beyond is in the last one.
    share : float array (BINS,)
        Of the voxels, in percent.
    mean, std : float
    """

    edges: Floats
    share: Floats
    mean: float
    std: float


def spread_of(image: StoredImage, quantity: Quantity, number: int, threshold: float) -> Spread:
    """Of the voxels of the support that the surface encloses; all of the support where it encloses none.

    Parameters
    ----------
    image : StoredImage
    quantity : Quantity
    number : int
        Which of its volumes is the image's.
    threshold : float
        Amplitude of the surface; the amplitude itself is counted without it.
    """
    inside: NDArray[np.bool_] = image.support & np.isfinite(quantity.volumes[number])
    if quantity.key != "amplitude" and (inside & (image.amplitude >= threshold)).any():
        inside &= image.amplitude >= threshold
    values = quantity.volumes[number][inside].astype(float)
    edges = np.linspace(quantity.low, quantity.high, BINS + 1)
    shown = np.angle(np.exp(1j * values)) if quantity.is_cyclic else values
    counted, _ = np.histogram(np.clip(shown, edges[0], edges[-1]), edges)
    return Spread(edges, 100 * counted / max(1, counted.sum()), float(values.mean()), float(values.std()))
