"""Many starts become one image, and say how far they agree."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from autophasenn.errors import PlanError
from autophasenn.phasing.algorithms import ER, HIO
from autophasenn.phasing.coherence import CoherenceEstimate
from autophasenn.phasing.ensemble import Ensemble, reconstruct_ensemble, singular_modes
from autophasenn.phasing.held_out import HeldOut, hold_out
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, count_photons, gaussian_kernel, intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import Pattern
from crystals import polyhedron, smooth_phase

SHAPE = (64, 64, 64)
SAMPLING = (3.2, 3.0, 3.4)


def crystal(strain: float) -> torch.Tensor:
    rng = np.random.default_rng(2)
    amplitude = polyhedron(SHAPE, SAMPLING, rng)
    return torch.from_numpy(amplitude * np.exp(1j * strain * smooth_phase(SHAPE, SAMPLING, rng))).to(torch.complex64)


def pattern(rho: torch.Tensor, photons: float, gap: bool) -> HeldOut:
    counts = count_photons(intensity_of(diffract(rho)), photons, torch.Generator().manual_seed(1))
    mask = torch.ones(SHAPE, dtype=torch.bool)
    if gap:
        mask[:, 40:42] = False  # a cross of 2 rows and 2 columns (6 %), some voxels beside the peak, as on a real chip
        mask[:, :, 22:24] = False
        counts[~mask] = torch.nan  # whatever stands there must not matter
    return HeldOut.of(Pattern(counts, mask), 0.02, 0)


@pytest.mark.parametrize(
    ("strain", "gap"),
    [(2.0, True), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((0.0, False), (0.0, True), (2.0, False)))],
)
def test_best_of_five_recovers_a_crystal_at_1e7_photons(strain: float, gap: bool) -> None:
    rho = crystal(strain)
    found = reconstruct_ensemble(pattern(rho, 1e7, gap), Ensemble(starts=5), seed=0)
    assert metrics.correlation(rho, found.object) > 0.99
    assert found.kernel is None  # the beam was coherent, and that is found


QUICK = Schedule((Block(HIO(), 80), Block(ER(), 20)), 2)


def test_partial_coherence_is_found_and_kept() -> None:
    rho = crystal(1.0)
    blurred = ForwardModel(kernel=gaussian_kernel((9, 9, 9), (0.9, 0.9, 0.9)))(rho)
    counts = count_photons(blurred, 1e8, torch.Generator().manual_seed(1))
    data = HeldOut.of(Pattern(counts, torch.ones(SHAPE, dtype=torch.bool)), 0.02, 0)
    coherent = reconstruct_ensemble(data, Ensemble(starts=1, schedule=QUICK, coherence=None), seed=0)
    found = reconstruct_ensemble(data, Ensemble(starts=1, schedule=QUICK), seed=0)
    assert found.kernel is not None
    assert found.free_error < 0.8 * coherent.free_error
    assert metrics.correlation(rho, found.object) > metrics.correlation(rho, coherent.object)


def test_coherence_may_be_estimated_by_every_start() -> None:
    schedule = replace(QUICK, repeats=1, coherence=CoherenceEstimate(first=50, every=25, updates=5, width=7))
    found = reconstruct_ensemble(pattern(crystal(1.0), 1e7, gap=False), Ensemble(starts=2, schedule=schedule), seed=0)
    assert found.kernel is not None
    assert found.kernel.shape == (7, 7, 7)


def test_a_pattern_too_weak_to_hold_out_photons_is_still_ranked() -> None:
    counts = torch.zeros(SHAPE)
    counts[30:35, 30:35, 30:35] = torch.rand(5, 5, 5, generator=torch.Generator().manual_seed(0)) * 5
    data = HeldOut.of(Pattern(counts.round(), torch.ones(SHAPE, dtype=torch.bool)), 0.02, 0)
    found = reconstruct_ensemble(data, Ensemble(starts=2, polish=2, schedule=replace(QUICK, repeats=1)), seed=0)
    assert bool(torch.isfinite(found.object.abs()).all())
    assert math.isnan(found.free_error)


def test_modes_show_that_starts_disagree() -> None:
    few = Ensemble(starts=3, polish=0, schedule=Schedule((Block(ER(), 5),), average_last=0))
    found = reconstruct_ensemble(pattern(crystal(2.0), 1e7, gap=False), few, seed=0, agreement=0.99)
    assert found.modes is not None
    assert found.averaged == 1
    assert float(found.modes[0]) < 0.9


def test_the_held_out_share_is_what_was_asked_and_spares_the_peak() -> None:
    mask = torch.ones(SHAPE, dtype=torch.bool)
    mask[:5] = False
    free = hold_out(mask, 0.05, seed=1)
    assert float(free.sum() / mask.sum()) == pytest.approx(0.05, rel=0.2)
    assert not bool((free & ~mask).any())
    assert not bool(free[30:35, 30:35, 30:35].any())
    assert torch.equal(free, hold_out(mask, 0.05, seed=1))
    assert int(hold_out(mask, 0.0, seed=1).sum()) == 0


def test_modes_of_equal_starts_are_one_and_of_orthogonal_ones_are_even() -> None:
    rho = crystal(1.0)
    torch.testing.assert_close(
        singular_modes(torch.stack([rho, rho, rho])), torch.tensor([1.0, 0.0, 0.0]), atol=1e-4, rtol=0
    )
    apart = torch.stack([torch.roll(rho, 32, 0), rho])
    assert float(singular_modes(apart)[1]) == pytest.approx(0.5, abs=0.05)


def test_the_reconstruction_is_reproducible_and_complete() -> None:
    few = Ensemble(starts=2, polish=5, schedule=Schedule((Block(HIO(), 15), Block(ER(), 5)), 1))
    data = pattern(crystal(1.0), 1e6, gap=True)
    said: list[tuple[int, int]] = []
    first = reconstruct_ensemble(data, few, seed=5, on_iteration=lambda done, total: said.append((done, total)))
    second = reconstruct_ensemble(data, few, seed=5)
    assert torch.equal(first.object, second.object)
    assert said[-1] == (50, 50)
    assert [done for done, _ in said] == sorted(done for done, _ in said)
    assert first.errors.shape == (2, 20)
    assert float(first.object.abs().max()) == pytest.approx(1)
    assert bool(torch.isfinite(first.intensity).all())
    torch.testing.assert_close(
        first.wave.abs().square(), first.intensity, rtol=1e-3, atol=1e-3 * float(first.intensity.max())
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Ensemble(starts=0),
        lambda: Ensemble(polish=-1),
        lambda: Ensemble(support_threshold=0.0),
    ],
)
def test_ensembles_out_of_range_are_refused(wrong: object) -> None:
    with pytest.raises(PlanError):
        wrong()  # type: ignore[operator]
