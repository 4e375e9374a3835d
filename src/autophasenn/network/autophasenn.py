"""The network of Yao et al., npj Comput. Mater. 8, 124 (2022): one encoder, and a decoder each for amplitude and phase.

    rho = T [ a exp(i phi) ],   a = sigmoid(D_a(E(M))),   phi = pi tanh(D_phi(E(M))),   psi = F pad rho

M is the measured modulus with its largest value 1, E the encoder, D the decoders, T the threshold at 10 % of the largest
amplitude, which is the paper's shape support. Everything is made of pairs of 3x3x3 convolutions, each followed by a leaky
ReLU and batch normalisation. The channels are those of the published program (github.com/YudongYao/AutoPhaseNN): 32, doubled
four times over at 64^3, 32^3, 16^3 and 8^3, pooled to 4^3, and halved on the way back to 32^3: 7.0 million parameters.
"""

from __future__ import annotations

import math
from dataclasses import field
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from autophasenn.network.estimates import Generators, Stage
from autophasenn.network.loss import unit_modulus
from autophasenn.options import Number, options
from autophasenn.physics.metrics import thresholded
from autophasenn.volumes import SPATIAL, Mask, Objects, Volume

SLOPE = 0.01
"""Of the leaky rectifiers, below zero."""
POOLINGS = 4
"""From 64^3 to 4^3."""


@options
class AutoPhaseNNDesign:
    """What the paper's network is made of.

    Parameters
    ----------
    width : int
        Channels at 64^3; twice as many after each pooling but the last.
    """

    name: Literal["AutoPhaseNNDesign"] = field(default="AutoPhaseNNDesign", kw_only=True, repr=False)
    width: Number = 32


class AutoPhaseNN(nn.Module):
    """Patterns of 64^3 voxels -> objects of 32^3 voxels.

    Parameters
    ----------
    design : AutoPhaseNNDesign
    """

    def __init__(self, design: AutoPhaseNNDesign | None = None) -> None:
        super().__init__()
        self.design = design or AutoPhaseNNDesign()
        widths = [self.design.width * 2**level for level in range(POOLINGS)]
        self.encoder = nn.Sequential(
            *[nn.Sequential(_pair(before, after), nn.MaxPool3d(2)) for before, after in pairwise([1, *widths])]
        )
        self.amplitude = _decoder(widths)
        self.phase = _decoder(widths)

    def forward(
        self, counts: Volume, measured: Mask, generator: Generators = None, stages: int | None = None
    ) -> list[Stage]:
        """The estimate, as a list of one.

        Parameters
        ----------
        counts : float tensor (batch, 64, 64, 64)
            On any scale.
        measured : bool tensor (batch, 64, 64, 64)
            Unmeasured voxels are seen as dark: this network knows no masks.
        generator, stages
            Not used: nothing is drawn, and there is one stage.
        """
        modulus = unit_modulus(counts, measured)
        modulus = modulus / modulus.amax(SPATIAL, keepdim=True)
        code = self.encoder(modulus[:, None].contiguous(memory_format=torch.channels_last_3d))
        rho = self._object(self.amplitude(code).float()[:, 0], self.phase(code).float()[:, 0])
        return [Stage(rho)]

    def _object(self, amplitude: Tensor, phase: Tensor) -> Objects:
        return thresholded(torch.polar(torch.sigmoid(amplitude), math.pi * torch.tanh(phase)))


def _decoder(widths: list[int]) -> nn.Sequential:
    """Features at 4^3 -> one channel at 32^3."""
    steps = pairwise(reversed(widths))
    blocks = [nn.Sequential(nn.Upsample(scale_factor=2), _pair(before, after)) for before, after in steps]
    return nn.Sequential(*blocks, nn.Conv3d(widths[0], 1, 3, padding=1))


def _pair(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv3d(channels, after, 3, padding=1), nn.LeakyReLU(SLOPE), nn.BatchNorm3d(after)]
    return nn.Sequential(*layers)
