"""What real crystals have and relaxed blocks do not: dislocations, inclusions and holes, twin lamellae and stacking faults.

Each defect is a value in the crystal's cubic axes and metres. It multiplies the object by ``factor`` at any positions: by
``exp(-i G.u)`` for what it displaces, by a number below 1 where it scatters less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autophasenn.crystals.shapes import facet_normals
from autophasenn.errors import InputError

POISSON_RATIO = 0.42
"""Of gold, isotropic; other fcc metals lie between 0.3 and 0.4, which changes the fields by a few per cent."""

Along = Callable[[Tensor], Tensor]
"""Takes a direction (3,) to the coordinate of every voxel along it, metres, (n, n, n)."""


@runtime_checkable
class Defect(Protocol):
    """Something that changes the object of a crystal."""

    def factor(self, along: Along, G: Float[Tensor, " 3"], voxel: float) -> Complex[Tensor, "n n n"]:
        """What the object is multiplied by, given scattering vector G (1/m) and a voxel's mean edge (metres)."""


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
        """A vortex of the phase; within half a voxel of the line the phases of a voxel cancel."""
        core = voxel / 2
        phase = -self.displacement(along, G, core)
        first = _perpendicular(self.line)
        across = (first, torch.linalg.cross(self.line, first))
        square = _squared_distance(along, self.point, across)
        winding = abs(float(G @ self.burgers)) / (2 * math.pi)
        amplitude = (square / (square + core**2)).pow(winding / 2)
        return torch.complex(amplitude * phase.cos(), amplitude * phase.sin())


@dataclass(frozen=True, eq=False)
class Inclusion:
    """A sphere of another density and lattice constant; a hole where the density is 0.

    It presses on the crystal around it: ``u = misfit r`` inside and ``misfit (R/r)^3 r`` outside (Mott & Nabarro,
    Proc. Phys. Soc. 52, 86 (1940)).

    Parameters
    ----------
    centre : float64 tensor (3,)
        Metres.
    radius : float
        Metres.
    density : float
        How much it scatters into the reflection, as a share of the crystal's.
    misfit : float
        Strain inside.
    """

    centre: Float[Tensor, " 3"]
    radius: float
    density: float
    misfit: float

    def factor(self, along: Along, G: Float[Tensor, " 3"], voxel: float) -> Complex[Tensor, "n n n"]:
        """The amplitude falls to `density` over a voxel about the surface."""
        r = _squared_distance(along, self.centre, torch.eye(3, dtype=torch.float64).unbind()).sqrt()
        inside = ((self.radius - r) / voxel + 0.5).clamp(0, 1)
        amplitude = 1 - (1 - self.density) * inside
        decay = (self.radius / r.clamp_min(self.radius)).pow(3)
        phase = (along(G) - float(self.centre @ G)) * (-self.misfit * decay)
        return torch.complex(amplitude * phase.cos(), amplitude * phase.sin())


@dataclass(frozen=True, eq=False)
class Lamella:
    """A twin lamella between two planes {111}, which does not scatter into the reflection, or a stacking fault.

    The crystal beyond it is shifted by partial Burgers vectors: its phase differs by a multiple of 2 pi / 3.

    Parameters
    ----------
    normal : float64 tensor (3,)
        Unit vector.
    distance : float
        Of the middle of the lamella from the origin, along the normal, metres.
    thickness : float
        Metres; 0 for a stacking fault.
    step : float
        Phase of the crystal beyond the lamella, radians.
    """

    normal: Float[Tensor, " 3"]
    distance: float
    thickness: float
    step: float

    def factor(self, along: Along, G: Float[Tensor, " 3"], voxel: float) -> Complex[Tensor, "n n n"]:
        """Both parts fade over a voxel at the lamella, where their phases mix."""
        height = (along(self.normal) - self.distance) / voxel
        half = self.thickness / voxel / 2
        below, above = (0.5 - height - half).clamp(0, 1), (0.5 + height - half).clamp(0, 1)
        return torch.complex(below + above * math.cos(self.step), above * math.sin(self.step))


@dataclass(frozen=True)
class Defects:
    """How often defects occur and how large they are. By default there are none.

    Parameters
    ----------
    dislocation, inclusion, lamella : float
        Probability that a crystal has one; each further one, up to three, has the same probability again.
    hole : float
        Probability that an inclusion is a hole.
    radius : (float, float)
        Least and largest radius of an inclusion, as a share of the crystal's smallest distance from centre to facet.
    thickness : (float, float)
        Least and largest thickness of a lamella, metres. A third of the lamellae are stacking faults.
    misfit : float
        Largest strain of an inclusion, positive or negative.

    Raises
    ------
    InputError
        If a probability is not between 0 and 1, or a range does not rise from 0 or more.
    """

    dislocation: float = 0.0
    inclusion: float = 0.0
    lamella: float = 0.0
    hole: float = 0.5
    radius: tuple[float, float] = (0.15, 0.5)
    thickness: tuple[float, float] = (0.5e-9, 4e-9)
    misfit: float = 0.01

    def __post_init__(self) -> None:
        for name in ("dislocation", "inclusion", "lamella", "hole"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"The probability {name} is {getattr(self, name)}; it must lie between 0 and 1.")
        for name in ("radius", "thickness"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise InputError(f"The range {name} is {low:g} to {high:g}; it must rise from 0 or more.")

    def draw(
        self,
        generator: torch.Generator,
        corners: Float[Tensor, "corners 3"],
        G: Float[Tensor, " 3"],
        lattice_constant: float,
    ) -> list[Defect]:
        """The defects of one crystal with these corners (metres, cubic axes).

        Dislocations and lamellae that the reflection G (1/m) cannot see are not drawn.
        """
        kinds: tuple[tuple[float, Callable[[], Defect]], ...] = (
            (self.dislocation, lambda: _dislocation(generator, corners, G, lattice_constant)),
            (self.inclusion, lambda: self._inclusion(generator, corners)),
            (self.lamella, lambda: self._lamella(generator, corners, G)),
        )
        found = []
        for probability, draw in kinds:
            for _ in range(MOST):
                if not _uniform(generator) < probability:
                    break
                found.append(draw())
        return found

    def _inclusion(self, generator: torch.Generator, corners: Float[Tensor, "corners 3"]) -> Inclusion:
        size = float(torch.linalg.vector_norm(corners, dim=1).min())
        radius = size * _uniform(generator, *self.radius)
        hole = _uniform(generator) < self.hole
        density, misfit = _uniform(generator, 0.3, 1.0), _uniform(generator, -self.misfit, self.misfit)
        return Inclusion(_point(generator, corners), radius, 0.0 if hole else density, 0.0 if hole else misfit)

    def _lamella(
        self, generator: torch.Generator, corners: Float[Tensor, "corners 3"], G: Float[Tensor, " 3"]
    ) -> Lamella:
        planes = facet_normals((1, 1, 1))
        slanted = planes[
            torch.linalg.vector_norm(torch.linalg.cross(planes, G.expand_as(planes)), dim=1) > 1e-6 * G.norm()
        ]
        normal = _choice(generator, slanted)
        thickness = _uniform(generator, *self.thickness) if _uniform(generator) > 1 / 3 else 0.0
        step = 2 * math.pi / 3 * (1 if _uniform(generator) < 0.5 else -1)
        return Lamella(normal, float(_point(generator, corners) @ normal), thickness, step)


MOST = 3
"""Defects of one kind in a crystal."""
REAL_CRYSTALS = Defects(dislocation=0.15, inclusion=0.1, lamella=0.1)
"""A guess at what measured nanocrystals have: most of them none of it."""
ANGLES = (0.0, math.pi / 3, math.pi / 2)
"""Between Burgers vector and line: screw, mixed and edge dislocations."""


def _dislocation(
    generator: torch.Generator, corners: Float[Tensor, "corners 3"], G: Float[Tensor, " 3"], lattice_constant: float
) -> Dislocation:
    """A perfect dislocation of the slip system {111}<110>, Burgers vector a/2 <110>, that the reflection sees: G.b not 0."""
    vectors = facet_normals((1, 1, 0)) * (lattice_constant / math.sqrt(2))
    burgers = _choice(generator, vectors[(vectors @ G).abs() > 1e-3])
    planes = facet_normals((1, 1, 1))
    plane = _choice(generator, planes[(planes @ burgers).abs() < 1e-3 * lattice_constant])
    angle = _choice(generator, ANGLES)
    along = torch.nn.functional.normalize(burgers, dim=0)
    line = math.cos(angle) * along + math.sin(angle) * torch.linalg.cross(plane, along)
    return Dislocation(_point(generator, corners), line, burgers)


def _point(generator: torch.Generator, corners: Float[Tensor, "corners 3"]) -> Float[Tensor, " 3"]:
    """A point inside the crystal: a random mean of its corners, each with an exponential weight."""
    weights = -torch.log1p(-torch.rand(len(corners), generator=generator, dtype=torch.float64))
    weights = weights**3  # the plain mean of many corners would always lie near the centre
    return weights @ corners / weights.sum()


def _uniform(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _choice(generator: torch.Generator, among: Any) -> Any:
    return among[int(torch.randint(len(among), (), generator=generator))]


def _squared_distance(along: Along, point: Float[Tensor, " 3"], axes: Sequence[Tensor]) -> Tensor:
    """Of every voxel from the point, along these axes only, square metres."""
    x, *others = ((along(axis) - float(point @ axis)).square() for axis in axes)
    return sum(others, x)


def _perpendicular(line: Float[Tensor, " 3"]) -> Float[Tensor, " 3"]:
    """A unit vector at right angles to `line`."""
    smallest = torch.zeros(3, dtype=torch.float64)
    smallest[int(line.abs().argmin())] = 1
    return torch.nn.functional.normalize(torch.linalg.cross(line, smallest), dim=0)
