"""Displacement and strain of known phases."""

import math

import pytest
import torch

from autophasenn.physics import fourier
from autophasenn.physics.strain import displacement, phase_gradient, phase_ramp, remove_ramp, strain

SHAPE = (20, 22, 24)
VOXEL = (5e-9, 6e-9, 4e-9)
G = torch.tensor([1.2e10, -0.9e10, 2.0e10], dtype=torch.float64)


def position():
    axes = [(torch.arange(n, dtype=torch.float64) - n // 2) * size for n, size in zip(SHAPE, VOXEL, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def along_g():
    """r_G: the coordinate along G of every voxel, metres."""
    return position() @ (G / G.norm())


def ball(radius=8.13):
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in SHAPE]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    return x**2 + y**2 + z**2 <= radius**2


def wrapped(phase):
    return torch.angle(torch.polar(torch.ones_like(phase), phase))


def test_a_displacement_along_g_turns_the_phase_back():
    u = 1e-10 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(displacement(-G.norm() * u, G), u, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("eps", [1e-3, -4e-4])
def test_a_uniform_strain_is_found_everywhere_up_to_the_surface(eps):
    inside = ball()
    result = strain(-G.norm() * eps * along_g(), inside, VOXEL, G)
    torch.testing.assert_close(result[inside], torch.full_like(result[inside], eps), rtol=1e-9, atol=0.0)


def test_strain_is_nan_outside_the_crystal_only():
    inside = ball()
    assert torch.equal(torch.isnan(strain(along_g(), inside, VOXEL, G)), ~inside)


def test_what_lies_outside_the_crystal_changes_nothing():
    inside, phase = ball(), -G.norm() * 1e-3 * along_g()
    noisy = torch.where(inside, phase, math.nan)
    assert torch.equal(strain(noisy, inside, VOXEL, G)[inside], strain(phase, inside, VOXEL, G)[inside])


def test_a_quadratic_displacement_gives_a_linear_strain():
    inside, curvature = ball(), 2e4
    phase = -G.norm() * 0.5 * curvature * along_g() ** 2
    result, expected = strain(phase, inside, VOXEL, G), curvature * along_g()
    interior = inside.clone()
    for axis in range(3):
        interior &= inside.roll(1, axis) & inside.roll(-1, axis)
    torch.testing.assert_close(result[interior], expected[interior], rtol=1e-9, atol=1e-12)
    half_a_step = 0.5 * curvature * sum(abs(float(g)) * size for g, size in zip(G / G.norm(), VOXEL, strict=True))
    assert float((result - expected)[inside].abs().max()) <= half_a_step * 1.001


def test_a_displacement_across_g_is_no_strain():
    across = torch.linalg.cross(G, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    phase = 3e7 * position() @ (across / across.norm())
    assert float(strain(phase, ball(), VOXEL, G)[ball()].abs().max()) < 1e-12


def test_phase_wraps_do_not_show_as_strain():
    inside = ball()
    phase = -G.norm() * 0.5 * 8e4 * along_g() ** 2
    folded = wrapped(phase)
    assert float((phase - folded).abs().max()) > 6  # the phase does wrap
    torch.testing.assert_close(
        strain(folded, inside, VOXEL, G)[inside], strain(phase, inside, VOXEL, G)[inside], rtol=1e-9, atol=1e-12
    )


def test_a_voxel_without_a_neighbour_has_no_gradient():
    inside = torch.zeros(SHAPE, dtype=torch.bool)
    inside[3, 4, 5:7] = True
    gradient = phase_gradient(torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)), inside)
    assert torch.isnan(gradient[:2, 3, 4, 5:7]).all()
    assert torch.isfinite(gradient[2, 3, 4, 5:7]).all()


@pytest.mark.parametrize("slopes", [(0.2, -0.1, 0.05), (2.9, -3.0, 1.0)])
def test_the_ramp_of_an_object_is_found_and_removed(slopes):
    ramp = torch.tensor(slopes, dtype=torch.float64)
    crystal = ball().to(torch.complex128)
    tilted = remove_ramp(crystal, -ramp)
    torch.testing.assert_close(phase_ramp(tilted, ball()), ramp, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(remove_ramp(tilted, ramp), crystal)


def test_what_is_left_without_its_ramp_has_zero_mean_gradient():
    phase = (
        0.02 * (along_g() / 4e-9) ** 2 + 0.3 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(2)).double()
    )
    rho = torch.polar(ball().double(), phase)
    flat = remove_ramp(rho, phase_ramp(rho, ball()))
    assert float(phase_ramp(flat, ball()).abs().max()) < 1e-4


def test_the_ramp_tells_where_the_peak_lies_in_the_wave():
    offsets = (2, -3, 1)
    ramp = torch.tensor([2 * math.pi * m / n for m, n in zip(offsets, SHAPE, strict=True)], dtype=torch.float64)
    tilted = remove_ramp(ball().to(torch.complex128), -ramp)
    peak = torch.unravel_index(fourier.diffract(tilted).abs().argmax(), SHAPE)
    assert tuple(int(p) - n // 2 for p, n in zip(peak, SHAPE, strict=True)) == offsets
