"""One pattern inverted several times, from different sides.

Each time the pattern is turned by one of the 48 symmetries of the cube, which are exact on the voxels. The crystal turns
with it, but neither the network nor its start does, so that every orientation leads to the crystal in another way. The
symmetry is undone, the objects are ranked by how well they fit, and brought onto the best. Where they disagree, or the
best explains its pattern poorly, retrieval from random starts joins them: the network has not seen such a crystal. Not
where all of them agree and the number of the confidence is settled by that: then more images would change nothing.

An image that explains its pattern as well as counting noise allows is first compared with images of a short refinement, of
two orientations: where these are the same, so are those of a long one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from typing import Annotated

import torch
from annotated_types import Ge, Le

from autophasenn.devices import side_by_side
from autophasenn.errors import PlanError
from autophasenn.inversion.deblurring import Deblurring, refine_deblurred
from autophasenn.inversion.ensemble import EVEN_DENSITY, RANDOM, ImageEnsemble, ranked
from autophasenn.inversion.prediction import Predictions, predict_all
from autophasenn.network.predict import Predictor
from autophasenn.options import Count, options
from autophasenn.phasing.algorithms import RAAR
from autophasenn.phasing.coherence_rounds import narrow_search
from autophasenn.phasing.engine import OnIteration, Retrieval, retrieve
from autophasenn.phasing.ensemble import AGREEMENT
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import Refinement, refine
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.physics.symmetry import ELEMENTS, inverse, symmetry
from autophasenn.randomness import Stream, seed_of
from autophasenn.volumes import Pattern

STEP = 29
"""From one element to the next, with no factor in common with 48: few orientations already mix orders and flips of axes."""
ALIKE = 0.99
"""Correlation from which on an image of a short refinement is the same as another."""
Invert = Callable[[HeldOut], Retrieval]
"""The network's box -> the object found in it, with the errors of all iterations that were made."""
IsSettled = Callable[[ImageEnsemble], bool]
"""The images of a pattern -> whether more of them would change nothing."""


@options
class Orientations:
    """How often a pattern is inverted to see how far its image can be believed, and what is made of it.

    Parameters
    ----------
    number : int
        Orientations in which the pattern is inverted, 2 to 48. 0: one, which is quicker, and the confidence is not known.
    random_starts : int
        Retrievals from random starts that join at most, as long as fewer than half of the other images agree with the best,
        or the best is poor (`refinement.poor`) and its confidence not settled by the images that are there; 0: none.
    quick : bool
        Whether, where the image explains its pattern as well as counting noise allows, half of `number` are tried first,
        each with a short refinement; all, with the whole refinement, only where one of these disagrees. Not with `average`.
    quick_search : Schedule
        The short refinement, before a polish of as many iterations as ever.
    average : bool
        Whether the image is the mean of those that are alike; else it is the one that fits the held-out voxels best.

    Raises
    ------
    PlanError
        If a number is out of its range.
    """

    number: Annotated[int, Ge(0), Le(ELEMENTS)] = 4
    random_starts: Count = 3
    quick: bool = True
    quick_search: Schedule = field(default_factory=lambda: narrow_search(Block(RAAR(), 20), average_last=12))
    average: bool = False

    def __post_init__(self) -> None:
        if self.number == 1:
            raise PlanError("number is 1; one orientation alone says nothing: give 2 or more, or 0 for no confidence.")
        if self.average and not self.number:
            raise PlanError("average needs orientations; give a number of 2 or more.")

    @property
    def elements(self) -> tuple[int, ...]:
        """The symmetry of each orientation; the first changes nothing."""
        return tuple(STEP * index % ELEMENTS for index in range(self.number))


def invert_from_all_sides(
    first: Retrieval,
    inside: HeldOut,
    invert: Invert,
    how: Orientations,
    *,
    poor: float,
    agreement: float = AGREEMENT,
    from_random_start: Callable[[int], Retrieval] | None = None,
    last_resort: Callable[[], Retrieval] | None = None,
    is_settled: IsSettled | None = None,
    invert_quickly: Invert | None = None,
    on_iteration: OnIteration | None = None,
) -> ImageEnsemble:
    """Invert a pattern in other orientations, and from random starts where these leave doubt.

    Parameters
    ----------
    first : Retrieval
        What was found in the orientation that was measured.
    inside : HeldOut
        The network's box. Its held-out voxels turn with it, and rank the images.
    invert : callable
        How the others are found: :func:`by_network`. On a CPU several at once, each in a thread of its own.
    how : Orientations
    poor : float
        An image is poor if its chi2 is that much above what counting noise gives.
    agreement : float
        Images whose correlation with the best one is at least this are alike; the others found something else.
    from_random_start : callable, optional
        Makes the random start of a number: :func:`by_retrieval`. None: there are none.
    last_resort : callable, optional
        Makes one more image where even the best is poor: `last_resort.by_even_density`. None: nothing does.
    is_settled : callable, optional
        Says of the images that are there whether more of them can change what is said of the best
        (`confidence.is_settled`): where not, neither random starts nor the last resort are made. None: they always can.
    invert_quickly : callable, optional
        How the first others are found, and all that there are where these leave no doubt. None: there are none.
    on_iteration : callable, optional
        Told how many are found, and how many there will be.
    """
    told = on_iteration or (lambda *_: None)

    def from_sides(
        elements: list[int], invert: Invert, *, is_first_best: bool = False
    ) -> tuple[list[Retrieval], ImageEnsemble]:
        def from_side(element: int) -> Retrieval:
            return _undone(invert(_turned(inside, element)), element)

        runs = [first]
        for run in side_by_side(from_side, elements[1:], inside.pattern.counts.device):
            runs.append(run)
            told(len(runs), len(elements))
        found = ranked(runs, elements, inside, agreement=agreement, average=how.average, is_first_best=is_first_best)
        return runs, found

    elements = list(how.elements)
    if invert_quickly is not None and is_settled is not None:
        _, found = from_sides(elements[: 1 + how.number // 2], invert_quickly, is_first_best=True)
        if float(found.correlations.min()) >= ALIKE and is_settled(found):
            return found
    runs, found = from_sides(elements, invert)
    for start in range(how.random_starts):
        if from_random_start is None or not _is_doubtful(found, inside, poor, is_settled):
            break
        runs.append(from_random_start(start))
        elements.append(RANDOM)
        told(len(runs), how.number + how.random_starts)
        found = ranked(runs, elements, inside, agreement=agreement, average=how.average)
    if last_resort is not None and _is_unexplained(found, inside, poor, is_settled):
        runs.append(last_resort())
        elements.append(EVEN_DENSITY)
        found = ranked(runs, elements, inside, agreement=agreement, average=how.average)
    return found


def by_network(
    predictor: Predictor,
    predictions: Predictions,
    refinement: Refinement | None,
    *,
    seed: int,
    partially_coherent: bool = True,
    deblurring: Deblurring | None = None,
) -> Invert:
    """Inversion in the network's box by prediction and, unless `refinement` is None, its refinement.

    Parameters
    ----------
    predictor : Predictor
    predictions : Predictions
    refinement : Refinement, optional
    seed : int
        Of the starts, the same for all orientations.
    partially_coherent : bool
        Whether a coherence kernel is tried: where the orientation that was measured has none, no other needs one.
    deblurring : Deblurring, optional
        What is tried where a kernel was kept. None: nothing.
    """

    def invert(inside: HeldOut) -> Retrieval:
        best = predict_all(inside, predictor, predictions, seed=seed)[0][0]
        if refinement is None:
            return best
        found = refine(inside, best, refinement, partially_coherent=partially_coherent)
        found = refine_deblurred(inside, found, deblurring, refinement, predictor, predictions, seed=seed)
        return replace(found.best, errors=found.errors)

    return invert


def by_network_quickly(
    predictor: Predictor, predictions: Predictions, refinement: Refinement, search: Schedule, *, seed: int
) -> Invert:
    """The same with one search, as short as is asked for, instead of the refinement; the beam is taken as coherent."""
    short = replace(refinement, search=search, longer_search=None, partial_coherence=False, likelihood=None)
    return by_network(predictor, predictions, short, seed=seed)


def by_retrieval(inside: HeldOut, refinement: Refinement, *, seed: int) -> Callable[[int], Retrieval]:
    """How a random start of a number is retrieved, by the 600 iterations of the default schedule, and then refined.

    Parameters
    ----------
    inside : HeldOut
        The network's box.
    refinement : Refinement
    seed : int
    """

    def from_random_start(start: int) -> Retrieval:
        seeds = [seed_of(seed, start, Stream.RANDOM_START)]
        run = retrieve(inside.pattern.counts[None], inside.used, Schedule(), seeds=seeds)
        found = refine(inside, inside.found(run.object[0]), refinement)
        return replace(found.best, errors=torch.cat([run.errors, found.errors], 1))

    return from_random_start


def _is_doubtful(found: ImageEnsemble, inside: HeldOut, poor: float, is_settled: IsSettled | None) -> bool:
    """Do most orientations disagree with the best, or does that explain its pattern poorly?"""
    return float(found.agreeing[1:].float().mean()) < 0.5 or _is_unexplained(found, inside, poor, is_settled)


def _is_unexplained(found: ImageEnsemble, inside: HeldOut, poor: float, is_settled: IsSettled | None) -> bool:
    """Does the best explain its pattern poorly, and may more images change what is said of it?"""
    return inside.misfit(found.image).is_poor(poor) and not (is_settled is not None and is_settled(found))


def _turned(inside: HeldOut, element: int) -> HeldOut:
    pattern = inside.pattern
    turned = Pattern(symmetry(pattern.counts, element), symmetry(pattern.mask, element))
    return HeldOut(turned, symmetry(inside.free, element))


def _undone(run: Retrieval, element: int) -> Retrieval:
    """What was found in a turned box, turned back: there every voxel of an object has a counterpart."""
    back = inverse(element)
    kernel = None if run.kernel is None else symmetry(run.kernel, back)
    return Retrieval(symmetry(run.object, back), symmetry(run.support, back), run.errors, kernel)
