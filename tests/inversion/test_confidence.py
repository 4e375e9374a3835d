"""Laws of the confidence: doubt lowers it, it holds on what it was fitted to, and unusual patterns are named."""

import json
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from calibrate_confidence import Campaign, calibrate, fit, numbers, scores
from confidence_cases import CASES, ORDINARY, Sample

from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.inversion.confidence import (
    Calibration,
    Confidence,
    Evidence,
    confidence_of,
    discord_of,
    packaged_calibration,
)
from autophasenn.inversion.ensemble import ImageEnsemble
from autophasenn.inversion.methods import Inversion
from autophasenn.inversion.novelty import TrainedRange, features_of
from autophasenn.inversion.orientations import Orientations
from autophasenn.inversion.prediction import Predictions
from autophasenn.network.architectures import build
from autophasenn.network.predict import Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import Refinement
from autophasenn.phasing.schedule import error_reduction
from autophasenn.report.confidence import reliability, spread_map, wilson
from autophasenn.report.style import save
from autophasenn.volumes import Pattern, crop_or_pad

GOOD = Evidence(discord=2e-3, unexplained=1e-3, misfit=1.1)
BAD = Evidence(discord=0.2, unexplained=0.05, misfit=10.0)
SEED = 11


def of(sample: Sample, noise: float, turn: float = 0.0) -> ImageEnsemble:
    """Three images about the truth, each with noise of its own on its amplitudes; phases multiplied by 1 + turn."""
    truth = sample.truth
    g = torch.Generator().manual_seed(0)
    bent = torch.polar(truth.abs(), (1 + turn) * truth.angle())
    objects = bent * (1 + noise * torch.randn(3, 64, 64, 64, generator=g))
    flat = objects.flatten(1)
    products = (flat[0].conj() @ flat.T).abs() / (flat.norm(dim=1) * flat[0].norm())
    return made_of(objects / objects[0].abs().max(), products)


def made_of(objects: torch.Tensor, correlations: torch.Tensor) -> ImageEnsemble:
    number, image = len(objects), Retrieval(objects[:1], objects[:1].abs() > 0, torch.zeros(1, 1))
    return ImageEnsemble(objects, tuple(range(number)), torch.zeros(number), correlations, correlations > 0.9, image)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return CASES["paper"](SEED, 0)


def grid_of(sample: Sample) -> HeldOut:
    return HeldOut(Pattern(sample.counts, sample.measured), torch.zeros_like(sample.measured))


def judged(sample: Sample, found: ImageEnsemble) -> Confidence:
    return confidence_of(found, grid_of(sample))


def test_the_truth_is_believed_and_a_wrong_image_is_not(sample: Sample) -> None:
    assert judged(sample, of(sample, 0.03)).number > 0.9
    assert judged(sample, of(sample, 0.9)).number < 0.1
    agreed_but_wrong = judged(sample, of(sample, 0.03, turn=4.0))
    assert agreed_but_wrong.features["discord"] < 0.01
    assert agreed_but_wrong.number < 0.25


@pytest.mark.parametrize("name", ["discord", "unexplained", "misfit"])
def test_doubt_never_adds_confidence(name: str) -> None:
    values = [replace(GOOD, **{name: value}) for value in np.geomspace(getattr(GOOD, name), getattr(BAD, name), 9)]
    assert (np.diff([packaged_calibration()(evidence) for evidence in values]) <= 0).all()
    assert packaged_calibration()(GOOD) > 0.9
    assert packaged_calibration()(BAD) < 0.05


def test_a_misfit_that_no_good_image_of_the_calibration_had_is_said_and_not_believed(sample: Sample) -> None:
    """As where the values are counts times a gain: the image is right, and its misfit is many times that of the noise."""
    found, inside = of(sample, 0.03), grid_of(sample)
    strict = replace(packaged_calibration(), most_misfit=1e-3)
    doubted = confidence_of(found, inside, calibration=strict)
    assert not judged(sample, found).is_beyond_calibration
    assert doubted.is_beyond_calibration
    assert any("with no gain" in sentence for sentence in doubted.warnings)
    assert confidence_of(of(sample, 0.9), inside, calibration=strict).number < 0.1


def test_evidence_that_is_no_number_gives_no_confidence() -> None:
    assert packaged_calibration()(replace(GOOD, unexplained=float("nan"))) == 0


def test_what_is_reported_is_json_and_unknown_is_null(sample: Sample) -> None:
    features = judged(sample, of(sample, 0.03)).features
    assert json.loads(json.dumps(features, allow_nan=False))["chi2_free"] is None
    assert features["misfit"] == pytest.approx(features["chi2"] / features["chi2_noise"])


def test_only_the_better_half_must_agree() -> None:
    correlations = torch.tensor([1.0, 0.99, 0.2, 0.1])
    found = made_of(torch.ones(4, 64, 64, 64, dtype=torch.complex64), correlations)
    assert discord_of(found) == pytest.approx(0.01, abs=1e-6)


def test_a_single_variant_has_no_confidence(sample: Sample) -> None:
    many = of(sample, 0.1)
    one = made_of(many.objects[:1], many.correlations[:1])
    with pytest.raises(InputError, match="2 orientations"):
        judged(sample, one)


def test_a_slope_by_which_doubt_adds_confidence_is_refused() -> None:
    with pytest.raises(InputError, match="none below 0"):
        Calibration(0.0, (1.0, -0.1, 0.0), {})


@lru_cache
def warnings_of(case: str, index: int) -> str:
    sample = CASES[case](SEED, index)
    return " ".join(
        TrainedRange().sentences(features_of(sample.counts, sample.measured, crop_or_pad(sample.truth, (32, 32, 32))))
    )


@pytest.mark.parametrize("case", ORDINARY)
@pytest.mark.parametrize("index", range(2))
def test_ordinary_patterns_give_no_warning(case: str, index: int) -> None:
    assert warnings_of(case, index) == ""


@pytest.mark.parametrize(
    ("case", "words", "of"),
    [
        ("few photons", "photons, and the network was trained on 1e+05 or more", 1),
        ("strong strain", "more than in training", 3),
        ("two particles", "two particles", 1),
        ("two particles", "several pieces", 1),
        ("alien", "no symmetric counterpart", 3),
        ("coarse", "overfills its box", 1),
    ],
)
def test_unusual_patterns_are_named(case: str, words: str, of: int) -> None:
    assert 2 * sum(words in warnings_of(case, index) for index in range(of)) > of


def rows_of(calibration: Calibration, count: int) -> list[dict[str, object]]:
    random = np.random.default_rng(0)
    rows = []
    for index in range(count):
        exponents = random.uniform((-3.5, -3.5, 0), (-0.5, -1, 1.5))
        evidence = Evidence(*(float(x) for x in 10**exponents))
        good = random.random() < calibration(evidence)
        features = asdict(evidence) | {"chi2": 0.01, "chi2_noise": 0.01, "variants": 4, "agreeing": 1.0}
        rows.append({"case": "drawn", "seed": 0, "index": index, "correlation": 0.99 if good else 0.5,
                     "features": features, "warnings": []})  # fmt: skip
    return rows


def test_the_fit_finds_the_probabilities_that_the_samples_were_drawn_with() -> None:
    drawn_with = Calibration(-9.0, (2.0, 2.5, 0.5), {})
    rows = rows_of(drawn_with, 4000)
    fitted = fit(rows, {})
    assert np.abs(numbers(fitted, rows) - numbers(drawn_with, rows)).mean() < 0.02
    result = scores(numbers(fitted, rows), rows)
    assert result["ece"] < 0.02
    assert result["brier"] < 0.6 * result["brier_of_share"]


def test_confidence_that_is_wrong_scores_worse() -> None:
    drawn_with = Calibration(-9.0, (2.0, 2.5, 0.5), {})
    rows = rows_of(drawn_with, 500)
    too_sure = Calibration(-4.0, (2.0, 2.5, 0.5), {})
    wrong, right = (scores(numbers(each, rows), rows) for each in (too_sure, drawn_with))
    assert wrong["ece"] > 3 * right["ece"]
    assert wrong["brier"] > right["brier"]


@pytest.mark.slow
def test_a_calibration_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    predictor = Predictor(build(UnrolledDesign(stages=1, width=4, blocks=(1, 1))))
    quick = Inversion(
        prediction=Predictions(starts=1),
        refinement=Refinement(error_reduction(2), None, polish=0, partial_coherence=False, likelihood=None),
        confidence=Orientations(2),
    )
    campaign = Campaign(paper=1, beamline=0, unusual=0, inversion=quick)
    first = calibrate(tmp_path, predictor, {"weights": "none"}, campaign, None)
    assert first["refined"]["fit"]["samples"] == first["network"]["test"]["samples"] == 2
    kept = (tmp_path / "rows.json").read_bytes()
    rows = json.loads(kept)
    rows["rows"].pop()
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert calibrate(tmp_path, predictor, {"weights": "none"}, campaign, None) == first
    assert (tmp_path / "rows.json").read_bytes() == kept
    written = json.loads((tmp_path / "confidence.json").read_text())
    assert written["refined"]["provenance"] == {"weights": "none", "samples": 2}
    with pytest.raises(InputError, match="another folder"):
        calibrate(tmp_path, predictor, {"weights": "others"}, campaign, None)


def test_doubtful_voxels_can_be_seen_in_the_map(tmp_path: Path) -> None:
    from matplotlib.image import imread

    axes = np.meshgrid(*[np.arange(24.0) - 12] * 3, indexing="ij")
    support = sum(a**2 for a in axes) < 60
    inside = np.where(support, np.float32(1), np.float32(np.nan))
    image = CrystalImage(
        support.astype(np.float32), inside * 0.3 * axes[0] / 12, support, amplitude_spread=inside * 0.02
    )
    doubt = np.where(axes[0] > 2, 0.5, 0.0)
    dark = []
    for place, phase_spread in enumerate((np.full_like(doubt, 0.05), doubt)):
        figure = spread_map(replace(image, phase_spread=inside * phase_spread), title="a sphere")
        save(figure, tmp_path / f"{place}.png")
        column = imread(tmp_path / f"{place}.png")[:, -310:, :3]
        dark.append(int((np.abs(column - np.array([68, 1, 84]) / 255).max(2) < 0.12).sum()))
    assert dark[1] > 5 * dark[0]  # where the spread is the same everywhere, only the colour bar begins dark


def test_the_reliability_diagram_is_drawn_of_any_samples(tmp_path: Path) -> None:
    samples = {"few": (np.array([0.01, 0.99]), np.array([0.4, 0.999])), "one": (np.array([0.5]), np.array([1.0]))}
    figure = reliability(samples, 0.95)
    save(figure, tmp_path / "reliability.png")
    left, right = figure.axes
    assert sorted(text.get_text() for text in left.texts) == ["1", "1", "1"]
    assert sum(len(points.get_offsets()) for points in right.collections) == 3


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert wilson(0.8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert wilson(1.0, 4)[1] == pytest.approx(1.0)
    assert 0.5 < wilson(1.0, 4)[0] < 0.52
