"""Refinement begins where the prediction stands, within its support, and ends nearer to the measurement."""

from dataclasses import replace

import pytest
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.experiment.experiment import Experiment, Samples, simulate
from autophasenn.phasing.refine import PAPER, Refinement, refine
from autophasenn.phasing.schedule import Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import crop_or_pad

PADDED = (64, 64, 64)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return simulate(Polyhedra(), Experiment(), 11, range(2))


@pytest.fixture(scope="module")
def spoiled(samples: Samples) -> torch.Tensor:
    """The true objects mixed with their twins and with noise, on another scale: what networks predict."""
    rho = crop_or_pad(samples.objects, PADDED)
    twins = torch.stack([align(each, each.flip((0, 1, 2)).conj_physical(), twins=False).aligned for each in rho])
    generator = generator_of(0, 0, Stream.START)
    noise = torch.randn(rho.shape, generator=generator, dtype=torch.complex64) * (rho.abs() > 0)
    return crop_or_pad(7 * (0.8 * rho + 0.3 * twins + 0.2 * noise), (32, 32, 32))


def test_error_reduction_never_lets_the_error_grow(samples: Samples, spoiled: torch.Tensor) -> None:
    errors = refine(samples.counts, samples.masks, spoiled, PAPER).errors
    assert errors.shape == (2, 50)
    assert (errors.diff(dim=1) <= 1e-6).all()
    assert (errors[:, -1] < errors[:, 0]).all()


def test_the_paper_keeps_the_support_of_the_predicted_amplitude_above_a_tenth(
    samples: Samples, spoiled: torch.Tensor
) -> None:
    found = refine(samples.counts, samples.masks, spoiled, PAPER)
    amplitude = crop_or_pad(spoiled, PADDED).abs()
    assert torch.equal(found.support, amplitude >= 0.1 * amplitude.amax((1, 2, 3), keepdim=True))
    assert (found.object[~found.support] == 0).all()


def test_refinement_brings_a_prediction_to_the_truth(samples: Samples, spoiled: torch.Tensor) -> None:
    found = refine(samples.counts, samples.masks, spoiled)
    truth = crop_or_pad(samples.objects, PADDED)
    for rho, before, true in zip(found.object, crop_or_pad(spoiled, PADDED), truth, strict=True):
        assert metrics.correlation(true, rho) > max(0.965, metrics.correlation(true, before) + 0.02)
    assert (
        metrics.chi2(found.object, samples.counts, samples.masks)
        < 0.2 * metrics.chi2(crop_or_pad(spoiled, PADDED), samples.counts, samples.masks)
    ).all()


def test_a_pattern_is_refined_alike_alone_and_in_a_batch(samples: Samples, spoiled: torch.Tensor) -> None:
    together = refine(samples.counts, samples.masks, spoiled, PAPER).object
    alone = refine(samples.counts[1:], samples.masks[1:], spoiled[1:], PAPER).object
    assert torch.allclose(alone[0], together[1], atol=1e-3 * float(together[1].abs().max()))


def test_refinement_is_a_fifth_of_a_retrieval_or_less() -> None:
    assert 5 * Refinement().iterations <= Schedule().iterations


def test_every_iteration_is_told_and_has_its_error(samples: Samples, spoiled: torch.Tensor) -> None:
    told: list[tuple[int, int]] = []
    short = Refinement(error_reduction(3), longer_search=None, polish=2)
    found = refine(samples.counts, samples.masks, spoiled, short, on_iteration=lambda *done: told.append(done))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert found.errors.shape == (2, 5)


def test_only_what_is_poor_is_searched_again_and_the_better_is_kept(samples: Samples, spoiled: torch.Tensor) -> None:
    """The second pattern is begun from its truth, so that only the other is poor after so few iterations."""
    start = torch.stack([spoiled[0], samples.objects[1]])
    short = Refinement(error_reduction(2), error_reduction(30), poor=1.5, polish=1)
    first = refine(samples.counts, samples.masks, start, replace(short, longer_search=None))
    found = refine(samples.counts, samples.masks, start, short)
    assert found.errors.shape == (2, 34)
    assert found.errors[1].isfinite().sum() == 3
    assert found.errors[0].isfinite().all()
    assert torch.equal(found.object[1], first.object[1])
    assert torch.equal(found.support[1], first.support[1])
    misfits = [metrics.chi2(each.object, samples.counts, samples.masks)[0] for each in (found, first)]
    assert misfits[0] < misfits[1]
    worse = replace(short, longer_search=error_reduction(1), polish=0, search=error_reduction(5))
    kept = refine(samples.counts, samples.masks, start, worse).object[0]
    assert torch.equal(kept, refine(samples.counts, samples.masks, start, replace(worse, longer_search=None)).object[0])


def test_the_polish_keeps_to_its_support_and_lowers_the_error(samples: Samples, spoiled: torch.Tensor) -> None:
    short = Refinement(error_reduction(3), None, polish=4, polish_support=ShrinkWrap(threshold=0.4, sigma_last=0.5))
    found = refine(samples.counts, samples.masks, spoiled, short)
    searched = refine(samples.counts, samples.masks, spoiled, replace(short, polish=0))
    assert torch.equal(found.support, short.polish_support.update(searched.object, 0, 1))
    assert (found.object[~found.support] == 0).all()
    assert (found.errors[:, 3:].diff(dim=1) <= 1e-6).all()


@pytest.mark.parametrize("junk", [-1.0, torch.nan, 1e7])
def test_unmeasured_counts_mean_nothing(samples: Samples, spoiled: torch.Tensor, junk: float) -> None:
    measured = samples.masks.clone()
    measured[:, :, 40:42] = False
    short = Refinement(error_reduction(2), error_reduction(2), poor=0.0, polish=2)
    expected = refine(samples.counts, measured, spoiled, short).object
    found = refine(torch.where(measured, samples.counts, junk), measured, spoiled, short).object
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))
