"""How far from the Bragg peak a detector saw light: the rest of its frames is dark, and not worth phasing."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

SIGMA = 2.0
"""Of the Gaussian that gathers photons, pixels."""
SIGNIFICANCE = 5.0
"""Standard deviations of the background, and photons besides, that tell light from it."""
UNEVEN = 2.0
"""How many times the weakest background the strongest may be: more at the border is light."""
MARGIN = 1.2
"""How much farther than the light a window reaches: fringes go on below the noise, and bound the resolution."""


def reach_of_light(
    counts: Float[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    peak: tuple[int, int, int],
    background: float,
    largest_alien: float = 0.02,
) -> tuple[int, int]:
    """Pixels from the Bragg peak to the farthest light of its crystal, along rows and along columns, with a margin.

    Light is where all frames together hold more photons than the background explains, and where the point opposite the
    peak does, too, if it was measured: light of another crystal has no counterpart (Friedel's law holds roughly for a
    strained crystal, and well for how far its light reaches). A lobe too bright to be taken for an alien counts, too.

    Parameters
    ----------
    counts : float array (frames, rows, columns)
    mask : bool array (frames, rows, columns)
    peak : (frame, row, column)
    background : float
        Counts per voxel where the pattern is weakest.
    largest_alien : float
        Share of all photons from which light without a counterpart belongs to the crystal.
    """
    area = 4 * np.pi * SIGMA**2
    image = np.where(mask, counts, 0).sum(0, dtype=np.float64)
    photons = area * ndimage.gaussian_filter(image, SIGMA, mode="constant")
    frames = ndimage.gaussian_filter(mask.sum(0, dtype=np.float64), SIGMA, mode="constant")
    known = frames > frames.max() / 2
    dark = min(_rate_at_the_border(photons, frames, known), UNEVEN * background * area) * frames
    light = photons > dark + SIGNIFICANCE * (np.sqrt(dark) + 1)
    paired = light & (_opposite(light, peak[1:]) | ~_opposite(known, peak[1:]))
    labels, number = ndimage.label(light & ~paired)
    shares = ndimage.sum_labels(image, labels, range(number + 1)) / max(float(image.sum()), 1.0)
    shares[0] = 0
    light = paired | (shares > largest_alien)[labels]
    rows, columns = (np.flatnonzero(light.any(other)) for other in (1, 0))
    farthest = [int(np.abs(found - p).max(initial=0)) for found, p in zip((rows, columns), peak[1:], strict=True)]
    return int(MARGIN * farthest[0]) + 1, int(MARGIN * farthest[1]) + 1


def _rate_at_the_border(
    photons: Float[np.ndarray, "rows columns"],
    frames: Float[np.ndarray, "rows columns"],
    known: Bool[np.ndarray, "rows columns"],
) -> float:
    """Median of the photons per frame in the outer eighth of the detector: what a background that is not even has."""
    inner = np.zeros_like(known)
    inner[tuple(slice(n // 8, n - n // 8) for n in known.shape)] = True
    border = known & ~inner
    return float(np.median(photons[border] / frames[border])) if border.any() else np.inf


def _opposite(image: Bool[np.ndarray, "rows columns"], centre: tuple[int, ...]) -> Bool[np.ndarray, "rows columns"]:
    """The image turned by half a circle about a pixel; True where its counterpart lies beyond the edge."""
    turned = np.ones_like(image)
    counterparts = [2 * c - np.arange(n) for c, n in zip(centre, image.shape, strict=True)]
    inside = [(i >= 0) & (i < n) for i, n in zip(counterparts, image.shape, strict=True)]
    turned[np.ix_(*inside)] = image[np.ix_(*[i[known] for i, known in zip(counterparts, inside, strict=True)])]
    return turned
