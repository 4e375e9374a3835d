"""The one loop of phase retrieval: batched over patterns and starts, on any torch device.

It knows no algorithm and no form of the running object (`phasing.running`): each iteration prepares, and iterates. Waves are
kept in corner order while it runs, so that no transform shifts, and one set of buffers serves all iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autophasenn.errors import InputError
from autophasenn.phasing.algorithms import Feedback
from autophasenn.phasing.fused import passes_for
from autophasenn.phasing.running import Running, started
from autophasenn.phasing.schedule import Schedule
from autophasenn.phasing.support import FIRST_SUPPORT_THRESHOLD, autocorrelation_support, random_start
from autophasenn.physics import fourier
from autophasenn.physics.diffraction import ForwardModel
from autophasenn.progress import Onlooker, onlooker
from autophasenn.volumes import SPATIAL, Mask, ObjectVolume, Support, Volume

OnIteration = Callable[[int, int], None]
"""Called with the number of iterations done and their total."""


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What the loop found, one entry a start.

    Parameters
    ----------
    object : complex64 tensor (starts, n0, n1, n2)
        Centred; in the square root of counts, so that ``|diffract(object)|**2`` compares with the counts.
    support : bool tensor (starts, n0, n1, n2)
    errors : float32 tensor (starts, iterations)
        Modulus error of the running object on the voxels that were used: chi2 as docs/physics/conventions.md has it, but
        without the threshold, and on the scale that the object has.
    kernel : float tensor (starts, k, k, k), optional
        Mutual coherence kernel, where it was given or estimated.
    """

    object: Tensor
    support: Tensor
    errors: Tensor
    kernel: Tensor | None = None


@torch.no_grad()
def retrieve(
    counts: Volume,
    measured: Mask,
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    start: ObjectVolume | None = None,
    support: Support | None = None,
    support_threshold: float = FIRST_SUPPORT_THRESHOLD,
    kernel: Tensor | None = None,
    model: ForwardModel | None = None,
    on_iteration: OnIteration | None = None,
    with_errors: bool = True,
) -> Retrieval:
    """Find the objects that scatter as was measured and lie within a compact support.

    Parameters
    ----------
    counts : float32 tensor (1 or starts, n0, n1, n2)
        Intensity, centred: one pattern for all starts, or one for each.
    measured : bool tensor (1 or starts, n0, n1, n2)
        True = used. Unmeasured and held-out voxels float.
    schedule : Schedule
    seeds : sequence of int
        One a start; the whole randomness. The same call gives the same bits on one machine with one number of threads.
    start : complex tensor (starts, n0, n1, n2), optional
        First objects, centred, on any scale. None: random amplitude and phase in the first support.
    support : bool tensor (1 or starts, n0, n1, n2), optional
        First support, centred. None: from `start` where it is given, else from the autocorrelation.
    support_threshold : float
        Fraction of the maximum for a support from the autocorrelation (or from the amplitude of `start`).
    kernel : float tensor (..., k, k, k), optional
        Mutual coherence kernel known from elsewhere, centred; None: full coherence until the schedule estimates one.
    model : ForwardModel, optional
        Another experiment: its transforms, which must be centred and keep the norm, and its coherence kernel; what
        was measured is said by `measured`. None: far-field diffraction.
    on_iteration : callable, optional
        Told after every iteration.
    with_errors : bool
        False: the errors are not computed (NaN), which saves a tenth to a fifth of the time of small patterns.

    Returns
    -------
    Retrieval

    Raises
    ------
    InputError
        If no voxel of a pattern is above zero, or the numbers of patterns, starts and seeds do not fit.
    """
    for name, volume in (("counts", counts), ("measured", measured), ("start", start), ("support", support)):
        if volume is not None and len(volume) not in (1, len(seeds)):
            raise InputError(
                f"{name} has {len(volume)} volumes for {len(seeds)} seeds; give one for all, or one for each."
            )
    is_far_field = model is None
    if model is None:
        model = ForwardModel(None, None, fourier.diffract_corner, fourier.back_propagate_corner)
    if kernel is not None:
        model = replace(model, kernel=kernel.expand(len(seeds), *kernel.shape[-3:]))
    if is_far_field:
        counts, measured = fourier.to_corner(counts), fourier.to_corner(measured)
    known = torch.where(measured, counts, 0)
    if not bool((known.sum(SPATIAL) > 0).all()):
        raise InputError("A pattern has no counts in measured voxels; there is nothing to phase. Check the mask.")
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    if support is None:
        support = _first_support(known if is_far_field else fourier.to_corner(known), start, support_threshold)
    support = support.expand(len(seeds), *support.shape[-3:]).contiguous()
    rho = fourier.to_centre(random_start(fourier.to_corner(support), generators)) if start is None else start
    rho = rho.to(torch.complex64) * support

    algorithms = list(schedule)
    runs = started(
        rho, support, counts, measured, model=model, with_errors=with_errors,
        is_confined=is_far_field and all(isinstance(algorithm, Feedback) for algorithm in algorithms),
        is_alone=schedule.coherence is not None,
        passes=passes_for(counts, len(seeds) * counts[0].numel() * schedule.iterations),
    )  # fmt: skip
    errors = torch.empty(len(seeds), schedule.iterations, device=counts.device)
    averaged = schedule.average_last if schedule.average_last > 1 else 0
    for iteration, algorithm in enumerate(algorithms):
        halves = _random_half_spaces(rho, generators) if iteration == schedule.break_twin_at else None
        for part, run in runs:
            if halves is not None:
                run.multiply(halves[part])
            _prepare(run, schedule, iteration)
            errors[part, iteration] = run.iterate(algorithm)
            if iteration >= schedule.iterations - averaged:
                run.remember()
        if on_iteration is not None:
            on_iteration(iteration + 1, schedule.iterations)
        if (look := onlooker()) is not None:
            _show(look, runs, errors[:, iteration])
    kernels = [run.kernel for _, run in runs if run.kernel is not None]
    return Retrieval(
        torch.cat([run.result(averaged) for _, run in runs]),
        torch.cat([run.support for _, run in runs]),
        errors,
        torch.cat(kernels) if kernels else None,
    )


def _show(look: Onlooker, runs: list[tuple[slice, Running]], chi2: Tensor) -> None:
    """The best object of an iteration, to who looks on."""
    best = int(chi2.nan_to_num(torch.inf).argmin())
    part, run = next((part, run) for part, run in runs if part.start is None or part.start <= best < part.stop)
    look(float(chi2[best]), lambda: run.seen()[best - (part.start or 0)])


def _prepare(run: Running, schedule: Schedule, iteration: int) -> None:
    """What is due before an iteration: another support, another kernel."""
    if schedule.shrink_wrap is not None and schedule.shrink_wrap.is_due(iteration):
        rho = run.volume()
        run.confine(schedule.shrink_wrap.update(rho, iteration, schedule.iterations), rho)
    if schedule.coherence is not None and schedule.coherence.is_due(iteration):
        run.kernel = schedule.coherence.update(run.kernel, *run.coherent())


def _first_support(counts: Volume, start: ObjectVolume | None, threshold: float) -> Support:
    """The support that the loop begins with, centred; the counts are in corner order."""
    if start is not None:
        amplitude = start.abs()
        return amplitude >= threshold * amplitude.amax(SPATIAL, keepdim=True)
    return fourier.to_centre(autocorrelation_support(counts, threshold))


def _random_half_spaces(rho: ObjectVolume, generators: list[torch.Generator]) -> Tensor:
    """One where a random direction from the centre is ahead, zero behind; centred, (starts, n0, n1, n2)."""
    halves = torch.zeros(rho.shape)
    for half, generator in zip(halves, generators, strict=True):
        direction = torch.randn(3, generator=generator)
        height = torch.zeros(())
        for axis, component in enumerate(direction):
            n = half.shape[axis]
            height = height + component * (torch.arange(n) - n // 2).reshape([-1 if a == axis else 1 for a in range(3)])
        half.copy_(height >= 0)
    return halves.to(rho.device)
