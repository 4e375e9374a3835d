"""Straight dislocations, and which of them a crystal has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autophasenn.crystals.fields import Along, squared_distance
from autophasenn.crystals.shapes import facet_normals, point_inside
from autophasenn.randomness import choice

POISSON_RATIO = 0.42
"""Of gold, isotropic; other fcc metals lie between 0.3 and 0.4, which changes the fields by a few per cent."""
ANGLES = (0.0, math.pi / 3, math.pi / 2)
"""Between Burgers vector and line: screw, mixed and edge dislocations."""


@dataclass(frozen=True, eq=False)
class Dislocation:
    """A straight dislocation in an isotropic, infinite crystal.

        u_e = b_e/(2 pi) (theta + x y / (2 (1 - nu) rho^2))
        u_n = -b_e/(2 pi) ((1 - 2 nu) ln(rho^2) + (x^2 - y^2) / rho^2) / (4 (1 - nu))
        u_l = b_l/(2 pi) theta

    for the edge part b_e along x and the screw part b_l along the line, in the right-handed frame (x, y, line) with
    rho^2 = x^2 + y^2 and theta = atan2(y, x), cut on the side of negative x. Hirth & Lothe, Theory of Dislocations, 2nd
    ed. (1982), eqs. 3-3, 3-45 and 3-46.

    Parameters
    ----------
    point : float64 tensor (3,)
        On the line, metres.
    line : float64 tensor (3,)
        Unit vector.
    burgers : float64 tensor (3,)
        Burgers vector b, metres: the integral of du around the line, right-handed.
    """

    point: Float[Tensor, " 3"]
    line: Float[Tensor, " 3"]
    burgers: Float[Tensor, " 3"]

    def displacement(self, along: Along, component: Float[Tensor, " 3"], core: float = 0.0) -> Tensor:
        """``component . u`` in metres times the unit of `component`; `core` (metres) bounds what diverges at the line."""
        screw = self.burgers @ self.line
        edge = self.burgers - screw * self.line
        length = torch.linalg.vector_norm(edge)
        is_screw = bool(length < 1e-6 * torch.linalg.vector_norm(self.burgers))
        x_axis = _perpendicular(self.line) if is_screw else edge / length
        y_axis = torch.linalg.cross(self.line, x_axis)
        x = along(x_axis) - float(self.point @ x_axis)
        y = along(y_axis) - float(self.point @ y_axis)
        result = torch.atan2(y, x) * float(component @ self.burgers / (2 * math.pi))
        if not is_screw:
            square = x.square() + y.square() + core**2
            scale = float(length) / (2 * math.pi) / (4 * (1 - POISSON_RATIO))
            on_x, on_y = float(component @ x_axis) * scale, float(component @ y_axis) * scale
            logarithm = (square / float(self.burgers @ self.burgers)).log()  # another unit shifts the crystal
            bend = 2 * on_x * x * y - on_y * (x.square() - y.square())
            result = result + bend / square - on_y * (1 - 2 * POISSON_RATIO) * logarithm
        return result

    def factor(self, along: Along, G: Float[Tensor, " 3"], voxel: float) -> Complex[Tensor, "n n n"]:
        """A vortex of the phase. On the line, where the phases of a voxel cancel, the amplitude is 0; r away from it, it is
        ``r / sqrt(r^2 + c^2)`` to the power of the turns of the phase, c half a voxel: 0.71 at c for one turn.
        """
        core = voxel / 2
        phase = -self.displacement(along, G, core)
        first = _perpendicular(self.line)
        across = (first, torch.linalg.cross(self.line, first))
        square = squared_distance(along, self.point, across)
        winding = abs(float(G @ self.burgers)) / (2 * math.pi)
        amplitude = (square / (square + core**2)).pow(winding / 2)
        return torch.complex(amplitude * phase.cos(), amplitude * phase.sin())


def drawn_dislocation(
    generator: torch.Generator,
    corners: Float[Tensor, "corners 3"],
    G: Float[Tensor, " 3"],
    lattice_constant: float,
    angles: tuple[float, ...] = ANGLES,
) -> Dislocation:
    """A perfect dislocation of the slip system {111}<110>, Burgers vector a/2 <110>, that the reflection sees: G.b not 0.

    It has one of the given `angles` between Burgers vector and line, radians.
    """
    vectors = facet_normals((1, 1, 0)) * (lattice_constant / math.sqrt(2))
    burgers = _one_of(generator, vectors[(vectors @ G).abs() > 1e-3])
    planes = facet_normals((1, 1, 1))
    plane = _one_of(generator, planes[(planes @ burgers).abs() < 1e-3 * lattice_constant])
    angle = angles[choice(generator, len(angles))]
    along = torch.nn.functional.normalize(burgers, dim=0)
    line = math.cos(angle) * along + math.sin(angle) * torch.linalg.cross(plane, along)
    return Dislocation(point_inside(generator, corners), line, burgers)


def _one_of(generator: torch.Generator, vectors: Float[Tensor, "vectors 3"]) -> Float[Tensor, " 3"]:
    return vectors[choice(generator, len(vectors))]


def _perpendicular(line: Float[Tensor, " 3"]) -> Float[Tensor, " 3"]:
    """A unit vector at right angles to `line`."""
    smallest = torch.zeros(3, dtype=torch.float64)
    smallest[int(line.abs().argmin())] = 1
    return torch.nn.functional.normalize(torch.linalg.cross(line, smallest), dim=0)
