"""Phase retrieval that goes on from a good object: rounds of RAAR, then of error reduction, and the coherence of the beam.

Before each round the mutual coherence kernel is estimated from the object as it is. The middle of the pattern, which holds
nearly all photons, suffices for that, so that many steps of the estimate cost little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.options import options
from autophasenn.phasing.algorithms import RAAR
from autophasenn.phasing.coherence import CoherenceEstimate
from autophasenn.phasing.engine import OnIteration, Retrieval, retrieve
from autophasenn.phasing.ensemble import score
from autophasenn.phasing.schedule import Block, Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, intensity_of
from autophasenn.physics.fourier import diffract, to_corner
from autophasenn.volumes import Mask, Pattern, crop_or_pad

NOISE_MARGIN = 1.5
"""A chi2 of so many times that of counting noise is as good as can be had."""


def _search() -> Schedule:
    narrow = ShrinkWrap(threshold=0.35, sigma_first=1.0, sigma_last=0.5)
    return Schedule((Block(RAAR(), 12),), 1, narrow, break_twin_at=None, average_last=0)


@options
class Further:
    """How a good object is made better.

    Parameters
    ----------
    rounds : int
        Of the search.
    search : Schedule
        What a round does.
    polish_rounds : int
        Of error reduction, after the search.
    polish : int
        Iterations of such a round.
    polish_support : ShrinkWrap
        Which voxels the polish is confined to: its threshold, and its last Gaussian.
    kernel_updates : int
        Richardson-Lucy steps of an estimate of the coherence kernel.
    kernel_width : int
        Odd edge of the kernel in voxels of the pattern.
    kernel_middle : int
        Voxels of the network's box, along each axis, from which it is estimated.

    Raises
    ------
    PlanError
        If nothing would be done, or the kernel does not fit.
    """

    rounds: int = 2
    search: Schedule = field(default_factory=_search)
    polish_rounds: int = 1
    polish: int = 10
    polish_support: ShrinkWrap = field(default_factory=lambda: ShrinkWrap(threshold=0.1, sigma_last=0.7))
    kernel_updates: int = 20
    kernel_width: int = 11
    kernel_middle: int = 32

    def __post_init__(self) -> None:
        if min(self.rounds, self.polish_rounds) < 0 or self.rounds + self.polish_rounds < 1 or self.polish < 1:
            raise PlanError(
                f"refined.further has {self.rounds} rounds of search and {self.polish_rounds} of {self.polish} iterations "
                "of polish; give at least one round, of at least one iteration."
            )
        if self.kernel_width % 2 == 0 or self.kernel_width < 3 or self.kernel_updates < 1:
            raise PlanError(
                f"refined.further.kernel_width is {self.kernel_width} and kernel_updates {self.kernel_updates}; give an odd "
                "width of 3 voxels or more, and one update or more."
            )
        if self.kernel_middle < 2 * self.kernel_width:
            raise PlanError(
                f"refined.further.kernel_middle is {self.kernel_middle}; a kernel of {self.kernel_width} voxels is "
                f"estimated from {2 * self.kernel_width} or more."
            )

    @property
    def iterations(self) -> int:
        """Number of iterations in all."""
        return self.rounds * self.search.iterations + self.polish_rounds * self.polish

    @property
    def estimate(self) -> CoherenceEstimate:
        """Of the coherence kernel."""
        return CoherenceEstimate(updates=self.kernel_updates, width=self.kernel_width)


@dataclass(frozen=True, eq=False)
class Grid:
    """A pattern, and which of its voxels nothing may be fitted to.

    Parameters
    ----------
    pattern : Pattern
    free : bool tensor (n0, n1, n2)
        True = measured, but held out.
    """

    pattern: Pattern
    free: Bool[Tensor, "n0 n1 n2"]

    @property
    def used(self) -> Mask:
        """True = measured and not held out, (1, n0, n1, n2)."""
        return (self.pattern.mask & ~self.free)[None]

    def score(self, run: Retrieval) -> float:
        """chi2_free, or chi2 where no photon was held out; infinite where the object is not finite."""
        value = score(self.pattern, self.free, run)
        return value if math.isfinite(value) else math.inf

    def is_poor(self, run: Retrieval, poor: float) -> bool:
        """Is chi2 above both `poor` and what counting noise gives, or no number?"""
        counts = self.pattern.counts[None]
        intensity = ForwardModel(kernel=run.kernel)(metrics.thresholded(run.object))
        scale = metrics.best_scale(intensity, counts, self.used)
        chi2 = float(metrics.chi2_of_intensity(intensity, counts, self.used, scale=scale))
        if not math.isfinite(chi2):
            return True
        if chi2 <= poor:
            return False
        scaled = intensity * scale.square()[:, None, None, None]
        return chi2 > NOISE_MARGIN * float(metrics.chi2_noise(scaled, counts, self.used))

    def found(
        self, rho: Complex[Tensor, "n0 n1 n2"], support_threshold: float = metrics.SUPPORT_THRESHOLD
    ) -> Retrieval:
        """An object that no iteration led to, and its chi2."""
        amplitude = rho.abs()
        error = metrics.chi2(rho, self.pattern.counts, self.used[0])
        return Retrieval(rho[None], (amplitude >= support_threshold * amplitude.max())[None], error.reshape(1, 1))

    def retrieve(self, run: Retrieval, schedule: Schedule, on_iteration: OnIteration | None) -> Retrieval:
        """More iterations from an object, with its support and its coherence kernel."""
        return retrieve(
            self.pattern.counts[None],
            self.used,
            schedule,
            seeds=[0],
            start=run.object,
            support=run.support,
            kernel=run.kernel,
            on_iteration=on_iteration,
        )


def improve(
    grid: Grid,
    run: Retrieval,
    further: Further,
    *,
    partially_coherent: bool,
    steps: Sequence[float] = (1.0, 1.0, 1.0),
    on_iteration: OnIteration | None = None,
) -> Retrieval:
    """Rounds of search and polish.

    Parameters
    ----------
    grid : Grid
    run : Retrieval
        One object to begin with, its support, and a coherence kernel if one is known.
    further : Further
    partially_coherent : bool
        Whether a coherence kernel is estimated; else there is none.
    steps : 3 floats
        Voxels of the grid a voxel of the network's box.
    on_iteration : callable, optional
        Told after every iteration.

    Returns
    -------
    Retrieval
        Its errors are those of all rounds in turn.
    """
    errors = []
    run = run if partially_coherent else replace(run, kernel=None)
    for number in range(further.rounds + further.polish_rounds):
        if partially_coherent:
            run = replace(run, kernel=coherence_kernel(grid, run, further, steps))
        if number == further.rounds:
            run = replace(run, support=further.polish_support.update(run.object, 0, 1))
        schedule = further.search if number < further.rounds else error_reduction(further.polish)
        run = grid.retrieve(run, schedule, on_iteration)
        errors.append(run.errors)
    return replace(run, errors=torch.cat(errors, 1))


def coherence_kernel(grid: Grid, run: Retrieval, further: Further, steps: Sequence[float] = (1.0, 1.0, 1.0)) -> Tensor:
    """The coherence kernel, estimated anew from the middle of the pattern; see `improve`."""
    shape = [
        min(size, 2 * round(further.kernel_middle * step / 2))
        for size, step in zip(grid.pattern.shape, steps, strict=True)
    ]
    intensity, counts, used = (
        to_corner(crop_or_pad(volume, shape))[None]
        for volume in (intensity_of(diffract(run.object[0])), grid.pattern.counts, grid.used[0])
    )
    counts = torch.where(used, counts, 0)
    scale = metrics.best_scale(intensity, counts, used).square()[:, None, None, None]
    return further.estimate.update(run.kernel, intensity * scale, counts, used.to(counts.dtype))
