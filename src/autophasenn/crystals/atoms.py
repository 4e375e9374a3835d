"""The faithful source: fcc nanocrystals relaxed atom by atom, as the training data of Yao et al., npj Comput. Mater. 8,
124 (2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autophasenn.crystals.initial_strain import draw_strain
from autophasenn.crystals.lammps_relaxation import measured_lattice_constant, relax
from autophasenn.crystals.lattice import fcc_sites, metal, scattering_vector
from autophasenn.crystals.sampling import Sampling, View
from autophasenn.crystals.shapes import clipped_block
from autophasenn.crystals.source import Objects
from autophasenn.crystals.voxels import on_voxels
from autophasenn.errors import InputError
from autophasenn.randomness import Stream, generator_of


@dataclass(frozen=True, eq=False)
class RelaxedCrystal:
    """A crystal of atoms near, but not at, their least energy.

    Parameters
    ----------
    lattice_constant : float
        Metres.
    sites : float64 tensor (atoms, 3)
        Of the undeformed lattice, metres, in the crystal's cubic axes.
    displacements : float64 tensor (atoms, 3)
        Of the atoms from their sites, metres, free of rigid translation and rotation.
    energies : (float, float)
        Potential energy in eV before and after the minimisation.
    """

    lattice_constant: float
    sites: Float[Tensor, "atoms 3"]
    displacements: Float[Tensor, "atoms 3"]
    energies: tuple[float, float]

    def bragg_phase(self, reflection: tuple[int, int, int]) -> Float[Tensor, " atoms"]:
        """-G.u of every atom, rad, not wrapped."""
        return -self.displacements @ scattering_vector(reflection, self.lattice_constant)

    def object(self, reflection: tuple[int, int, int], view: View) -> Complex[Tensor, "32 32 32"]:
        """The object rho(r) that an experiment at this reflection sees: density / maximum, phase -G.u; complex64."""
        density, phase = on_voxels(self.sites, self.bragg_phase(reflection), self.lattice_constant, view)
        return torch.polar(density / density.max(), phase).to(torch.complex64)


@dataclass(frozen=True)
class RelaxedCrystals:
    """Clipped blocks of metal, strained, and partly relaxed by LAMMPS. A `source.Source`.

    A uniformly strained free crystal would relax to no strain at all. So the strain that a crystal is given varies through
    it (`initial_strain.InitialStrain`), and the minimisation ends early, when the surfaces have relaxed and long waves
    of strain are left.

    Parameters
    ----------
    metal : str
        Chemical symbol: Ag, Au, Cu, Ni, Pd or Pt.
    reflection : 3 ints
        Miller indices of the Bragg peak.
    sampling : Sampling
        Of the views; voxels are two lattice constants wide unless it says otherwise.
    edge : float
        Of the block before it is clipped, metres; ten cells or more.
    typical_strain : (float, float)
        Range of the typical strain of a crystal before it relaxes (the median over the crystal of the largest principal
        strain); dimensionless, uniform.
    steps : (int, int)
        Least and most steps of the minimisation, uniform.

    Raises
    ------
    InputError
        If the metal is unknown, the reflection forbidden, the block too small, or a range falls or starts below 0; when the
        first crystal is made, if LAMMPS is not installed.
    """

    metal: str = "Au"
    reflection: tuple[int, int, int] = (1, 1, 1)
    sampling: Sampling = field(default_factory=Sampling)
    edge: float = 20e-9
    typical_strain: tuple[float, float] = (0.001, 0.01)
    steps: tuple[int, int] = (8, 40)

    def __post_init__(self) -> None:
        lattice_constant = metal(self.metal).lattice_constant
        scattering_vector(self.reflection, lattice_constant)
        if not self.edge >= 10 * lattice_constant:
            raise InputError(
                f"A block of {self.edge * 1e9:g} nm is too small to be clipped; give an edge (in metres) of ten cells "
                f"or more, {10 * lattice_constant * 1e9:.2f} nm for {self.metal}."
            )
        for name, (low, high) in {"typical strain": self.typical_strain, "number of steps": self.steps}.items():
            if not 0 <= low <= high:
                raise InputError(f"The {name} cannot range from {low:g} to {high:g}; give 0 <= least <= most.")

    def relaxed(self, seed: int, index: int) -> RelaxedCrystal:
        """Crystal `index` of the dataset `seed`, atom by atom."""
        generator = generator_of(seed, index, Stream.CRYSTAL)
        lattice_constant = measured_lattice_constant(self.metal)
        sites = fcc_sites(clipped_block(generator, self.edge), lattice_constant)
        low, high = self.typical_strain
        typical = low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
        steps = int(torch.randint(self.steps[0], self.steps[1] + 1, (), generator=generator))
        # the strain varies over many cells, so some of the atoms tell its median
        strain = draw_strain(generator, sites[:: max(1, len(sites) // 10_000)], self.edge, typical)
        positions, energies = relax(self.metal, sites + strain.displacement(sites), steps)
        return RelaxedCrystal(lattice_constant, sites, without_rigid_motion(sites, positions), energies)

    def objects(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> Objects:
        """The crystals of these indices; complex64 (len(indices), 32, 32, 32) on `device`."""
        views = [self.sampling.draw(generator_of(seed, index, Stream.VIEW)) for index in indices]
        crystals = [
            self.relaxed(seed, index).object(self.reflection, view) for index, view in zip(indices, views, strict=True)
        ]
        return torch.stack(crystals).to(device)

    def provenance(self) -> dict[str, Any]:
        """Every parameter, and the lattice constant that was measured."""
        return {"source": "lammps", "lattice_constant_m": measured_lattice_constant(self.metal), **asdict(self)}


def without_rigid_motion(
    sites: Float[Tensor, "atoms 3"], positions: Float[Tensor, "atoms 3"]
) -> Float[Tensor, "atoms 3"]:
    """Displacements from `sites` to `positions` after the translation and rotation that make them least, in the mean square.

    Kabsch, Acta Cryst. A 32, 922 (1976).
    """
    start, end = sites - sites.mean(0), positions - positions.mean(0)
    u, _, vt = torch.linalg.svd(end.T @ start)
    handedness = torch.ones(3, dtype=sites.dtype)
    handedness[2] = math.copysign(1.0, float(torch.linalg.det(u @ vt)))
    return end @ (u * handedness) @ vt - start
