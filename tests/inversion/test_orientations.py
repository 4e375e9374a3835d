"""Laws of the orientations: undoing a symmetry is exact, what is held out decides nothing, spreads are what they say."""

import math
from dataclasses import replace

import pytest
import torch
from confidence_cases import CASES, Sample

from autophasenn.errors import PlanError
from autophasenn.inversion.confidence import is_settled
from autophasenn.inversion.ensemble import MOST_PHASE_SPREAD, RANDOM, ImageEnsemble, ranked
from autophasenn.inversion.orientations import Invert, Orientations, by_network, by_retrieval, invert_from_all_sides
from autophasenn.inversion.prediction import Predictions, predict_all
from autophasenn.network.architectures import build
from autophasenn.network.predict import Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import Refinement, refine
from autophasenn.phasing.schedule import Schedule
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.physics.diffraction import gaussian_kernel
from autophasenn.physics.symmetry import ELEMENTS, symmetry
from autophasenn.volumes import Pattern, crop_or_pad

OPTIONS = Refinement()
POOR = OPTIONS.poor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(build(UnrolledDesign(stages=1, width=4, blocks=(1, 1))))


@pytest.fixture(scope="module")
def sample() -> Sample:
    return CASES["paper"](7, 1)


@pytest.fixture(scope="module")
def inside(sample: Sample) -> HeldOut:
    return HeldOut.of(Pattern(sample.counts, sample.measured), 0.02, 0)


def plain(predictor: Predictor, seed: int = 0) -> Invert:
    """The prediction as it is."""
    return by_network(predictor, Predictions(), None, seed=seed)


@pytest.fixture(scope="module")
def found(predictor: Predictor, inside: HeldOut) -> ImageEnsemble:
    return invert_from_all_sides(plain(predictor)(inside), inside, plain(predictor), Orientations(3), poor=POOR)


class Told:
    """An inversion that finds what it was told, in whatever orientation it is asked, and counts how often."""

    def __init__(self, answer: Retrieval, inside: HeldOut) -> None:
        self.answer, self.inside, self.calls = answer, inside, 0

    def __call__(self, grid: HeldOut) -> Retrieval:
        self.calls += 1
        element = next(
            e
            for e in Orientations(4).elements
            if torch.equal(symmetry(self.inside.pattern.counts, e), grid.pattern.counts)
        )
        return Retrieval(
            symmetry(self.answer.object, element), symmetry(self.answer.support, element), self.answer.errors
        )


def of_objects(objects: torch.Tensor, agreeing: torch.Tensor | None = None) -> ImageEnsemble:
    number = len(objects)
    everything = torch.ones(number, dtype=torch.bool) if agreeing is None else agreeing
    image = Retrieval(objects[:1], objects[:1].abs() > 0, torch.zeros(1, 1))
    return ImageEnsemble(objects, tuple(range(number)), torch.zeros(number), torch.ones(number), everything, image)


def phases(number: int, deviation: float) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.polar(torch.ones(number, 64, 64, 64), deviation * torch.randn(number, 64, 64, 64, generator=g))


def test_every_element_of_the_cube_is_reached_before_one_repeats() -> None:
    assert sorted(Orientations(ELEMENTS).elements) == list(range(ELEMENTS))
    assert Orientations().elements[0] == 0


def test_every_variant_shows_the_crystal_in_the_orientation_of_the_pattern(
    found: ImageEnsemble, sample: Sample
) -> None:
    assert set(found.elements) == set(Orientations(3).elements)
    assert all(metrics.correlation(sample.truth, rho) > 0.9 for rho in found.objects)


def test_undoing_and_aligning_keep_the_fit(found: ImageEnsemble, inside: HeldOut) -> None:
    for rho, chi2 in zip(found.objects, found.chi2, strict=True):
        assert inside.score(inside.found(rho)) == pytest.approx(float(chi2), rel=0.1)


def test_ranks_rise_from_the_best(found: ImageEnsemble) -> None:
    assert (found.chi2.diff() >= 0).all()
    assert found.correlations[0] == 1
    assert found.best.abs().max() == pytest.approx(1)
    assert metrics.correlation(found.image.object[0], found.best) == pytest.approx(1, abs=1e-5)


def test_the_best_goes_on_where_it_lies_or_the_mean_of_those_alike(
    predictor: Predictor, inside: HeldOut, found: ImageEnsemble
) -> None:
    mean = invert_from_all_sides(
        plain(predictor)(inside), inside, plain(predictor), Orientations(3, average=True), poor=POOR
    )
    assert not torch.allclose(mean.image.object[0], found.image.object[0])
    assert metrics.correlation(mean.image.object[0], found.mean) == pytest.approx(1, abs=1e-5)
    overlap = (mean.image.object[0].abs() * found.image.object[0].abs()).sum()
    assert overlap > 0.9 * mean.image.object.norm() * found.image.object.norm(), "both lie in the same place"


def test_refinement_lowers_chi2_and_finds_no_kernel_that_is_not_asked_for(
    predictor: Predictor, inside: HeldOut, found: ImageEnsemble
) -> None:
    invert = by_network(predictor, Predictions(), OPTIONS, seed=0, partially_coherent=False)
    refined = invert(inside)
    assert inside.score(refined) < 0.7 * float(found.chi2[0])
    assert refined.kernel is None


def test_the_errors_are_of_all_iterations_that_were_made(predictor: Predictor, inside: HeldOut) -> None:
    """Also where the best was found before the last step."""
    start = predict_all(inside, predictor, Predictions(), seed=0)[0][0]
    made = refine(inside, start, OPTIONS, partially_coherent=False)
    run = by_network(predictor, Predictions(), OPTIONS, seed=0, partially_coherent=False)(inside)
    assert run.errors.shape[1] == sum(step.iterations for step in made.steps)
    random = by_retrieval(inside, OPTIONS, seed=0)(0)
    assert random.errors.shape[1] > Schedule().iterations


def test_a_coherence_kernel_is_turned_back_with_its_object(inside: HeldOut) -> None:
    """The pattern that object and kernel give must not depend on the orientation in which they were found."""
    truth = crop_or_pad(CASES["paper"](7, 1).truth, (64, 64, 64))
    kernel = gaussian_kernel((11, 11, 11), (0.3, 0.6, 0.9))[None]
    first = replace(inside.found(truth), kernel=kernel)

    def invert(grid: HeldOut) -> Retrieval:
        return next(
            Retrieval(symmetry(first.object, e), symmetry(first.support, e), first.errors, symmetry(kernel, e))
            for e in Orientations(3).elements[1:]
            if torch.equal(symmetry(inside.pattern.counts, e), grid.pattern.counts)
        )

    chi2 = invert_from_all_sides(first, inside, invert, Orientations(3), poor=POOR).chi2
    assert torch.allclose(chi2, chi2[:1].expand(3), rtol=1e-4)


def test_an_image_that_short_refinements_find_again_is_asked_about_no_more(inside: HeldOut, sample: Sample) -> None:
    """And stays the best, though by chance another may fit the held-out voxels better."""
    first = inside.found(crop_or_pad(sample.truth, (64, 64, 64)))
    quickly, whole = Told(first, inside), Told(first, inside)
    found = invert_from_all_sides(
        first, inside, whole, Orientations(4), poor=POOR,
        is_settled=lambda images: is_settled(images, inside), invert_quickly=quickly,
    )  # fmt: skip
    assert (quickly.calls, whole.calls) == (2, 0)
    assert found.elements == Orientations(3).elements
    assert found.image is first


def test_an_image_that_a_short_refinement_does_not_find_again_is_judged_as_if_none_had_been_tried(
    inside: HeldOut, sample: Sample
) -> None:
    first = inside.found(crop_or_pad(sample.truth, (64, 64, 64)))
    half = inside.found(first.object[0] * (torch.arange(64) > 31))
    quickly, whole = Told(half, inside), Told(first, inside)
    found = invert_from_all_sides(
        first, inside, whole, Orientations(4), poor=POOR,
        is_settled=lambda images: is_settled(images, inside), invert_quickly=quickly,
    )  # fmt: skip
    expected = invert_from_all_sides(first, inside, Told(first, inside), Orientations(4, quick=False), poor=POOR)
    assert whole.calls == 3
    assert found.elements == expected.elements
    assert torch.equal(found.objects, expected.objects)


def test_held_out_voxels_rank_but_do_not_enter(predictor: Predictor, inside: HeldOut) -> None:
    disturbed = HeldOut(
        Pattern(torch.where(inside.free, inside.pattern.counts + 1e4, inside.pattern.counts), inside.pattern.mask),
        inside.free,
    )
    first, second = (
        invert_from_all_sides(plain(predictor)(g), g, plain(predictor), Orientations(2), poor=POOR)
        for g in (inside, disturbed)
    )
    by_element = [dict(zip(each.elements, each.objects, strict=True)) for each in (first, second)]
    # Another is the best, and an image that is brought onto it may move by a part of a voxel; a threshold would cut what
    # that smears.
    assert all(align(by_element[0][e], by_element[1][e]).correlation > 1 - 1e-4 for e in first.elements)
    assert second.chi2[0] > first.chi2[0]


@pytest.mark.parametrize("number", [2, 4, 8])
def test_phase_spread_is_the_deviation_that_was_put_in_however_many_variants(number: int) -> None:
    spreads = of_objects(phases(number, 0.2)).phase_spread
    assert float(spreads.square().mean().sqrt()) == pytest.approx(0.2, rel=0.03)


def test_unrelated_phases_have_the_most_spread_and_equal_ones_none() -> None:
    unrelated = of_objects(phases(16, 50.0)).phase_spread
    assert float(unrelated.max()) == pytest.approx(MOST_PHASE_SPREAD, rel=1e-5)
    assert float(unrelated.median()) > 0.7 * MOST_PHASE_SPREAD
    alike = of_objects(torch.ones(4, 64, 64, 64) * torch.tensor(0.6 + 0.8j))
    assert float(alike.phase_spread.max()) < 1e-3
    assert alike.pairwise == pytest.approx(1, abs=1e-5)
    assert alike.largest_mode == pytest.approx(1, abs=1e-5)


def test_amplitude_spread_is_a_standard_deviation() -> None:
    factors = torch.tensor([0.9, 1.0, 1.1])[:, None, None, None]
    objects = torch.ones(3, 64, 64, 64, dtype=torch.complex64) * factors
    assert float(of_objects(objects).amplitude_spread.mean()) == pytest.approx(0.1, rel=1e-4)


def test_what_disagrees_is_not_averaged() -> None:
    objects = torch.ones(3, 64, 64, 64, dtype=torch.complex64)
    objects[2] *= -1
    two = of_objects(objects, torch.tensor([True, True, False]))
    assert torch.equal(two.mean, objects[0])
    assert float(two.phase_spread.max()) < 1e-3


def test_pairs_of_orthogonal_objects_do_not_correlate() -> None:
    waves = [torch.exp(2j * math.pi * k * torch.arange(64) / 64)[:, None, None].expand(64, 64, 64) for k in (1, 2)]
    assert of_objects(torch.stack(waves)).pairwise == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"number": 1},
        {"number": 49},
        {"random_starts": -1},
        {"number": 0, "average": True},
    ],
)
def test_impossible_orientations_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(PlanError, match=r"give|one alone says nothing"):
        Orientations(**options)


def test_random_starts_join_where_the_variants_disagree_and_nowhere_else(inside: HeldOut, sample: Sample) -> None:
    """Three unlike objects are no image; the crystal that a random start finds is. Where all are alike, none is made."""
    options = replace(OPTIONS, longer_search=None, likelihood=None, partial_coherence=False)
    again = by_retrieval(inside, options, seed=0)
    truth = crop_or_pad(sample.truth, (64, 64, 64))

    def noise(seed: int) -> Retrieval:
        g = torch.Generator().manual_seed(seed)
        return inside.found(truth.abs() * torch.polar(torch.ones(64, 64, 64), 6 * torch.rand(64, 64, 64, generator=g)))

    seeds = iter(range(1, 3))
    found = invert_from_all_sides(
        noise(0),
        inside,
        lambda _: noise(next(seeds)),
        Orientations(3, random_starts=1),
        poor=POOR,
        from_random_start=again,
    )
    assert len(found.objects) == 4
    assert found.random_starts == 1
    assert found.elements[0] == RANDOM
    assert metrics.correlation(sample.truth, found.best) > 0.95
    alike = invert_from_all_sides(
        found.image, inside, plain_of(found.image), Orientations(3), poor=1.0, from_random_start=again
    )
    assert len(alike.objects) == 3
    assert alike.random_starts == 0


def test_random_starts_end_when_half_of_all_images_agree_with_the_best(inside: HeldOut, sample: Sample) -> None:
    """Two images alike and wrong; three that fit better must join until half of the others are like the best."""
    truth = inside.found(crop_or_pad(sample.truth, (64, 64, 64)))
    phases = 6 * torch.rand(64, 64, 64, generator=torch.Generator().manual_seed(1))
    wrong = inside.found(torch.polar(truth.object[0].abs(), phases))
    how = Orientations(2, random_starts=6)
    element = how.elements[1]
    turned = Retrieval(symmetry(wrong.object, element), symmetry(wrong.support, element), wrong.errors)
    found = invert_from_all_sides(wrong, inside, lambda _: turned, how, poor=1e-9, from_random_start=lambda _: truth)
    assert found.random_starts == 3
    assert found.elements[:3] == (RANDOM,) * 3


def test_nothing_joins_where_more_images_would_only_say_it_again(inside: HeldOut, sample: Sample) -> None:
    """The same poor image from every side: where that settles it neither random start nor last resort is made."""
    amplitude = crop_or_pad(sample.truth, (64, 64, 64)).abs()
    phases = 6 * torch.rand(64, 64, 64, generator=torch.Generator().manual_seed(1))
    wrong = inside.found(torch.polar(amplitude, phases))
    joined: dict[bool, list[str]] = {True: [], False: []}
    for settled, made in joined.items():

        def another(_: object = None, made: list[str] = made) -> Retrieval:
            made.append("image")
            return wrong

        found = invert_from_all_sides(
            wrong, inside, plain_of(wrong), Orientations(3, random_starts=1), poor=POOR,
            from_random_start=another, last_resort=another, is_settled=lambda _, settled=settled: settled,
        )  # fmt: skip
        assert len(found.objects) == 3 + len(made)
    assert len(joined[True]) == 0
    assert len(joined[False]) == 2


def test_an_image_is_settled_where_all_agree_and_its_verdict_is_believed(inside: HeldOut, sample: Sample) -> None:
    truth = inside.found(crop_or_pad(sample.truth, (64, 64, 64)))
    phases = 6 * torch.rand(64, 64, 64, generator=torch.Generator().manual_seed(1))
    other = inside.found(torch.polar(truth.object[0].abs(), phases))
    assert is_settled(ranked([truth] * 3, range(3), inside), inside)
    assert not is_settled(ranked([truth, truth, other], range(3), inside), inside), "one disagrees"
    assert not is_settled(ranked([other] * 3, range(3), inside), inside), "all agree, and explain nothing"


def plain_of(run: Retrieval) -> Invert:
    """The same object in the orientation of every variant."""
    elements = iter(Orientations(3).elements[1:])

    def invert(_: HeldOut) -> Retrieval:
        element = next(elements)
        return Retrieval(symmetry(run.object, element), symmetry(run.support, element), run.errors, run.kernel)

    return invert
