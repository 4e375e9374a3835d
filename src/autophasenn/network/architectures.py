"""The networks there are, by their designs."""

from __future__ import annotations

import torch

from autophasenn.network.autophasenn import AutoPhaseNN, AutoPhaseNNDesign
from autophasenn.network.unrolled import Unrolled, UnrolledDesign

Design = UnrolledDesign | AutoPhaseNNDesign
Network = Unrolled | AutoPhaseNN
"""Called with counts, masks, generators of its starts and a number of stages, either gives a list of `Stage`."""
DESIGNS: dict[str, type[Design]] = {"unrolled": UnrolledDesign, "autophasenn": AutoPhaseNNDesign}
"""By the name of the architecture."""


def build(design: Design, seed: int = 0) -> Network:
    """The network of a design, its weights drawn from `seed`; the global random numbers stay as they are.

    Its convolutions are laid out channels-last, as CPUs and GPUs compute them quickest.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: Network = Unrolled(design) if isinstance(design, UnrolledDesign) else AutoPhaseNN(design)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stubs lack it
