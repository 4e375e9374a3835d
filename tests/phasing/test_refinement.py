"""Refinement begins where its start stands, ends nearer to the measurement, and goes on only where it can gain."""

import math
from dataclasses import replace

import pytest
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import PlanError
from autophasenn.experiment.experiment import Experiment, Samples, simulate
from autophasenn.phasing import held_out, refinement
from autophasenn.phasing.coherence_rounds import CoherenceRounds
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.held_out import HeldOut, hold_out
from autophasenn.phasing.refinement import Refinement, refine, refine_on_grid
from autophasenn.phasing.schedule import Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.physics.diffraction import ForwardModel, count_photons, gaussian_kernel
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import Pattern, crop_or_pad

PADDED = (64, 64, 64)
SHORT = Refinement(error_reduction(3), None, polish=4, enough=0.0, partial_coherence=False, likelihood=None)


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


@pytest.fixture(scope="module")
def boxes(samples: Samples) -> list[HeldOut]:
    return [HeldOut.of(Pattern(*each), 0.02, 0) for each in zip(samples.counts, samples.masks, strict=True)]


@pytest.fixture(scope="module")
def starts(boxes: list[HeldOut], spoiled: torch.Tensor) -> list[Retrieval]:
    return [box.found(crop_or_pad(rho, PADDED)) for box, rho in zip(boxes, spoiled, strict=True)]


def test_refinement_brings_a_start_to_the_truth_and_ends_at_the_noise(
    samples: Samples, boxes: list[HeldOut], starts: list[Retrieval]
) -> None:
    for box, start, truth in zip(boxes, starts, crop_or_pad(samples.objects, PADDED), strict=True):
        found = refine(box, start)
        before = metrics.correlation(truth, start.object[0])
        assert metrics.correlation(truth, found.best.object[0]) > max(0.965, before + 0.02)
        assert box.misfit(found.best).chi2 < 0.2 * box.misfit(start).chi2
        assert found.errors.shape == (1, sum(step.iterations for step in found.steps))
        if box.misfit(found.best).ratio <= Refinement().enough:
            assert len(found.steps) == 1


def test_a_good_object_takes_a_fifth_of_a_retrieval_or_less() -> None:
    assert 5 * (Refinement().search.iterations + Refinement().polish) <= Schedule().iterations


def test_where_the_noise_explains_what_is_left_nothing_more_is_done(
    boxes: list[HeldOut], starts: list[Retrieval]
) -> None:
    whole = replace(Refinement(), longer_search=None)
    for enough, names in ((1e9, ["coherent beam"]), (0.0, ["coherent beam", "likelihood"])):
        found = refine(boxes[0], starts[0], replace(whole, enough=enough))
        assert [step.name for step in found.steps] == names
        assert {step.grid for step in found.steps} == {"box"}
    assert [step.name for step in refine(boxes[0], starts[0], whole, partially_coherent=False).steps][1:] in (
        [],
        ["likelihood"],
    )


def test_rounds_with_a_kernel_are_made_where_the_first_one_spoils_nothing(
    samples: Samples, boxes: list[HeldOut], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blurred pattern asks for them, a coherent one does not, and what would be made there is not kept."""
    how = replace(Refinement(), search=error_reduction(10), longer_search=None, likelihood=None, enough=0.0)
    truth = crop_or_pad(samples.objects[0], PADDED)
    blurred = ForwardModel(kernel=gaussian_kernel((11, 11, 11), (0.8, 0.8, 0.8)))(truth)
    blurred *= 1e7 / blurred.sum()
    counts = count_photons(blurred, 1e7, torch.Generator().manual_seed(1))
    box = HeldOut.of(Pattern(counts, counts >= 0), 0.02, 0)
    found = refine(box, box.found(truth), how)
    assert [step.name for step in found.steps] == ["coherent beam", "partially coherent beam"]
    assert found.best.kernel is not None
    without = refine(boxes[0], boxes[0].found(truth), how)
    assert [step.name for step in without.steps] == ["coherent beam"]
    monkeypatch.setattr(refinement, "HOPELESS", math.inf)
    all_the_same = refine(boxes[0], boxes[0].found(truth), how)
    assert len(all_the_same.steps) == 2
    assert torch.equal(all_the_same.best.object, without.best.object)


def test_at_full_resolution_the_likelihood_follows_only_where_it_can_gain(
    boxes: list[HeldOut], starts: list[Retrieval]
) -> None:
    for enough, names in ((1e9, ["full resolution"]), (0.0, ["full resolution", "likelihood"])):
        found = refine_on_grid(boxes[0], starts[0], Refinement(enough=enough), partially_coherent=False)
        assert [step.name for step in found.steps] == names
        assert {step.grid for step in found.steps} == {"pattern"}
        assert found.best.kernel is None
        assert boxes[0].score(found.best) <= boxes[0].score(found.last)


def test_every_iteration_is_told_and_has_its_error(
    boxes: list[HeldOut], starts: list[Retrieval], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    found = refine(boxes[0], starts[0], SHORT, on_iteration=lambda *done: told.append(done))
    assert told == [(done, 7) for done in range(1, 8)]
    assert found.errors.shape == (1, 7)
    assert SHORT.most_iterations() == 7
    whole: list[tuple[int, int]] = []
    long = replace(Refinement(), enough=0.0, longer_search=None)
    monkeypatch.setattr(refinement, "HOPELESS", math.inf)
    refine(boxes[0], starts[0], long, on_iteration=lambda *done: whole.append(done))
    assert [done for done, _ in whole] == list(range(1, len(whole) + 1))
    assert {total for _, total in whole} == {long.most_iterations()}
    assert 0.9 * long.most_iterations() <= len(whole) <= long.most_iterations()


def test_only_what_is_poor_is_searched_again_and_the_better_is_kept(
    samples: Samples, boxes: list[HeldOut], starts: list[Retrieval]
) -> None:
    """From its truth a pattern is explained after so few iterations, from a spoiled start it is not."""
    twice = replace(SHORT, search=error_reduction(2), longer_search=error_reduction(30), polish=1, poor=1e-9)
    good = boxes[1].found(crop_or_pad(samples.objects[1], PADDED))
    assert len(refine(boxes[1], good, twice).steps) == 1
    once, found = (refine(boxes[0], starts[0], each) for each in (replace(twice, longer_search=None), twice))
    assert [step.iterations for step in found.steps] == [3, 31]
    assert boxes[0].score(found.best) < boxes[0].score(once.best)
    worse = replace(twice, longer_search=error_reduction(1), polish=0, search=error_reduction(5))
    kept = refine(boxes[0], starts[0], worse)
    assert kept.best is not kept.last
    assert torch.equal(kept.best.object, refine(boxes[0], starts[0], replace(worse, longer_search=None)).best.object)


def test_the_polish_keeps_to_its_support_and_lowers_the_error(boxes: list[HeldOut], starts: list[Retrieval]) -> None:
    short = replace(SHORT, polish_support=ShrinkWrap(threshold=0.4, sigma_last=0.5))
    found, searched = (refine(boxes[0], starts[0], each) for each in (short, replace(short, polish=0)))
    assert torch.equal(found.last.support, short.polish_support.final_support(searched.last.object))
    assert (found.last.object[~found.last.support] == 0).all()
    assert (found.errors[:, 3:].diff(dim=1) <= 1e-6).all()


@pytest.mark.parametrize("junk", [-1.0, torch.nan, 1e7])
def test_unmeasured_counts_mean_nothing(boxes: list[HeldOut], starts: list[Retrieval], junk: float) -> None:
    measured = boxes[0].pattern.mask.clone()
    measured[:, 40:42] = False
    clean, dirty = (
        HeldOut(Pattern(torch.where(measured, boxes[0].pattern.counts, fill), measured), boxes[0].free & measured)
        for fill in (0.0, junk)
    )
    expected, found = (refine(box, starts[0], SHORT).best.object for box in (clean, dirty))
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_object_that_is_not_finite_is_poor_and_any_other_is_better(samples: Samples, value: float) -> None:
    pattern, rho = Pattern(samples.counts[0], samples.masks[0]), crop_or_pad(samples.objects[0], PADDED)
    for fraction in (0.02, 0.0):
        box = HeldOut(pattern, hold_out(pattern.mask, fraction, 0))
        good, spoiled = box.found(rho), box.found(torch.where(rho.abs() == rho.abs().max(), value, rho))
        assert box.misfit(spoiled).is_poor(1.0)
        assert box.misfit(spoiled).ratio == math.inf
        assert not box.misfit(good).is_poor(1.0)
        assert box.score(spoiled) == math.inf
        assert box.better(spoiled, good) is box.better(good, spoiled) is good


def test_a_kernel_that_gains_less_than_its_freedom_is_not_kept(samples: Samples) -> None:
    box = HeldOut.of(Pattern(samples.counts[0], samples.masks[0]), 0.02, 0)
    plain = box.found(crop_or_pad(samples.objects[0], PADDED))
    point = torch.zeros(1, 3, 3, 3)
    point[0, 1, 1, 1] = 1
    same = replace(plain, kernel=point)
    assert box.score(same) == pytest.approx(box.score(plain), rel=1e-3)
    assert box.better(plain, same) is plain


def test_a_coherence_kernel_never_divides_by_what_transforms_round_away() -> None:
    """A peak of 1e12 and an object whose wave is nearly zero elsewhere: the blurred intensity is lost in rounding."""
    rho = torch.zeros(32, 32, 32, dtype=torch.complex64)
    rho[10:22, 10:22, 10:22] = 1e4
    counts = torch.full((32, 32, 32), 5.0)
    counts[16, 16, 16] = 1e12
    box = HeldOut(Pattern(counts, counts >= 0), counts < 0)
    found = refine_on_grid(box, box.found(rho), Refinement(likelihood=None), partially_coherent=True)
    assert torch.isfinite(found.errors).all()
    assert torch.isfinite(found.last.object.abs()).all()


@pytest.mark.parametrize(
    "change", [{"kernel_width": 10}, {"kernel_width": 1}, {"kernel_updates": 0}, {"kernel_middle": 20}, {"rounds": -1}]
)
def test_a_coherence_kernel_out_of_range_is_refused_before_anything_is_computed(change: dict[str, int]) -> None:
    with pytest.raises(PlanError, match=next(iter(change))):
        CoherenceRounds(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"polish": -1}, {"enough": -1.0}, {"poor": 0.0}], ids=lambda c: next(iter(c)))
def test_options_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(PlanError, match=next(iter(change))):
        Refinement(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [0, 2**20])
@pytest.mark.parametrize("blur", [None, 0.6])
def test_an_object_is_judged_in_its_box_as_the_metrics_judge_it_in_the_whole_volume(
    boxes: list[HeldOut], starts: list[Retrieval], monkeypatch: pytest.MonkeyPatch, kept: int, blur: float | None
) -> None:
    monkeypatch.setattr(held_out, "KEPT_VOXELS", kept)
    mask = boxes[0].pattern.mask.clone()
    mask[:, 10:13] = False
    pattern = Pattern(boxes[0].pattern.counts, mask)
    box = HeldOut(pattern, boxes[0].free & mask)
    kernel = None if blur is None else gaussian_kernel((5, 5, 5), (blur,) * 3)[None]
    run, model = replace(starts[0], kernel=kernel), ForwardModel(kernel=kernel)
    counts, used, free = pattern.counts[None], box.used, box.free[None]
    intensity = model(metrics.thresholded(run.object))
    expected = intensity * metrics.best_scale(intensity, counts, used).square()
    chi2 = float(metrics.chi2(run.object, counts, used, model))
    chi2_free = float(metrics.chi2_free(run.object, counts, mask[None], free, model))
    assert box.misfit(run) == pytest.approx((chi2, float(metrics.chi2_noise(expected, counts, used))), rel=1e-4)
    assert box.free_error(run) == pytest.approx(chi2_free, rel=1e-4)
    noise_free = float(metrics.chi2_noise(expected, counts, free))
    assert box.free_misfit(run) == pytest.approx((chi2_free, noise_free), rel=1e-4)
    if kernel is None:
        assert float(box.found(run.object[0]).errors) == pytest.approx(chi2, rel=1e-4)
