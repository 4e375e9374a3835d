"""One pattern inverted several times, from different sides: what the images share is known, where they differ is not.

A variant is the pattern turned by one of the 48 symmetries of the cube, which are exact on the voxels. The crystal turns
with it, but neither the network nor its start does, so that every variant finds the crystal on a way of its own. The
symmetry is undone, the objects are brought onto the one that fits best, and ranked by how well they fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.crystals.symmetry import ELEMENTS, inverse, symmetry
from autophasenn.errors import InputError, PlanError
from autophasenn.network.estimates import OBJECT, PATTERN
from autophasenn.network.predict import Predictor
from autophasenn.phasing.ensemble import singular_modes
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.pipeline.refine import Refinement, refine
from autophasenn.volumes import SPATIAL, crop_or_pad

STEP = 29
"""From one element to the next, with no factor in common with 48: few variants already mix orders and flips of the axes."""
MOST_PHASE_SPREAD = math.pi / math.sqrt(3)
"""Standard deviation of a phase of which nothing is known, rad."""
TAIL = 1e-3
"""Share of the squared amplitude beyond each end of what is put in the middle of the box."""

Counts = Float[Tensor, "64 64 64"]
Measured = Bool[Tensor, "64 64 64"]
Large = Complex[Tensor, "64 64 64"]


@dataclass(frozen=True)
class Variants:
    """How often a pattern is inverted, and what is made of it.

    Parameters
    ----------
    number : int
        Variants, 1 to 48.
    refined : bool
        Whether each is refined.
    agreement : float
        Variants whose correlation with the best one is at least this are averaged; the others found something else.
    refinement : Refinement
        Of each.

    Raises
    ------
    PlanError
        If a number is out of its range.
    """

    number: int = 4
    refined: bool = True
    agreement: float = 0.9
    refinement: Refinement = field(default_factory=Refinement)

    def __post_init__(self) -> None:
        if not 1 <= self.number <= ELEMENTS:
            raise PlanError(
                f"variants.number is {self.number}; a cube has {ELEMENTS} symmetries: give 1 to {ELEMENTS}."
            )
        if not 0 <= self.agreement <= 1:
            raise PlanError(f"variants.agreement is {self.agreement:g}; it is a correlation, 0 to 1.")

    @property
    def elements(self) -> tuple[int, ...]:
        """The symmetry of each variant; the first changes nothing."""
        return tuple(STEP * index % ELEMENTS for index in range(self.number))


@dataclass(frozen=True, eq=False)
class Spread:
    """The objects of all variants, the best first.

    Parameters
    ----------
    objects : complex64 tensor (variants, 32, 32, 32)
        Brought onto the first, whose largest amplitude is 1; 0 where an amplitude is below 10 % of its largest, but for
        what a shift by parts of a voxel leaves there.
    elements : tuple of int
        Symmetry under which each was found.
    chi2 : float tensor (variants,)
        What ranks them, rising: on held-out voxels, or on all where none were held out.
    correlations : float tensor (variants,)
        Of each with the first.
    agreeing : bool tensor (variants,)
        Which are alike the first.
    """

    objects: Complex[Tensor, "variants 32 32 32"]
    elements: tuple[int, ...]
    chi2: Float[Tensor, " variants"]
    correlations: Float[Tensor, " variants"]
    agreeing: Bool[Tensor, " variants"]

    @property
    def best(self) -> Complex[Tensor, "32 32 32"]:
        """The object that fits best."""
        return self.objects[0]

    @property
    def support(self) -> Bool[Tensor, "32 32 32"]:
        """Where the amplitude of the best is at least 10 % of its largest."""
        return metrics.support_of(self.best)

    @cached_property
    def mean(self) -> Complex[Tensor, "32 32 32"]:
        """Mean of the objects that agree."""
        return self.objects[self.agreeing].mean(0)

    @cached_property
    def amplitude_spread(self) -> Float[Tensor, "32 32 32"]:
        """Standard deviation of the amplitude over the objects that agree, in units of the largest; 0 for one object."""
        family = self.objects[self.agreeing].abs()
        return family.std(0) if len(family) > 1 else torch.zeros_like(family[0])

    @cached_property
    def phase_spread(self) -> Float[Tensor, "32 32 32"]:
        """Circular standard deviation of the phase over the objects that agree, rad; 0 for one object.

        ``sqrt(-2 ln R)`` (Mardia & Jupp, Directional Statistics, 2000, sec. 2.3) with R the length of the sum of the objects
        over the sum of their amplitudes. R^2 is corrected for the number of objects, as unrelated phases do not add up to
        zero (`physics.metrics.prtf_of` does the same). `MOST_PHASE_SPREAD` where the phases are unrelated.
        """
        family = self.objects[self.agreeing]
        number = len(family)
        if number == 1:
            return torch.zeros_like(family[0].real)
        share = family.sum(0).abs() / family.abs().sum(0).clamp_min(torch.finfo(torch.float32).tiny)
        square = (number * share.square() - 1) / (number - 1)
        lowest = math.exp(-(MOST_PHASE_SPREAD**2))
        return (-square.clamp(lowest, 1).log()).sqrt()

    @cached_property
    def pairwise(self) -> float:
        """Mean correlation of all pairs of variants; 1 for one variant."""
        flat = self.objects.flatten(1)
        flat = flat / torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        number = len(flat)
        return float(((flat @ flat.mH).abs().sum() - number) / (number * (number - 1))) if number > 1 else 1.0

    @cached_property
    def largest_mode(self) -> float:
        """Share of the first singular mode of all variants; 1: they agree."""
        return float(
            singular_modes(self.objects / torch.linalg.vector_norm(self.objects, dim=SPATIAL, keepdim=True))[0]
        )


def spread(
    predictor: Predictor,
    counts: Counts,
    measured: Measured,
    variants: Variants | None = None,
    *,
    seed: int = 0,
    free: Measured | None = None,
) -> Spread:
    """Invert a pattern in several orientations.

    Parameters
    ----------
    predictor : Predictor
    counts : float32 tensor (64, 64, 64)
        Peak at ``n // 2``.
    measured : bool tensor (64, 64, 64)
    variants : Variants, optional
    seed : int
        Of the starts.
    free : bool tensor (64, 64, 64), optional
        Measured voxels that are held out of every inversion, and rank the variants
        (`phasing.ensemble.hold_out` chooses some).

    Raises
    ------
    InputError
        If no photon was counted in the voxels that are used.
    """
    variants = variants or Variants()
    free = torch.zeros_like(measured) if free is None else free & measured
    used = measured & ~free
    if not (counts[used] > 0).any():
        raise InputError("No photon was counted in the measured voxels of the pattern; check its mask.")
    turned = [torch.stack([symmetry(volume, element) for element in variants.elements]) for volume in (counts, used)]
    predicted = predictor.predict(turned[0], turned[1], seed)
    found = [
        symmetry(crop_or_pad(rho, PATTERN), inverse(element))  # in the large box, where every voxel has a counterpart
        for rho, element in zip(predicted, variants.elements, strict=True)
    ]
    if variants.refined:
        found = [_refined(rho, counts, used, variants.refinement, seed) for rho in found]
    objects = [metrics.thresholded(rho) for rho in found]
    chi2 = torch.tensor([_misfit(rho, counts, measured, free) for rho in objects])
    ranks = chi2.argsort(stable=True).tolist()
    best = _in_the_middle(objects[ranks[0]])
    best = best / best.abs().max()
    alignments = [align(best, objects[index]) for index in ranks[1:]]
    aligned = torch.stack([best] + [_to_scale(best, alignment.aligned) for alignment in alignments])
    correlations = torch.tensor([1.0] + [alignment.correlation for alignment in alignments])
    return Spread(
        crop_or_pad(aligned, OBJECT),
        tuple(variants.elements[index] for index in ranks),
        chi2[ranks],
        correlations,
        correlations >= variants.agreement,
    )


def _refined(rho: Large, counts: Counts, used: Measured, refinement: Refinement, seed: int) -> Large:
    return refine(counts[None], used[None], crop_or_pad(rho, OBJECT)[None], refinement, seeds=[seed]).object[0]


def _misfit(rho: Large, counts: Counts, measured: Measured, free: Measured) -> float:
    """chi2_free, or chi2 where no photon was held out; infinite where an object is none."""
    error = float(metrics.chi2_free(rho, counts, measured, free))
    if math.isnan(error):
        error = float(metrics.chi2(rho, counts, measured))
    return error if math.isfinite(error) else math.inf


def _in_the_middle(rho: Large) -> Large:
    """Moved by whole voxels, so that what the object spans along each axis has its middle at index ``n // 2``."""
    power = rho.abs().square()
    for axis in SPATIAL:
        reach = power.sum([other for other in SPATIAL if other != axis]).cumsum(0)
        first, last = (int((reach < share * reach[-1]).sum()) for share in (TAIL, 1 - TAIL))
        rho = rho.roll(rho.shape[axis] // 2 - (first + last + 1) // 2, axis)
    return rho


def _to_scale(reference: Large, rho: Large) -> Large:
    """Times the positive number that brings it nearest to `reference`."""
    overlap = (reference.conj() * rho).sum().real.clamp_min(0)
    return rho * (overlap / rho.abs().square().sum().clamp_min(torch.finfo(torch.float32).tiny))
