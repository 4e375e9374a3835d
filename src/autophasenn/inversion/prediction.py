"""The crystal from the network's prediction: refined in the network's box, then at the full resolution of the pattern.

Held-out voxels are chosen in the pattern, before anything else, so that chi2_free judges every step and no step sees them.
In the box a search without partial coherence comes first, then one with a coherence kernel; which of them explains the
held-out voxels better says whether the beam was coherent. Of everything found the best is kept, whatever came last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.inversion.box import NetworkBox
from autophasenn.network.predict import Predictor
from autophasenn.options import options
from autophasenn.phasing.engine import OnIteration, Retrieval
from autophasenn.phasing.ensemble import COHERENCE_GAIN, as_reconstruction, free_error, hold_out, singular_modes
from autophasenn.phasing.further import Further, Grid, improve
from autophasenn.phasing.likelihood import Likelihood, most_likely
from autophasenn.phasing.refine import Refinement
from autophasenn.phasing.schedule import Schedule, error_reduction
from autophasenn.physics import ambiguity
from autophasenn.volumes import PATTERN, Pattern, Reconstruction, crop_or_pad

logger = logging.getLogger(__name__)


@options
class Refined:
    """How a crystal is found from the network's prediction.

    Parameters
    ----------
    starts : int
        Predictions that are made at most, from different random starts, as long as all of them are poor; the one that
        fits best is refined.
    free_fraction : float
        Share of the measured voxels held out, for chi2_free. 0: none, and the beam is taken as fully coherent.
    agreement : float
        Predictions whose correlation with the best one is at least this agree with it.
    poor : float
        chi2 above which an object is poor, unless counting noise explains it.
    first : Refinement
        What is done first, in the network's box. Its longer search is tried where the object is poor after all.
    further : Further
        What follows: in the box with a partially coherent beam, and at the full resolution.
    likelihood : Likelihood, optional
        What comes last, in the box and at the full resolution: kept where chi2_free is less. null: nothing.
    partial_coherence : bool
        Whether a coherence kernel is tried; it is kept where it lowers chi2_free by 5 % or more. false: the beam is
        taken as fully coherent.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    starts: int = 3
    free_fraction: float = 0.02
    agreement: float = 0.9
    poor: float = 0.02
    first: Refinement = field(default_factory=Refinement)
    further: Further = field(default_factory=Further)
    likelihood: Likelihood | None = field(default_factory=Likelihood)
    partial_coherence: bool = True

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise PlanError(f"refined.starts is {self.starts}; at least one prediction is needed.")
        if not 0 <= self.free_fraction <= 0.3:
            raise PlanError(f"refined.free_fraction is {self.free_fraction:g}; hold out 0 to 0.3 of the voxels.")
        if not 0 <= self.agreement <= 1:
            raise PlanError(f"refined.agreement is {self.agreement:g}; it is a correlation, 0 to 1.")
        if not self.poor > 0:
            raise PlanError(f"refined.poor is {self.poor:g}; it is a chi2, above 0.")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network says of a pattern.

    Parameters
    ----------
    grid, inside : Grid
        The whole pattern, and the network's box of it.
    box : NetworkBox
    oversampling : tuple of 3 floats
        Of the pattern.
    candidates : tuple of Retrieval
        Predictions in the box, the best first; their errors are their chi2.
    correlations : tuple of float
        Of each with the best.
    """

    grid: Grid
    inside: Grid
    box: NetworkBox
    oversampling: tuple[float, float, float]
    candidates: tuple[Retrieval, ...]
    correlations: tuple[float, ...]

    def on_grid(self, run: Retrieval) -> Retrieval:
        """What was found in the box, on the voxels of the pattern."""
        if self.box.is_whole_pattern:
            return run
        return self.grid.found(self.box.object_onto_grid(run.object[0]))

    def partially_coherent(self, options: Refined) -> bool:
        """Can held-out voxels decide on a coherence kernel?"""
        return options.partial_coherence and bool((self.inside.pattern.counts[self.inside.free] > 0).any())

    def facts(self, iterations: list[str]) -> dict[str, Any]:
        """For the report."""
        return {
            "network_box": {
                "steps": list(self.box.steps),
                "oversampling": list(self.box.oversampling(self.oversampling)),
                "masked_fraction": 1 - float(self.inside.pattern.mask.double().mean()),
            },
            "predictions": {
                "chi2": [float(each.errors) for each in self.candidates],
                "correlation": list(self.correlations),
            },
            "iterations": iterations,
        }

    def reconstruction(self, final: Retrieval, errors: Tensor, agreement: float) -> Reconstruction:
        """An object on the pattern's grid, with what all predictions say of it."""
        objects = torch.cat([each.object for each in self.candidates])
        return as_reconstruction(
            self.grid.pattern,
            final,
            self.grid.free,
            errors=torch.nn.functional.pad(errors, (0, 0, 0, len(objects) - 1), value=torch.nan),
            free_errors=[free_error(self.inside.pattern, self.inside.free, each) for each in self.candidates],
            averaged=sum(correlation >= agreement for correlation in self.correlations),
            modes=singular_modes(objects) if len(objects) > 1 else None,
        )


def predict(
    pattern: Pattern, oversampling: tuple[float, float, float], predictor: Predictor, options: Refined, *, seed: int
) -> Prediction:
    """Ask the network, again where its prediction is poor.

    Parameters
    ----------
    pattern : Pattern
        Of any shape; on the device that shall do the work.
    oversampling : tuple of 3 floats
    predictor : Predictor
    options : Refined
    seed : int
        Of the held-out voxels and of the starts.

    Raises
    ------
    InputError
        If the pattern has too few voxels for the network, or no photon where the network looks.
    """
    grid, inside, box = boxed(pattern, oversampling, options.free_fraction, seed)
    candidates, correlations = ask(inside, predictor, options, seed=seed)
    return Prediction(grid, inside, box, oversampling, candidates, correlations)


def boxed(
    pattern: Pattern, oversampling: tuple[float, float, float], free_fraction: float, seed: int
) -> tuple[Grid, Grid, NetworkBox]:
    """A pattern with its held-out voxels, the same in the network's box, and that box; see `predict`."""
    grid = Grid(pattern, hold_out(pattern.mask, free_fraction, seed))
    box = NetworkBox.of(pattern.shape, oversampling)
    if box.is_whole_pattern:
        return grid, grid, box
    used, measured = box.counts_into(pattern.counts, grid.used[0])
    counts, everywhere = box.counts_into(pattern.counts, pattern.mask)
    return grid, Grid(Pattern(torch.where(measured, used, counts), everywhere), everywhere & ~measured), box


def ask(
    inside: Grid, predictor: Predictor, options: Refined, *, seed: int
) -> tuple[tuple[Retrieval, ...], tuple[float, ...]]:
    """Predictions in the network's box, again as long as they are poor: the best first, and their correlation with it."""
    candidates: list[Retrieval] = []
    for start in range(options.starts):
        rho = predictor.predict(inside.pattern.counts[None], inside.used, (seed * 100_003 + start) % 2**32)[0]
        candidates.append(inside.found(crop_or_pad(rho, PATTERN), options.first.support_threshold))
        if not inside.is_poor(candidates[-1], options.poor):
            break
    candidates.sort(key=lambda each: float(each.errors))
    best = candidates[0].object[0]
    alignments = [ambiguity.align(best, each.object[0]) for each in candidates] if len(candidates) > 1 else []
    aligned = [inside.found(each.aligned, options.first.support_threshold) for each in alignments]
    correlations = [each.correlation for each in alignments] or [1.0]
    return tuple(aligned or candidates), tuple(correlations)


def predicted(
    prediction: Prediction, options: Refined, *, choose: Callable[[Retrieval], Retrieval] | None = None
) -> tuple[Reconstruction, dict[str, Any]]:
    """The best prediction on the grid of the pattern, as it is; and what was done, for the report. See `refined`."""
    best = prediction.candidates[0]
    run = prediction.on_grid(best if choose is None else choose(best))
    return prediction.reconstruction(run, run.errors, options.agreement), prediction.facts([])


def refined(
    prediction: Prediction,
    options: Refined,
    on_iteration: OnIteration | None = None,
    *,
    choose: Callable[[Retrieval], Retrieval] | None = None,
) -> tuple[Reconstruction, dict[str, Any]]:
    """The best prediction refined, in the box and then at full resolution; and what was done, for the report.

    Parameters
    ----------
    prediction : Prediction
    options : Refined
    on_iteration : callable, optional
        Told the iterations done and the most there can be.
    choose : callable, optional
        Given the best object of the box; what it returns goes on to the full resolution.

    Returns
    -------
    reconstruction : Reconstruction
        The best that was found, which need not be the last: a warning is logged where it is not.
    facts : dict
    """
    told = _Told(on_iteration, _most_iterations(prediction, options))
    best = prediction.candidates[0]
    states, history, steps = [prediction.on_grid(best)], [best.errors], []
    partially_coherent = prediction.partially_coherent(options)
    for name, run in in_box(prediction.inside, best, options, partially_coherent=partially_coherent, told=told):
        history.append(run.errors)
        steps.append(f"{name}: {run.errors.shape[1]}")
        best = better(prediction.inside, best, run)
    if choose is not None:
        best = choose(best)
    if best is prediction.candidates[0]:
        logger.warning(
            "No step of the refinement in the network's box explains the pattern better than the prediction, which goes on "
            "as it is; take the plan's defaults, another --seed, or --method iterative."
        )
    states.append(prediction.on_grid(best))
    if not prediction.box.is_whole_pattern:
        run = improve(
            prediction.grid,
            states[-1],
            options.further,
            partially_coherent=best.kernel is not None,
            steps=prediction.box.steps,
            on_iteration=told,
        )
        history.append(run.errors)
        steps.append(f"full resolution: {run.errors.shape[1]}")
        if options.likelihood is not None:
            sharp = sharpened(prediction.grid, run, options, steps=prediction.box.steps, told=told)
            history.append(sharp.errors)
            steps.append(f"most likely: {sharp.errors.shape[1]}")
            run = better(prediction.grid, run, sharp)
        states.append(run)
    scores = [prediction.grid.score(run) for run in states]
    last, least = scores[-1], min(scores)
    if least < last:
        logger.warning(
            "The refinement ended worse than it began (misfit of the voxels that judge it %.3g, before %.3g), so the image "
            "is that from before; try another --seed, or --method iterative.",
            last,
            least,
        )
    final = states[-1] if least == last else states[scores.index(least)]
    return prediction.reconstruction(final, torch.cat(history, 1), options.agreement), prediction.facts(steps)


def in_box(
    grid: Grid, start: Retrieval, options: Refined, *, partially_coherent: bool, told: OnIteration | None = None
) -> Iterator[tuple[str, Retrieval]]:
    """Ever longer searches from a prediction, until the object is no longer poor; see `better` for which to keep."""
    best, first = start, options.first
    for search in (first.search, first.longer_search):
        if search is None:
            return
        run = _searched(grid, start, search, first, told)
        yield "coherent beam", run
        best = better(grid, best, run)
        if partially_coherent:
            other = improve(grid, run, options.further, partially_coherent=True, on_iteration=told)
            yield "partially coherent beam", other
            best, run = better(grid, best, other), better(grid, run, other)
        if options.likelihood is not None:
            sharp = sharpened(grid, run, options, told=told)
            yield "most likely", sharp
            best = better(grid, best, sharp)
        if not grid.is_poor(best, options.poor):
            return


def sharpened(
    grid: Grid,
    run: Retrieval,
    options: Refined,
    *,
    steps: Sequence[float] = (1.0, 1.0, 1.0),
    told: OnIteration | None = None,
) -> Retrieval:
    """The most likely object near one, and with it the beam's coherence where a kernel is known."""
    assert options.likelihood is not None
    return most_likely(
        grid.pattern.counts[None],
        grid.used,
        run,
        options.likelihood,
        partially_coherent=run.kernel is not None,
        steps=steps,
        on_iteration=told,
    )


def _searched(grid: Grid, start: Retrieval, search: Schedule, how: Refinement, told: OnIteration | None) -> Retrieval:
    """A search and its polish, as `phasing.refine` does them."""
    run = grid.retrieve(start, search, told)
    if not how.polish:
        return run
    inside = how.polish_support.update(run.object, 0, 1)
    polished = grid.retrieve(replace(run, support=inside), error_reduction(how.polish), told)
    return replace(polished, errors=torch.cat([run.errors, polished.errors], 1))


def better(grid: Grid, run: Retrieval, other: Retrieval) -> Retrieval:
    """The one that explains the held-out voxels better; a coherence kernel must earn its freedom."""
    gain = COHERENCE_GAIN if run.kernel is None and other.kernel is not None else 1.0
    return other if grid.score(other) < gain * grid.score(run) else run


class _Told:
    """The iterations of several runs, told as those of one."""

    def __init__(self, on_iteration: OnIteration | None, total: int) -> None:
        self.on_iteration, self.total, self.done = on_iteration, total, 0

    def __call__(self, done: int, of: int) -> None:
        self.done += 1
        if self.on_iteration is not None:
            self.on_iteration(self.done, self.total)


def _most_iterations(prediction: Prediction, options: Refined) -> int:
    further, first = options.further.iterations, options.first
    partial = further if prediction.partially_coherent(options) else 0
    attempts = 2 if first.longer_search else 1
    likely = options.likelihood.evaluations if options.likelihood else 0
    at_full = 0 if prediction.box.is_whole_pattern else further + likely
    return first.most_iterations + attempts * (partial + likely) + at_full
