"""The weights in the package, on relaxed crystals that no training saw."""

import pytest
import torch

from autophasenn.experiment.dataset import open_dataset
from autophasenn.inversion.options import PAPER
from autophasenn.network import weights
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.predict import SHIPPED, Inference, Predictor
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import refine
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.physics.symmetry import inverse, symmetry
from autophasenn.pipeline import example
from autophasenn.volumes import Pattern, crop_or_pad

PADDED = (64, 64, 64)


@pytest.fixture(scope="module")
def crystals() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Patterns, masks and objects."""
    with open_dataset(example.EXAMPLE.with_name("crystals.h5")) as dataset:
        return dataset.patterns(range(6)), dataset.masks(range(6)), dataset.objects(range(6))


def correlations(found: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    return torch.tensor([align(one, other).correlation for one, other in zip(expected, found, strict=True)])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_they_image_the_bundled_example(precision: str) -> None:
    counts = example.counts()[None]
    found = Predictor.from_file(inference=Inference(precision, starts=4)).predict(counts, counts >= 0)
    assert align(example.seen(), crop_or_pad(found[0], PADDED)).correlation > 0.98


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_they_invert_patterns_that_they_never_saw(
    crystals: tuple[torch.Tensor, torch.Tensor, torch.Tensor], precision: str
) -> None:
    counts, measured, truth = crystals
    found = Predictor.from_file(inference=Inference(precision, starts=4)).predict(counts, measured)
    assert metrics.chi2(crop_or_pad(found, PADDED), counts, measured).mean() < 0.0095
    assert correlations(found, truth).mean() > 0.95


def test_bfloat16_does_not_hurt(crystals: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    counts, measured, _ = crystals
    chi2 = {
        precision: metrics.chi2(
            crop_or_pad(
                Predictor.from_file(inference=Inference(precision, starts=4)).predict(counts, measured), PADDED
            ),
            counts,
            measured,
        ).mean()
        for precision in ("float32", "bfloat16")
    }
    assert chi2["bfloat16"] < 1.05 * chi2["float32"]


@pytest.mark.parametrize("element", [1, 13, 22, 47])
def test_a_flipped_or_permuted_pattern_gives_the_flipped_or_permuted_image(
    crystals: tuple[torch.Tensor, torch.Tensor, torch.Tensor], element: int
) -> None:
    """The starts do not turn with the pattern: an image that stays between crystal and twin may come out otherwise."""
    counts, measured, _ = crystals
    predictor = Predictor.from_file(inference=Inference("float32", starts=4))
    expected = predictor.predict(counts, measured)
    found = predictor.predict(symmetry(counts, element), symmetry(measured, element))
    alike = correlations(symmetry(found, inverse(element)), expected)
    assert alike.mean() > 0.97
    assert alike.min() > 0.9


def test_refined_they_reach_the_noise(crystals: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    counts, measured, truth = crystals
    found = Predictor.from_file(inference=Inference("float32", starts=4)).predict(counts, measured)
    boxes = [HeldOut.of(Pattern(*each), 0.02, 0) for each in zip(counts, measured, strict=True)]
    starts = [box.found(rho) for box, rho in zip(boxes, crop_or_pad(found, PADDED), strict=True)]
    refined = torch.cat([refine(*each).best.object for each in zip(boxes, starts, strict=True)])
    truth = crop_or_pad(truth, PADDED)
    assert metrics.chi2(refined, counts, measured).mean() < 1.1 * metrics.chi2(truth, counts, measured).mean()
    aligned = [align(true, rho).aligned for true, rho in zip(truth, refined, strict=True)]
    assert correlations(refined, truth).min() > 0.985
    assert max(metrics.phase_mae(true, rho) for true, rho in zip(truth, aligned, strict=True)) < 0.1
    assert sum(metrics.ssim(true, rho) for true, rho in zip(truth, aligned, strict=True)) / len(truth) > 0.96


def test_their_card_says_where_they_come_from_and_they_are_small() -> None:
    _, card = weights.load(SHIPPED["unrolled"])
    assert SHIPPED["unrolled"].stat().st_size < 16e6
    assert {"plan", "seed", "hardware", "hours", "samples", "validation", "known_limits"} <= card.keys()


def test_those_of_the_papers_network_see_more_than_an_outline_and_50_iterations_do_the_rest(
    crystals: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    counts, measured, truth = crystals
    predictor = Predictor.from_file(inference=Inference("float32", starts=1), network="autophasenn")
    found = predictor.predict(counts, measured)
    assert correlations(found, truth).mean() > 0.85
    boxes = [HeldOut.of(Pattern(*each), 0.0, 0) for each in zip(counts, measured, strict=True)]
    starts = [box.found(rho) for box, rho in zip(boxes, crop_or_pad(found, PADDED), strict=True)]
    after = torch.cat([box.retrieve(start, PAPER).object for box, start in zip(boxes, starts, strict=True)])
    assert metrics.chi2(after, counts, measured).mean() < 0.02
    assert correlations(after, crop_or_pad(truth, PADDED)).mean() > 0.89


def test_those_of_the_papers_network_say_how_they_were_made() -> None:
    network, card = weights.load(SHIPPED["autophasenn"], "autophasenn")
    assert SHIPPED["autophasenn"].stat().st_size < 9e6
    assert isinstance(network.design, AutoPhaseNNDesign)
    assert network.design.gathered == 4
    assert {"made_by", "samples", "data", "seed", "scores", "known_limits"} <= card.keys()
