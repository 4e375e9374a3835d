"""A beam of short coherence: the network predicts from the pattern that a coherent beam would have given.

The network has learned from coherent patterns, and the refinement begins with a coherent beam: of a crystal that is about as
wide as the beam is coherent, both lose the outer part, and what is lost does not come back. So where a coherence kernel was
kept, the pattern is deblurred by beams of several coherences, the network is asked again, its prediction refined as a
coherent one, and the likelihood of the counts themselves climbed from there, with the beam. Held-out voxels choose, and
the beam that was found deblurs the pattern once more, as long as they say that it helps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.inversion.prediction import Predictions, predict_all
from autophasenn.network.predict import Predictor
from autophasenn.options import NotNegative, options
from autophasenn.phasing.deblurring import deblurred
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.likelihood import Likelihood, kernel_of, most_likely, sigmas_of
from autophasenn.phasing.refinement import Refined, Refinement, Step
from autophasenn.phasing.refinement import refine as refine_coherent
from autophasenn.phasing.support import layer_around
from autophasenn.volumes import Support

DEBLURRED = "deblurred pattern"
"""Name of the step, in reports and figures."""
Width = Annotated[float, Gt(0), Le(8)]
Steps = Annotated[int, Ge(1), Le(1000)]
MOST_WIDTHS = 8
WARNING = (
    "The beam is coherent over hardly more than the crystal's width, so the pattern was deblurred for the network; the "
    "confidence was calibrated without that, so take it as rough."
)


@options
class Deblurring:
    """What is tried where a coherence kernel was kept.

    Parameters
    ----------
    least_width : float
        Standard deviation, voxels of the network's box, that the kernel which was kept must have along an axis at least.
        One of 0.5 is of a beam that is coherent over 20 voxels, where a crystal is up to 32 wide.
    widths : tuple of floats
        Standard deviations, voxels of the network's box, of the kernels that the pattern is deblurred by at first.
    again : int
        How often at most the best beam that was found deblurs the pattern anew, as long as chi2_free falls.
    updates : int
        Richardson-Lucy steps.
    evaluations : int
        Of the likelihood, from each object.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    least_width: NotNegative = 0.5
    widths: tuple[Width, ...] = (0.65, 0.95)
    again: Annotated[int, Ge(0), Le(10)] = 2
    updates: Steps = 30
    evaluations: Steps = 40

    def __post_init__(self) -> None:
        if not 1 <= len(self.widths) <= MOST_WIDTHS:
            raise PlanError(
                f"deblurring.widths has {len(self.widths)} numbers; give 1 to {MOST_WIDTHS}, or deblurring: null to leave "
                "it out."
            )


def refine_deblurred(
    held_out: HeldOut,
    refined: Refined,
    how: Deblurring | None,
    refinement: Refinement,
    predictor: Predictor,
    predictions: Predictions,
    *,
    seed: int,
    on_iteration: Callable[[int, int], None] | None = None,
) -> Refined:
    """What a refinement found, or what deblurring leads to where that explains the held-out voxels better.

    Parameters
    ----------
    held_out : HeldOut
        The network's box.
    refined : Refined
        Without a coherence kernel, or with a narrow one, it is given back as it is.
    how : Deblurring, optional
        None: the same.
    refinement : Refinement
        Its search and polish refine the predictions. Without a likelihood nothing is done either.
    predictor : Predictor
    predictions : Predictions
    seed : int
    on_iteration : callable, optional
        Told how many objects were found, and how many there can be.

    Returns
    -------
    Refined
        The step that it adds, and its errors, are those of the climb that came out best.
    """
    kept = refined.best.kernel
    if how is None or refinement.likelihood is None or kept is None or max(sigmas_of(kept)) < how.least_width:
        return refined
    coherent = replace(refinement, longer_search=None, partial_coherence=False, likelihood=None)
    climbing = replace(refinement.likelihood, evaluations=how.evaluations)
    inside = refinement.polish_support
    runs: list[Retrieval] = []

    def found_with(kernel: Tensor) -> Retrieval:
        sharp = deblurred(held_out, kernel, how.updates)
        prediction = predict_all(sharp, predictor, predictions, seed=seed)[0][0]
        searched = refine_coherent(sharp, prediction, coherent)
        # The search cuts some crystals, which the prediction has whole.
        whole = layer_around(inside.final_support(prediction.object).to(searched.errors.dtype)) > 0.5
        for start, support in (
            (searched.best, inside.final_support(searched.best.object)),
            (prediction, whole),
        ):
            runs.append(_climbed(held_out, start, support, kernel, climbing))
        if on_iteration is not None:
            on_iteration(len(runs), 2 * (len(how.widths) + how.again))
        return min(runs[-2:], key=held_out.score)

    best = min(
        (found_with(kernel_of((width,) * 3, held_out.pattern.shape).to(refined.errors)) for width in how.widths),
        key=held_out.score,
    )
    for _ in range(how.again):
        assert best.kernel is not None
        other = found_with(best.kernel)
        if held_out.score(other) >= held_out.score(best):
            break
        best = other
    steps = (*refined.steps, Step(DEBLURRED, "box", best.errors.shape[1]))
    better = held_out.better(refined.best, best)
    return Refined(better, best, steps, torch.cat([refined.errors, best.errors.to(refined.errors)], 1))


def _climbed(held_out: HeldOut, start: Retrieval, support: Support, kernel: Tensor, how: Likelihood) -> Retrieval:
    """The most likely object near one, and the beam near that of a kernel."""
    return most_likely(
        held_out.pattern.counts[None],
        held_out.used,
        replace(start, support=support),
        how,
        partially_coherent=True,
        sigmas=sigmas_of(kernel),
    )
