"""What real crystals have and relaxed blocks do not: dislocations, inclusions and holes, twin lamellae, stacking
faults, and an amplitude that is not even.

Each defect is a value in the crystal's cubic axes and metres. It multiplies the object by ``factor`` at any positions: by
``exp(-i G.u)`` for what it displaces, by a number below 1 where it scatters less.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autophasenn.crystals.dislocations import ANGLES, drawn_dislocation
from autophasenn.crystals.domains import drawn_wall
from autophasenn.crystals.fields import Along, squared_distance
from autophasenn.crystals.shapes import facet_normals, point_inside
from autophasenn.errors import PlanError
from autophasenn.options import NotNegative, Number, Range, Share, check_rising, options
from autophasenn.randomness import choice, happens, uniform


@runtime_checkable
class Defect(Protocol):
    """Something that changes the object of a crystal."""

    def factor(self, along: Along, G: Float[Tensor, " 3"], voxel: float) -> Complex[Tensor, "n n n"]:
        """What the object is multiplied by, given scattering vector G (1/m) and a voxel's mean edge (metres)."""


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
        r = squared_distance(along, self.centre, torch.eye(3, dtype=torch.float64).unbind()).sqrt()
        inside = ((self.radius - r) / voxel + 0.5).clamp(0, 1)
        amplitude = 1 - (1 - self.density) * inside
        decay = (self.radius / r.clamp_min(self.radius)).pow(3)
        phase = (along(G) - float(self.centre @ G)) * (-self.misfit * decay)
        return torch.complex(amplitude * phase.cos(), amplitude * phase.sin())


@dataclass(frozen=True, eq=False)
class Lamella:
    """A twin lamella between two planes {111}, which does not scatter into the reflection, or a stacking fault.

    The crystal beyond it is shifted by partial Burgers vectors a/6 <112>: its phase differs by a multiple of 2 pi / 3.

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


@dataclass(frozen=True, eq=False)
class Unevenness:
    """An amplitude that varies smoothly: ``exp(sum_m a_m cos(k_m . r + phi_m))``.

    Parameters
    ----------
    waves : float64 tensor (waves, 3)
        k, 1/m.
    offsets : float64 tensor (waves,)
        phi, radians.
    amplitudes : float64 tensor (waves,)
        a.
    """

    waves: Float[Tensor, "waves 3"]
    offsets: Float[Tensor, " waves"]
    amplitudes: Float[Tensor, " waves"]

    def factor(self, along: Along, G: Float[Tensor, " 3"], voxel: float) -> Complex[Tensor, "n n n"]:
        """Real; above 1 in places, as an amplitude is normalised afterwards."""
        first, *others = (
            amplitude * torch.cos(along(k) + offset)
            for k, offset, amplitude in zip(self.waves, self.offsets.tolist(), self.amplitudes.tolist(), strict=True)
        )
        return sum(others, first).exp().to(torch.complex64)


@options
class Defects:
    """How often defects occur and how large they are. By default there are none.

    Parameters
    ----------
    dislocation, inclusion, lamella, wall : float
        Probability that a crystal has one; each further one has the same probability again. A wall parts two domains.
    most : int
        Defects of one kind in a crystal.
    angles : floats
        Between Burgers vector and line of a dislocation, radians, each as likely as the others: 0 for a screw, pi/2 for an
        edge dislocation.
    unevenness : float
        Probability that the amplitude varies through the crystal.
    hole : float
        Probability that an inclusion is a hole.
    radius : (float, float)
        Least and largest radius of an inclusion, as a share of the distance from the origin to the nearest corner.
    thickness : (float, float)
        Least and largest thickness of a lamella, metres. A third of the lamellae are stacking faults.
    misfit : float
        Largest strain of an inclusion, positive or negative.
    variation : float
        Largest standard deviation of an uneven amplitude's logarithm.

    Raises
    ------
    InputError
        If a probability is not between 0 and 1, a range does not rise from 0 or more, or another number is negative or not
        finite.
    """

    dislocation: Share = 0.0
    inclusion: Share = 0.0
    lamella: Share = 0.0
    wall: Share = 0.0
    unevenness: Share = 0.0
    most: Number = 3
    angles: tuple[float, ...] = ANGLES
    hole: Share = 0.5
    radius: Range = (0.15, 0.5)
    thickness: Range = (0.5e-9, 4e-9)
    misfit: NotNegative = 0.01
    variation: NotNegative = 0.2

    def __post_init__(self) -> None:
        check_rising(radius=self.radius, thickness=self.thickness)
        if not self.angles:
            raise PlanError("There is no angle of a dislocation to choose from; give at least one, for instance 0.")

    def draw(
        self,
        generator: torch.Generator,
        corners: Float[Tensor, "corners 3"],
        G: Float[Tensor, " 3"],
        lattice_constant: float,
    ) -> list[Defect]:
        """The defects of one crystal with these corners (metres, cubic axes).

        Dislocations and lamellae that the reflection G (1/m) cannot see are not drawn; where it can see no lamella at all,
        as 333, there is none.
        """
        planes = faulting_planes(G, lattice_constant)
        kinds: tuple[tuple[float, int, Callable[[], Defect]], ...] = (
            (
                self.dislocation,
                self.most,
                lambda: drawn_dislocation(generator, corners, G, lattice_constant, self.angles),
            ),
            (self.inclusion, self.most, lambda: self._inclusion(generator, corners)),
            (self.lamella, self.most if len(planes) else 0, lambda: self._lamella(generator, corners, planes)),
            (self.unevenness, 1, lambda: self._unevenness(generator, corners)),
            # last: what was drawn before there were walls stays the same
            (self.wall, self.most, lambda: drawn_wall(generator, corners)),
        )
        found = []
        for probability, most, draw in kinds:
            for _ in range(most):
                if not happens(generator, probability):
                    break
                found.append(draw())
        return found

    def _inclusion(self, generator: torch.Generator, corners: Float[Tensor, "corners 3"]) -> Inclusion:
        size = float(torch.linalg.vector_norm(corners, dim=1).min())
        radius = size * uniform(generator, *self.radius)
        hole = happens(generator, self.hole)
        density, misfit = uniform(generator, 0.3, 1.0), uniform(generator, -self.misfit, self.misfit)
        return Inclusion(point_inside(generator, corners), radius, 0.0 if hole else density, 0.0 if hole else misfit)

    def _lamella(
        self, generator: torch.Generator, corners: Float[Tensor, "corners 3"], planes: Float[Tensor, "planes 3"]
    ) -> Lamella:
        normal = planes[choice(generator, len(planes))]
        thickness = uniform(generator, *self.thickness) if not happens(generator, 1 / 3) else 0.0
        step = 2 * math.pi / 3 * (1 if happens(generator, 0.5) else -1)
        return Lamella(normal, float(point_inside(generator, corners) @ normal), thickness, step)

    def _unevenness(self, generator: torch.Generator, corners: Float[Tensor, "corners 3"]) -> Unevenness:
        size = float(torch.linalg.vector_norm(corners, dim=1).max())
        waves = torch.randn((UNEVEN_WAVES, 3), generator=generator, dtype=torch.float64) * (math.pi / 2 / size)
        offsets = 2 * math.pi * torch.rand(UNEVEN_WAVES, generator=generator, dtype=torch.float64)
        height = uniform(generator, 0.0, self.variation) * math.sqrt(2 / UNEVEN_WAVES)
        return Unevenness(waves, offsets, torch.full((UNEVEN_WAVES,), height, dtype=torch.float64))


def faulting_planes(G: Float[Tensor, " 3"], lattice_constant: float) -> Float[Tensor, "planes 3"]:
    """Unit normals of the planes {111} on which the reflection G (1/m) sees twins and stacking faults.

    With the normal n = (1, 1, 1) and so on as an integer vector, those where ``n . (h, k, l)`` is no multiple of 3. Where it
    is one, the twin, turned by half a turn about n, has the lattice point ``(2/3) (n.hkl) n - hkl`` and scatters there
    too; and a partial Burgers vector a/6 <112> of the plane shifts the phase by whole turns (Hirth & Lothe, chapter 10).
    """
    normals = facet_normals((1, 1, 1))
    hkl = (G * (lattice_constant / (2 * math.pi))).round()
    return normals[torch.remainder(normals.sign() @ hkl, 3) != 0]


UNEVEN_WAVES = 4
"""Waves that make up an uneven amplitude, each about as long as twice the crystal."""
REAL_CRYSTALS = Defects(dislocation=0.15, inclusion=0.1, lamella=0.1, unevenness=0.5)
"""A guess at what measured nanocrystals have: most of them no more than an uneven amplitude."""
