"""A predicted object refined by a few iterations of phase retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autophasenn.network.unrolled import PATTERN, Objects
from autophasenn.phasing.algorithms import ER, HIO
from autophasenn.phasing.engine import OnIteration, Retrieval, retrieve
from autophasenn.phasing.schedule import Block, Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics.metrics import SUPPORT_THRESHOLD
from autophasenn.volumes import Mask, Volume, crop_or_pad


def _short_schedule() -> Schedule:
    blocks = (Block(ER(), 10), Block(HIO(), 60), Block(ER(), 30))
    return Schedule(blocks, 1, ShrinkWrap(sigma_first=1.5), break_twin_at=None)


@dataclass(frozen=True)
class Refinement:
    """How a prediction is refined.

    Parameters
    ----------
    schedule : Schedule
        What is done in which iteration.
    support_threshold : float
        Fraction of the largest predicted amplitude that bounds the first support (Yao et al. 2022).
    """

    schedule: Schedule = field(default_factory=_short_schedule)
    support_threshold: float = SUPPORT_THRESHOLD


PAPER = Refinement(error_reduction(50))
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
    objects : complex64 tensor (batch, 32, 32, 32)
        Predicted amplitude and phase, on any scale.
    refinement : Refinement, optional
    seeds : sequence of int, optional
        Of what the schedule draws at random; None: 0 for all.
    on_iteration : callable, optional

    Returns
    -------
    Retrieval
    """
    refinement = refinement or Refinement()
    return retrieve(
        counts,
        measured,
        refinement.schedule,
        seeds=[0] * len(counts) if seeds is None else seeds,
        start=crop_or_pad(objects, PATTERN),
        support_threshold=refinement.support_threshold,
        on_iteration=on_iteration,
    )
