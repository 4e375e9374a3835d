"""A predicted object refined by a few iterations of phase retrieval.

First a search that can leave the prediction's local minimum (RAAR with narrow shrink-wrap), whose last objects are
averaged: what counting noise drives from iteration to iteration, and not the crystal, averages out. Then a polish: error
reduction within a support that is wider than shrink-wrap's, which cuts the voxels at the crystal's surface in half. Where
the object then explains its pattern much worse than counting noise allows, a longer search begins from the prediction anew.
docs/evaluation.md has the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.options import options
from autophasenn.phasing.algorithms import HIO, RAAR
from autophasenn.phasing.engine import OnIteration, Retrieval, retrieve
from autophasenn.phasing.schedule import Block, Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import PATTERN, Mask, Objects, ObjectVolume, Volume, crop_or_pad


def _search(*blocks: Block, sigma: float, average_last: int = 0) -> Schedule:
    # Narrow Gaussians from the beginning: the prediction already has the crystal's shape.
    shrink_wrap = ShrinkWrap(threshold=0.35, sigma_first=sigma, sigma_last=0.5)
    return Schedule(blocks, 1, shrink_wrap, break_twin_at=None, average_last=average_last)


@options
class Refinement:
    """How a prediction is refined.

    Parameters
    ----------
    search : Schedule
        What is done first.
    longer_search : Schedule, optional
        What is tried next where the object is poor, from the prediction; of both objects the one is kept whose chi2 is
        less, each over that of its own counting noise.
        null: nothing.
    poor : float
        chi2 over that of counting noise above which an object is poor.
    support_threshold : float
        Fraction of the largest predicted amplitude that bounds the first support (Yao et al. 2022).
    polish : int
        Iterations of error reduction after every search; 0: none.
    polish_support : ShrinkWrap
        Which voxels the polish is confined to: its threshold, and its last Gaussian.
    """

    search: Schedule = field(default_factory=lambda: _search(Block(RAAR(), 50), sigma=1.0, average_last=30))
    longer_search: Schedule | None = field(
        default_factory=lambda: _search(Block(HIO(), 150), Block(RAAR(), 30), sigma=1.5)
    )
    poor: float = 1.5
    support_threshold: float = metrics.SUPPORT_THRESHOLD
    polish: int = 10
    polish_support: ShrinkWrap = field(default_factory=lambda: ShrinkWrap(threshold=0.1, sigma_last=0.7))

    def __post_init__(self) -> None:
        if self.polish < 0:
            raise PlanError(f"polish is {self.polish}; it is a number of iterations, at least 0.")
        if not 0 < self.support_threshold < 1:
            raise PlanError(
                f"support_threshold is {self.support_threshold:g}; it is a fraction of the largest amplitude, 0 to 1."
            )
        if not self.poor >= 0:
            raise PlanError(f"poor is {self.poor:g}; it is a ratio of two chi2, at least 0.")

    @property
    def iterations(self) -> int:
        """Of the first search and its polish: all, for most patterns."""
        return self.search.iterations + self.polish

    @property
    def most_iterations(self) -> int:
        """With the longer search."""
        return self.iterations + (self.longer_search.iterations + self.polish if self.longer_search else 0)


PAPER = Refinement(error_reduction(50), longer_search=None, polish=0)
"""50 iterations of error reduction within the predicted support, as in Yao et al., npj Comput. Mater. 8, 124 (2022)."""


def refine(
    counts: Volume,
    measured: Mask,
    objects: Objects,
    refinement: Refinement | None = None,
    *,
    seeds: Sequence[int] | None = None,
    on_iteration: OnIteration | None = None,
) -> Retrieval:
    """Iterate from predicted objects.

    Parameters
    ----------
    counts : float32 tensor (batch, 64, 64, 64)
    measured : bool tensor (batch, 64, 64, 64)
        True = used: leave out what shall be held out.
    objects : complex64 tensor (batch, 32, 32, 32)
        Predicted amplitude and phase, on any scale.
    refinement : Refinement, optional
    seeds : sequence of int, optional
        Of what the schedule draws at random; None: 0 for all.
    on_iteration : callable, optional
        Told after every iteration, with the number done and the most there can be.

    Returns
    -------
    Retrieval
        ``errors`` (batch, most iterations) are those of all iterations in turn, NaN where none was needed.
    """
    refinement = refinement or Refinement()
    seeds = [0] * len(counts) if seeds is None else seeds
    found = _attempt(counts, measured, objects, refinement.search, refinement, seeds, on_iteration, 0)
    if refinement.longer_search is None:
        return found
    first = _noise_ratio(found.object, counts, measured)
    poor = torch.nonzero(first > refinement.poor).flatten().tolist()
    missing = refinement.most_iterations - refinement.iterations
    errors = torch.nn.functional.pad(found.errors, (0, missing), value=torch.nan)
    if not poor:
        return Retrieval(found.object, found.support, errors)
    again = _attempt(
        counts[poor], measured[poor], objects[poor], refinement.longer_search, refinement, [seeds[i] for i in poor],
        on_iteration, refinement.iterations,
    )  # fmt: skip
    errors[poor, refinement.iterations :] = again.errors
    better = _noise_ratio(again.object, counts[poor], measured[poor]) < first[poor]
    rho, support = found.object.clone(), found.support.clone()
    for place, index in enumerate(poor):
        if better[place]:
            rho[index], support[index] = again.object[place], again.support[place]
    return Retrieval(rho, support, errors)


def _attempt(
    counts: Volume,
    measured: Mask,
    objects: Objects,
    search: Schedule,
    refinement: Refinement,
    seeds: Sequence[int],
    on_iteration: OnIteration | None,
    before: int,
) -> Retrieval:
    """A search and its polish; `before`: the iterations that are done already."""

    def tell(earlier: int) -> OnIteration | None:
        if on_iteration is None:
            return None
        return lambda done, _: on_iteration(earlier + done, refinement.most_iterations)

    found = retrieve(
        counts,
        measured,
        search,
        seeds=seeds,
        start=crop_or_pad(objects, PATTERN),
        support_threshold=refinement.support_threshold,
        on_iteration=tell(before),
    )
    if not refinement.polish:
        return found
    polished = retrieve(
        counts,
        measured,
        error_reduction(refinement.polish),
        seeds=seeds,
        start=found.object,
        support=refinement.polish_support.update(found.object, 0, 1),
        on_iteration=tell(before + search.iterations),
    )
    return Retrieval(polished.object, polished.support, torch.cat([found.errors, polished.errors], 1))


def _noise_ratio(rho: ObjectVolume, counts: Volume, measured: Mask) -> Float[Tensor, " batch"]:
    """chi2 over that of counting noise alone."""
    intensity = intensity_of(diffract(metrics.thresholded(rho)))
    scale = metrics.best_scale(intensity, counts, measured)
    noise = metrics.chi2_noise(intensity * scale.square()[:, None, None, None], counts, measured)
    return metrics.chi2_of_intensity(intensity, counts, measured, scale=scale) / noise
