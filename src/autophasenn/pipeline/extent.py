"""How far from the Bragg peak a detector saw light: the rest of its frames is dark, and not worth phasing."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

SIGMA = 2.0
"""Of the Gaussian that gathers photons, pixels."""
SIGNIFICANCE = 5.0
"""Standard deviations of the background, and photons besides, that tell light from it."""
MARGIN = 1.2
"""How much farther than the light a window reaches: fringes go on below the noise, and bound the resolution."""


def reach_of_light(
    counts: Float[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    peak: tuple[int, int, int],
    background: float,
) -> tuple[int, int]:
    """Pixels from the Bragg peak to the farthest light of its crystal, along rows and along columns, with a margin.

    Light is where all frames together hold more photons than the background explains, and where the point opposite the
    peak does, too, if it was measured: light of another crystal has no counterpart (Friedel's law holds roughly for a
    strained crystal, and well for how far its light reaches).

    Parameters
    ----------
    counts : float array (frames, rows, columns)
    mask : bool array (frames, rows, columns)
    peak : (frame, row, column)
    background : float
        Counts per voxel.
    """
    area = 4 * np.pi * SIGMA**2
    photons = area * ndimage.gaussian_filter(np.where(mask, counts, 0).sum(0, dtype=np.float64), SIGMA)
    frames = ndimage.gaussian_filter(mask.sum(0, dtype=np.float64), SIGMA)
    dark = background * area * frames
    light = photons > dark + SIGNIFICANCE * (np.sqrt(dark) + 1)
    light &= _opposite(light, peak[1:]) | ~_opposite(frames > frames.max() / 2, peak[1:])
    rows, columns = (np.flatnonzero(light.any(other)) for other in (1, 0))
    farthest = [int(np.abs(found - p).max(initial=0)) for found, p in zip((rows, columns), peak[1:], strict=True)]
    return int(MARGIN * farthest[0]) + 1, int(MARGIN * farthest[1]) + 1


def _opposite(image: Bool[np.ndarray, "rows columns"], centre: tuple[int, ...]) -> Bool[np.ndarray, "rows columns"]:
    """The image turned by half a circle about a pixel; True where its counterpart lies beyond the edge."""
    turned = np.ones_like(image)
    counterparts = [2 * c - np.arange(n) for c, n in zip(centre, image.shape, strict=True)]
    inside = [(i >= 0) & (i < n) for i, n in zip(counterparts, image.shape, strict=True)]
    turned[np.ix_(*inside)] = image[np.ix_(*[i[known] for i, known in zip(counterparts, inside, strict=True)])]
    return turned
