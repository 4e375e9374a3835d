"""Face-centred cubic lattices: metals, the reflections that they have, and the sites inside a crystal's facets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.crystals.shapes import Facets
from autophasenn.errors import InputError
from autophasenn.physics.geometry import wavelength
from autophasenn.randomness import check_positive

HIGHEST_ENERGY = 30e3
"""Photon energy, eV, above which hardly any Bragg coherent diffraction is measured."""


@dataclass(frozen=True)
class FccMetal:
    """A face-centred cubic metal that has an embedded-atom potential.

    Parameters
    ----------
    name : str
        Chemical symbol.
    lattice_constant : float
        Metres, at 0 K: where the energy of the potential ``<name>_u3.eam`` is lowest (Foiles, Baskes and Daw, Phys. Rev. B
        33, 7983 (1986)), as `lammps_relaxation.measured_lattice_constant` finds.
    """

    name: str
    lattice_constant: float


METALS = {
    metal.name: metal
    for metal in (
        FccMetal("Ag", 4.09e-10),
        FccMetal("Au", 4.08e-10),
        FccMetal("Cu", 3.615e-10),
        FccMetal("Ni", 3.52e-10),
        FccMetal("Pd", 3.89e-10),
        FccMetal("Pt", 3.92e-10),
    )
}
"""The metals by their chemical symbols."""


def metal(name: str) -> FccMetal:
    """The metal of a chemical symbol, for instance ``"Au"``.

    Raises
    ------
    InputError
        If there is no potential for it.
    """
    if name not in METALS:
        raise InputError(f"The metal {name!r} is not known; choose one of {', '.join(METALS)}.")
    return METALS[name]


def scattering_vector(reflection: tuple[int, int, int], lattice_constant: float) -> Float[Tensor, " 3"]:
    """G of a Bragg reflection of an fcc crystal, in its cubic axes: ``2 pi (h, k, l) / a``, 1/m, float64.

    Parameters
    ----------
    reflection : 3 ints
        Miller indices h, k, l; all even or all odd, or the structure factor of the fcc lattice is zero.
    lattice_constant : float
        a, metres.

    Raises
    ------
    InputError
        If the reflection is (0, 0, 0), is forbidden, or lies beyond twice the wave vector at `HIGHEST_ENERGY`, where no
        X-ray is scattered to (Bragg's law: |G| = 2 k sin(theta)).
    """
    check_positive("The lattice constant (metres)", lattice_constant)
    h, k, l = reflection  # noqa: E741  (Miller's own name)
    if (h, k, l) == (0, 0, 0):
        raise InputError("The reflection 000 is the direct beam and knows no strain; give one such as (1, 1, 1).")
    if len({h % 2, k % 2, l % 2}) > 1:
        raise InputError(
            f"The reflection {h} {k} {l} is forbidden for an fcc crystal, whose indices are all even or all odd; give one "
            "such as (1, 1, 1) or (2, 0, 0)."
        )
    largest = (2 * lattice_constant / wavelength(HIGHEST_ENERGY)) ** 2  # |G| = 2 k
    if h * h + k * k + l * l > largest:
        raise InputError(
            f"The reflection {h} {k} {l} is out of reach: h^2 + k^2 + l^2 is {h * h + k * k + l * l}, and X-rays of "
            f"{HIGHEST_ENERGY / 1e3:g} keV are scattered to {math.floor(largest)} at most by a lattice of "
            f"{lattice_constant * 1e10:.4g} Angstrom; give one such as (1, 1, 1) or (2, 0, 0)."
        )
    return torch.tensor([h, k, l], dtype=torch.float64) * (2 * math.pi / lattice_constant)


def fcc_sites(facets: Facets, lattice_constant: float) -> Float[Tensor, "atoms 3"]:
    """Lattice sites inside a crystal's facets, metres, float64, in its cubic axes.

    The origin lies half-way between lattice planes: sites have coordinates ``(i + 1/2) a/2``, i0 + i1 + i2 even. A cube of
    m cells then has exactly 4 m^3 atoms, and any cube of 2 a whose faces lie between planes has 32.

    Parameters
    ----------
    facets : Facets
        Those of a closed crystal, metres; the first six are the faces of the cube that the others clip.
    lattice_constant : float
        a, metres.
    """
    half_extent = float(facets.distances[:6].max())
    planes = math.floor(2 * half_extent / lattice_constant + 0.5)
    index = torch.arange(-planes, planes)
    i0, i1, i2 = torch.meshgrid(index, index, index, indexing="ij")
    lattice = (i0 + i1 + i2) % 2 == 0
    sites = (torch.stack([i0[lattice], i1[lattice], i2[lattice]], dim=1).double() + 0.5) * (lattice_constant / 2)
    inside = torch.ones(len(sites), dtype=torch.bool)
    for normal, distance in zip(facets.normals, facets.distances, strict=True):
        inside &= sites @ normal <= distance
    return sites[inside]
