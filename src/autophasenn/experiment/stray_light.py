"""Light on the detector that is not the crystal's: background, and aliens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autophasenn.crystals.sampling import random_rotation
from autophasenn.randomness import check_positive, choice, happens, log_uniform, three, uniform
from autophasenn.volumes import PATTERN_VOXELS

Counts = Float[Tensor, "64 64 64"]
Triple = tuple[float, float, float]

NEAREST, FARTHEST = 14.0, 30.0
"""How far the middle of an alien lies from the Bragg peak, voxels."""
NOTICED = 0.1
"""An alien is masked where it adds more than this share to the expected counts, and more than this many counts."""


@dataclass(frozen=True)
class Haze:
    """Smooth background: diffuse light, air, a neighbour out of focus.

    Parameters
    ----------
    height : float
        Expected counts a voxel at its highest.
    centre : tuple of 3 floats
        Where that is, voxels from the Bragg peak.
    widths : tuple of 3 floats
        Standard deviations, voxels.
    """

    height: float
    centre: Triple
    widths: Triple

    def __post_init__(self) -> None:
        check_positive("The height of a haze", self.height)
        check_positive("A width of a haze", *self.widths)

    def intensity(self, device: torch.device) -> Counts:
        """Expected counts."""
        places = _places(device)
        first, second, third = (
            torch.exp(-0.5 * ((places - c) / w).square()) for c, w in zip(self.centre, self.widths, strict=True)
        )
        return self.height * first[:, None, None] * second[:, None] * third


@dataclass(frozen=True)
class Alien:
    """Light of another crystal.

    Parameters
    ----------
    kind : "peak", "streak" or "ring"
        The Bragg peak of a box-shaped crystal with its fringes; a rod; a piece of a powder ring.
    centre : tuple of 3 floats
        Voxels from the Bragg peak.
    axes : 3 tuples of 3 floats
        Orthonormal; the alien's own axes.
    widths : tuple of 3 floats
        Along these. Of a peak: from its middle to its first zeros; else standard deviations; voxels.
    radius : float
        Of the ring, voxels: it bends towards its first axis along its second.
    height : float
        Its largest expected counts over those of the Bragg peak.
    masked : bool
        Whether preprocessing found it, so that it is unmeasured.
    """

    kind: Literal["peak", "streak", "ring"]
    centre: Triple
    axes: tuple[Triple, Triple, Triple]
    widths: Triple
    radius: float
    height: float
    masked: bool

    def __post_init__(self) -> None:
        check_positive("The height of an alien", self.height)
        check_positive("A width of an alien", *self.widths)
        check_positive("The radius of an alien", self.radius)

    def intensity(self, highest: Float[Tensor, ""]) -> Counts:
        """Expected counts; `highest` are those of the Bragg peak."""
        places = _places(highest.device)
        across, along, third = (
            a * (places - self.centre[0])[:, None, None]
            + b * (places - self.centre[1])[:, None]
            + c * (places - self.centre[2])
            for a, b, c in self.axes
        )
        if self.kind == "ring":
            across = across - along.square() / (2 * self.radius)
        scaled = [x / w for x, w in zip((across, along, third), self.widths, strict=True)]
        if self.kind == "peak":
            shape = (torch.sinc(scaled[0]) * torch.sinc(scaled[1]) * torch.sinc(scaled[2])).square()
        else:
            shape = torch.exp(-0.5 * (scaled[0].square() + scaled[1].square() + scaled[2].square()))
        return self.height * highest * shape

    @staticmethod
    def noticed(alien: Counts, others: Counts) -> Bool[Tensor, "64 64 64"]:
        """Where the `alien` stands out of the `others`, all expected counts."""
        return alien > NOTICED * others.clamp_min(1)


def draw_haze(generator: torch.Generator, heights: tuple[float, float]) -> Haze:
    """A hill about half as wide to twice as wide as the pattern, somewhere on it."""
    height = log_uniform(generator, heights)
    return Haze(height, three(generator, -32.0, 32.0), three(generator, 16.0, 64.0))


def draw_alien(generator: torch.Generator, heights: tuple[float, float], masked: float) -> Alien:
    """An alien of any kind and direction; peaks are as frequent as streaks and rings together."""
    kinds: tuple[Literal["peak", "streak", "ring"], ...] = ("peak", "peak", "streak", "ring")
    kind = kinds[choice(generator, len(kinds))]
    direction = torch.nn.functional.normalize(torch.randn(3, generator=generator, dtype=torch.float64), dim=0)
    x, y, z = (direction * uniform(generator, NEAREST, FARTHEST)).tolist()
    first, second, third = (tuple(row) for row in random_rotation(generator).tolist())
    widths: Triple = three(generator, 1.5, 6.0)
    if kind == "streak":
        widths = (uniform(generator, 0.7, 2.0), uniform(generator, 8.0, 30.0), uniform(generator, 0.7, 2.0))
    if kind == "ring":
        widths = (uniform(generator, 0.7, 2.0), uniform(generator, 8.0, 30.0), uniform(generator, 1.0, 4.0))
    radius = uniform(generator, 30.0, 150.0)
    height = log_uniform(generator, heights)
    return Alien(kind, (x, y, z), (first, second, third), widths, radius, height, happens(generator, masked))


def _places(device: torch.device) -> Float[Tensor, " 64"]:
    """Voxels from the peak."""
    return torch.arange(PATTERN_VOXELS, dtype=torch.float32, device=device) - PATTERN_VOXELS // 2
