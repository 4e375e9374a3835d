"""The loss on measured patterns, seen through the beam: a blur is no fault of the crystal."""

import numpy as np
import pytest
import torch
from small_network import network
from torch import Tensor

from autophasenn.network.estimates import Stage
from autophasenn.phasing.held_out import HeldOut
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel, intensity_of
from autophasenn.training.beam_loss import geometric_mean, held_out_misfits, losses_through_beam
from autophasenn.training.objective import Loss, stage_losses
from autophasenn.volumes import Pattern
from crystals import expected_counts, polyhedron, smooth_phase

COHERENT = ForwardModel()
BLURRED = ForwardModel(kernel=gaussian_kernel((11, 11, 11), (0.9, 0.6, 0.6)))
LOSSES = (losses_through_beam, stage_losses)


@pytest.fixture(scope="module")
def crystal() -> Tensor:
    """(1, 32, 32, 32)"""
    rng = np.random.default_rng(2)
    shape, oversampling = (32, 32, 32), (1.5, 1.5, 1.5)
    rho = polyhedron(shape, oversampling, rng) * np.exp(1j * smooth_phase(shape, oversampling, rng))
    return torch.from_numpy(rho).to(torch.complex64)[None]


def measured(crystal: Tensor, beam: ForwardModel) -> tuple[Tensor, Tensor]:
    """Counts with a gap, and their mask."""
    intensity = beam.blur(intensity_of(Stage(crystal).waves))
    counts = torch.poisson(1e8 * intensity / intensity.sum(), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 64, 64, 64, dtype=torch.bool)
    mask[..., 40:44] = False
    return torch.where(mask, counts, 0), mask


def test_through_its_beam_the_true_crystal_explains_a_blurred_pattern(crystal: Tensor) -> None:
    counts, mask = measured(crystal, BLURRED)
    through, coherent = (float(of([Stage(crystal)], counts, mask, Loss())) for of in LOSSES)
    assert through < 0.25 * coherent


def test_through_a_coherent_beam_the_loss_is_that_of_training(crystal: Tensor) -> None:
    counts, mask = measured(crystal, COHERENT)
    through, coherent = (float(of([Stage(crystal)], counts, mask, Loss())) for of in LOSSES)
    assert through == pytest.approx(coherent, rel=0.01)


def test_the_gradient_through_the_beam_leads_to_the_true_crystal(crystal: Tensor) -> None:
    """From a crystal that is too bright on one side; each estimate counts, all behind the beam of the last."""
    counts, mask = measured(crystal, BLURRED)
    bright = crystal * torch.linspace(0.8, 1.2, 32)
    wrong = bright.clone().requires_grad_()
    losses = losses_through_beam([Stage(wrong), Stage(crystal)], counts, mask, Loss())
    assert losses.shape == (1, 2)
    assert bool(losses[0, 0] > losses[0, 1])
    (gradient,) = torch.autograd.grad(losses[0, 0], wrong)
    assert bool(torch.isfinite(torch.view_as_real(gradient)).all())
    away = torch.view_as_real(bright - crystal)
    assert float((torch.view_as_real(gradient) * away).sum()) > 0


def test_the_loss_of_a_pattern_does_not_depend_on_its_neighbours_in_the_batch(crystal: Tensor) -> None:
    """Nor on how bright those are: here a thousand times."""
    counts, mask = measured(crystal, BLURRED)
    neighbour = 1e3 * crystal.roll(2, -1)
    both = [Stage(torch.cat([crystal, neighbour]))]
    together = losses_through_beam(both, torch.cat([counts, counts]), torch.cat([mask, mask]), Loss())
    alone = [losses_through_beam([Stage(each)], counts, mask, Loss()) for each in (crystal, neighbour)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=0)


def test_where_nothing_is_held_out_the_misfit_too_is_seen_through_the_beam() -> None:
    rng = np.random.default_rng(3)
    intensity = torch.from_numpy(expected_counts(polyhedron((64, 64, 64), (3, 3, 3), rng), 1e7)).float()
    counts = torch.poisson(BLURRED.blur(intensity), generator=torch.Generator().manual_seed(0))
    box = HeldOut(Pattern(counts, counts >= 0), torch.zeros(counts.shape, dtype=torch.bool))
    through, coherent = (
        geometric_mean(held_out_misfits(network(), [box], 1, 0, partial_coherence=which)) for which in (True, False)
    )
    assert through < 0.95 * coherent
