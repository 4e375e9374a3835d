"""A predicted object refined by a few iterations of phase retrieval.

First a search that can leave the prediction's local minimum (RAAR with shrink-wrap), then a polish: error reduction within a
support that is wider than shrink-wrap's, which cuts the voxels at the crystal's surface in half
(docs/evaluation.md has the comparison).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from autophasenn.network.unrolled import PATTERN, Objects
from autophasenn.phasing.algorithms import RAAR
from autophasenn.phasing.engine import OnIteration, Retrieval, retrieve
from autophasenn.phasing.schedule import Block, Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics.metrics import SUPPORT_THRESHOLD
from autophasenn.volumes import Mask, Volume, crop_or_pad


def _search() -> Schedule:
    # Narrow Gaussians from the beginning: the prediction already has the crystal's shape.
    shrink_wrap = ShrinkWrap(threshold=0.35, sigma_first=1.0, sigma_last=0.5)
    return Schedule((Block(RAAR(), 60),), 1, shrink_wrap, break_twin_at=None, average_last=0)


@dataclass(frozen=True)
class Refinement:
    """How a prediction is refined.

    Parameters
    ----------
    search : Schedule
        What is done first.
    support_threshold : float
        Fraction of the largest predicted amplitude that bounds the first support (Yao et al. 2022).
    polish : int
        Iterations of error reduction after it, from what it found; 0: none.
    polish_support : ShrinkWrap
        Which voxels the polish is confined to: its threshold, and its last Gaussian.
    """

    search: Schedule = field(default_factory=_search)
    support_threshold: float = SUPPORT_THRESHOLD
    polish: int = 20
    polish_support: ShrinkWrap = field(default_factory=lambda: ShrinkWrap(threshold=0.1, sigma_last=0.7))

    @property
    def iterations(self) -> int:
        """Number of iterations in all."""
        return self.search.iterations + self.polish


PAPER = Refinement(error_reduction(50), polish=0)
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
        Told after every iteration, with the number done and their total.

    Returns
    -------
    Retrieval
        The errors are those of all iterations.
    """
    refinement = refinement or Refinement()
    total = refinement.iterations
    seeds = [0] * len(counts) if seeds is None else seeds

    def tell(before: int) -> OnIteration | None:
        return None if on_iteration is None else lambda done, _: on_iteration(before + done, total)

    found = retrieve(
        counts,
        measured,
        refinement.search,
        seeds=seeds,
        start=crop_or_pad(objects, PATTERN),
        support_threshold=refinement.support_threshold,
        on_iteration=tell(0),
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
        on_iteration=tell(refinement.search.iterations),
    )
    return Retrieval(polished.object, polished.support, torch.cat([found.errors, polished.errors], 1))
