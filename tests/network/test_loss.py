"""The loss is zero for the object that made the pattern, on any scale, and nothing unmeasured has a say."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.network.loss import mean_absolute_error, root_chi2, unit_modulus
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract_padded
from autophasenn.physics.metrics import best_scale, chi2_noise, chi2_of_intensity

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LOSSES: list[Loss] = [root_chi2, mean_absolute_error]


def wave(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 8, 8, 8, dtype=torch.complex64, generator=generator)


def half_measured() -> torch.Tensor:
    return torch.rand(2, 8, 8, 8, generator=torch.Generator().manual_seed(9)) < 0.5


def test_the_modulus_has_unit_norm_over_what_is_measured() -> None:
    counts, measured = intensity_of(wave()) * 1e5, half_measured()
    modulus = unit_modulus(counts, measured)
    assert torch.allclose(modulus.square().sum((1, 2, 3)), torch.ones(2))
    assert (modulus[~measured] == 0).all()
    assert torch.allclose(unit_modulus(7 * counts, measured), modulus)


@pytest.mark.parametrize("loss", LOSSES)
def test_it_vanishes_for_the_right_wave_on_any_scale_and_phase(loss: Loss) -> None:
    psi, measured = wave(), half_measured()
    modulus = unit_modulus(intensity_of(psi), measured)
    assert (loss(psi * 3j, modulus, measured) < 2e-3).all()
    assert (loss(wave(1), modulus, measured) > 0.1).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_unmeasured_voxels_have_no_say(loss: Loss) -> None:
    psi, measured, counts = wave(), half_measured(), intensity_of(wave(1))
    other = torch.where(measured, psi, 100 * wave(2))
    noisy = torch.where(measured, counts, 1e6)
    expected = loss(psi, unit_modulus(counts, measured), measured)
    assert torch.allclose(loss(other, unit_modulus(noisy, measured), measured), expected)


def test_root_chi2_is_the_distance_of_the_unit_moduli_and_tells_chi2() -> None:
    psi, measured, counts = wave(), half_measured(), intensity_of(wave(1))
    modulus = unit_modulus(counts, measured)
    calculated = psi.abs() * measured
    calculated = calculated / calculated.square().sum((1, 2, 3), keepdim=True).sqrt()
    squared = root_chi2(psi, modulus, measured).square()
    assert torch.allclose(squared, (calculated - modulus).square().sum((1, 2, 3)), rtol=1e-4)
    # with the best scale instead of unit norm, and overlap c: chi2 = 1 - c^2 = d - d^2 / 4, where d = 2 - 2 c
    chi2 = chi2_of_intensity(intensity_of(psi), counts, measured)
    assert torch.allclose(chi2, squared - squared.square() / 4, rtol=1e-4)


def test_the_mean_absolute_error_is_that_of_the_modulus_over_its_root_mean_square() -> None:
    psi, measured, counts = wave(), half_measured(), intensity_of(wave(1))
    difference = (unit_modulus(intensity_of(psi), measured) - unit_modulus(counts, measured)).abs()
    of_one = [row[mask].mean() / (1 / mask.sum().sqrt()) for row, mask in zip(difference, measured, strict=True)]
    found = mean_absolute_error(psi, unit_modulus(counts, measured), measured)
    assert torch.allclose(found, torch.stack(of_one), rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_each_pattern_counts_alike_however_bright_it_is(loss: Loss) -> None:
    psi, measured, counts = wave(), half_measured(), intensity_of(wave(1))
    brighter = counts * torch.tensor([1.0, 1e6])[:, None, None, None]
    expected = loss(psi, unit_modulus(counts, measured), measured)
    assert torch.allclose(loss(psi, unit_modulus(brighter, measured), measured), expected, rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_its_gradient_is_finite_where_the_fit_is_perfect_or_the_wave_dark(loss: Loss) -> None:
    measured = half_measured()
    for psi in (wave(), torch.zeros_like(wave())):
        leaf = psi.clone().requires_grad_()
        loss(leaf, unit_modulus(intensity_of(wave()), measured), measured).sum().backward()
        assert leaf.grad is not None
        assert torch.isfinite(torch.view_as_real(leaf.grad)).all()


def test_the_truth_has_the_loss_of_its_counting_noise() -> None:
    samples = simulate(Polyhedra(), Experiment(), 3, range(4))
    psi = diffract_padded(samples.objects, (64, 64, 64))
    squared = root_chi2(psi, unit_modulus(samples.counts, samples.masks), samples.masks).square()
    scale = best_scale(intensity_of(psi), samples.counts, samples.masks)[:, None, None, None]
    noise = chi2_noise(intensity_of(psi) * scale**2, samples.counts, samples.masks)
    assert torch.allclose(squared, noise, rtol=0.1)
