"""How good a network is on patterns that it did not learn from. Only here does training look at true objects."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autophasenn.network.architectures import Network
from autophasenn.physics.fourier import diffract_corner
from autophasenn.physics.metrics import GOOD, chi2, thresholded
from autophasenn.randomness import Stream, generator_of
from autophasenn.training.examples import Trial
from autophasenn.training.objective import Loss, stage_losses
from autophasenn.volumes import PATTERN, SPATIAL, crop_or_pad

ADMITTED = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class Scores:
    """Of every pattern of a trial.

    Parameters
    ----------
    loss, chi2 : float tensor (patterns,)
    correlation : float tensor (patterns,), optional
        Modulo whole-voxel translation, twin and global phase. None: the objects are not known.
    objects : complex64 tensor (patterns, 32, 32, 32)
        What the network made.
    """

    loss: Float[Tensor, " patterns"]
    chi2: Float[Tensor, " patterns"]
    correlation: Float[Tensor, " patterns"] | None
    objects: Complex[Tensor, "patterns 32 32 32"]

    def summary(self) -> dict[str, float]:
        """Means; for the correlation also what the worst twentieth stay below, and the share of right images."""
        result = {"loss": float(self.loss.mean()), "chi2": float(self.chi2.mean())}
        if self.correlation is not None:
            result |= {
                "correlation": float(self.correlation.mean()),
                "correlation_p5": float(self.correlation.quantile(0.05)),
                "share_good": float((self.correlation >= GOOD).float().mean()),
            }
        return result


@torch.no_grad()
def validate(
    network: Network,
    trial: Trial,
    loss: Loss,
    *,
    seed: int,
    batch: int = 16,
    precision: AbstractContextManager[object] | None = None,
    stages: int | None = None,
) -> Scores:
    """Let a network, which is put in evaluation mode, invert patterns.

    Parameters
    ----------
    network : Network
    trial : Trial
    loss : Loss
    seed : int
        Of its starts, the same in every validation.
    batch : int
        Patterns at once.
    precision : context manager, optional
        In which the network runs; reusable.
    stages : int, optional
        None: as many as it was trained with.
    """
    device = next(network.parameters()).device
    network.eval()
    rows: list[list[Tensor]] = []
    for first in range(0, len(trial.counts), batch):
        chosen = slice(first, first + batch)
        counts, measured = trial.counts[chosen].to(device), trial.measured[chosen].to(device)
        generators = [generator_of(seed, first + i, Stream.START) for i in range(len(counts))]
        with precision or nullcontext():
            history = network(counts, measured, generators, stages)
        losses = stage_losses(history, counts, measured, loss)
        rho = history[-1].objects
        row = [losses[:, -1], chi2(crop_or_pad(rho, PATTERN), counts, measured), rho]
        if trial.objects is not None:
            row.append(voxel_correlation(rho, trial.objects[chosen].to(device)))
        rows.append([column.cpu() for column in row])
    final, misfit, objects, *correlation = (torch.cat(column) for column in zip(*rows, strict=True))
    return Scores(final, misfit, correlation[0] if correlation else None, objects)


def voxel_correlation(
    rho_1: Complex[Tensor, "batch 32 32 32"], rho_2: Complex[Tensor, "batch 32 32 32"]
) -> Float[Tensor, " batch"]:
    """``|<rho_1, rho_2>| / (|rho_1| |rho_2|)``, the most over whole-voxel translation, twin and global phase.

    `physics.metrics.correlation` for many at once, but for translation by parts of a voxel.
    """
    first, second = (diffract_corner(crop_or_pad(thresholded(rho), PATTERN)) for rho in (rho_1, rho_2))
    norms = torch.linalg.vector_norm(first, dim=SPATIAL) * torch.linalg.vector_norm(second, dim=SPATIAL)
    most = torch.zeros_like(norms)
    for other in (second, second.conj()):  # the wave of the twin is the conjugate one
        overlaps = torch.fft.ifftn(first * other.conj(), dim=SPATIAL).abs()
        most = torch.maximum(most, overlaps.amax(SPATIAL) * overlaps[0].numel())
    return most / norms.clamp_min(ADMITTED)
