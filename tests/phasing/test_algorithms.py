"""Each algorithm is its equation; each projection is a projection."""

import pytest
import torch

from autophasenn.errors import PlanError
from autophasenn.phasing.algorithms import CHIO, DM, ER, HIO, RAAR, SF, Algorithm, SupportRegion
from autophasenn.phasing.projection import ModulusProjection
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel, intensity_of

SHAPE = (2, 8, 6, 10)


def noise(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def support() -> torch.Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(9)) > 0.6


def projection(measured: torch.Tensor | None = None, model: ForwardModel | None = None) -> ModulusProjection:
    counts = torch.rand(SHAPE, generator=torch.Generator().manual_seed(7)) * 50
    everywhere = torch.ones(SHAPE, dtype=torch.bool)
    return ModulusProjection(counts, everywhere if measured is None else measured, model or ForwardModel())


def test_the_modulus_projection_is_idempotent() -> None:
    project = projection()
    once, _ = project(noise(0))
    twice, chi2 = project(once.clone())
    torch.testing.assert_close(twice, once, atol=1e-4, rtol=1e-4)
    assert float(chi2.abs().max()) < 1e-5


def test_the_projected_wave_has_the_measured_modulus_and_its_own_phase() -> None:
    project, rho = projection(), noise(0)
    projected, _ = project(rho)
    wave = project.model.to_detector(projected)
    torch.testing.assert_close(intensity_of(wave), project.counts, atol=1e-3, rtol=1e-3)
    before = project.model.to_detector(rho)
    assert float((wave / wave.abs() * (before / before.abs()).conj() - 1).abs().max()) < 1e-3


def test_unmeasured_voxels_float() -> None:
    measured = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3)) > 0.2
    project, rho = projection(measured), noise(0)
    projected, _ = project(rho)
    before, after = project.model.to_detector(rho), project.model.to_detector(projected)
    torch.testing.assert_close(after[~measured], before[~measured], atol=1e-4, rtol=1e-4)


def test_the_chi2_of_the_projection_is_that_of_the_conventions() -> None:
    measured = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3)) > 0.2
    project, rho = projection(measured), noise(0) * 5
    _, chi2 = project(rho)
    modulus = project.model.to_detector(rho).abs()
    difference = torch.where(measured, modulus - project.counts.sqrt(), 0)
    expected = difference.square().sum((-3, -2, -1)) / project.counts.sum((-3, -2, -1))
    torch.testing.assert_close(chi2, expected, rtol=1e-4, atol=1e-6)


def test_with_partial_coherence_the_blurred_intensity_moves_to_the_measured_one() -> None:
    kernel = gaussian_kernel((5, 5, 5), (0.5, 0.5, 0.5))
    project, rho = projection(model=ForwardModel(kernel=kernel)), noise(0)
    _, before = project(rho)
    for _ in range(20):
        rho, _ = project(rho)
    _, after = project(rho)
    assert float((after / before).max()) < 0.5


def test_error_reduction_is_the_support_projection(support: torch.Tensor) -> None:
    rho, projected = noise(0), noise(1)
    step = ER().step(rho.clone(), projected, SupportRegion(support))
    torch.testing.assert_close(step, projected * support)
    torch.testing.assert_close(ER().step(rho.clone(), step, SupportRegion(support)), step)


EQUATIONS = {
    "HIO": (HIO(0.8), lambda rho, new: rho - 0.8 * new),
    "RAAR": (RAAR(0.8), lambda rho, new: 0.8 * rho + (1 - 2 * 0.8) * new),
    "SF": (SF(), lambda rho, new: -new),
    "DM": (DM(), lambda rho, new: rho + new),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_outside_the_support_the_step_is_its_equation(name: str, support: torch.Tensor) -> None:
    algorithm, outside = EQUATIONS[name]
    rho, projected = noise(0), noise(1)
    step = algorithm.step(rho.clone(), projected, SupportRegion(support))
    torch.testing.assert_close(step, torch.where(support, projected, outside(rho, projected)))


def test_raar_is_the_average_of_reflections(support: torch.Tensor) -> None:
    """beta/2 (R_S R_M + 1) rho + (1 - beta) P_M rho, Luke 2005."""
    rho, projected, beta = noise(0), noise(1), 0.7
    reflected = 2 * projected - rho
    expected = beta / 2 * (2 * support * reflected - reflected + rho) + (1 - beta) * projected
    torch.testing.assert_close(RAAR(beta).step(rho.clone(), projected, SupportRegion(support)), expected)


def test_the_difference_map_is_its_operator(support: torch.Tensor) -> None:
    project, rho, region = projection(), noise(0), SupportRegion(support)
    probe = DM().probe(rho, region)
    torch.testing.assert_close(probe, 2 * support * rho - rho)
    projected, _ = project(probe.clone())
    expected = rho - support * rho + projected
    torch.testing.assert_close(DM().step(rho.clone(), projected, region), expected)


def test_chio_is_continuous_and_is_hio_far_from_the_object(support: torch.Tensor) -> None:
    rho, region, chio = noise(0), SupportRegion(support), CHIO(0.4, 0.9)
    opposed = chio.step(rho.clone(), -rho, region)
    torch.testing.assert_close(opposed, rho + 0.9 * rho)
    kept = chio.step(rho.clone(), 1.5 * rho, region)
    torch.testing.assert_close(kept, torch.where(support, 1.5 * rho, rho - 0.9 * 1.5 * rho))
    below, above = (chio.step(rho.clone(), c * rho, region) for c in (0.4 - 1e-4, 0.4 + 1e-4))
    assert float((below - above)[support].abs().max()) < 2e-3


@pytest.mark.parametrize("algorithm", [ER(), HIO(), RAAR(), SF(), DM(), CHIO()])
def test_the_solution_is_a_fixed_point(algorithm: Algorithm, support: torch.Tensor) -> None:
    rho = noise(0) * support
    projected = rho.clone()
    region = SupportRegion(support)
    kept = algorithm.probe(rho, region).clone()
    torch.testing.assert_close(kept, rho)
    torch.testing.assert_close(algorithm.step(rho.clone(), projected, region), rho)


@pytest.mark.parametrize("wrong", [lambda: HIO(0.0), lambda: RAAR(1.5), lambda: CHIO(alpha=0.0)])
def test_parameters_out_of_range_are_refused(wrong: object) -> None:
    with pytest.raises(PlanError, match="up to 1"):
        wrong()  # type: ignore[operator]
