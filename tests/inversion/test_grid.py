"""The grid that the data need loses nothing, and its objects are those of the pattern."""

import math

import numpy as np
import pytest
import torch

from autophasenn.errors import InputError
from autophasenn.inversion.grid import WorkingGrid
from autophasenn.phasing.engine import Retrieval, retrieve
from autophasenn.phasing.held_out import hold_out
from autophasenn.phasing.likelihood import Likelihood, most_likely, sigmas_of
from autophasenn.phasing.schedule import error_reduction
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import gaussian_kernel, intensity_of
from autophasenn.physics.fourier import diffract
from crystals import polyhedron, smooth_phase

SHAPE, OVERSAMPLING = (56, 81, 60), (3.6, 5.1, 3.6)


@pytest.fixture(scope="module")
def rho() -> torch.Tensor:
    rng = np.random.default_rng(4)
    values = polyhedron(SHAPE, OVERSAMPLING, rng) * np.exp(1j * smooth_phase(SHAPE, OVERSAMPLING, rng))
    return torch.from_numpy(values).to(torch.complex64)


@pytest.fixture(scope="module")
def intensity(rho: torch.Tensor) -> torch.Tensor:
    intensity = intensity_of(diffract(rho))
    return intensity * (1e7 / intensity.sum())


@pytest.fixture(scope="module")
def grid() -> WorkingGrid:
    return WorkingGrid.of(SHAPE, OVERSAMPLING)


def everywhere(volume: torch.Tensor) -> torch.Tensor:
    return torch.ones(volume.shape, dtype=torch.bool)


def test_the_grid_keeps_the_oversampling_with_fewer_voxels(grid: WorkingGrid) -> None:
    kept = [value / step for value, step in zip(OVERSAMPLING, grid.steps, strict=True)]
    assert min(kept) >= 2.5
    assert max(kept) < 2.5 * 1.1
    assert grid.shape == (40, 40, 42)
    assert math.prod(grid.shape) < 0.26 * math.prod(SHAPE)
    assert WorkingGrid.of((150, 256, 256), OVERSAMPLING).shape == (108, 126, 180)


def test_an_axis_without_voxels_to_spare_stays() -> None:
    grid = WorkingGrid.of((64, 60, 200), (2.8, 2.0, 8.0))
    assert grid.shape == (64, 60, 64)
    counts = torch.poisson(torch.ones(64, 60, 64))
    same = WorkingGrid.of(counts.shape, (2.6, 2.1, 2.8))
    assert same.is_pattern
    found, mask = same.counts_onto(counts, counts > 0)
    assert torch.equal(found, counts)
    assert torch.equal(mask, counts > 0)


def test_counts_on_the_grid_are_those_of_the_object_on_the_grid(
    grid: WorkingGrid, rho: torch.Tensor, intensity: torch.Tensor
) -> None:
    found, mask = grid.counts_onto(intensity, everywhere(intensity))
    scaled = rho * (1e7 / intensity_of(diffract(rho)).sum()).sqrt()
    expected = intensity_of(diffract(grid.object_onto(scaled)))
    assert float(mask.double().mean()) > 0.97  # all but some edges
    assert float((found.sqrt() - expected.sqrt()).square().sum() / expected.sum()) < 1e-3


def test_an_object_goes_to_the_grid_and_back_unchanged(grid: WorkingGrid, rho: torch.Tensor) -> None:
    assert torch.equal(grid.object_from(grid.object_onto(rho)), rho)
    assert torch.equal(grid.object_from(grid.object_onto(rho[None])), rho[None])


def test_the_noise_on_the_grid_is_that_of_counts(grid: WorkingGrid) -> None:
    flat = torch.full(SHAPE, 40.0)
    counts = torch.poisson(flat, generator=torch.Generator().manual_seed(2))
    found, _ = grid.counts_onto(counts, everywhere(counts))
    middle = found[8:-8, 8:-8, 8:-8]
    assert float(middle.mean()) == pytest.approx(40 * math.prod(grid.steps), rel=0.01)
    assert float(middle.var() / middle.mean()) == pytest.approx(0.9, abs=0.1)  # of counts, less what is too fine


def test_nothing_enters_from_unmeasured_voxels(grid: WorkingGrid, intensity: torch.Tensor) -> None:
    measured = everywhere(intensity)
    measured[:, 40:44] = False
    one, mask = grid.counts_onto(intensity, measured)
    other, again = grid.counts_onto(torch.where(measured, intensity, 1e9), measured)
    assert torch.equal(one, other)
    assert torch.equal(mask, again)
    assert 0 < float((~mask).double().mean()) < 0.1
    assert not bool(one[~mask].any())


def test_a_few_steps_on_the_pattern_make_the_grid_as_good_as_the_pattern_alone(
    grid: WorkingGrid, rho: torch.Tensor, intensity: torch.Tensor
) -> None:
    """Correlation, and chi2 of voxels of the pattern that neither has seen; from the same beginning."""
    generator = torch.Generator().manual_seed(3)
    counts = torch.poisson(intensity, generator=generator)
    free = hold_out(everywhere(counts), 0.02, 5)
    noise = torch.randn(SHAPE, generator=generator)
    start = rho * torch.exp(0.4j * noise) * (1 + 0.3 * noise)
    wrap = ShrinkWrap(threshold=0.1, sigma_last=0.7)

    def refined(
        counts: torch.Tensor, used: torch.Tensor, start: torch.Tensor, evaluations: int, polish: int
    ) -> torch.Tensor:
        inside = wrap.update(start[None], 0, 1)
        run = Retrieval(start[None], inside, torch.zeros(1, 1))
        if polish:
            run = retrieve(
                counts[None], used[None], error_reduction(polish), seeds=[0], start=start[None], support=inside
            )
        how = Likelihood(evaluations=evaluations)
        return most_likely(counts[None], used[None], run, how, partially_coherent=False).object[0]

    whole = refined(counts, ~free, start, 20, 10)
    fewer, used = grid.counts_onto(counts, ~free)
    small = grid.object_from(refined(fewer, used, grid.object_onto(start), 20, 10))
    ended = refined(counts, ~free, small, 8, 0)
    of_whole, of_small, of_ended = (metrics.correlation(rho, found) for found in (whole, small, ended))
    assert of_small > of_whole - 0.002
    assert of_ended > of_whole
    errors = [float(metrics.chi2_free(found, counts, everywhere(counts), free)) for found in (whole, ended)]
    assert errors[1] < 1.03 * errors[0]


def test_two_is_too_little() -> None:
    with pytest.raises(InputError, match="more than 2"):
        WorkingGrid.of(SHAPE, OVERSAMPLING, 2.0)


def test_a_coherence_kernel_of_the_grid_is_as_many_times_wider_on_the_pattern(grid: WorkingGrid) -> None:
    """Below a voxel the law of a Gaussian is folded (`gaussian_kernel`), so these are wider."""
    sigma = (1.2, 1.0, 1.1)
    wide = [s * step for s, step in zip(sigma, grid.steps, strict=True)]
    carried = grid.kernel_from(gaussian_kernel((15, 15, 15), sigma)[None])
    expected = gaussian_kernel(carried.shape[1:], wide)
    assert carried.shape[1:] == tuple(2 * round(7 * step) + 1 for step in grid.steps)
    assert carried.sum() == pytest.approx(1, abs=1e-5)
    assert carried.min() >= 0
    assert float((carried[0] - expected).abs().sum()) < 0.03
    assert sigmas_of(carried) == pytest.approx(sigmas_of(expected[None]), rel=0.02)
