"""The one refinement: a good object made better, as far as its pattern can tell.

First a search that can leave the start's local minimum (RAAR with narrow shrink-wrap), whose last objects are averaged:
what counting noise drives from iteration to iteration, and not the crystal, averages out. Then a polish: error reduction
within a support that is wider than shrink-wrap's, which cuts the voxels at the crystal's surface in half. Where the object
then explains its pattern as well as counting noise allows, nothing can be gained, and the refinement ends.

Else the beam may be coherent only in part: rounds of RAAR and of error reduction follow, before each of which the mutual
coherence kernel is estimated from the object as it is; the middle of the pattern, which holds nearly all photons, suffices
for that. Not where the first kernel makes chi2_free of the very object from which it was estimated much larger. Then the
likelihood is climbed, and where all this leaves the object poor, a longer search begins from the start anew. Held-out voxels
decide what is kept. docs/notebook/evaluation.md has the comparison of schedules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.options import Count, NotNegative, Positive, options
from autophasenn.phasing.algorithms import HIO, RAAR
from autophasenn.phasing.coherence_rounds import SAME_VOXELS, CoherenceRounds, narrow_search
from autophasenn.phasing.engine import OnIteration, Retrieval
from autophasenn.phasing.held_out import NOISE_MARGIN, HeldOut
from autophasenn.phasing.likelihood import Likelihood, most_likely
from autophasenn.phasing.schedule import Block, Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap

COHERENT, PARTIALLY_COHERENT, LIKELIHOOD = "coherent beam", "partially coherent beam", "likelihood"
FULL_RESOLUTION, EVENNESS = "full resolution", "even inside"
"""Names of the steps, in reports and figures."""
HOPELESS = 1.25
"""A coherence kernel that makes chi2_free of the object from which it was estimated so many times larger is not kept after
the rounds, either (docs/notebook/refinement.md)."""


@options
class Refinement:
    """How a good object is made better.

    Parameters
    ----------
    search : Schedule
        What is done first.
    longer_search : Schedule, optional
        What is tried next where the object is poor, from the start anew. null: nothing.
    polish : int
        Iterations of error reduction after every search; 0: none.
    polish_support : ShrinkWrap
        Which voxels polish and likelihood are confined to: its threshold, and its last Gaussian. A narrower one has a lower
        chi2, as weak voxels count as outside of the crystal when the image is judged, but cuts its surface
        (docs/guide/reconstruct.md).
    enough : float
        chi2 over that of counting noise at which the refinement ends, as nothing can be gained. 0: it never does.
    poor : float
        An object is poor after all, if its chi2 is that much above what counting noise gives: for that wait a longer search,
        random starts and the search for an even density.
    partial_coherence : bool
        Whether a coherence kernel is tried; it is kept where it lowers chi2_free by 5 % or more. false: the beam is
        taken as fully coherent.
    coherence : CoherenceRounds
        How that is done, and what is done first on a pattern that is larger than the network's box.
    likelihood : Likelihood, optional
        What comes next: kept where chi2_free is less. null: nothing.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    search: Schedule = field(default_factory=lambda: narrow_search(Block(RAAR(), 50), average_last=30))
    longer_search: Schedule | None = field(
        default_factory=lambda: narrow_search(Block(HIO(), 150), Block(RAAR(), 30), sigma=1.5)
    )
    polish: Count = 10
    polish_support: ShrinkWrap = field(default_factory=lambda: ShrinkWrap(threshold=0.1, sigma_last=0.7))
    enough: NotNegative = NOISE_MARGIN
    poor: Positive = 0.001
    partial_coherence: bool = True
    coherence: CoherenceRounds = field(default_factory=CoherenceRounds)
    likelihood: Likelihood | None = field(default_factory=Likelihood)

    @property
    def searches(self) -> tuple[Schedule, ...]:
        """That are made in turn, as long as the object is poor."""
        return (self.search,) if self.longer_search is None else (self.search, self.longer_search)

    def most_iterations(self, *, is_on_grid: bool = False) -> int:
        """Of `refine`, or of `refine_on_grid`: where nothing ends it before."""
        rounds = self.coherence.rounds * self.coherence.search.iterations + self.polish
        likely = self.likelihood.evaluations if self.likelihood else 0
        if is_on_grid:
            return rounds + 2 * likely
        further = (rounds if self.partial_coherence else 0) + likely
        return sum(search.iterations + self.polish + further for search in self.searches)


@dataclass(frozen=True)
class Step:
    """A step of a refinement that was made.

    Parameters
    ----------
    name : str
    grid : "box" or "pattern"
        The network's box, or the pattern at its full resolution.
    iterations : int
    """

    name: str
    grid: Literal["box", "pattern"]
    iterations: int

    def facts(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Refined:
    """What a refinement found.

    Parameters
    ----------
    best : Retrieval
        Which need not be the last, and may be the start itself.
    last : Retrieval
        Of the last step.
    steps : tuple of Step
        That were made.
    errors : float32 tensor (1, iterations)
        Modulus error of the running object over all steps in turn.
    """

    best: Retrieval
    last: Retrieval
    steps: tuple[Step, ...]
    errors: Float[Tensor, "1 iterations"]


def refine(
    held_out: HeldOut,
    start: Retrieval,
    how: Refinement | None = None,
    *,
    partially_coherent: bool = True,
    on_iteration: OnIteration | None = None,
) -> Refined:
    """Refine a prediction, or what a random start led to, in the network's box.

    Parameters
    ----------
    held_out : HeldOut
    start : Retrieval
        One object and its support.
    how : Refinement, optional
    partially_coherent : bool
        Whether a coherence kernel is tried where the options ask for it and held-out voxels can judge it.
    on_iteration : callable, optional
        Told the iterations done and the most there can be.
    """
    how = how or Refinement()
    partially_coherent = partially_coherent and how.partial_coherence and held_out.can_judge
    record = _Record("box", how.most_iterations(), on_iteration)
    best = start
    for search in how.searches:
        run = record.add(COHERENT, _searched(held_out, start, search, how, record))
        best = held_out.better(best, run)
        if held_out.misfit(best).ratio <= how.enough:
            break
        seen = _seen_through_beam(held_out, run, how) if partially_coherent else None
        if seen is not None and held_out.score(seen) < HOPELESS * held_out.score(run):
            rounds = _rounds(held_out, run, how, record, with_kernel=True, seen=seen)
            other = record.add(PARTIALLY_COHERENT, rounds)
            best, run = held_out.better(best, other), held_out.better(run, other)
        if how.likelihood is not None:
            best = held_out.better(best, record.add(LIKELIHOOD, _climbed(held_out, run, how, record)))
        if not held_out.misfit(best).is_poor(how.poor):
            break
    return record.result(best)


def refine_on_grid(
    held_out: HeldOut,
    start: Retrieval,
    how: Refinement | None = None,
    *,
    partially_coherent: bool,
    steps: Sequence[float] = SAME_VOXELS,
    on_iteration: OnIteration | None = None,
) -> Refined:
    """Refine what was found in the network's box on the grid of the pattern, at its full resolution.

    Parameters
    ----------
    held_out : HeldOut
    start : Retrieval
        One object and its support.
    how : Refinement, optional
    partially_coherent : bool
        Whether a coherence kernel is estimated, as one was kept in the box.
    steps : 3 floats
        Voxels of the pattern a voxel of the network's box.
    on_iteration : callable, optional
        Told the iterations done and the most there can be.
    """
    how = how or Refinement()
    record = _Record("pattern", how.most_iterations(is_on_grid=True), on_iteration)
    run = _rounds(held_out, start, how, record, with_kernel=partially_coherent, steps=steps)
    found = [start, record.add(FULL_RESOLUTION, run)]
    if how.likelihood is not None and held_out.misfit(run).ratio > how.enough:
        found.append(record.add(LIKELIHOOD, _climbed(held_out, run, how, record, steps)))
        if partially_coherent:  # what the rounds cut away does not come back
            whole = replace(start, kernel=run.kernel)
            found.append(record.add(LIKELIHOOD, _climbed(held_out, whole, how, record, steps)))
    scores = [held_out.score(each) for each in found]
    return record.result(found[scores.index(min(scores))])


class _Record:
    """The steps of a refinement; called after every iteration, it tells those of all steps together."""

    def __init__(self, grid: Literal["box", "pattern"], total: int, on_iteration: OnIteration | None) -> None:
        self.grid, self.total, self.on_iteration = grid, total, on_iteration
        self.done = 0
        self.steps: list[Step] = []
        self.runs: list[Retrieval] = []

    def __call__(self, done: int, of: int) -> None:
        self.done += 1
        if self.on_iteration is not None:
            self.on_iteration(self.done, self.total)

    def add(self, name: str, run: Retrieval) -> Retrieval:
        self.steps.append(Step(name, self.grid, run.errors.shape[1]))
        self.runs.append(run)
        return run

    def result(self, best: Retrieval) -> Refined:
        return Refined(best, self.runs[-1], tuple(self.steps), torch.cat([run.errors for run in self.runs], 1))


def _searched(
    held_out: HeldOut, start: Retrieval, search: Schedule, how: Refinement, on_iteration: OnIteration
) -> Retrieval:
    run = held_out.retrieve(start, search, on_iteration)
    return _polished(held_out, run, how, on_iteration)


def _rounds(
    held_out: HeldOut,
    run: Retrieval,
    how: Refinement,
    on_iteration: OnIteration,
    *,
    with_kernel: bool,
    steps: Sequence[float] = SAME_VOXELS,
    seen: Retrieval | None = None,
) -> Retrieval:
    """Rounds of search and a polish, the coherence kernel estimated anew before each, or without one.

    `seen`: the object with the first kernel, where that was estimated already.
    """
    errors: list[Tensor] = []

    def prepared(run: Retrieval) -> Retrieval:
        return _seen_through_beam(held_out, run, how, steps) if with_kernel else replace(run, kernel=None)

    for _ in range(how.coherence.rounds):
        run = held_out.retrieve(seen or prepared(run), how.coherence.search, on_iteration)
        errors.append(run.errors)
        seen = None
    run = _polished(held_out, replace(seen or prepared(run), errors=run.errors[:, :0]), how, on_iteration)
    return replace(run, errors=torch.cat([*errors, run.errors], 1))


def _seen_through_beam(
    held_out: HeldOut, run: Retrieval, how: Refinement, steps: Sequence[float] = SAME_VOXELS
) -> Retrieval:
    """An object with the coherence kernel that is estimated from it."""
    return replace(run, kernel=how.coherence.kernel(held_out, run, steps))


def _polished(held_out: HeldOut, run: Retrieval, how: Refinement, on_iteration: OnIteration) -> Retrieval:
    """Error reduction within the wider support; the errors of both."""
    if not how.polish:
        return run
    inside = how.polish_support.final_support(run.object)
    polished = held_out.retrieve(replace(run, support=inside), error_reduction(how.polish), on_iteration)
    return replace(polished, errors=torch.cat([run.errors, polished.errors], 1))


def _climbed(
    held_out: HeldOut,
    run: Retrieval,
    how: Refinement,
    on_iteration: OnIteration,
    steps: Sequence[float] = SAME_VOXELS,
) -> Retrieval:
    """The most likely object near one, and with it the beam's coherence where a kernel is known."""
    assert how.likelihood is not None
    return most_likely(
        held_out.pattern.counts[None],
        held_out.used,
        replace(run, support=how.polish_support.final_support(run.object)),
        how.likelihood,
        partially_coherent=run.kernel is not None,
        steps=steps,
        on_iteration=on_iteration,
    )
