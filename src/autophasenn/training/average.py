"""The exponential moving average of a network's weights: less noisy than any of them (Polyak & Juditsky 1992)."""

from __future__ import annotations

from copy import deepcopy

import torch

from autophasenn.network.architectures import Network


class Average:
    """A second network, whose weights follow those of the first.

    Parameters
    ----------
    network : Network
    memory : float
        Share of the old average that is kept in a step; less in the first steps, when there is little to remember.
    """

    def __init__(self, network: Network, memory: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.memory = memory

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Take in the weights after step number `step`, counted from 1."""
        kept = min(self.memory, step / (step + 9))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - kept)
        for mine, other in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(other)
