"""Laws of the variants: undoing a symmetry is exact, what is held out decides nothing, spreads are what they say."""

import math

import pytest
import torch

from autophasenn.crystals.symmetry import ELEMENTS
from autophasenn.errors import InputError, PlanError
from autophasenn.network.architectures import build
from autophasenn.network.predict import Inference, Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.ensemble import hold_out
from autophasenn.physics import metrics
from autophasenn.pipeline.confidence_cases import CASES, Sample
from autophasenn.pipeline.variants import MOST_PHASE_SPREAD, Spread, Variants, spread
from autophasenn.volumes import crop_or_pad

PLAIN = Variants(number=3, refined=False)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(build(UnrolledDesign(stages=1, width=4, blocks=(1, 1))), Inference("float32"))


@pytest.fixture(scope="module")
def sample() -> Sample:
    return CASES["paper"](7, 1)


@pytest.fixture(scope="module")
def found(predictor: Predictor, sample: Sample) -> Spread:
    return spread(predictor, sample.counts, sample.measured, PLAIN)


def of_objects(objects: torch.Tensor, agreeing: torch.Tensor | None = None) -> Spread:
    number = len(objects)
    everything = torch.ones(number, dtype=torch.bool) if agreeing is None else agreeing
    return Spread(objects, tuple(range(number)), torch.zeros(number), torch.ones(number), everything)


def phases(number: int, deviation: float) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.polar(torch.ones(number, 32, 32, 32), deviation * torch.randn(number, 32, 32, 32, generator=g))


def test_every_element_of_the_cube_is_reached_before_one_repeats() -> None:
    assert sorted(Variants(number=ELEMENTS).elements) == list(range(ELEMENTS))
    assert Variants().elements[0] == 0


def test_every_variant_shows_the_crystal_in_the_orientation_of_the_pattern(found: Spread, sample: Sample) -> None:
    assert set(found.elements) == set(PLAIN.elements)
    assert all(metrics.correlation(sample.truth, crop_or_pad(rho, (64,) * 3)) > 0.9 for rho in found.objects)


def test_undoing_and_aligning_keep_the_fit(found: Spread, sample: Sample) -> None:
    for rho, chi2 in zip(found.objects, found.chi2, strict=True):
        again = float(metrics.chi2(crop_or_pad(rho, (64,) * 3), sample.counts, sample.measured))
        assert again == pytest.approx(float(chi2), rel=0.1)


def test_ranks_rise_from_the_best(found: Spread) -> None:
    assert (found.chi2.diff() >= 0).all()
    assert found.correlations[0] == 1
    assert found.best.abs().max() == pytest.approx(1)


def test_one_unrefined_variant_is_the_prediction(predictor: Predictor, sample: Sample) -> None:
    single = spread(predictor, sample.counts, sample.measured, Variants(number=1, refined=False), seed=4)
    predicted = predictor.predict(sample.counts[None], sample.measured[None], 4)[0]
    assert metrics.correlation(predicted, single.best) == pytest.approx(1, abs=1e-5)
    assert single.phase_spread.max() == 0
    assert single.pairwise == 1


def test_refinement_lowers_chi2(predictor: Predictor, sample: Sample, found: Spread) -> None:
    refined = spread(predictor, sample.counts, sample.measured, Variants(number=1))
    assert refined.chi2[0] < 0.7 * found.chi2[0]


def test_held_out_voxels_rank_but_do_not_enter(predictor: Predictor, sample: Sample) -> None:
    free = hold_out(sample.measured, 0.02, 0)
    variants = Variants(number=1, refined=False)
    first = spread(predictor, sample.counts, sample.measured, variants, free=free)
    disturbed = torch.where(free, sample.counts + 1e4, sample.counts)
    second = spread(predictor, disturbed, sample.measured, variants, free=free)
    assert torch.equal(first.objects, second.objects)
    assert second.chi2[0] > first.chi2[0]


@pytest.mark.parametrize("number", [2, 4, 8])
def test_phase_spread_is_the_deviation_that_was_put_in_however_many_variants(number: int) -> None:
    spreads = of_objects(phases(number, 0.2)).phase_spread
    assert float(spreads.square().mean().sqrt()) == pytest.approx(0.2, rel=0.03)


def test_unrelated_phases_have_the_most_spread_and_equal_ones_none() -> None:
    unrelated = of_objects(phases(16, 50.0)).phase_spread
    assert float(unrelated.max()) == pytest.approx(MOST_PHASE_SPREAD, rel=1e-5)
    assert float(unrelated.median()) > 0.7 * MOST_PHASE_SPREAD
    alike = of_objects(torch.ones(4, 32, 32, 32) * torch.tensor(0.6 + 0.8j))
    assert float(alike.phase_spread.max()) < 1e-3
    assert alike.pairwise == pytest.approx(1, abs=1e-5)
    assert alike.largest_mode == pytest.approx(1, abs=1e-5)


def test_amplitude_spread_is_a_standard_deviation() -> None:
    factors = torch.tensor([0.9, 1.0, 1.1])[:, None, None, None]
    objects = torch.ones(3, 32, 32, 32, dtype=torch.complex64) * factors
    assert float(of_objects(objects).amplitude_spread.mean()) == pytest.approx(0.1, rel=1e-4)


def test_what_disagrees_is_not_averaged() -> None:
    objects = torch.ones(3, 32, 32, 32, dtype=torch.complex64)
    objects[2] *= -1
    two = of_objects(objects, torch.tensor([True, True, False]))
    assert torch.equal(two.mean, objects[0])
    assert float(two.phase_spread.max()) < 1e-3


def test_pairs_of_orthogonal_objects_do_not_correlate() -> None:
    waves = [torch.exp(2j * math.pi * k * torch.arange(32) / 32)[:, None, None].expand(32, 32, 32) for k in (1, 2)]
    assert of_objects(torch.stack(waves)).pairwise == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("options", [{"number": 0}, {"number": 49}, {"agreement": 1.5}])
def test_impossible_variants_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(PlanError, match="variants"):
        Variants(**options)


def test_a_pattern_without_photons_is_refused(predictor: Predictor, sample: Sample) -> None:
    with pytest.raises(InputError, match="No photon"):
        spread(predictor, torch.zeros_like(sample.counts), sample.measured)
