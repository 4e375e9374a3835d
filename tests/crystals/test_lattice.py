"""Lattices: how many atoms a block has, which reflections exist, and what LAMMPS measures."""

import math

import pytest
import torch

from autophasenn.crystals.lammps_relaxation import measured_lattice_constant
from autophasenn.crystals.lattice import METALS, fcc_sites, metal, scattering_vector
from autophasenn.crystals.shapes import Facets, clipped_block, facet_normals
from autophasenn.errors import InputError
from autophasenn.randomness import Stream, generator_of

A = 4.08e-10


def cube(edge: float) -> Facets:
    normals = facet_normals((1, 0, 0))
    return Facets(normals, torch.full((len(normals),), edge / 2, dtype=torch.float64))


@pytest.mark.parametrize("name", METALS)
def test_the_tabulated_lattice_constant_is_where_the_potential_has_its_least_energy(name: str) -> None:
    assert measured_lattice_constant(name) == pytest.approx(metal(name).lattice_constant, abs=1e-14)


def test_the_lattice_constant_of_gold_is_4_08_angstrom() -> None:
    assert measured_lattice_constant("Au") == pytest.approx(4.08e-10, abs=1e-14)


@pytest.mark.parametrize("cells", [1, 4, 7])
def test_a_cube_of_m_cells_has_4_m_cubed_atoms(cells: int) -> None:
    assert len(fcc_sites(cube(cells * A), A)) == 4 * cells**3


def test_a_block_of_20_nm_of_gold_is_49_cells_wide() -> None:
    assert len(fcc_sites(cube(20e-9), A)) == 4 * 49**3


def test_every_atom_inside_has_twelve_nearest_neighbours() -> None:
    sites = fcc_sites(cube(4 * A), A)
    distances = torch.cdist(sites, sites)
    middle = int(torch.linalg.vector_norm(sites, dim=1).argmin())
    nearest = (distances[middle] > 0) & (distances[middle] < 0.8 * A)
    assert int(nearest.sum()) == 12
    assert distances[middle][nearest] == pytest.approx(A / math.sqrt(2))


def test_facets_bound_the_crystal_and_touch_it() -> None:
    facets = clipped_block(generator_of(0, 3, Stream.CRYSTAL), edge=6e-9)
    sites = fcc_sites(facets, A)
    heights = sites @ facets.normals.T - facets.distances
    assert float(heights.max()) <= 0
    whole = fcc_sites(cube(6e-9), A)
    outside = (whole @ facets.normals.T > facets.distances).any(1)
    assert len(sites) == int((~outside).sum())


@pytest.mark.parametrize(("reflection", "nm"), [((1, 1, 1), 26.6735), ((2, 0, 0), 30.7999), ((-1, 1, 3), 51.0760)])
def test_scattering_vector_is_2_pi_over_the_spacing_of_planes(reflection: tuple[int, int, int], nm: float) -> None:
    vector = scattering_vector(reflection, A)
    assert float(torch.linalg.vector_norm(vector)) * 1e-9 == pytest.approx(nm, rel=1e-5)
    assert (vector * A / (2 * math.pi)).tolist() == pytest.approx(list(reflection))


@pytest.mark.parametrize("reflection", [(1, 1, 0), (1, 0, 0), (2, 1, 0), (-1, 2, 1)])
def test_a_forbidden_reflection_has_no_structure_factor_and_is_refused(reflection: tuple[int, int, int]) -> None:
    sites = fcc_sites(cube(3 * A), A)
    phases = 2 * math.pi / A * sites @ torch.tensor(reflection, dtype=torch.float64)
    assert float(torch.polar(torch.ones_like(phases), phases).mean().abs()) < 1e-12
    with pytest.raises(InputError, match="forbidden"):
        scattering_vector(reflection, A)


@pytest.mark.parametrize(("reached", "beyond"), [((11, 11, 11), (13, 13, 13)), ((18, 8, 0), (18, 8, 2))])
def test_no_reflection_lies_beyond_twice_the_wave_vector_of_hard_x_rays(
    reached: tuple[int, int, int], beyond: tuple[int, int, int]
) -> None:
    """h^2 + k^2 + l^2 is at most (2 a / lambda)^2 = (2 x 4.08 / 0.413281)^2 = 389.8 in gold."""
    assert float(torch.linalg.vector_norm(scattering_vector(reached, A))) < 4 * math.pi / 0.413281e-10
    for out_of_reach in (beyond, (40, 40, 40)):
        with pytest.raises(InputError, match="389 at most"):
            scattering_vector(out_of_reach, A)


@pytest.mark.parametrize("lattice_constant", [0.0, -4e-10, math.nan, math.inf])
def test_a_lattice_constant_is_positive(lattice_constant: float) -> None:
    with pytest.raises(InputError, match="positive"):
        scattering_vector((1, 1, 1), lattice_constant)


def test_the_direct_beam_is_refused() -> None:
    with pytest.raises(InputError, match="000"):
        scattering_vector((0, 0, 0), A)


def test_an_unknown_metal_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="'Fe' is not known; choose one of Ag, Au"):
        metal("Fe")
