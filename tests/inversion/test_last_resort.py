"""Laws of the last resort: made where the best image is poor and nowhere else, kept where held-out voxels say so."""

from dataclasses import replace

import pytest
import torch
from strained import crystal, pattern

from autophasenn.inversion.ensemble import EVEN_DENSITY, ImageEnsemble
from autophasenn.inversion.last_resort import Searched, by_even_density
from autophasenn.inversion.methods import Inversion, invert
from autophasenn.inversion.orientations import Orientations, invert_from_all_sides
from autophasenn.inversion.prediction import Predictions
from autophasenn.network.architectures import build
from autophasenn.network.predict import Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.even_density import EvenDensity
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import Refinement
from autophasenn.phasing.schedule import error_reduction
from autophasenn.physics.metrics import correlation
from autophasenn.progress import Silent
from autophasenn.volumes import Pattern, crop_or_pad

LEAST = EvenDensity(
    volumes=(0.8,), bright_volumes=(0.9,), starts=1, first=5, rounds=1, iterations=5, survivors=1, restarts=0
)
QUICK = Refinement(error_reduction(3), None, enough=0.0, partial_coherence=False, likelihood=None)
POOR = Refinement().poor
WEAKLY = crop_or_pad(crystal(2.0), (64, 64, 64))


@pytest.fixture(scope="module")
def inside() -> HeldOut:
    counts = pattern(WEAKLY, 3e6)
    return HeldOut.of(Pattern(counts, torch.ones_like(counts, dtype=torch.bool)), 0.02, 0)


class Stages(Silent):
    """The stages that are told."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, name: str) -> None:
        self.stages.append(name)


def noise(inside: HeldOut, seed: int) -> Retrieval:
    phase = 6 * torch.rand(WEAKLY.shape, generator=torch.Generator().manual_seed(seed))
    return inside.found(torch.polar(WEAKLY.abs(), phase))


def from_all_sides(inside: HeldOut, first: Retrieval, last: Retrieval, asked: list[int]) -> ImageEnsemble:
    def last_resort() -> Retrieval:
        asked.append(1)
        return last

    others = iter(range(2, 4))
    return invert_from_all_sides(
        first, inside, lambda _: noise(inside, next(others)), Orientations(3), poor=POOR, last_resort=last_resort
    )


def test_it_joins_where_the_best_image_is_poor_and_is_shown_where_held_out_voxels_say_so(inside: HeldOut) -> None:
    asked: list[int] = []
    right = from_all_sides(inside, noise(inside, 1), inside.found(WEAKLY), asked)
    searched = Searched.among(right)
    assert len(asked) == 1
    assert searched is not None
    assert searched.is_kept
    assert right.elements[0] == EVEN_DENSITY
    assert correlation(WEAKLY, right.best) > 0.99
    assert len(right.objects) == 4
    assert "is shown" in searched.sentence


def test_what_explains_the_held_out_voxels_worse_joins_the_images_and_is_not_shown(inside: HeldOut) -> None:
    blank = inside.found(torch.ones_like(WEAKLY))
    found = from_all_sides(inside, noise(inside, 1), blank, [])
    searched = Searched.among(found)
    assert searched is not None
    assert not searched.is_kept
    assert found.elements[0] != EVEN_DENSITY
    assert EVEN_DENSITY in found.elements
    assert "is not shown" in searched.sentence


def test_a_bright_crystal_that_stays_poor_is_searched_for_once_more_with_a_smaller_volume() -> None:
    """And the better of both by held-out voxels is what it comes to; a faint one, or one without such volumes, is not."""
    bright, faint = (pattern(crystal(6.0), photons) for photons in (1e8, 1e5))
    once = replace(LEAST, bright_volumes=())
    for counts, how, searches in ((bright, LEAST, 2), (bright, once, 1), (faint, LEAST, 1)):
        held_out = HeldOut.of(Pattern(counts, torch.ones_like(counts, dtype=torch.bool)), 0.02, 0)
        told = Stages()
        found = by_even_density(held_out, how, QUICK, seed=0, progress=told)()
        assert told.stages == ["Even density"] * searches
        alone = by_even_density(held_out, once, QUICK, seed=0)()
        assert held_out.score(found) <= held_out.score(alone)
        assert (found.errors.shape[1] > alone.errors.shape[1]) == (searches == 2)


def test_it_is_not_made_where_the_best_image_explains_the_pattern(inside: HeldOut) -> None:
    asked: list[int] = []
    found = from_all_sides(inside, inside.found(WEAKLY), noise(inside, 5), asked)
    assert not asked
    assert Searched.among(found) is None


@pytest.mark.parametrize(
    ("method", "wanted", "is_made"),
    [("refined", LEAST, True), ("refined", None, False), ("er50", LEAST, False), ("network", LEAST, False)],
)
def test_only_refined_images_are_followed_by_it_and_null_switches_it_off(
    method: str, wanted: EvenDensity | None, is_made: bool
) -> None:
    """With the confidence off. The network is not trained, and the crystal strongly strained: every image is poor."""
    counts = pattern(crop_or_pad(crystal(20.0), (64, 64, 64)), 3e7)
    measured = torch.ones_like(counts, dtype=torch.bool)
    predictor = Predictor(build(UnrolledDesign(stages=1, width=4, blocks=(1, 1))))
    plan = Inversion(
        prediction=Predictions(1), refinement=QUICK, confidence=Orientations(number=0), even_density=wanted
    )
    found = invert(Pattern(counts, measured), (4.0, 4.0, 4.0), method, plan, predictor=predictor)
    path = found.path or {}
    assert ("even_density" in path) == is_made
    assert any("even density" in each for each in found.warnings) == is_made
    if is_made:
        facts = path["even_density"]
        assert facts["kept"] == (facts["chi2_free"] < facts["chi2_free_before"])
        assert path["image_from"] == ("even density" if facts["kept"] else "network")
        assert (path["iterations"][0]["name"] == "even density") == facts["kept"], "the steps are of the image shown"
    before = found.reconstruction.errors.shape[1] - sum(step["iterations"] for step in path["iterations"])
    assert before == (path["image_from"] == "network"), "the prediction, unless the image is from elsewhere"
