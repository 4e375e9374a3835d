"""Refinement at the full resolution of the pattern: on the grid that the data need, then a few steps on the pattern itself.

What a finely sampled pattern says fits a fraction of its voxels (`inversion.grid`). Resampling guesses a little near the
edges of what was measured and of what is held out; a few evaluations of the likelihood on the pattern mend that.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from autophasenn.inversion.box import NetworkBox
from autophasenn.inversion.grid import WorkingGrid
from autophasenn.phasing.engine import OnIteration, Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.likelihood import Likelihood, most_likely, sigmas_of
from autophasenn.phasing.refinement import LIKELIHOOD, Refined, Refinement, Step, refine_on_grid
from autophasenn.volumes import Pattern

LAST_EVALUATIONS = 8
"""Of the likelihood on the pattern: after them correlation and chi2_free are those of a refinement on the pattern alone."""
LAST_WITH_BEAM = 20
"""The same where the beam is found with the object."""


def refine_at_full_resolution(
    held_out: HeldOut,
    start: Retrieval,
    box: NetworkBox,
    oversampling: tuple[float, float, float],
    how: Refinement | None = None,
    *,
    partially_coherent: bool,
    on_iteration: OnIteration | None = None,
) -> Refined:
    """Refine what was found in the network's box at full resolution.

    Parameters
    ----------
    held_out : HeldOut
        The pattern.
    start : Retrieval
        One object of the pattern, and its support.
    box : NetworkBox
        Where it was found.
    oversampling : tuple of 3 floats
        Of the pattern.
    how : Refinement, optional
    partially_coherent : bool
        Whether a coherence kernel is estimated, as one was kept in the box: on the grid, then mended with the object on the
        pattern.
    on_iteration : callable, optional
        Told the iterations done and the most there can be.
    """
    how = how or Refinement()
    grid = WorkingGrid.of(held_out.pattern.shape, oversampling)
    if grid.is_pattern:
        return refine_on_grid(
            held_out, start, how, partially_coherent=partially_coherent, steps=box.steps, on_iteration=on_iteration
        )
    fewer = onto_grid(held_out, grid)
    beginning = Retrieval(grid.object_onto(start.object), grid.object_onto(start.support), start.errors)
    s0, s1, s2 = (max(1.0, of_box / of_grid) for of_box, of_grid in zip(box.steps, grid.steps, strict=True))
    found = refine_on_grid(
        fewer, beginning, how, partially_coherent=partially_coherent, steps=(s0, s1, s2), on_iteration=on_iteration
    )
    if found.best is beginning:
        last = found.last
        kernel = None if last.kernel is None else grid.kernel_from(last.kernel)
        back = Retrieval(grid.object_from(last.object), grid.object_from(last.support), last.errors, kernel)
        return Refined(start, back, found.steps, found.errors)
    best = found.best
    kernel = None if best.kernel is None else grid.kernel_from(best.kernel)
    run = Retrieval(grid.object_from(best.object), grid.object_from(best.support), best.errors, kernel)
    candidates, steps, errors = [start, run], list(found.steps), [found.errors]
    if how.likelihood is not None:
        confined = replace(run, support=how.polish_support.final_support(run.object))
        most = LAST_EVALUATIONS if kernel is None else LAST_WITH_BEAM
        few: Likelihood = replace(how.likelihood, evaluations=min(most, how.likelihood.evaluations))
        last = most_likely(
            *(held_out.pattern.counts[None], held_out.used, confined, few),
            partially_coherent=kernel is not None, sigmas=None if kernel is None else sigmas_of(kernel),
            on_iteration=on_iteration,
        )  # fmt: skip
        candidates.append(last)
        errors.append(last.errors)
        steps.append(Step(LIKELIHOOD, "pattern", last.errors.shape[1]))
    scores = [held_out.score(each) for each in candidates]
    return Refined(candidates[scores.index(min(scores))], candidates[-1], tuple(steps), torch.cat(errors, 1))


def onto_grid(held_out: HeldOut, grid: WorkingGrid) -> HeldOut:
    """A pattern with its held-out voxels, the same on a grid of fewer voxels."""
    used, measured = grid.counts_onto(held_out.pattern.counts, held_out.used[0])
    counts, everywhere = grid.counts_onto(held_out.pattern.counts, held_out.pattern.mask)
    return HeldOut(Pattern(torch.where(measured, used, counts), everywhere), everywhere & ~measured)
