"""Many starts of one pattern: aligned, ranked by the held-out voxels, averaged, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.phasing.coherence import CoherenceEstimate
from autophasenn.phasing.engine import OnIteration, Retrieval, retrieve
from autophasenn.phasing.schedule import Schedule, error_reduction
from autophasenn.physics import ambiguity, metrics
from autophasenn.physics.diffraction import ForwardModel
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import Mask, ObjectVolume, Pattern, Reconstruction

GPU_BYTES_PER_VOXEL = 120
"""Buffers of the loop for one voxel of one start (measured: object, waves, ratio, weights, mean)."""


@dataclass(frozen=True)
class Ensemble:
    """How many starts, and what is made of them.

    Parameters
    ----------
    starts : int
        Independent random starts.
    free_fraction : float
        Share of the measured voxels held out of the retrieval, for chi2_free. 0: none.
    agreement : float
        Starts whose correlation with the best one is at least this are averaged; the others found something else.
    polish : int
        Iterations of error reduction from the average, on its own support.
    coherence : CoherenceEstimate, optional
        The polish is done with and without a partially coherent beam; the kernel is kept where it lowers chi2_free.
        None: the beam is taken as fully coherent.
    support_threshold : float
        Fraction of the maximum of the autocorrelation that bounds the first support.
    schedule : Schedule
        What every start does in which iteration.
    """

    starts: int = 5
    free_fraction: float = 0.02
    agreement: float = 0.9
    polish: int = 50
    coherence: CoherenceEstimate | None = field(default_factory=CoherenceEstimate)
    support_threshold: float = 0.1
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise PlanError(f"ensemble.starts is {self.starts}; at least one start is needed.")
        if not 0 <= self.free_fraction <= 0.3:
            raise PlanError(f"ensemble.free_fraction is {self.free_fraction:g}; hold out 0 to 0.3 of the voxels.")
        if not 0 <= self.agreement <= 1:
            raise PlanError(f"ensemble.agreement is {self.agreement:g}; it is a correlation, 0 to 1.")
        if self.polish < 0:
            raise PlanError(f"ensemble.polish is {self.polish}; it is a number of iterations, at least 0.")
        if not 0 < self.support_threshold < 1:
            raise PlanError(f"ensemble.support_threshold is {self.support_threshold:g}; it lies between 0 and 1.")


def hold_out(measured: Mask, fraction: float, seed: int) -> Mask:
    """Choose measured voxels to keep out of a retrieval, in cubes of 3 x 3 x 3.

    Neighbouring voxels of an oversampled pattern determine each other, so single ones would not be free. The middle
    of the peak (a tenth of each axis) stays in: a few voxels there hold most photons and would decide alone.

    Parameters
    ----------
    measured : bool tensor (n0, n1, n2)
    fraction : float
        Share of the measured voxels.
    seed : int

    Returns
    -------
    bool tensor (n0, n1, n2); True = measured, but held out.
    """
    shape = measured.shape
    if fraction == 0:
        return torch.zeros_like(measured)
    cubes = torch.rand([-(-n // 3) for n in shape], generator=torch.Generator().manual_seed(seed)) < fraction
    free = cubes.repeat_interleave(3, 0).repeat_interleave(3, 1).repeat_interleave(3, 2)
    free = free[tuple(slice(n) for n in shape)].clone()
    free[tuple(slice(n // 2 - n // 20, n // 2 + n // 20 + 1) for n in shape)] = False
    return free.to(measured.device) & measured


def reconstruct_ensemble(
    pattern: Pattern,
    ensemble: Ensemble,
    *,
    seed: int,
    on_iteration: OnIteration | None = None,
) -> Reconstruction:
    """Phase a pattern from several random starts, and average those that agree with the best.

    Parameters
    ----------
    pattern : Pattern
        On the device that shall do the work.
    ensemble : Ensemble
    seed : int
        Of the held-out voxels and of the starts.
    on_iteration : callable, optional
        Told the iterations done, over all starts, and their total.

    Returns
    -------
    Reconstruction
        On the CPU. ``errors`` and ``free_errors`` belong to the starts; ``free_error`` to the object itself.
    """
    free = hold_out(pattern.mask, ensemble.free_fraction, seed)
    used = pattern.mask & ~free
    seeds = [seed * 100_003 + 1 + i for i in range(ensemble.starts)]
    polishes = 2 if ensemble.coherence is not None and ensemble.free_fraction > 0 else 1
    total = ensemble.starts * ensemble.schedule.iterations + polishes * ensemble.polish
    runs: list[Retrieval] = []
    for chosen in _batches(seeds, pattern):
        done = sum(run.errors.numel() for run in runs)
        runs.append(
            retrieve(
                pattern.counts[None],
                used[None],
                ensemble.schedule,
                seeds=chosen,
                support_threshold=ensemble.support_threshold,
                on_iteration=_counted(on_iteration, done, len(chosen), total),
            )
        )
    objects = torch.cat([run.object for run in runs])
    kernels = None if runs[0].kernel is None else torch.cat([run.kernel for run in runs if run.kernel is not None])
    errors = torch.cat([run.errors for run in runs])
    free_errors = torch.stack([_free_error(pattern, free, objects, kernels, i) for i in range(ensemble.starts)])

    ranking = torch.argsort(free_errors if bool(free.any()) else errors[:, -1]).tolist()
    best = ranking[0]
    kernel = None if kernels is None else kernels[best]
    kept = [objects[best]]
    for i in ranking[1:]:
        alignment = ambiguity.align(objects[best], objects[i])
        if alignment.correlation >= ensemble.agreement:
            kept.append(alignment.aligned)
    family = torch.stack(kept)
    polished, kernel = _polish(pattern, used, free, family.mean(0), kernel, ensemble, on_iteration, total)
    return _as_reconstruction(pattern, polished, family, kernel, free, errors, free_errors, best)


def singular_modes(family: ObjectVolume) -> Tensor:
    """Share of the squared norm in each orthogonal mode of the aligned starts (singular value decomposition).

    Parameters
    ----------
    family : complex tensor (starts, n0, n1, n2)

    Returns
    -------
    float tensor (starts,), falling, sum 1. The first near 1: the starts agree.
    """
    flat = family.flatten(1)
    values = torch.linalg.eigvalsh(flat @ flat.conj().T).flip(0).clamp_min(0)
    return values / values.sum()


def _batches(seeds: list[int], pattern: Pattern) -> list[list[int]]:
    """One start at a time on a CPU (its caches hold no more); on a GPU as many as a third of its free memory holds."""
    if pattern.counts.device.type != "cuda":
        return [[s] for s in seeds]
    free_bytes, _ = torch.cuda.mem_get_info(pattern.counts.device)
    size = max(1, int(free_bytes / 3 / (GPU_BYTES_PER_VOXEL * pattern.counts.numel())))
    return [seeds[i : i + size] for i in range(0, len(seeds), size)]


def _counted(on_iteration: OnIteration | None, before: int, weight: int, total: int) -> OnIteration | None:
    """The iterations of one batch told as iterations of the whole."""
    if on_iteration is None:
        return None
    tell: Callable[[int, int], None] = on_iteration
    return lambda done, _: tell(before + done * weight, total)


def _free_error(pattern: Pattern, free: Mask, objects: ObjectVolume, kernels: Tensor | None, index: int) -> Tensor:
    model = ForwardModel(kernel=None if kernels is None else kernels[index])
    return metrics.chi2_free(objects[index], pattern.counts, pattern.mask, free, model)


def _polish(
    pattern: Pattern,
    used: Mask,
    free: Mask,
    mean: ObjectVolume,
    kernel: Tensor | None,
    ensemble: Ensemble,
    on_iteration: OnIteration | None,
    total: int,
) -> tuple[ObjectVolume, Tensor | None]:
    """Error reduction from the average, with and without partial coherence: the one that foretells free voxels better."""
    if ensemble.polish == 0:
        return mean, kernel
    plain = error_reduction(ensemble.polish)
    schedules = [plain]
    if ensemble.coherence is not None and kernel is None and bool(free.any()):
        schedules.append(replace(plain, coherence=ensemble.coherence))
    candidates = []
    for index, schedule in enumerate(schedules):
        left = (len(schedules) - index) * ensemble.polish
        run = retrieve(
            pattern.counts[None],
            used[None],
            schedule,
            seeds=[0],
            start=mean[None],
            support_threshold=metrics.SUPPORT_THRESHOLD,
            kernel=kernel,
            on_iteration=_counted(on_iteration, total - left, 1, total),
        )
        error = metrics.chi2_free(
            run.object[0], pattern.counts, pattern.mask, free, ForwardModel(kernel=_first(run.kernel))
        )
        candidates.append((float(error), run.object[0], _first(run.kernel)))
    _, rho, kernel = min(candidates, key=lambda candidate: candidate[0])
    return rho, kernel


def _first(kernels: Tensor | None) -> Tensor | None:
    return None if kernels is None else kernels[0]


def _as_reconstruction(
    pattern: Pattern,
    rho: ObjectVolume,
    family: ObjectVolume,
    kernel: Tensor | None,
    free: Mask,
    errors: Tensor,
    free_errors: Tensor,
    best: int,
) -> Reconstruction:
    """Everything a report needs, brought to the scale of the counts and to the CPU."""
    model = ForwardModel(kernel=kernel)
    support = metrics.support_of(rho)
    wave = diffract(rho * support)
    intensity = model.blur(wave.real.square() + wave.imag.square())
    scale = metrics.best_scale(intensity, torch.where(pattern.mask, pattern.counts, 0), pattern.mask)
    prtf = None
    if len(family) > 1:
        prtf = metrics.prtf_of(torch.stack([diffract(member) for member in family]), pattern.counts, pattern.mask)
    return Reconstruction(
        object=(rho / rho.abs().max()).cpu(),
        support=support.cpu(),
        wave=(wave * scale).cpu(),
        intensity=(intensity * scale.square()).cpu(),
        errors=errors.cpu(),
        free_errors=free_errors.cpu(),
        free_error=float(metrics.chi2_free(rho, pattern.counts, pattern.mask, free, model)),
        best=best,
        averaged=len(family),
        kernel=None if kernel is None else kernel.cpu(),
        prtf=None if prtf is None else prtf.cpu(),
        modes=singular_modes(family).cpu(),
    )
