"""Many starts of one pattern: aligned, ranked by the held-out voxels, averaged, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, replace
from typing import Annotated

import torch
from annotated_types import Ge, Le
from jaxtyping import Complex
from torch import Tensor

from autophasenn.options import Count, Fraction, options
from autophasenn.phasing.coherence import CoherenceEstimate
from autophasenn.phasing.engine import OnIteration, Retrieval, retrieve
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.schedule import Schedule, error_reduction
from autophasenn.phasing.support import FIRST_SUPPORT_THRESHOLD
from autophasenn.physics import ambiguity, metrics
from autophasenn.physics.diffraction import ForwardModel, intensity_of, modulus_of
from autophasenn.physics.fourier import diffract
from autophasenn.randomness import Stream, seed_of
from autophasenn.volumes import ObjectVolume, Pattern, Reconstruction

GPU_BYTES_PER_VOXEL = 120
"""Buffers of the loop for one voxel of one start (measured: object, waves, ratio, weights, mean)."""

AGREEMENT = 0.9
"""Correlation from which two objects are taken for the same: of starts, predictions, orientations."""

Starts = Annotated[int, Ge(1), Le(10_000)]
"""How many starts: more take longer than anybody waits."""


@options
class Ensemble:
    """How many starts, and what is made of them.

    Parameters
    ----------
    starts : int
        Independent random starts.
    polish : int
        Iterations of error reduction from the average, on its own support.
    coherence : CoherenceEstimate, optional
        The polish is done with and without a partially coherent beam; the kernel is kept where it lowers chi2_free by
        5 % or more (which takes held-out voxels). None: the beam is taken as fully coherent.
    support_threshold : float
        Fraction of the maximum of the autocorrelation that bounds the first support.
    schedule : Schedule
        What every start does in which iteration.
    """

    starts: Starts = 5
    polish: Count = 50
    coherence: CoherenceEstimate | None = field(default_factory=CoherenceEstimate)
    support_threshold: Fraction = FIRST_SUPPORT_THRESHOLD
    schedule: Schedule = field(default_factory=Schedule)


def reconstruct_ensemble(
    held_out: HeldOut,
    ensemble: Ensemble,
    *,
    seed: int,
    agreement: float = AGREEMENT,
    on_iteration: OnIteration | None = None,
) -> Reconstruction:
    """Phase a pattern from several random starts, and average those that agree with the best.

    Parameters
    ----------
    held_out : HeldOut
        The pattern, on the device that shall do the work.
    ensemble : Ensemble
    seed : int
        Of the starts.
    agreement : float
        Starts whose correlation with the best one is at least this are averaged; the others found something else.
    on_iteration : callable, optional
        Told the iterations done, over all starts, and their total.

    Returns
    -------
    Reconstruction
        On the CPU. ``errors`` and ``free_errors`` belong to the starts; ``free_error`` to the object itself.
    """
    pattern = held_out.pattern
    polishes = _polishes(ensemble, held_out.can_judge)
    total = ensemble.starts * ensemble.schedule.iterations + sum(polish.iterations for polish in polishes)
    seeds = [seed_of(seed, start, Stream.RETRIEVAL) for start in range(ensemble.starts)]
    runs: list[Retrieval] = []
    for chosen in _batches(seeds, pattern):
        done = sum(run.errors.numel() for run in runs)
        runs.append(
            retrieve(
                pattern.counts[None],
                held_out.used,
                ensemble.schedule,
                seeds=chosen,
                support_threshold=ensemble.support_threshold,
                on_iteration=_counted(on_iteration, done, len(chosen), total),
            )
        )
    starts = [one for run in runs for one in _one_by_one(run)]
    scores = [held_out.score(start) for start in starts]
    best = min(range(len(starts)), key=lambda i: scores[i])
    alignments = [ambiguity.align(starts[best].object[0], start.object[0]) for start in starts]
    aligned = torch.stack([alignment.aligned for alignment in alignments])
    family = aligned[[alignment.correlation >= agreement for alignment in alignments]]

    mean = Retrieval(family.mean(0, keepdim=True), starts[best].support, starts[best].errors, starts[best].kernel)
    candidates = [mean] if not polishes else []
    for polish in polishes:
        candidates.append(
            retrieve(
                pattern.counts[None],
                held_out.used,
                polish,
                seeds=[0],
                start=mean.object,
                support_threshold=metrics.SUPPORT_THRESHOLD,
                kernel=mean.kernel,
                on_iteration=_counted(
                    on_iteration, total - (len(polishes) - len(candidates)) * polish.iterations, 1, total
                ),
            )
        )
    final = candidates[0]
    for other in candidates[1:]:
        final = held_out.better(final, other)
    prtf = None
    if len(family) > 1:
        prtf = metrics.prtf_of(torch.stack([diffract(member) for member in family]), pattern.counts, pattern.mask)
    return as_reconstruction(
        held_out,
        final,
        errors=torch.cat([start.errors for start in starts]),
        free_errors=[held_out.free_error(start) for start in starts],
        best=best,
        averaged=len(family),
        prtf=prtf,
        modes=singular_modes(aligned),
    )


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
    return shares_of_modes(flat @ flat.mH)


def shares_of_modes(products: Complex[Tensor, "starts starts"]) -> Tensor:
    """:func:`singular_modes` of what has these inner products."""
    values = torch.linalg.eigvalsh(products).flip(0).clamp_min(0)
    return values / values.sum()


def _batches(seeds: list[int], pattern: Pattern) -> list[list[int]]:
    """One start at a time on a CPU (its caches hold no more); on a GPU as many as a third of its memory holds."""
    if pattern.counts.device.type != "cuda":
        return [[s] for s in seeds]
    memory = torch.cuda.get_device_properties(pattern.counts.device).total_memory
    size = max(1, int(memory / 3 / (GPU_BYTES_PER_VOXEL * pattern.counts.numel())))
    return [seeds[i : i + size] for i in range(0, len(seeds), size)]


def _counted(on_iteration: OnIteration | None, before: int, weight: int, total: int) -> OnIteration | None:
    """The iterations of one batch told as iterations of the whole."""
    if on_iteration is None:
        return None
    tell: Callable[[int, int], None] = on_iteration
    return lambda done, _: tell(before + done * weight, total)


def _polishes(ensemble: Ensemble, can_choose: bool) -> list[Schedule]:
    """Error reduction from the average; once more with partial coherence where held-out voxels can choose."""
    if ensemble.polish == 0:
        return []
    plain = error_reduction(ensemble.polish)
    if ensemble.coherence is None or ensemble.schedule.coherence is not None or not can_choose:
        return [plain]
    return [plain, replace(plain, coherence=ensemble.coherence)]


def _one_by_one(run: Retrieval) -> list[Retrieval]:
    """Each start of a batch as a batch of one."""
    kernels = [None] * len(run.object) if run.kernel is None else list(run.kernel.split(1))
    parts = zip(run.object.split(1), run.support.split(1), run.errors.split(1), kernels, strict=True)
    return [Retrieval(*part) for part in parts]


def as_reconstruction(
    held_out: HeldOut,
    final: Retrieval,
    *,
    errors: Tensor,
    free_errors: Sequence[float],
    best: int = 0,
    averaged: int = 1,
    prtf: Tensor | None = None,
    modes: Tensor | None = None,
) -> Reconstruction:
    """What was found as everything that a report needs: on the scale of the counts, on the CPU.

    Parameters
    ----------
    held_out : HeldOut
        Its pattern.
    final : Retrieval
        One object, whatever its scale.
    errors, free_errors, best, averaged, prtf, modes
        As in `volumes.Reconstruction`.
    """
    pattern, rho = held_out.pattern, final.object[0]
    kernel = None if final.kernel is None else final.kernel[0]
    support = metrics.support_of(rho)
    wave = diffract(rho * support)
    intensity = ForwardModel(kernel=kernel).blur(intensity_of(wave))
    scale = metrics.best_scale(intensity, torch.where(pattern.mask, pattern.counts, 0), pattern.mask)
    expected = intensity * scale.square()
    return Reconstruction(
        object=(rho / modulus_of(rho).max()).cpu(),
        support=support.cpu(),
        wave=(wave * scale).cpu(),
        intensity=expected.cpu(),
        errors=errors.cpu(),
        free_errors=torch.tensor(free_errors),
        free_error=held_out.free_error(final),
        free_noise=float(metrics.chi2_noise(expected, pattern.counts, held_out.free)),
        best=best,
        averaged=averaged,
        kernel=None if kernel is None else kernel.cpu(),
        prtf=None if prtf is None else prtf.cpu(),
        modes=None if modes is None else modes.cpu(),
    )
