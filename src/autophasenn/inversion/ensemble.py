"""Several images of one pattern: what they share is known, where they differ is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.ensemble import AGREEMENT, shares_of_modes
from autophasenn.phasing.held_out import HeldOut
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.physics.diffraction import intensity_of, modulus_of
from autophasenn.volumes import OBJECT, SPATIAL, crop_or_pad

RANDOM = -1
"""In the place of a symmetry: found from a random start."""
EVEN_DENSITY = -2
"""The same: found by the search for a crystal of even density."""
MOST_PHASE_SPREAD = math.pi / math.sqrt(3)
"""Standard deviation of a phase of which nothing is known, rad."""
TAIL = 1e-3
"""Share of the squared amplitude beyond each end of what is put in the middle of the box."""


@dataclass(frozen=True, eq=False)
class ImageEnsemble:
    """Images of one pattern, found from different sides: the best first.

    Parameters
    ----------
    objects : complex64 tensor (images, 64, 64, 64)
        Brought onto the first, whose largest amplitude is 1; 0 where an amplitude is below 10 % of its largest, but for
        what a shift by parts of a voxel leaves there.
    elements : tuple of int
        Symmetry under which each was found; `RANDOM` for random starts, `EVEN_DENSITY` for that search.
    chi2 : float tensor (images,)
        What ranks them, rising: on held-out voxels, or on all where none were held out.
    correlations : float tensor (images,)
        Of each with the first.
    agreeing : bool tensor (images,)
        Which are alike the first.
    image : Retrieval
        What goes on: the first, or the mean of those that are alike.
    """

    objects: Complex[Tensor, "images 64 64 64"]
    elements: tuple[int, ...]
    chi2: Float[Tensor, " images"]
    correlations: Float[Tensor, " images"]
    agreeing: Bool[Tensor, " images"]
    image: Retrieval

    @property
    def random_starts(self) -> int:
        """How many were found from random starts."""
        return self.elements.count(RANDOM)

    @property
    def best(self) -> Complex[Tensor, "64 64 64"]:
        """The object that fits best."""
        return self.objects[0]

    @property
    def support(self) -> Bool[Tensor, "64 64 64"]:
        """Where the amplitude of the best is at least 10 % of its largest."""
        return metrics.support_of(self.best)

    @cached_property
    def crystal(self) -> Complex[Tensor, "32 32 32"]:
        """The best, moved to the middle of the network's object."""
        return crop_or_pad(_in_the_middle(self.best), OBJECT)

    @cached_property
    def mean(self) -> Complex[Tensor, "64 64 64"]:
        """Mean of the objects that agree."""
        return self.objects[self.agreeing].mean(0)

    @cached_property
    def amplitude_spread(self) -> Float[Tensor, "64 64 64"]:
        """Standard deviation of the amplitude over the objects that agree, in units of the largest; 0 for one object."""
        family = modulus_of(self.objects[self.agreeing])
        return ((family - family.mean(0)).square().sum(0) / max(1, len(family) - 1)).sqrt()  # `std` is not vectorised

    @cached_property
    def phase_spread(self) -> Float[Tensor, "64 64 64"]:
        """Circular standard deviation of the phase over the objects that agree, rad; 0 for one object.

        ``sqrt(-2 ln R)`` (Mardia & Jupp, Directional Statistics, 2000, sec. 2.3) with R the length of the sum of the objects
        over the sum of their amplitudes. R^2 is corrected for the number of objects, as unrelated phases do not add up to
        zero (`physics.metrics.prtf_of` does the same). `MOST_PHASE_SPREAD` where the phases are unrelated.
        """
        family = self.objects[self.agreeing]
        number = len(family)
        if number == 1:
            return torch.zeros_like(family[0].real)
        share = modulus_of(family.sum(0)) / modulus_of(family).sum(0).clamp_min(torch.finfo(torch.float32).tiny)
        square = (number * share.square() - 1) / (number - 1)
        lowest = math.exp(-(MOST_PHASE_SPREAD**2))
        return square.clamp(lowest, 1).log().abs().sqrt()

    @cached_property
    def pairwise(self) -> float:
        """Mean correlation of all pairs of images; 1 for one image."""
        number = len(self.objects)
        return float((self._overlaps.abs().sum() - number) / (number * (number - 1))) if number > 1 else 1.0

    @cached_property
    def largest_mode(self) -> float:
        """Share of the first singular mode of all images, each with a norm of 1; 1: they agree."""
        return float(shares_of_modes(self._overlaps)[0])

    @cached_property
    def _overlaps(self) -> Complex[Tensor, "images images"]:
        """Inner products of the images, each with a norm of 1."""
        flat = self.objects.flatten(1)
        products = flat @ flat.mH
        norms = products.diagonal().real.sqrt()
        return products / (norms[:, None] * norms)


def ranked(
    runs: Sequence[Retrieval],
    elements: Sequence[int],
    inside: HeldOut,
    *,
    agreement: float = AGREEMENT,
    average: bool = False,
    is_first_best: bool = False,
) -> ImageEnsemble:
    """Images of a pattern ranked by how well they fit, and brought onto the best.

    Parameters
    ----------
    runs : sequence of Retrieval
        In the orientation that was measured.
    elements : sequence of int
        Symmetry under which each was found, or `RANDOM`.
    inside : HeldOut
        The network's box, whose held-out voxels rank them.
    agreement : float
        Images whose correlation with the best one is at least this are alike.
    average : bool
        Whether the mean of those that are alike goes on, instead of the best.
    is_first_best : bool
        Whether the first counts as the best, as more was done for it than for the others.
    """
    scores = torch.tensor([inside.score(run) for run in runs])
    ranks = scores.argsort(stable=True).tolist()
    if is_first_best:
        ranks = [0, *(index for index in ranks if index)]
    objects = [metrics.thresholded(runs[index].object[0]) for index in ranks]
    best = objects[0] / modulus_of(objects[0]).max()
    alignments = [align(best, rho) for rho in objects[1:]]
    aligned = torch.stack([best] + [_to_scale(best, alignment.aligned) for alignment in alignments])
    correlations = torch.tensor([1.0] + [alignment.correlation for alignment in alignments])
    agreeing = correlations >= agreement
    image = runs[ranks[0]]
    if average and int(agreeing.sum()) > 1:
        image = replace(inside.found(aligned[agreeing].mean(0)), kernel=image.kernel)
    return ImageEnsemble(
        aligned, tuple(elements[index] for index in ranks), scores[ranks], correlations, agreeing, image
    )


def _in_the_middle(rho: Complex[Tensor, "64 64 64"]) -> Complex[Tensor, "64 64 64"]:
    """Moved by whole voxels, so that what the object spans along each axis has its middle at index ``n // 2``."""
    power = intensity_of(rho)
    for axis in SPATIAL:
        reach = power.sum([other for other in SPATIAL if other != axis]).cumsum(0)
        first, last = (int((reach < share * reach[-1]).sum()) for share in (TAIL, 1 - TAIL))
        rho = rho.roll(rho.shape[axis] // 2 - (first + last + 1) // 2, axis)
    return rho


def _to_scale(reference: Complex[Tensor, "64 64 64"], rho: Complex[Tensor, "64 64 64"]) -> Tensor:
    """Times the positive number that brings it nearest to `reference`."""
    overlap = (reference.conj() * rho).sum().real.clamp_min(0)
    return rho * (overlap / intensity_of(rho).sum().clamp_min(torch.finfo(torch.float32).tiny))
