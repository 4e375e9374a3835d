"""The successor of the paper's network: learned steps that alternate with projections onto the measured modulus.

    P_k     = crop F^-1 [ M psi_k / |psi_k| where measured, s psi_k elsewhere ],   psi_k = F pad x_k
    x_(k+1) = T [ sigmoid(g_k) (P_k + c_k) ],   (g_k, c_k, h_(k+1)) = U(P_k, x_k, A, h_k)

x is the object, M the measured modulus, A the autocorrelation of the crystal (Patterson function), h what the network
remembers from stage to stage, T the threshold at 10 % of the largest amplitude, and U one small U-Net, the same in every
stage: an iterative phase retrieval whose step is learned (after Gregor and LeCun, ICML (2010)).

The twin ``rho*(-r)`` has the same pattern, and a network that starts from what is symmetric under that exchange ends in
a superposition of both. So the first object is not symmetric: a random half of it is darker. The numbers are drawn
from a generator that the caller seeds; another seed gives another start, and may give the twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional

from autophasenn.crystals.sampling import OBJECT_VOXELS, PATTERN_VOXELS
from autophasenn.errors import InputError
from autophasenn.network.loss import TINY, unit_modulus
from autophasenn.physics.fourier import back_propagate_cropped, diffract_padded
from autophasenn.volumes import SPATIAL, Mask, Volume, twin

Objects = Complex[Tensor, "batch 32 32 32"]
Waves = Complex[Tensor, "batch 64 64 64"]
Features = Float[Tensor, "batch channels 32 32 32"]
Generators = torch.Generator | Sequence[torch.Generator] | None
"""One for a batch, or one a pattern: then a start does not depend on the batch that it is in."""

OBJECT = (OBJECT_VOXELS,) * 3
PATTERN = (PATTERN_VOXELS,) * 3
THRESHOLD = 0.1
"""Share of the largest amplitude below which a voxel is outside the crystal (Yao et al. 2022)."""
SLOPE = 0.1
"""Of the leaky rectifiers, below zero."""


@dataclass(frozen=True)
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
    fine : int
        Channels at full resolution; 0: the U-Net begins at half resolution.
    own_first : bool
        Does the first stage have weights of its own?
    sees_twin : bool
        Is the twin of the projected object among what a stage sees? Then every voxel knows its counterpart.
    """

    stages: int = 6
    width: int = 48
    blocks: tuple[int, int] = (1, 2)
    memory: int = 4
    fine: int = 0
    own_first: bool = False
    sees_twin: bool = False

    def __post_init__(self) -> None:
        if min(self.stages, self.width, *self.blocks) < 1 or min(self.memory, self.fine) < 0:
            raise InputError(f"{self} has no layers where it needs some; give numbers of 1 or more.")


@dataclass(frozen=True, eq=False)
class Stage:
    """An estimate of the objects.

    Parameters
    ----------
    objects : complex tensor (batch, 32, 32, 32)
        0 where the amplitude is below 10 % of the largest.
    waves : complex tensor (batch, 64, 64, 64)
        What they diffract.
    """

    objects: Objects
    waves: Waves


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
        self.first = _UNet(self.design) if self.design.own_first else None

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
            Of the starts.
        stages : int, optional
            None: as many as it was trained with.
        """
        modulus = unit_modulus(counts, measured)
        patterson = _patterson(modulus)
        memory = modulus.new_zeros(len(modulus), self.design.memory, *OBJECT)
        now = _diffracted(_start(patterson, generator))
        history = []
        for number in range(stages or self.design.stages):
            step = self.first if number == 0 and self.first is not None else self.step
            now, memory = _advance(step, now, memory, modulus, measured, patterson)
            history.append(now)
        return history


def _advance(
    step: _UNet, now: Stage, memory: Features, modulus: Volume, measured: Mask, patterson: Objects
) -> tuple[Stage, Features]:
    projected = back_propagate_cropped(_projected(now.waves, modulus, measured), OBJECT)
    # A global phase and scale mean nothing: the network sees a mean phase of 0 and a largest amplitude of 1.
    mean = projected.mean(SPATIAL, keepdim=True)
    largest = projected.abs().amax(SPATIAL, keepdim=True).detach()
    turn = mean.conj() / ((mean.abs() + TINY) * largest.clamp_min(TINY))
    projected = projected * turn
    before = now.objects * (turn / _norm(now.waves))
    volumes = [projected, before, patterson, *([twin(projected)] if step.sees_twin else [])]
    seen = torch.stack([projected.abs(), *(part for volume in volumes for part in (volume.real, volume.imag))], 1)
    gate, real, imaginary, *rest = step(torch.cat([seen, memory], 1)).unbind(1)
    rho = torch.sigmoid(gate) * (projected + torch.complex(real, imaginary))
    return _diffracted(_thresholded(rho)), torch.stack(rest, 1) if rest else memory


def _projected(waves: Waves, modulus: Volume, measured: Mask) -> Waves:
    """The waves with the measured modulus where there is one; elsewhere as they are, on its scale."""
    if bool(measured.all()):
        return modulus * torch.sgn(waves)
    inside = waves * measured
    scale = (inside.abs() * modulus).sum(SPATIAL, keepdim=True) / inside.abs().square().sum(SPATIAL, keepdim=True)
    return torch.where(measured, modulus * torch.sgn(waves), scale * waves)


def _diffracted(rho: Objects) -> Stage:
    return Stage(rho, diffract_padded(rho, PATTERN))


def _thresholded(rho: Objects) -> Objects:
    amplitude = rho.abs()
    return rho * (amplitude >= THRESHOLD * amplitude.amax(SPATIAL, keepdim=True))


def _norm(waves: Waves) -> Float[Tensor, "batch 1 1 1"]:
    return waves.abs().square().sum(SPATIAL, keepdim=True).clamp_min(TINY**2).sqrt()


def _patterson(modulus: Volume) -> Objects:
    """The middle of the autocorrelation of the crystal, 1 in its centre; unmeasured voxels count as dark."""
    patterson = back_propagate_cropped(modulus.square().to(torch.complex64), OBJECT)
    return patterson / patterson.abs().amax(SPATIAL, keepdim=True)


def _start(patterson: Objects, generator: Generators) -> Objects:
    """A crystal as wide as the autocorrelation tells, of random smooth phase and half of it darker."""

    def smooth(points: int) -> Volume:
        noise = _noise((len(patterson), 1, points, points, points), generator, patterson.device)
        return functional.interpolate(noise, OBJECT, mode="trilinear", align_corners=False)[:, 0]

    return torch.polar(patterson.abs().sqrt() * torch.sigmoid(4 * smooth(3)), 2 * smooth(6))


def _noise(shape: tuple[int, ...], generator: Generators, device: torch.device) -> Tensor:
    if isinstance(generator, Sequence):
        noise = torch.stack([torch.randn(shape[1:], generator=each, device=each.device) for each in generator])
    else:
        source = device if generator is None else generator.device
        noise = torch.randn(shape, generator=generator, device=source)
    return noise.to(device)


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
    """Features at full resolution -> gate, correction and memory; most of the work is done at half and a quarter of it."""

    def __init__(self, design: UnrolledDesign) -> None:
        super().__init__()
        inputs, outputs, fine, width = (
            7 + 2 * design.sees_twin + design.memory,
            3 + design.memory,
            design.fine,
            design.width,
        )
        self.fine, self.sees_twin = fine, design.sees_twin
        if fine:
            self.look = nn.Sequential(
                nn.Conv3d(inputs, fine, 3, padding=1),
                nn.LeakyReLU(SLOPE),
                nn.Conv3d(fine, fine, 3, padding=1),
                nn.LeakyReLU(SLOPE),
            )
            self.decide = nn.Sequential(
                nn.Conv3d(2 * fine, fine, 3, padding=1), nn.LeakyReLU(SLOPE), nn.Conv3d(fine, outputs, 1)
            )
        self.enter = nn.Conv3d(8 * (fine or inputs), width, 1)
        self.before = nn.Sequential(*[_Block(width) for _ in range(design.blocks[0])])
        self.down = nn.Conv3d(width, 2 * width, 2, stride=2)
        self.middle = nn.Sequential(*[_Block(2 * width) for _ in range(design.blocks[1])])
        self.up = nn.Conv3d(2 * width, width, 1)
        self.after = nn.Sequential(*[_Block(width) for _ in range(design.blocks[0])])
        self.leave = nn.Conv3d(width, 8 * (fine or outputs), 1)
        last = cast(nn.Conv3d, self.decide[-1] if fine else self.leave)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(cast(Tensor, last.bias), 0)

    def forward(self, x: Features) -> Float[Tensor, "batch outputs 32 32 32"]:
        """Features (batch, 7 or 9 + memory, 32, 32, 32) -> (batch, 3 + memory, 32, 32, 32), float32."""
        x = x.contiguous(memory_format=torch.channels_last_3d)
        if self.fine:
            x = self.look(x)
        half = self.before(self.enter(_gathered(x)))
        quarter = self.middle(self.down(half))
        half = half + functional.interpolate(self.up(quarter).float(), scale_factor=2).to(half.dtype)
        y = _scattered(self.leave(self.after(half)))
        return self.decide(torch.cat([x, y], 1)).float() if self.fine else y.float()


def _gathered(x: Tensor) -> Tensor:
    """Cubes of 2^3 voxels become channels: (b, c, 2n, 2n, 2n) -> (b, 8c, n, n, n)."""
    b, c, n = x.shape[0], x.shape[1], x.shape[2] // 2
    x = x.reshape(b, c, n, 2, n, 2, n, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(b, 8 * c, n, n, n).contiguous(memory_format=torch.channels_last_3d)


def _scattered(x: Tensor) -> Tensor:
    """The inverse of `_gathered`."""
    b, c, n = x.shape[0], x.shape[1] // 8, x.shape[2]
    x = x.reshape(b, c, 2, 2, 2, n, n, n).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, c, 2 * n, 2 * n, 2 * n).contiguous(memory_format=torch.channels_last_3d)
