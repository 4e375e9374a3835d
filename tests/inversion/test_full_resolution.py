"""Refinement at full resolution spends its iterations on the grid that the data need, and its image is of the pattern."""

import numpy as np
import pytest
import torch

from autophasenn.inversion.box import NetworkBox
from autophasenn.inversion.full_resolution import LAST_EVALUATIONS, refine_at_full_resolution
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import LIKELIHOOD, Refinement, refine_on_grid
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel, intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import Pattern
from crystals import polyhedron, smooth_phase

SHAPE, OVERSAMPLING = (56, 81, 60), (3.6, 5.1, 3.6)
BOX = NetworkBox(SHAPE, (1.0, 1.3, 1.0))


@pytest.fixture(scope="module")
def problem() -> tuple[torch.Tensor, HeldOut, Retrieval]:
    rng = np.random.default_rng(6)
    values = polyhedron(SHAPE, OVERSAMPLING, rng) * np.exp(1j * smooth_phase(SHAPE, OVERSAMPLING, rng))
    rho = torch.from_numpy(values).to(torch.complex64)
    intensity = intensity_of(diffract(rho))
    generator = torch.Generator().manual_seed(3)
    counts = torch.poisson(intensity * (1e7 / intensity.sum()), generator=generator)
    held_out = HeldOut.of(Pattern(counts, torch.ones(SHAPE, dtype=torch.bool)), 0.02, 1)
    noise = torch.randn(SHAPE, generator=generator)
    return rho, held_out, held_out.found(rho * torch.exp(0.4j * noise) * (1 + 0.3 * noise))


def test_it_finds_what_refinement_on_the_pattern_finds(problem: tuple[torch.Tensor, HeldOut, Retrieval]) -> None:
    rho, held_out, start = problem
    found = refine_at_full_resolution(held_out, start, BOX, OVERSAMPLING, partially_coherent=False)
    whole = refine_on_grid(held_out, start, partially_coherent=False, steps=BOX.steps)
    assert found.best.object.shape == (1, *SHAPE)
    assert found.steps[-1].iterations == LAST_EVALUATIONS
    assert found.errors.shape == (1, sum(step.iterations for step in found.steps))
    assert metrics.correlation(rho, found.best.object[0]) > metrics.correlation(rho, whole.best.object[0]) - 0.001
    assert held_out.score(found.best) < 1.03 * held_out.score(whole.best)


def test_a_partially_coherent_beam_is_found_on_the_grid_and_carried_onto_the_pattern(
    problem: tuple[torch.Tensor, HeldOut, Retrieval],
) -> None:
    """As well as on the pattern alone, by a fraction of the work."""
    rho, _, start = problem
    blurred = ForwardModel(kernel=gaussian_kernel((11, 13, 11), (0.5, 0.9, 0.6))).blur(intensity_of(diffract(rho)))
    generator = torch.Generator().manual_seed(4)
    counts = torch.poisson(blurred.clamp_min(0) * (1e7 / blurred.sum()), generator=generator)
    held_out = HeldOut.of(Pattern(counts, torch.ones(SHAPE, dtype=torch.bool)), 0.02, 1)
    found = refine_at_full_resolution(held_out, start, BOX, OVERSAMPLING, partially_coherent=True)
    whole = refine_on_grid(held_out, start, partially_coherent=True, steps=BOX.steps)
    assert found.best.kernel is not None
    assert found.best.object.shape == (1, *SHAPE)
    assert sum(step.iterations for step in found.steps if step.grid == "pattern" and step.name == LIKELIHOOD) > 0
    assert metrics.correlation(rho, found.best.object[0]) > metrics.correlation(rho, whole.best.object[0]) - 0.002
    assert held_out.score(found.best) < 1.03 * held_out.score(whole.best)


def test_the_kernel_is_kept_where_no_likelihood_follows(problem: tuple[torch.Tensor, HeldOut, Retrieval]) -> None:
    _, held_out, start = problem
    how = Refinement(likelihood=None)
    found = refine_at_full_resolution(held_out, start, BOX, OVERSAMPLING, how, partially_coherent=True)
    assert found.last.kernel is not None
    assert found.last.object.shape == (1, *SHAPE)
