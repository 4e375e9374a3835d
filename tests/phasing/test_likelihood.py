"""The most likely object and beam."""

from dataclasses import replace

import pytest
import torch

from autophasenn.errors import PlanError
from autophasenn.experiment.beam import Coherence
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.likelihood import Likelihood, Problem, most_likely
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel, intensity_of
from autophasenn.physics.fourier import diffract, to_corner
from autophasenn.volumes import Pattern, crop_or_pad

SHAPE = (32, 32, 32)
SIGMA = (0.8, 0.6, 1.0)


def crystal() -> tuple[torch.Tensor, torch.Tensor]:
    """A brick of smooth phase with a cut corner, and its support."""
    x, y, z = torch.meshgrid(*[torch.arange(n) - n // 2 for n in SHAPE], indexing="ij")
    inside = (x.abs() <= 4) & (y.abs() <= 5) & (z.abs() <= 4) & (x + y + z < 8)
    return torch.polar(inside.float(), 0.3 * torch.sin(0.5 * x + 0.3 * y) + 0.02 * z * y), inside


def measured(kernel: torch.Tensor | None, photons: float = 1e7) -> tuple[torch.Tensor, Retrieval]:
    """Counts of the crystal, and an object that is not far from it."""
    rho, inside = crystal()
    intensity = ForwardModel(kernel=kernel).blur(intensity_of(diffract(rho)))
    generator = torch.Generator().manual_seed(1)
    counts = torch.poisson(intensity * (photons / intensity.sum()), generator=generator)[None]
    noise = torch.randn(SHAPE, generator=generator)
    start = (rho * torch.exp(0.3j * noise) * (1 + 0.2 * noise))[None]
    return counts, Retrieval(start, inside[None], torch.zeros(1, 1))


def widths(kernel: torch.Tensor) -> list[float]:
    """Standard deviations of a kernel, voxels."""
    x = torch.arange(len(kernel)) - len(kernel) // 2
    profiles = [kernel.sum([other for other in range(3) if other != axis]) for axis in range(3)]
    return [float(((profile * x.square()).sum() / profile.sum()).sqrt()) for profile in profiles]


@pytest.mark.parametrize("of", ["root", "poisson"])
def test_the_gradient_is_that_of_the_value(of: str) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (12, 16, 9)
    counts = torch.poisson(20 * torch.rand(shape, generator=generator), generator=generator)
    used, support = torch.rand(shape, generator=generator) > 0.1, torch.zeros(shape, dtype=torch.bool)
    support[:4, :5, :3] = True
    problem = Problem(counts, used, support, Likelihood(of=of), (0.3, 0.3, 0.3))  # type: ignore[arg-type]
    rho = torch.complex(*torch.randn(2, *shape, generator=generator))
    values = problem.values_of(rho)
    beam = torch.tensor([3.0, -2.0, 5.0, 1.0])

    def value(values: torch.Tensor, beam: torch.Tensor) -> float:
        return float(problem(values, beam)[0])

    _, _, slope_in_values, slope_in_beam = problem(values, beam)
    assert slope_in_beam is not None
    assert slope_in_values.shape == values.shape
    for place in range(4):
        step = torch.zeros(4).index_fill_(0, torch.tensor([place]), 2.0)
        slope = (value(values, beam + step) - value(values, beam - step)) / 4
        assert slope == pytest.approx(float(slope_in_beam[place]), rel=5e-3, abs=0.05)
    for place in (0, 7, 20):
        step = torch.zeros_like(values)
        step[place, place % 2] = 0.1
        slope = (value(values + step, beam) - value(values - step, beam)) / 0.2
        assert slope == pytest.approx(float(slope_in_values[place, place % 2]), rel=5e-3, abs=0.05)


def test_the_coherent_gradient_is_that_of_the_value() -> None:
    """It is the way from the object to its projection onto the measured modulus."""
    generator = torch.Generator().manual_seed(0)
    shape = (12, 16, 9)
    counts = torch.poisson(20 * torch.rand(shape, generator=generator), generator=generator)
    used, support = torch.rand(shape, generator=generator) > 0.1, torch.zeros(shape, dtype=torch.bool)
    support[3:7, 4:9, 2:5] = True
    problem = Problem(counts, used, support, Likelihood(), (0.3, 0.3, 0.3))
    values = problem.values_of(torch.complex(*torch.randn(2, *shape, generator=generator)))
    value, chi2, slope, _ = problem(values, None)
    modulus = diffract(problem.object_of(values)).abs()
    misfit = torch.where(used, to_corner(modulus) - counts.sqrt(), 0).square().sum()
    assert value == pytest.approx(2 * float(misfit), rel=1e-5)
    assert float(chi2) == pytest.approx(float(misfit / counts[used].sum()), rel=1e-5)
    for place in (0, 7, 20):
        step = torch.zeros_like(values)
        step[place, place % 2] = 0.1
        found = (problem(values + step, None)[0] - problem(values - step, None)[0]) / 0.2
        assert found == pytest.approx(float(slope[place, place % 2]), rel=5e-3, abs=0.05)


def test_object_and_beam_are_found_together() -> None:
    kernel = gaussian_kernel((11, 11, 11), SIGMA)
    counts, start = measured(kernel)
    start = replace(start, support=ShrinkWrap(threshold=0.3, sigma_last=0.5).update(start.object, 0, 1))
    how = Likelihood()
    found = most_likely(counts, counts >= 0, start, how, partially_coherent=True)
    assert found.kernel is not None
    assert found.kernel.min() >= 0
    assert found.kernel.sum() == pytest.approx(1, abs=1e-4)
    assert widths(found.kernel[0, 10:21, 10:21, 10:21]) == pytest.approx(widths(kernel), rel=0.1)
    assert metrics.correlation(crystal()[0], found.object[0]) > 0.99
    coherent = most_likely(counts, counts >= 0, start, how, partially_coherent=False)
    assert coherent.kernel is None
    assert found.errors[0, -1] < 0.5 * coherent.errors[0, -1]


def test_a_coherent_beam_leaves_the_noise_alone() -> None:
    """Within the true support the misfit falls to that of counting noise."""
    counts, start = measured(None, photons=1e6)
    found = most_likely(counts, counts >= 0, start, Likelihood(), partially_coherent=False)
    intensity = intensity_of(diffract(found.object))
    noise = metrics.chi2_noise(intensity, counts, counts >= 0)
    assert found.errors.shape[1] <= Likelihood().evaluations  # fewer where nothing is left to gain
    assert found.errors[0, -1] < 1.1 * noise[0]
    assert found.errors[0, -1] < 0.1 * found.errors[0, 0]


def test_nothing_is_fitted_to_what_is_not_used() -> None:
    counts, start = measured(None)
    used = torch.rand(counts.shape, generator=torch.Generator().manual_seed(2)) > 0.1
    used[0, 16, 16, 16] = True
    quick = Likelihood(evaluations=6)
    first = most_likely(counts, used, start, quick, partially_coherent=True)
    other = most_likely(torch.where(used, counts, torch.nan), used, start, quick, partially_coherent=True)
    assert torch.equal(first.object, other.object)
    assert torch.equal(first.errors, other.errors)
    assert not bool(first.object[~first.support].any())


def test_every_evaluation_is_told() -> None:
    counts, start = measured(None)
    told: list[tuple[int, int]] = []
    how = Likelihood(evaluations=5)
    most_likely(counts, counts >= 0, start, how, partially_coherent=False, on_iteration=lambda *each: told.append(each))
    assert told == [(i, 5) for i in range(1, 6)]


def test_the_kernel_that_is_handed_on_explains_a_pattern_as_the_beam_that_was_found_does() -> None:
    """An exponential degree of coherence: of its kernel, 31 voxels leave half as much again and more."""
    rho, inside = crystal()
    rho, inside = crop_or_pad(rho, (64, 64, 64)), crop_or_pad(inside, (64, 64, 64))
    coherence = Coherence("exponential", (5.0, 7.0, 9.0))
    intensity = coherence.blur(intensity_of(diffract(rho)))
    generator = torch.Generator().manual_seed(1)
    counts = torch.poisson(intensity * (1e8 / intensity.sum()), generator=generator)
    held_out = HeldOut(Pattern(counts, torch.ones_like(inside)), torch.zeros_like(inside))
    start = Retrieval(rho[None], inside[None], torch.zeros(1, 1))

    def left(how: Likelihood) -> float:
        found = most_likely(counts[None], held_out.used, start, how, partially_coherent=True)
        return held_out.misfit(found).chi2 / float(found.errors.min())

    assert left(Likelihood(evaluations=20)) < 1.1
    assert left(Likelihood(evaluations=20, kernel_width=31)) > 1.5


@pytest.mark.parametrize("change", [{"evaluations": 0}, {"first_sigma": 0.0}, {"history": 0}, {"kernel_width": 4}])
def test_options_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(PlanError, match=next(iter(change))):
        replace(Likelihood(), **change)
