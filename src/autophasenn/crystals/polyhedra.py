"""The fast source: faceted crystals with smooth random displacements, filled in batches on the CPU or a GPU.

The facets are those of the source that relaxes atoms; what relaxation does is drawn from distributions measured on it
(docs/physics/crystals.md). The few numbers that describe a crystal are drawn on the CPU, its voxels on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.crystals import fields
from autophasenn.crystals.defects import Defect, Defects
from autophasenn.crystals.displacement import Displacement, Field
from autophasenn.crystals.fields import Grid
from autophasenn.crystals.lattice import metal, scattering_vector
from autophasenn.crystals.sampling import Sampling, View
from autophasenn.crystals.shapes import Facets, clipped_block, vertices
from autophasenn.crystals.source import Objects
from autophasenn.errors import InputError
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import OBJECT_VOXELS

CHUNK = 16
"""Crystals that a CPU fills together: few enough that their voxels stay in its caches."""
FAR = 1e3
"""Distance in voxels of a plane that clips nothing."""


@dataclass(frozen=True, eq=False)
class Crystal:
    """One crystal as it is drawn.

    Parameters
    ----------
    facets : Facets
        Those that bound it; planes that do not touch it are left out.
    displacement : Field
        u_G.
    defects : sequence of Defect
    grid : Grid
        The voxels in which it is seen.
    spread : float
        Half-width of the triangle over which an atom is spread along each axis before it is counted in voxels, metres.
    """

    facets: Facets
    displacement: Field
    defects: Sequence[Defect]
    grid: Grid
    spread: float


@dataclass(frozen=True)
class Polyhedra:
    """Faceted fcc crystals with smooth random displacements. A `source.Source`.

    Parameters
    ----------
    metal : str
        Chemical symbol: Ag, Au, Cu, Ni, Pd or Pt.
    reflection : 3 ints
        Miller indices of the Bragg peak.
    sampling : Sampling
        Of the views; voxels are two lattice constants wide unless it says otherwise.
    edge : float
        Of the block before it is clipped, metres.
    displacement : Displacement
    defects : Defects
        By default none, as in the crystals of Yao et al.

    Raises
    ------
    InputError
        If the metal or the reflection is unknown or forbidden, or the block does not fit in the voxels.
    """

    metal: str = "Au"
    reflection: tuple[int, int, int] = (1, 1, 1)
    sampling: Sampling = field(default_factory=Sampling)
    edge: float = 20e-9
    displacement: Displacement = field(default_factory=Displacement)
    defects: Defects = field(default_factory=Defects)

    def __post_init__(self) -> None:
        lattice_constant = metal(self.metal).lattice_constant
        scattering_vector(self.reflection, lattice_constant)
        largest = OBJECT_VOXELS * 2 * lattice_constant
        if self.sampling.least_oversampling is None and not 0 < self.edge * self._widest <= largest:
            raise InputError(
                f"A block of {self.edge:g} m does not fit in {OBJECT_VOXELS} voxels of two lattice constants; its edge must "
                f"be more than 0 and at most {largest / self._widest:.3g} m, or give the sampling an oversampling range."
            )

    @property
    def _widest(self) -> float:
        """Largest extent of a block of edge 1 in the views that are drawn."""
        return float(np.sqrt(3)) if self.sampling.any_orientation else 1.0

    def objects(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> Objects:
        """The crystals of these indices; complex64 (len(indices), 32, 32, 32) on `device`."""
        device = torch.device(device)
        crystals = [self.crystal(seed, index) for index in indices]
        size = CHUNK if device.type == "cpu" else len(crystals)
        return torch.cat([self._fill(crystals[i : i + size], device) for i in range(0, len(crystals), size)])

    def provenance(self) -> dict[str, Any]:
        """Every parameter."""
        return {"source": "polyhedra", **asdict(self)}

    def crystal(self, seed: int, index: int) -> Crystal:
        """What is drawn for crystal `index` of the dataset `seed`."""
        generator = generator_of(seed, index, Stream.CRYSTAL)
        facets = clipped_block(generator, self.edge)
        view = self.sampling.draw(generator_of(seed, index, Stream.VIEW))
        lattice_constant = metal(self.metal).lattice_constant
        corners = vertices(facets)
        touching = (corners @ facets.normals.T).amax(0) > facets.distances - lattice_constant
        facets = Facets(facets.normals[touching], facets.distances[touching])
        G = scattering_vector(self.reflection, lattice_constant)
        displacement = self.displacement.draw(
            generator, facets.normals.numpy(), facets.distances.numpy(), corners.numpy(), G.numpy()
        )
        defects = self.defects.draw(generator, corners, G, lattice_constant)
        return Crystal(facets, displacement, defects, *_seen(corners, view, lattice_constant))

    def _fill(self, crystals: Sequence[Crystal], device: torch.device) -> Objects:
        """The objects of drawn crystals, (len(crystals), 32, 32, 32)."""
        G = scattering_vector(self.reflection, metal(self.metal).lattice_constant)
        objects = _objects(crystals, float(G.norm()), device)
        for rho, crystal in zip(objects, crystals, strict=True):
            for defect in crystal.defects:
                rho *= defect.factor(partial(crystal.grid.along, device=device), G, float(crystal.grid.voxel.mean()))
            if crystal.defects:
                rho /= rho.abs().max()
        return objects


def _seen(corners: Float[Tensor, "corners 3"], view: View, lattice_constant: float) -> tuple[Grid, float]:
    """The voxels of a view, and over what length an atom is spread, both as `voxels.on_voxels` has them."""
    is_aligned = view.oversampling is None and bool((view.rotation == torch.eye(3)).all())
    spread = 0.0 if is_aligned else lattice_constant
    turned = corners @ view.rotation.T
    low, high = turned.amin(0), turned.amax(0)
    voxel = view.voxel_size(high - low + 2 * spread, 2 * lattice_constant)
    return Grid(view.rotation.numpy(), voxel.numpy(), ((low + high + voxel) / 2).numpy()), spread


def _objects(crystals: Sequence[Crystal], G: float, device: torch.device) -> Objects:
    """Crystals without their defects, for a scattering vector of length G (1/m)."""
    facets = max(len(c.facets.distances) for c in crystals)
    terms = max(len(c.displacement.coefficients) for c in crystals)
    normals = np.zeros((len(crystals), facets, 3), np.float32)
    distances = np.full((len(crystals), facets), FAR, np.float32)
    slopes, offsets = np.zeros((len(crystals), 3), np.float32), np.zeros(len(crystals), np.float32)
    exponents = np.zeros((len(crystals), terms, 3), np.complex64)
    coefficients = np.zeros((len(crystals), terms), np.complex64)
    for i, crystal in enumerate(crystals):
        grid, u = crystal.grid, crystal.displacement
        normal, distance = crystal.facets.normals.numpy(), crystal.facets.distances.numpy()
        # an atom spread as a triangle (variance spread^2 / 6 along each axis), and the box of a voxel (voxel^2 / 12): a step
        # becomes a slope of their summed variance along the normal
        width = np.sqrt(((normal @ grid.rotation.T) ** 2) @ (grid.voxel**2 + 2 * crystal.spread**2))
        normals[i, : len(distance)] = grid.steps(normal) / width[:, None]
        distances[i, : len(distance)] = (distance - grid.origin(normal)) / width
        slopes[i], offsets[i] = -G * grid.steps(u.gradient), -G * (u.offset + grid.origin(u.gradient))
        exponents[i, : len(u.exponents)] = grid.steps(u.exponents)
        coefficients[i, : len(u.exponents)] = -G * u.coefficients * np.exp(grid.origin(u.exponents))
    n, d, s, o, e, c = (
        torch.from_numpy(array).to(device) for array in (normals, distances, slopes, offsets, exponents, coefficients)
    )
    amplitude = fields.polyhedra(n, d)
    amplitude /= amplitude.amax((1, 2, 3), keepdim=True)
    phase = fields.linear(s, o).add_(fields.exponentials(e, c))
    return torch.complex(amplitude * phase.cos(), amplitude.mul_(phase.sin_()))
