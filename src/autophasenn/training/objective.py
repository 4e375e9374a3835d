"""What a training step computes: patterns in, losses out. Objects that the network makes stay inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from autophasenn.network.architectures import Network
from autophasenn.network.estimates import Stage
from autophasenn.network.loss import mean_absolute_error, root_chi2, unit_modulus
from autophasenn.options import Positive, options
from autophasenn.volumes import Counts, Masks

LOSSES = {"root_chi2": root_chi2, "mean_absolute_error": mean_absolute_error}


@options
class Loss:
    """What is made small.

    Parameters
    ----------
    of : "root_chi2" or "mean_absolute_error"
        See `network.loss`; the second is the paper's.
    growth : float
        Weight of the loss of each stage over that of the one before.
    """

    of: Literal["root_chi2", "mean_absolute_error"] = "root_chi2"
    growth: Positive = 1.5

    def weights(self, stages: int) -> list[float]:
        """Of the stages, first to last; their sum is 1."""
        raw = [self.growth**number for number in range(stages)]
        return [weight / sum(raw) for weight in raw]


def stage_losses(
    history: Sequence[Stage], counts: Counts, measured: Masks, loss: Loss
) -> Float[Tensor, "batch stages"]:
    """The loss of every pattern after every stage: diffraction compared with diffraction."""
    modulus = unit_modulus(counts, measured)
    return torch.stack([LOSSES[loss.of](stage.waves, modulus, measured) for stage in history], 1)


class Objective(nn.Module):
    """A network and its loss as one module, so that only the losses cross the boundary of a distributed module.

    Parameters
    ----------
    network : Network
    loss : Loss
    """

    def __init__(self, network: Network, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(
        self, counts: Counts, measured: Masks, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, " stages"]:
        """Mean loss of the patterns after every stage."""
        return stage_losses(self.network(counts, measured, generators), counts, measured, self.loss).mean(0)
