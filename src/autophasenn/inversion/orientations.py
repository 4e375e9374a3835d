"""One pattern inverted several times, from different sides: what the images share is known, where they differ is not.

A variant is the pattern turned by one of the 48 symmetries of the cube, which are exact on the voxels. The crystal turns
with it, but neither the network nor its start does, so that every variant finds the crystal on a way of its own. The
symmetry is undone, the objects are ranked by how well they fit, and brought onto the best. Where they disagree, or the
best explains its pattern poorly, retrieval from random starts joins them: the network has not seen such a crystal.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.options import options
from autophasenn.phasing.engine import OnIteration, Retrieval
from autophasenn.phasing.ensemble import singular_modes
from autophasenn.phasing.further import Grid
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.physics.symmetry import ELEMENTS, inverse, symmetry
from autophasenn.volumes import OBJECT, SPATIAL, Pattern, crop_or_pad

logger = logging.getLogger(__name__)

STEP = 29
"""From one element to the next, with no factor in common with 48: few variants already mix orders and flips of the axes."""
RANDOM = -1
"""In the place of a symmetry: found from a random start."""
MOST_PHASE_SPREAD = math.pi / math.sqrt(3)
"""Standard deviation of a phase of which nothing is known, rad."""
TAIL = 1e-3
"""Share of the squared amplitude beyond each end of what is put in the middle of the box."""
Invert = Callable[[Grid], Retrieval]
"""The network's box -> the object found in it."""


@options
class Variants:
    """How often a pattern is inverted to see how far its image can be believed, and what is made of it.

    Parameters
    ----------
    variants : int
        Times that the pattern is inverted, 2 to 48. 0: once, which is quicker, and the confidence is not known.
    agreement : float
        Variants whose correlation with the best one is at least this are alike; the others found something else.
    random_starts : int
        Retrievals from random starts that join the variants where fewer than half of the others agree with the best, or the
        best is poor; 0: none.
    poor : float
        chi2 above which it is poor, unless counting noise explains it.
    average : bool
        Whether the image is the mean of the variants that are alike; else it is the one that fits the held-out voxels best.

    Raises
    ------
    PlanError
        If a number is out of its range.
    """

    variants: int = 4
    agreement: float = 0.9
    random_starts: int = 3
    poor: float = 0.007
    average: bool = False

    def __post_init__(self) -> None:
        if self.variants != 0 and not 2 <= self.variants <= ELEMENTS:
            raise PlanError(
                f"confidence.variants is {self.variants}; a cube has {ELEMENTS} symmetries, and one alone says nothing: "
                f"give 2 to {ELEMENTS}, or 0 for no confidence."
            )
        if not 0 <= self.agreement <= 1:
            raise PlanError(f"confidence.agreement is {self.agreement:g}; it is a correlation, 0 to 1.")
        if self.random_starts < 0 or not self.poor > 0:
            raise PlanError(
                f"confidence.random_starts is {self.random_starts} and poor {self.poor:g}; give 0 starts or more, and "
                "a chi2 above 0."
            )
        if self.average and not self.variants:
            raise PlanError("confidence.average needs variants; give confidence.variants 2 or more.")

    @property
    def elements(self) -> tuple[int, ...]:
        """The symmetry of each variant; the first changes nothing."""
        return tuple(STEP * index % ELEMENTS for index in range(self.variants))


@dataclass(frozen=True, eq=False)
class Spread:
    """The objects of all variants, the best first.

    Parameters
    ----------
    objects : complex64 tensor (variants, 64, 64, 64)
        Brought onto the first, whose largest amplitude is 1; 0 where an amplitude is below 10 % of its largest, but for
        what a shift by parts of a voxel leaves there.
    elements : tuple of int
        Symmetry under which each was found; `RANDOM` for random starts.
    chi2 : float tensor (variants,)
        What ranks them, rising: on held-out voxels, or on all where none were held out.
    correlations : float tensor (variants,)
        Of each with the first.
    agreeing : bool tensor (variants,)
        Which are alike the first.
    image : Retrieval
        What goes on: the first, or the mean of those that are alike.
    """

    objects: Complex[Tensor, "variants 64 64 64"]
    elements: tuple[int, ...]
    chi2: Float[Tensor, " variants"]
    correlations: Float[Tensor, " variants"]
    agreeing: Bool[Tensor, " variants"]
    image: Retrieval

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
        family = self.objects[self.agreeing].abs()
        return family.std(0) if len(family) > 1 else torch.zeros_like(family[0])

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
        share = family.sum(0).abs() / family.abs().sum(0).clamp_min(torch.finfo(torch.float32).tiny)
        square = (number * share.square() - 1) / (number - 1)
        lowest = math.exp(-(MOST_PHASE_SPREAD**2))
        return square.clamp(lowest, 1).log().abs().sqrt()

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
    first: Retrieval,
    inside: Grid,
    invert: Invert,
    variants: Variants,
    told: OnIteration | None = None,
    *,
    retrieve_again: Callable[[int], Retrieval] | None = None,
) -> Spread:
    """Invert a pattern in other orientations.

    Parameters
    ----------
    first : Retrieval
        What was found in the orientation that was measured.
    inside : Grid
        The network's box. Its held-out voxels turn with it, and rank the variants.
    invert : callable
        How the others are found: :func:`inversion.again.inversion`.
    variants : Variants
    told : callable, optional
        Told how many are found, and how many there will be.
    retrieve_again : callable, optional
        Makes the random start of a number: :func:`inversion.again.from_random_start`. None: there are none.
    """
    told = told or (lambda *_: None)
    elements, runs = list(variants.elements), [first]
    for element in elements[1:]:
        runs.append(_undone(invert(_turned(inside, element)), element))
        told(len(runs), len(elements))
    found = _ranked(runs, elements, inside, variants)
    doubtful = float(found.agreeing[1:].float().mean()) < 0.5 or inside.is_poor(found.image, variants.poor)
    if retrieve_again is None or not variants.random_starts or not doubtful:
        return found
    logger.warning(
        "The network's images of this pattern disagree, or explain it poorly, so %s from random starts joined them; the "
        "image is the one of all that fits best.",
        f"{variants.random_starts} retrieval{'s' if variants.random_starts > 1 else ''}",
    )
    for start in range(variants.random_starts):
        runs.append(retrieve_again(start))
        elements.append(RANDOM)
        told(len(runs), variants.variants + variants.random_starts)
    return _ranked(runs, elements, inside, variants)


def _ranked(runs: Sequence[Retrieval], elements: Sequence[int], inside: Grid, variants: Variants) -> Spread:
    scores = torch.tensor([inside.score(run) for run in runs])
    ranks = scores.argsort(stable=True).tolist()
    objects = [metrics.thresholded(runs[index].object[0]) for index in ranks]
    best = objects[0] / objects[0].abs().max()
    alignments = [align(best, rho) for rho in objects[1:]]
    aligned = torch.stack([best] + [_to_scale(best, alignment.aligned) for alignment in alignments])
    correlations = torch.tensor([1.0] + [alignment.correlation for alignment in alignments])
    agreeing = correlations >= variants.agreement
    image = runs[ranks[0]]
    if variants.average and int(agreeing.sum()) > 1:
        image = replace(inside.found(aligned[agreeing].mean(0)), kernel=image.kernel)
    return Spread(aligned, tuple(elements[index] for index in ranks), scores[ranks], correlations, agreeing, image)


def _turned(grid: Grid, element: int) -> Grid:
    pattern = grid.pattern
    turned = Pattern(symmetry(pattern.counts, element), symmetry(pattern.mask, element))
    return Grid(turned, symmetry(grid.free, element))


def _undone(run: Retrieval, element: int) -> Retrieval:
    """What was found in a turned box, turned back: there every voxel of an object has a counterpart."""
    back = inverse(element)
    kernel = None if run.kernel is None else symmetry(run.kernel, back)
    return Retrieval(symmetry(run.object, back), symmetry(run.support, back), run.errors, kernel)


def _in_the_middle(rho: Complex[Tensor, "64 64 64"]) -> Complex[Tensor, "64 64 64"]:
    """Moved by whole voxels, so that what the object spans along each axis has its middle at index ``n // 2``."""
    power = rho.abs().square()
    for axis in SPATIAL:
        reach = power.sum([other for other in SPATIAL if other != axis]).cumsum(0)
        first, last = (int((reach < share * reach[-1]).sum()) for share in (TAIL, 1 - TAIL))
        rho = rho.roll(rho.shape[axis] // 2 - (first + last + 1) // 2, axis)
    return rho


def _to_scale(reference: Complex[Tensor, "64 64 64"], rho: Complex[Tensor, "64 64 64"]) -> Tensor:
    """Times the positive number that brings it nearest to `reference`."""
    overlap = (reference.conj() * rho).sum().real.clamp_min(0)
    return rho * (overlap / rho.abs().square().sum().clamp_min(torch.finfo(torch.float32).tiny))
