"""The successor of the paper's network: phase retrieval with learned steps.

It begins with a crystal at half the resolution (`network.first_guess`), whose waves fill the middle of the pattern. Then
every stage corrects what is known, and feeds back what lies outside of the crystal:

    P         = crop F^-1 [ M psi / |psi| where measured, s psi elsewhere ], psi = F pad z
    (g, c, h) = U(P, z, twin P, A, h)                                        one small U-Net, the same in every stage
    x         = T [ g (P + c) ]                                              the estimate
    z         = g (P + c) + (1 - g) (z - beta P)                             hybrid input-output (Fienup 1982)

and before the next stage z goes through n plain iterations, ``z <- g P + (1 - g) (z - beta P)``. x is the object, M the
measured modulus, s the scale that brings psi nearest to it, A the autocorrelation of the crystal (Patterson function),
h what the network remembers from stage to stage, T the threshold at 10 % of the largest amplitude. The gate g is a soft
support: its logit is that of shrink-wrap (where is the blurred amplitude above a fraction of the typical one?), and the
network adds to it. So an untrained network is an iterative retrieval, and training makes its steps better (after Gregor
and LeCun, ICML (2010)).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from autophasenn.network.estimates import Generators, Stage
from autophasenn.network.first_guess import COARSE_PATTERN, FirstGuess, first_guess
from autophasenn.network.gathering import gathered, scattered
from autophasenn.network.loss import TINY, unit_modulus
from autophasenn.options import Count, Number, options
from autophasenn.phasing.projection import scale_by
from autophasenn.phasing.support import blur, typical_amplitude
from autophasenn.physics.diffraction import modulus_of
from autophasenn.physics.fourier import back_propagate_cropped, diffract_padded, to_corner
from autophasenn.physics.metrics import thresholded
from autophasenn.physics.pruned import Box, PrunedPair
from autophasenn.volumes import OBJECT, PATTERN, SPATIAL, Mask, Objects, Volume, Waves, WaveVolume, crop_or_pad, twin

Gate = Float[Tensor, "batch 32 32 32"]
Features = Float[Tensor, "batch channels 32 32 32"]

SLOPE = 0.1
"""Of the leaky rectifiers, below zero."""
BETA = 0.9
"""Feedback from outside of the crystal."""
EDGE, STEEPNESS, BLUR = 0.3, 25.0, 0.8
"""Of the gate: the fraction of the typical amplitude where it is half open, its logit per unit of that fraction, and the
standard deviation of the Gaussian in voxels."""
GAIN = 10.0
"""Logit of the gate per unit of what the network gives, to be of the size of shrink-wrap's."""
SEEN, GIVEN = 9, 3
"""Channels that a stage sees, and gives, besides those that it remembers."""


@options
class UnrolledDesign:
    """What the network is made of.

    Parameters
    ----------
    stages : int
        Learned steps; the weights are shared, so a trained network may run more.
    width : int
        Channels at half resolution; twice as many at a quarter.
    blocks : (int, int)
        Residual blocks at half resolution, before and after each; and at a quarter.
    memory : int
        Channels that a stage hands to the next.
    feedback : int
        Plain iterations between two stages.
    guess : FirstGuess
        What the first stage begins with.
    """

    name: Literal["UnrolledDesign"] = field(default="UnrolledDesign", kw_only=True, repr=False)
    stages: Number = 3
    width: Number = 32
    blocks: tuple[Number, Number] = (1, 2)
    memory: Count = 4
    feedback: Count = 2
    guess: FirstGuess = field(default_factory=FirstGuess)


class Unrolled(nn.Module):
    """Patterns of 64^3 voxels -> objects of 32^3 voxels, after every stage.

    Parameters
    ----------
    design : UnrolledDesign
    """

    def __init__(self, design: UnrolledDesign | None = None) -> None:
        super().__init__()
        self.design = design or UnrolledDesign()
        self.step = _UNet(self.design)

    def forward(
        self, counts: Volume, measured: Mask, generator: Generators = None, stages: int | None = None
    ) -> list[Stage]:
        """The estimates of all stages, the last one the best.

        Parameters
        ----------
        counts : float tensor (batch, 64, 64, 64)
            On any scale.
        measured : bool tensor (batch, 64, 64, 64)
        generator : torch.Generator, or one for each pattern, optional
            Of the first guess.
        stages : int, optional
            None: as many as it was trained with.

        Raises
        ------
        InputError
            If a pattern has no counts.
        """
        projection = _Projection(unit_modulus(counts, measured), measured)
        guess = first_guess(counts, measured, generator, self.design.guess)
        projected = projection.of_middle(diffract_padded(guess, COARSE_PATTERN))
        memory = projected.new_zeros(len(counts), self.design.memory, *OBJECT).real
        state, estimate = _advanced(self.step, projected, projected, memory, projection.patterson)
        history = [Stage(estimate)]
        for _ in range(1, stages or self.design.stages):
            running, projected = _fed_back(state, projection, self.design.feedback)
            state, estimate = _advanced(self.step, running, projected, state.memory, projection.patterson)
            history.append(Stage(estimate))
        return history


_PAIR = PrunedPair(PATTERN, Box((OBJECT[0] // 2, OBJECT[1] // 2, OBJECT[2] // 2), OBJECT))


class _Projection:
    """Of objects onto the measured modulus, in the box that holds the objects."""

    def __init__(self, modulus: Volume, measured: Mask) -> None:
        self.modulus, self.measured = modulus, None if bool(measured.all()) else measured
        patterson = back_propagate_cropped(modulus.square().to(torch.complex64), OBJECT)
        # unmeasured voxels count as dark here
        self.patterson = patterson / patterson.abs().amax(SPATIAL, keepdim=True)

    def __call__(self, objects: Objects) -> Objects:
        if objects.requires_grad or objects.device.type != "cpu":
            return self.of_waves(diffract_padded(objects, PATTERN))
        return _PAIR.to_box(self._in_corner._quickly(_PAIR.to_wave(objects)))

    def of_waves(self, waves: Waves) -> Objects:
        projected = self._learning(waves) if waves.requires_grad else self._quickly(waves.clone())
        return back_propagate_cropped(projected, OBJECT)

    def of_middle(self, waves: WaveVolume) -> Objects:
        """The same of waves that are 0 but for their middle, which is given; no slopes are asked for."""
        middle = self._of(lambda volume: crop_or_pad(volume, waves.shape[-3:]))
        return back_propagate_cropped(middle._quickly(waves), OBJECT, PATTERN)

    @cached_property
    def _in_corner(self) -> _Projection:
        """The same for waves in corner order, as the quickest transform of a box has them."""
        return self._of(to_corner)

    def _of(self, change: Callable[[Tensor], Tensor]) -> _Projection:
        """The same for waves that are seen in another way."""
        other = copy(self)
        other.modulus = change(self.modulus)
        other.measured = None if self.measured is None else change(self.measured)
        return other

    def _learning(self, waves: Waves) -> Waves:
        """With the slope that training needs, of dark waves too."""
        projected = self.modulus * torch.sgn(waves)
        if self.measured is None:
            return projected
        return torch.where(self.measured, projected, waves * self._scale(waves.abs(), self.measured))

    def _quickly(self, waves: WaveVolume) -> WaveVolume:
        """The same in place, by one real factor a voxel: to select or to normalise complex numbers costs a transform."""
        calculated = modulus_of(waves)
        if self.measured is None:
            return scale_by(waves, torch.div(self.modulus, calculated.add_(TINY**2), out=calculated))
        scale = self._scale(calculated, self.measured)
        factor = torch.div(self.modulus, calculated.add_(TINY**2), out=calculated)
        return scale_by(waves, torch.where(self.measured, factor, scale))

    def _scale(self, calculated: Volume, measured: Mask) -> Float[Tensor, "batch 1 1 1"]:
        """What brings the measured part of the modulus of waves nearest to the measured one."""
        calculated = (calculated * measured).flatten(1)
        overlap = torch.linalg.vecdot(calculated, self.modulus.flatten(1))
        power = torch.linalg.vecdot(calculated, calculated).clamp_min(TINY**2)
        return (overlap / power)[:, None, None, None]


@dataclass(frozen=True, eq=False)
class _State:
    """What a stage leaves to the next: z, gate and memory of the equations above."""

    running: Objects
    gate: Gate
    memory: Features


def _fed_back(state: _State, projection: _Projection, iterations: int) -> tuple[Objects, Objects]:
    """The state z after plain iterations of hybrid input-output within the gate, and its projection."""
    running = state.running
    projected = projection(running)
    for _ in range(iterations):
        running = state.gate * projected + (1 - state.gate) * (running - BETA * projected)
        projected = projection(running)
    return running, projected


def _advanced(
    step: _UNet, running: Objects, projected: Objects, memory: Features, patterson: Objects
) -> tuple[_State, Objects]:
    """A learned step, and its estimate."""
    # A global phase and scale mean nothing: the network sees a mean phase of 0 and a largest amplitude of 1.
    mean = projected.mean(SPATIAL, keepdim=True)
    largest = modulus_of(projected.detach()).amax(SPATIAL, keepdim=True).clamp_min(TINY)
    turn = mean.conj() / ((mean.abs() + TINY) * largest)
    projected, running = projected * turn, running * turn
    volumes = (projected, running, patterson, twin(projected))
    seen = torch.stack([modulus_of(projected), *(part for volume in volumes for part in (volume.real, volume.imag))], 1)
    gate, real, imaginary, *rest = step(torch.cat([seen, memory], 1)).unbind(1)
    gate = torch.sigmoid(GAIN * gate + _shrink_wrap(projected))
    inside = gate * (projected + torch.complex(real, imaginary))
    fed_back = inside + (1 - gate) * (running - BETA * projected)
    memory = torch.stack(rest, 1) if rest else memory
    return _State(fed_back * largest, gate, memory), thresholded(inside)


@torch.no_grad()
def _shrink_wrap(objects: Objects) -> Gate:
    """The logit of a soft support."""
    blurred = blur(modulus_of(objects), BLUR)
    typical = typical_amplitude(blurred.square(), TINY)
    return STEEPNESS * (blurred / typical.clamp_min(TINY) - EDGE)


class _Block(nn.Module):
    """A residual block that starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Conv3d(channels, channels, 3, padding=1)
        self.outer = nn.Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.outer.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.leaky_relu(self.inner(functional.leaky_relu(x, SLOPE)), SLOPE)
        return x + self.outer(y)


class _UNet(nn.Module):
    """Features at full resolution -> gate, correction and memory; the work is done at half and a quarter of it."""

    def __init__(self, design: UnrolledDesign) -> None:
        super().__init__()
        width = design.width
        self.enter = nn.Conv3d(8 * (SEEN + design.memory), width, 1)
        self.before = nn.Sequential(*[_Block(width) for _ in range(design.blocks[0])])
        self.down = nn.Conv3d(width, 2 * width, 2, stride=2)
        self.middle = nn.Sequential(*[_Block(2 * width) for _ in range(design.blocks[1])])
        self.up = nn.Conv3d(2 * width, width, 1)
        self.after = nn.Sequential(*[_Block(width) for _ in range(design.blocks[0])])
        self.leave = nn.Conv3d(width, 8 * (GIVEN + design.memory), 1)
        nn.init.normal_(self.leave.weight, std=0.01)
        nn.init.constant_(cast(Tensor, self.leave.bias), 0)

    def forward(self, x: Features) -> Float[Tensor, "batch outputs 32 32 32"]:
        """Features (batch, 9 + memory, 32, 32, 32) -> (batch, 3 + memory, 32, 32, 32), float32."""
        half = self.before(self.enter(gathered(x)))
        quarter = self.middle(self.down(half))
        half = half + functional.interpolate(self.up(quarter).float(), scale_factor=2).to(half.dtype)
        return scattered(self.leave(self.after(half))).float()
