"""Signs that a pattern lies outside of what the network was trained on, and the sentences that say so.

The training patterns are those of `experiment.recipes`: one crystal, oversampled 2 to 6 times, 10^5 to 10^9 photons,
phases of up to about 4 pi, and nothing of another crystal brighter than a tenth of the peak. All signs but two are read off
the pattern alone, so that they hold whatever image was made of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy import ndimage
from torch import Tensor

from autophasenn.crystals.statistics import strain_rms
from autophasenn.physics.diffraction import modulus_of
from autophasenn.physics.fourier import to_centre
from autophasenn.physics.pruned import Box
from autophasenn.preprocessing.aliens import Aliens, Cluster, search_for_aliens
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.oversampling import estimate_oversampling, fill_unmeasured

LEVELS = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28)
"""Heights of the autocorrelation, relative to its middle, at which it is searched for separate lobes."""
RISE = 1.5
"""How far a lobe rises above the level that separates it."""
INSIDE = 0.2
"""Share of the largest amplitude from which a voxel belongs to a piece of the image."""
NEAR, MOST_MISSING = 4, 0.15
"""Voxels about the Bragg peak, along each axis, and the share of them that may be unmeasured for particles to be counted."""
ALIEN_SHARE, ALIEN_ASYMMETRY = 1e-3, 5.0
"""Of all photons, and over its symmetric counterpart: from which light is worth a warning. Preprocessing masks more, as
a mask costs little."""


@dataclass(frozen=True)
class PatternFeatures:
    """What is looked at.

    Parameters
    ----------
    photons : float
        Counted in measured voxels.
    oversampling : tuple of 3 floats
        Along each axis, estimated from the autocorrelation.
    central_share : float
        Counts of the brightest voxel, times the voxels of a speckle, over all counts: 0.4 to 0.7 for a crystal without
        strain, near 0 where strain breaks the Bragg peak up.
    lobe : float
        Height of the highest lobe of the autocorrelation that is separate from its middle, relative to that; 0: none.
    other_pieces : float
        Share of the image's squared amplitude outside of its largest piece.
    strain_rms : float
        Rms gradient of the image's phase, rad a voxel.
    aliens : int
        Clusters of light without a symmetric counterpart that were not masked.
    """

    photons: float
    oversampling: tuple[float, float, float]
    central_share: float
    lobe: float
    other_pieces: float
    strain_rms: float
    aliens: int


@dataclass(frozen=True)
class TrainedRange:
    """What is taken as known from training.

    Parameters
    ----------
    fewest_photons : float
    least_oversampling, most_oversampling : float
        Of the axis with the least.
    least_central_share : float
    most_strain_rms : float
        Rad a voxel.
    highest_lobe : float
    other_pieces : float
    """

    fewest_photons: float = 1e5
    least_oversampling: float = 2.05
    most_oversampling: float = 8.5
    least_central_share: float = 0.17
    most_strain_rms: float = 1.6
    highest_lobe: float = 0.15
    other_pieces: float = 0.1

    def sentences(self, signs: PatternFeatures) -> list[str]:
        """One for each way in which a pattern is unlike those of the training; none for ordinary ones."""
        least = min(signs.oversampling)
        axis = signs.oversampling.index(least)
        said = {
            f"The pattern holds {signs.photons:.2g} photons, and the network was trained on {self.fewest_photons:.0e} or "
            "more: fine details are noise; measure longer.": signs.photons < self.fewest_photons,
            f"The oversampling along axis {axis} is about {least:.1f}, and the network was trained on 2 to 6: the crystal "
            "overfills its box and its ends are wrong; measure with finer steps or a longer detector distance.": least
            < self.least_oversampling,
            f"The oversampling is at least {least:.1f} along every axis, and the network was trained on 2 to 6: the crystal "
            "is a few voxels long; bin the pattern.": least > self.most_oversampling,
            f"Strain breaks up the Bragg peak (its brightest speckle holds about {signs.central_share:.0%} of the photons) "
            "more than in training; check the image against retrieval from random starts.": signs.central_share
            < self.least_central_share,
            f"The phase of the image changes by {signs.strain_rms:.1f} rad a voxel (rms), more than in training; check the "
            "image against retrieval from random starts.": signs.strain_rms > self.most_strain_rms,
            **self._particles(signs.lobe, signs.other_pieces),
            f"Light in {signs.aliens} place{'s' if signs.aliens > 1 else ''} has no symmetric counterpart, as that of "
            "another crystal; mask it, or check that it belongs to this one.": signs.aliens > 0,
        }
        return [sentence for sentence, holds in said.items() if holds]

    def particle_sentences(self, lobe: float, other_pieces: float) -> list[str]:
        """Those on more than one particle, which hold for images of any method."""
        return [sentence for sentence, holds in self._particles(lobe, other_pieces).items() if holds]

    def _particles(self, lobe: float, other_pieces: float) -> dict[str, bool]:
        of_pattern = (
            f"The autocorrelation has a separate lobe of {lobe:.0%} of its height, as two particles give that diffract "
            "together; networks are trained on single ones: move one out of the beam, or check the image with care."
        )
        of_image = (
            f"The image is in several pieces ({other_pieces:.0%} of it lies outside of the largest, the only one whose "
            "strain is shown), as if there were more than one particle."
        )
        return {of_pattern: lobe > self.highest_lobe, of_image: other_pieces > self.other_pieces}


def features_of(
    counts: Float[Tensor, "64 64 64"],
    measured: Bool[Tensor, "64 64 64"],
    rho: Complex[Tensor, "32 32 32"],
    aliens: Aliens | None = None,
) -> PatternFeatures:
    """Look at a pattern and at the image that was made of it.

    Parameters
    ----------
    counts : float32 tensor (64, 64, 64)
        Peak at ``n // 2``.
    measured : bool tensor (64, 64, 64)
    rho : complex64 tensor (32, 32, 32)
        The image.
    aliens : Aliens, optional
        Those that preprocessing found, and masked but for the lobes. None: they are searched for.
    """
    numbers, mask = counts.cpu().numpy(), measured.cpu().numpy()
    oversampling = estimate_oversampling(numbers, mask)
    photons = float(numbers[mask].sum(dtype=np.float64))
    unmasked = _search(numbers, mask, oversampling) if aliens is None else aliens.lobes
    striking = [c for c in unmasked if c.counts >= ALIEN_SHARE * photons and c.counterpart_ratio >= ALIEN_ASYMMETRY]
    largest = rho.abs().max()
    image = rho.cpu() / largest.cpu() if largest > 0 else rho.cpu()
    return PatternFeatures(
        photons=photons,
        oversampling=oversampling,
        central_share=float(numbers[mask].max()) * math.prod(oversampling) / photons,
        lobe=separate_lobe(numbers, mask),
        other_pieces=other_pieces(image.abs().numpy()),
        strain_rms=strain_rms(image) if largest > 0 else 0.0,
        aliens=len(striking),
    )


def _search(counts: np.ndarray, mask: np.ndarray, oversampling: tuple[float, float, float]) -> tuple[Cluster, ...]:
    found = search_for_aliens(counts, mask, oversampling, Preprocessing())
    return found.clusters + found.lobes


def separate_lobe(counts: np.ndarray, mask: np.ndarray) -> float:
    """The highest lobe beside the middle of the autocorrelation, of those that no bridge above a level joins to it.

    0 where a gap lies over the Bragg peak: the guess that fills it can look like a second particle.
    """
    peak = tuple(slice(n // 2 - NEAR, n // 2 + NEAR + 1) for n in mask.shape)
    if 1 - mask[peak].mean() > MOST_MISSING:
        return 0.0
    transform = modulus_of(torch.fft.fftn(torch.from_numpy(fill_unmeasured(counts, mask))))
    whole = to_centre(transform / transform.max())
    box = Box.around(whole > LEVELS[0])  # beyond it there is nothing to label
    middle = tuple(n // 2 - start for n, start in zip(whole.shape, box.start, strict=True))
    patterson = box.cut(whole).numpy()
    highest = 0.0
    for level in LEVELS:
        above = patterson > level
        parts, number = ndimage.label(above)
        if number < 2:
            continue
        heights = np.zeros(number + 1, patterson.dtype)
        np.maximum.at(heights, parts[above], patterson[above])  # ndimage.maximum would sort the whole volume
        heights[parts[middle]] = 0
        highest = max(highest, float(np.where(heights > RISE * level, heights, 0).max()))
    return highest


def other_pieces(amplitude: np.ndarray) -> float:
    """Share of the squared amplitude outside of the largest piece of an image."""
    pieces, number = ndimage.label(amplitude >= INSIDE * amplitude.max())
    if number < 2:
        return 0.0
    sizes = np.array(ndimage.sum(amplitude**2, pieces, range(1, number + 1)))
    return float(1 - sizes.max() / sizes.sum())
