"""The network of Yao et al., npj Comput. Mater. 8, 124 (2022): one encoder, and a decoder each for amplitude and phase.

    rho = T [ a exp(i phi) ],   a = sigmoid(D_a(E(M))),   phi = pi tanh(D_phi(E(M))),   psi = F pad rho

M is the measured modulus with its largest value 1, E the encoder, D the decoders, T the threshold at 10 % of the largest
amplitude, which is the paper's shape support. Everything is made of pairs of 3x3x3 convolutions, each followed by a leaky
ReLU and batch normalisation. The channels are those of the published program (github.com/YudongYao/AutoPhaseNN): 32, doubled
four times over at 64^3, 32^3, 16^3 and 8^3, pooled to 4^3, and halved on the way back to 32^3: 7.0 million parameters.

Two options depart from it, for machines without a GPU. *Gathered*: the finest levels, which cost the most and hold the
fewest parameters, are left out of encoder and decoders; cubes of voxels are channels there. *Patterson*: the encoder sees,
beside the square root of M, the Fourier transform of the intensity, which is the autocorrelation of the crystal: in real
space, where the decoders work, a facet of the crystal lies half as far from the middle as its trace there.
"""

from __future__ import annotations

import math
from dataclasses import field
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from autophasenn.network.estimates import Generators, Stage
from autophasenn.network.gathering import gathered, scattered
from autophasenn.network.loss import unit_modulus
from autophasenn.options import Number, options
from autophasenn.physics.fourier import back_propagate
from autophasenn.physics.metrics import thresholded
from autophasenn.volumes import SPATIAL, Mask, Objects, Volume

SLOPE = 0.01
"""Of the leaky rectifiers, below zero."""
POOLINGS = 4
"""From 64^3 to 4^3."""
FAINT = 1e-6
"""Of the Patterson function's middle: what is fainter is noise."""


@options
class AutoPhaseNNDesign:
    """What the paper's network is made of.

    Parameters
    ----------
    width : int
        Channels at 64^3; twice as many after each pooling but the last.
    gathered : 1, 2 or 4
        Edge of the cubes of voxels that are channels of the coarser grid where the encoder begins and the decoders end. 1 is
        the paper's; 2 leaves the level of 64^3 out, 4 that of 32^3 too. The channels of all other levels stay as they are.
    patterson : bool
        Whether the encoder sees the autocorrelation of the crystal too. false is the paper's.
    """

    name: Literal["AutoPhaseNNDesign"] = field(default="AutoPhaseNNDesign", kw_only=True, repr=False)
    width: Number = 32
    gathered: Literal[1, 2, 4] = 1
    patterson: bool = False


class AutoPhaseNN(nn.Module):
    """Patterns of 64^3 voxels -> objects of 32^3 voxels.

    Parameters
    ----------
    design : AutoPhaseNNDesign
    """

    def __init__(self, design: AutoPhaseNNDesign | None = None) -> None:
        super().__init__()
        self.design = design or AutoPhaseNNDesign()
        edge = self.design.gathered
        left_out = int(math.log2(edge))
        widths = [self.design.width * 2**level for level in range(left_out, POOLINGS)]
        first = edge**3 * (3 if self.design.patterson else 1)
        self.encoder = nn.Sequential(
            *[nn.Sequential(_pair(before, after), nn.MaxPool3d(2)) for before, after in pairwise([first, *widths])]
        )
        self.amplitude = _decoder(widths, edge)
        self.phase = _decoder(widths, edge)

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
        edge = self.design.gathered
        seen = _with_patterson(modulus) if self.design.patterson else modulus[:, None]
        code = self.encoder(gathered(seen, edge))
        rho = self._object(*(scattered(decode(code).float(), edge)[:, 0] for decode in (self.amplitude, self.phase)))
        return [Stage(rho)]

    def _object(self, amplitude: Tensor, phase: Tensor) -> Objects:
        return thresholded(torch.polar(torch.sigmoid(amplitude), math.pi * torch.tanh(phase)))


def _with_patterson(modulus: Volume) -> Float[Tensor, "batch 3 64 64 64"]:
    """The root of the modulus, and the real part of the Patterson function plus and minus the imaginary one.

    The real part is even and the imaginary one odd, so the second is the first seen through the origin: both are real, and
    of one kind for a convolution. The Patterson function falls by orders of magnitude from its middle to where two facets
    part; its root, with the same phase, does not.
    """
    patterson = back_propagate(modulus.square().to(torch.complex64))
    patterson = patterson / patterson.abs().amax(SPATIAL, keepdim=True)
    patterson = patterson * (patterson.abs() + FAINT).rsqrt()
    sides = (patterson.real + patterson.imag, patterson.real - patterson.imag)
    return torch.stack([modulus.sqrt(), *sides], 1)


def _decoder(widths: list[int], edge: int) -> nn.Sequential:
    """Features at 4^3 -> edge^3 channels at (32 / edge)^3."""
    steps = pairwise(reversed(widths))
    blocks = [nn.Sequential(nn.Upsample(scale_factor=2), _pair(before, after)) for before, after in steps]
    return nn.Sequential(*blocks, nn.Conv3d(widths[0], edge**3, 3, padding=1))


def _pair(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv3d(channels, after, 3, padding=1), nn.LeakyReLU(SLOPE), nn.BatchNorm3d(after)]
    return nn.Sequential(*layers)
