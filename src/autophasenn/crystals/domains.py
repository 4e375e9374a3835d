"""Domains: parts of a crystal that are shifted and turned against each other, between them walls that scatter little."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autophasenn.crystals.fields import Along
from autophasenn.crystals.shapes import point_inside
from autophasenn.randomness import uniform

WALL = (0.5e-9, 3e-9)
"""Least and greatest half-width of a wall, metres."""
LOST = (0.5, 1.0)
"""Least and greatest share of the amplitude that is lost in the middle of a wall."""
TURN = 0.6
"""Standard deviation of the phase that turning a domain gives each axis, in turns from its wall to its far end."""


@dataclass(frozen=True, eq=False)
class Wall:
    """A plane wall: what lies beyond has another phase, and a gradient of it.

    Parameters
    ----------
    normal : float64 tensor (3,)
        Unit vector, into the domain beyond.
    point : float64 tensor (3,)
        On the wall, metres.
    width : float
        From its middle to where it has lost 1/e of what it loses in the middle, metres.
    lost : float
        Share of the amplitude that is lost in its middle.
    step : float
        Phase of the domain beyond, at `point`, radians.
    gradient : float64 tensor (3,)
        Of that phase, rad/m: the domain is turned, or has another lattice constant.
    """

    normal: Float[Tensor, " 3"]
    point: Float[Tensor, " 3"]
    width: float
    lost: float
    step: float
    gradient: Float[Tensor, " 3"]

    def factor(self, along: Along, G: Float[Tensor, " 3"], voxel: float) -> Complex[Tensor, "n n n"]:
        """The phases of both domains mix over a voxel."""
        height = along(self.normal) - float(self.point @ self.normal)
        beyond = (height / voxel + 0.5).clamp(0, 1)
        phase = self.step + along(self.gradient) - float(self.point @ self.gradient)
        amplitude = 1 - self.lost * torch.exp(-(height / self.width).square())
        mixed = torch.complex(1 - beyond + beyond * phase.cos(), beyond * phase.sin())
        return amplitude * mixed


def drawn_wall(generator: torch.Generator, corners: Float[Tensor, "corners 3"]) -> Wall:
    """A wall of any direction through a random point inside the crystal with these corners (metres)."""
    normal = torch.nn.functional.normalize(torch.randn(3, generator=generator, dtype=torch.float64), dim=0)
    size = float(torch.linalg.vector_norm(corners, dim=1).max())
    gradient = torch.randn(3, generator=generator, dtype=torch.float64) * (2 * math.pi * TURN / size)
    width, lost = uniform(generator, *WALL), uniform(generator, *LOST)
    return Wall(normal, point_inside(generator, corners), width, lost, uniform(generator, -math.pi, math.pi), gradient)
