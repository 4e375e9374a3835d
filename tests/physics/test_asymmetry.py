"""The number that tells an object from its twin."""

import math

import pytest
import torch

from autophasenn.physics.asymmetry import asymmetry
from autophasenn.volumes import twin

SHAPE = (32, 30, 34)


def axes():
    index = [torch.arange(n, dtype=torch.float64) - n // 2 for n in SHAPE]
    return torch.meshgrid(*index, indexing="ij")


def pyramid():
    """A shape without a centre of symmetry."""
    x, y, z = axes()
    return (x.abs() + y.abs() <= 9 - 0.6 * (z + 8)) & (z.abs() <= 8)


def cuboid():
    x, y, z = axes()
    return (x.abs() <= 7) & (y.abs() <= 8) & (z.abs() <= 6)


def bent(inside, strength):
    """Strain that grows along axis 0: even in the position, so its twin is bent the other way."""
    x, y, _ = axes()
    return torch.polar(inside.double(), strength * (x**2 + 0.5 * x * y)).to(torch.complex64)


def noisy(rho, inside, level, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = level * torch.randn(SHAPE, dtype=torch.complex64, generator=generator)
    return torch.where(inside, rho + noise, 0)


def test_the_twin_has_the_opposite_asymmetry():
    rho = noisy(bent(pyramid(), 0.01), pyramid(), 0.2, seed=0)
    value = asymmetry(rho, pyramid())
    assert abs(value) > 3
    assert asymmetry(twin(rho), twin(pyramid())) == pytest.approx(-value, rel=1e-4)


def test_asymmetry_does_not_depend_on_place_phase_or_scale():
    rho = noisy(bent(pyramid(), 0.01), pyramid(), 0.1, seed=1)
    moved = torch.roll(rho, (2, -3, 4), (0, 1, 2)) * 5 * complex(math.cos(2.0), math.sin(2.0))
    value = asymmetry(moved, torch.roll(pyramid(), (2, -3, 4), (0, 1, 2)))
    assert value == pytest.approx(asymmetry(rho, pyramid()), rel=1e-4)


def test_a_phase_ramp_does_not_change_the_asymmetry():
    x, y, z = axes()
    rho = noisy(bent(cuboid(), 0.01), cuboid(), 0.1, seed=2)
    tilted = rho * torch.polar(torch.ones(SHAPE, dtype=torch.float64), 0.3 * x - 0.2 * y + 0.1 * z).to(rho.dtype)
    assert asymmetry(tilted, cuboid()) == pytest.approx(asymmetry(rho, cuboid()), rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_swap_the_twins_of_an_asymmetric_shape(seed):
    clean = asymmetry(pyramid().to(torch.complex64), pyramid())
    value = asymmetry(noisy(pyramid().to(torch.complex64), pyramid(), 0.3, seed), pyramid())
    assert abs(value) > 3
    assert value * clean > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_strain_decides_where_the_shape_is_centrosymmetric(seed):
    rho = bent(cuboid(), 0.01)
    value = asymmetry(noisy(rho, cuboid(), 0.1, seed), cuboid())
    assert abs(value) > 3
    assert value * asymmetry(rho, cuboid()) > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_centrosymmetric_crystal_without_strain_is_left_undecided(seed):
    assert abs(asymmetry(noisy(cuboid().to(torch.complex64), cuboid(), 0.1, seed), cuboid())) < 3


def test_an_exactly_centrosymmetric_crystal_has_no_asymmetry():
    assert abs(asymmetry(cuboid().to(torch.complex64), cuboid())) < 1e-2


@pytest.mark.parametrize("strength", [0.005, 0.02, -0.02])
def test_the_phase_of_a_bent_crystal_is_ahead_at_its_rim(strength):
    """Also where it wraps, and whatever the shape says."""
    inside = pyramid()
    x, y, z = axes()
    for shape in (inside, inside.flip(2)):
        rho = torch.polar(shape.double(), strength * (x**2 + y**2 + z**2)).to(torch.complex64)
        assert math.copysign(1, asymmetry(rho, shape)) == math.copysign(1, strength)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strength", [0.02, -0.02])
def test_where_the_phase_is_a_saddle_the_direction_that_bends_most_decides(strength, seed):
    """Its mean curvature is nothing but noise: strained crystals are often like that, and it changed with every start."""
    x, y, z = axes()
    inside = (x**2 + y**2 + z**2) <= 90
    rho = torch.polar(inside.double(), strength * (2 * x**2 - y**2 - z**2)).to(torch.complex64)
    assert math.copysign(1, asymmetry(noisy(rho, inside, 0.3, seed), inside)) == math.copysign(1, strength)
