"""Each measure is what docs/physics/conventions.md says it is."""

import math

import numpy as np
import pytest
import torch

from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import translate
from autophasenn.physics.diffraction import ForwardModel, count_photons, gaussian_kernel, intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import twin
from crystals import polyhedron, smooth_phase

SHAPE = (32, 32, 32)
SAMPLING = (2.5, 3.0, 2.8)


@pytest.fixture(scope="module")
def rho() -> torch.Tensor:
    rng = np.random.default_rng(5)
    amplitude = polyhedron(SHAPE, SAMPLING, rng)
    return torch.from_numpy(amplitude * np.exp(1.5j * smooth_phase(SHAPE, SAMPLING, rng))).to(torch.complex64)


def everywhere() -> torch.Tensor:
    return torch.ones(SHAPE, dtype=torch.bool)


def test_chi2_of_the_noiseless_truth_is_zero_on_any_scale(rho: torch.Tensor) -> None:
    sharp = metrics.thresholded(rho)
    counts = intensity_of(diffract(sharp)) * 1e5
    assert float(metrics.chi2(sharp * 7, counts, everywhere())) < 1e-9


def test_chi2_is_the_formula_of_the_conventions(rho: torch.Tensor) -> None:
    counts = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) * 10
    measured = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) > 0.3
    calculated, modulus = diffract(metrics.thresholded(rho)).abs()[measured].double(), counts[measured].sqrt().double()
    scale = (calculated * modulus).sum() / (calculated**2).sum()
    expected = ((scale * calculated - modulus) ** 2).sum() / (modulus**2).sum()
    assert float(metrics.chi2(rho, counts, measured)) == pytest.approx(float(expected), rel=1e-4)


def test_unmeasured_voxels_do_not_count(rho: torch.Tensor) -> None:
    sharp = metrics.thresholded(rho)
    counts = intensity_of(diffract(sharp)) * 1e5
    measured = everywhere()
    measured[:, 20:23] = False
    counts[~measured] = 1e9
    assert float(metrics.chi2(sharp, counts, measured)) < 1e-9


def test_chi2_free_takes_its_scale_from_the_other_voxels(rho: torch.Tensor) -> None:
    sharp = metrics.thresholded(rho)
    counts = intensity_of(diffract(sharp)) * 1e5
    free = torch.zeros(SHAPE, dtype=torch.bool)
    free[12:14, :, 18:21] = True
    assert float(metrics.chi2_free(sharp, counts, everywhere(), free)) < 1e-9
    counts[free] *= 4  # modulus twice the calculated: (1 - 2)^2 / 2^2
    assert float(metrics.chi2_free(sharp, counts, everywhere(), free)) == pytest.approx(0.25, rel=1e-4)
    assert math.isnan(float(metrics.chi2_free(sharp, counts, everywhere(), torch.zeros_like(free))))


def test_values_of_unmeasured_voxels_do_not_matter_to_the_noise_floor(rho: torch.Tensor) -> None:
    counts = intensity_of(diffract(rho)) * 1e5
    measured = everywhere()
    measured[:, :3] = False
    spoilt = torch.where(measured, counts, torch.nan)
    assert float(metrics.chi2_noise(counts, spoilt, measured)) == float(metrics.chi2_noise(counts, counts, measured))


def test_chi2_without_a_photon_is_unknown(rho: torch.Tensor) -> None:
    assert math.isnan(float(metrics.chi2(rho, torch.zeros(SHAPE), everywhere())))


@pytest.mark.parametrize("photons", [1e4, 1e6, 1e8])
def test_chi2_of_the_truth_is_the_noise_floor(rho: torch.Tensor, photons: float) -> None:
    sharp = metrics.thresholded(rho)
    expected = intensity_of(diffract(sharp))
    expected = expected * photons / expected.sum()
    counts = count_photons(expected, photons, torch.Generator().manual_seed(3))
    floor = float(metrics.chi2_noise(expected, counts, everywhere()))
    unscaled = metrics.chi2_of_intensity(expected, counts, everywhere(), scale=torch.ones(()))
    assert float(unscaled) == pytest.approx(floor, rel=0.03)


def test_the_noise_of_a_root_goes_from_twice_the_rate_to_a_quarter() -> None:
    rates = torch.tensor([0.0, 1e-3, 39.999, 40.001, 1e4])
    values = metrics._root_variance(rates)
    torch.testing.assert_close(values, torch.tensor([0.0, 1.938e-3, 0.25275, 0.25273, 0.25]), atol=1e-4, rtol=0)


def test_the_noise_floor_does_not_depend_on_how_many_planes_are_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = 60 * torch.rand(2, 7, 5, 6, generator=torch.Generator().manual_seed(0))
    counts, measured = rates.round(), rates[:1] > 5
    once = metrics.chi2_noise(rates, counts, measured)
    expected = torch.where(measured, metrics._root_variance(rates), 0).sum((-3, -2, -1))
    torch.testing.assert_close(once, expected / torch.where(measured, counts, 0).sum((-3, -2, -1)))
    monkeypatch.setattr(metrics, "PLANES_VOXELS", 2 * 5 * 6)  # the last part is a single plane
    torch.testing.assert_close(metrics.chi2_noise(rates, counts, measured), once)


def test_correlation_does_not_see_the_ambiguities(rho: torch.Tensor) -> None:
    sharp = metrics.thresholded(rho)
    assert metrics.correlation(sharp, twin(torch.roll(sharp, (2, -1), (0, 2))) * 1j * 5) == pytest.approx(1, abs=1e-5)
    assert metrics.correlation(sharp, translate(sharp, (0.5, 0.25, 0.0))) > 0.98
    assert metrics.correlation(sharp, sharp.abs().to(torch.complex64)) < 0.95


def test_measures_of_an_object_with_itself_are_perfect(rho: torch.Tensor) -> None:
    assert metrics.ssim(rho, rho) == pytest.approx(1, abs=1e-6)
    assert metrics.support_iou(rho, rho) == 1
    assert metrics.phase_mae(rho, rho * torch.exp(torch.tensor(1.2j))) == pytest.approx(0, abs=1e-5)


def test_phase_mae_is_the_mean_wrapped_difference(rho: torch.Tensor) -> None:
    x = torch.arange(SHAPE[0]) % 2
    tilted = rho * torch.exp(1j * (0.2 * x - 0.1))[:, None, None]
    assert metrics.phase_mae(rho, tilted) == pytest.approx(0.1, rel=0.02)


def test_support_iou_is_intersection_over_union() -> None:
    first, second = torch.zeros(SHAPE, dtype=torch.complex64), torch.zeros(SHAPE, dtype=torch.complex64)
    first[8:16, 8:16, 8:16], second[8:16, 8:16, 12:20] = 1, 1
    assert metrics.support_iou(first, second) == pytest.approx(1 / 3)


def test_prtf_of_one_solution_is_one_and_of_random_phases_falls(rho: torch.Tensor) -> None:
    wave = diffract(rho)
    counts = intensity_of(wave)
    same = metrics.prtf_of(torch.stack([wave, wave]), counts, everywhere())
    _, value = metrics.radial_prtf(same, counts, everywhere())
    np.testing.assert_allclose(value, 1, atol=1e-3)
    assert metrics.is_bound(value)
    for number in (2, 5, 50):
        random = torch.exp(2j * math.pi * torch.rand(number, *SHAPE, generator=torch.Generator().manual_seed(0)))
        prtf = metrics.prtf_of(wave * random, counts, everywhere())
        _, value = metrics.radial_prtf(prtf, counts, everywhere())
        assert value[4:].max() < metrics.RESOLUTION_LEVEL, number
        assert not metrics.is_bound(value)


def test_resolution_is_two_pi_over_q_where_the_prtf_crosses_1_over_e() -> None:
    frequency = np.linspace(0.01, 1, 400)
    assert metrics.resolution(frequency, np.exp(-frequency / 0.5)) == pytest.approx(2 * math.pi / 0.5, rel=1e-4)
    assert metrics.resolution(frequency, np.ones(400)) == pytest.approx(2 * math.pi)
    assert metrics.resolution(frequency, np.zeros(400)) is None


def test_a_coherence_kernel_blurs_the_intensity_and_keeps_its_total(rho: torch.Tensor) -> None:
    kernel = gaussian_kernel((9, 9, 9), (1.0, 0.0, 0.5))
    coherent, blurred = ForwardModel()(rho), ForwardModel(kernel=kernel)(rho)
    torch.testing.assert_close(blurred.sum(), coherent.sum(), rtol=1e-4, atol=0)
    assert float(blurred.max()) < float(coherent.max())
    point = ForwardModel(kernel=gaussian_kernel((5, 5, 5), (0.0, 0.0, 0.0)))(rho)
    torch.testing.assert_close(point, coherent, atol=1e-4 * float(coherent.max()), rtol=0)


def test_the_mask_of_a_model_removes_what_is_not_measured(rho: torch.Tensor) -> None:
    mask = everywhere()
    mask[:, :, 3] = False
    assert float(ForwardModel(mask=mask)(rho)[:, :, 3].sum()) == 0


def test_counts_add_up_to_the_dose_and_replay_from_the_seed(rho: torch.Tensor) -> None:
    intensity = ForwardModel()(rho)
    first, second = (count_photons(intensity, 1e6, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert float(first.sum()) == pytest.approx(1e6, rel=5e-3)
    assert torch.equal(first, first.round())
