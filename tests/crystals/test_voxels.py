"""Atoms on voxels: nothing is lost, the inside is flat, and displacement becomes phase."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool3d

from autophasenn.crystals.lattice import fcc_sites
from autophasenn.crystals.sampling import Sampling, View
from autophasenn.crystals.shapes import clipped_block
from autophasenn.crystals.voxels import on_voxels
from autophasenn.errors import InputError
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import OBJECT_VOXELS

A = 4.08e-10
PAPER = View(torch.eye(3, dtype=torch.float64), None)
VIEWS = [PAPER] + [Sampling(True, 2.0, 6.0).draw(generator_of(0, i, Stream.VIEW)) for i in range(4)]
FINE = [Sampling(True, 2.0, 2.0).draw(generator_of(0, i, Stream.VIEW)) for i in range(4)]


def crystal(index: int = 0, edge: float = 10e-9) -> Tensor:
    return fcc_sites(clipped_block(generator_of(1, index, Stream.CRYSTAL), edge), A)


def well_inside(density: Tensor, voxels: int) -> Tensor:
    full = (density > 0.9 * density.max()).float()[None, None]
    return -max_pool3d(-full, 2 * voxels + 1, 1, voxels)[0, 0] > 0


@pytest.mark.parametrize("view", VIEWS + FINE)
def test_the_density_integrates_to_the_number_of_atoms(view: View) -> None:
    sites = crystal()
    density, _ = on_voxels(sites, torch.zeros(len(sites), dtype=torch.float64), A, view)
    assert float(density.sum()) == pytest.approx(len(sites), rel=1e-12)
    assert float(density.min()) >= 0


@pytest.mark.parametrize("index", range(4))
def test_in_the_papers_view_every_voxel_inside_has_32_atoms(index: int) -> None:
    sites = crystal(index)
    density, _ = on_voxels(sites, torch.zeros(len(sites), dtype=torch.float64), A, PAPER)
    assert float(density.max()) == 32
    assert bool((density[well_inside(density, 1)] == 32).all())


@pytest.mark.parametrize("index", range(4))
def test_the_inside_is_flat_in_any_view(index: int) -> None:
    sites = crystal(index)
    density, _ = on_voxels(sites, torch.zeros(len(sites), dtype=torch.float64), A, FINE[index])
    inside = density[well_inside(density, 2)]
    assert len(inside) > 50
    assert float(inside.max() / inside.min()) < 1.02


@pytest.mark.parametrize("view", VIEWS + FINE)
def test_the_crystal_lies_in_the_middle_of_its_box(view: View) -> None:
    sites = crystal()
    density, _ = on_voxels(sites, torch.zeros(len(sites), dtype=torch.float64), A, view)
    for axis in range(3):
        filled = torch.nonzero(density.sum([a for a in range(3) if a != axis]) > 1e-6)
        assert float(filled.min() + filled.max()) == pytest.approx(OBJECT_VOXELS - 1, abs=1)


@pytest.mark.parametrize("view", VIEWS)
def test_a_rigid_shift_is_the_same_phase_everywhere(view: View) -> None:
    sites = crystal()
    density, phase = on_voxels(sites, torch.full((len(sites),), 5.0, dtype=torch.float64), A, view)
    torch.testing.assert_close(phase[density > 0], torch.full_like(phase[density > 0], 5.0))


@pytest.mark.parametrize("view", VIEWS)
def test_a_phase_ramp_of_the_crystal_is_the_ramp_of_its_voxels(view: View) -> None:
    sites = crystal()
    slope = torch.tensor([2e8, -1e8, 3e8], dtype=torch.float64)  # rad/m
    density, phase = on_voxels(sites, sites @ slope, A, view)
    turned = sites @ view.rotation.T
    extents = turned.amax(0) - turned.amin(0) + 2 * A
    steps = view.rotation @ slope * view.voxel_size(extents, preferred=2 * A)
    inside = well_inside(density, 1)
    for axis, step in enumerate(steps.tolist()):
        rise = phase.roll(-1, axis) - phase
        both = inside & inside.roll(-1, axis)
        assert int(both.sum()) > 5
        torch.testing.assert_close(rise[both], torch.full_like(rise[both], step), rtol=0, atol=1e-3)


def test_a_crystal_larger_than_its_box_is_refused() -> None:
    sites = crystal(edge=30e-9)[::50]
    with pytest.raises(InputError, match=r"spans 3\d\.\d voxels and its box has 32"):
        on_voxels(sites, torch.zeros(len(sites), dtype=torch.float64), A, PAPER)


def test_a_turn_by_90_degrees_turns_the_object() -> None:
    sites = crystal()
    phases = torch.sin(sites @ torch.tensor([8e8, 3e8, 5e8], dtype=torch.float64))
    quarter = torch.tensor([[0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    density, phase = on_voxels(sites, phases, A, View(torch.eye(3, dtype=torch.float64), (3.0, 3.5, 4.0)))
    turned_density, turned_phase = on_voxels(sites, phases, A, View(quarter, (3.5, 3.0, 4.0)))
    # new axis 0 is minus the old axis 1; rot90 turns about the middle of the box, where the crystal's middle is
    torch.testing.assert_close(turned_density, torch.rot90(density, 1, (0, 1)).contiguous())
    filled = turned_density > 1e-9
    torch.testing.assert_close(turned_phase[filled], torch.rot90(phase, 1, (0, 1))[filled])
    assert math.isclose(float(turned_density.sum()), len(sites))
