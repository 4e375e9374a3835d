"""An evaluation scores objects as the conventions say, whatever cannot be measured set aside, and survives interruption."""

import csv
import json
import math
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from autophasenn import cli
from autophasenn.errors import AutoPhaseNNError, InputError, OutputError, PlanError
from autophasenn.evaluation import evaluate as module
from autophasenn.evaluation.comparison import Comparison
from autophasenn.evaluation.evaluate import KIND, Evaluation, evaluate, paper
from autophasenn.evaluation.figures import representative
from autophasenn.evaluation.scores import METRICS, scores_of, summary
from autophasenn.experiment.dataset import open_dataset
from autophasenn.inversion.methods import Inversion, invert
from autophasenn.inversion.names import MethodName
from autophasenn.inversion.options import words_of
from autophasenn.inversion.orientations import Orientations
from autophasenn.inversion.prediction import Predictions, load_predictor
from autophasenn.network import weights
from autophasenn.network.architectures import build
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.refinement import Refinement
from autophasenn.phasing.schedule import error_reduction
from autophasenn.physics.ambiguity import translate
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.preprocessing.oversampling import estimate_oversampling
from autophasenn.volumes import Pattern, crop_or_pad, twin

CRYSTALS = EXAMPLE.parent / "crystals.h5"
FILES = ["SHA256SUMS", "convergence.png", "examples.png", "histograms.png", "samples.csv", "summary.json"]
PADDED = (64, 64, 64)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Three patterns, a network that learned nothing, and few iterations."""
    path = tmp_path_factory.mktemp("weights") / "a.safetensors"
    weights.save(build(UnrolledDesign(stages=1, width=4, memory=1)), {}, path)
    quick = Inversion(
        retrieval=Ensemble(starts=2, polish=1, schedule=error_reduction(4)),
        prediction=Predictions(starts=1),
        refinement=Refinement(error_reduction(2), None, polish=1, partial_coherence=False, likelihood=None),
        confidence=Orientations(number=2, random_starts=0),
        even_density=None,  # which a network that learned nothing would begin for every pattern
    )
    return Evaluation(CRYSTALS, weights=path, count=3, inversion=quick)


@pytest.fixture(scope="module")
def folder(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "of three"
    assert evaluate(folder, evaluation) == json.loads((folder / "summary.json").read_text())
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "samples.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    with open_dataset(CRYSTALS) as dataset:
        return dataset.patterns([0])[0], dataset.masks([0])[0], dataset.objects([0])[0]


def test_the_truth_scores_the_most_there_is_also_displaced_turned_and_as_its_twin(
    sample: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    counts, measured, truth = sample
    rho = crop_or_pad(truth, PADDED)
    same = scores_of(rho, counts, measured, truth).numbers
    assert same["correlation"] == pytest.approx(1, abs=1e-5)
    assert same["ssim"] == pytest.approx(1, abs=1e-5)
    assert same["support_iou"] == 1
    assert same["phase_mae"] == pytest.approx(0, abs=1e-3)
    assert same["correlation_other_twin"] < 0.9
    moved = scores_of(2.5j * twin(translate(rho, (3.0, -2.0, 1.0))), counts, measured, truth).numbers
    for name in ("correlation", "ssim", "support_iou", "correlation_other_twin"):
        assert moved[name] == pytest.approx(same[name], abs=1e-3), name
    assert moved["phase_mae"] == pytest.approx(0, abs=1e-2)


def test_a_superposition_of_twins_has_two_correlations_nearly_alike(
    sample: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    counts, measured, truth = sample
    rho = crop_or_pad(truth, PADDED)
    mixed = scores_of(rho + twin(rho), counts, measured, truth).numbers
    assert mixed["correlation"] - mixed["correlation_other_twin"] < 0.02
    assert mixed["correlation"] < 0.99


def test_all_files_are_written_and_the_summary_is_that_of_the_table(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FILES == sorted((*KIND.names, "SHA256SUMS"))
    result, rows = json.loads((folder / "summary.json").read_text()), table(folder)
    assert result["n"] == len(rows) == 3
    assert [row["index"] for row in rows] == ["0", "1", "2"]
    assert list(result["methods"]) == ["network", "refined", "iterative"]
    for method, metrics in result["methods"].items():
        assert set(metrics) == set(METRICS)
        assert metrics["confidence"] is None
        assert metrics["starts"]["mean"] == (2 if method == "iterative" else 1)
        for name in set(METRICS) - {"confidence"}:
            values = [float(row[f"{method}_{name}"]) for row in rows]
            assert metrics[name]["mean"] == pytest.approx(np.mean(values), rel=1e-4)
            assert metrics[name]["p5"] == pytest.approx(np.percentile(values, 5), rel=1e-4)
    assert float(rows[0]["photons"]) > 1e5
    assert 2 < float(rows[0]["oversampling"]) < 6
    assert float(rows[0]["chi2_truth"]) == pytest.approx(float(rows[0]["chi2_noise"]), rel=0.3)
    assert float(rows[0]["twin_correlation"]) < 1
    assert result["parameters"]["weights"]["network"]["sha256"]
    share = np.mean([float(row["refined_chi2"]) <= float(row["iterative_chi2"]) for row in rows])
    assert result["chi2_not_above_iterative"]["refined"] == pytest.approx(share)


def test_its_numbers_are_those_of_what_a_user_gets(evaluation: Evaluation, folder: Path) -> None:
    """Each method is the very inversion of `reconstruct`; the table says what that is."""
    with open_dataset(CRYSTALS) as dataset:
        counts, measured = dataset.patterns([0])[0], dataset.masks([0])[0]
    predictor, row = load_predictor(evaluation.weights), table(folder)[0]
    options = evaluation.comparison.inversion
    for method in evaluation.methods:
        oversampling = estimate_oversampling(counts.numpy(), measured.numpy())
        found = invert(Pattern(counts, measured), oversampling, method, options, predictor=predictor).reconstruction
        assert float(row[f"{method}_chi2_free"]) == pytest.approx(found.free_error, rel=1e-3)
    words = json.loads((folder / "summary.json").read_text())["what_they_do"]
    assert words == {method: words_of(MethodName(method), evaluation.inversion) for method in evaluation.methods}
    assert "2 random starts" in words["iterative"]


def test_confidence_is_known_where_it_is_asked_for(evaluation: Evaluation, tmp_path: Path) -> None:
    asked = replace(evaluation, methods=("refined", "iterative"), count=1, confidence=True)
    methods = evaluate(tmp_path / "out", asked)["methods"]
    assert 0 <= methods["refined"]["confidence"]["mean"] <= 1
    assert methods["iterative"]["confidence"] is None


def test_interrupted_it_goes_on_and_the_numbers_are_the_same(
    evaluation: Evaluation, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.BLOCK, "cpu", 1)
    output, computed = tmp_path / "evaluated", []
    real = Comparison.block

    def dies_at_the_third(self: Comparison, samples: range) -> bytes:
        computed.append(samples.start)
        if len(computed) == 3:
            raise KeyboardInterrupt
        return real(self, samples)

    monkeypatch.setattr(Comparison, "block", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        evaluate(output, evaluation)
    assert not output.exists()
    with pytest.raises(OutputError, match=r"begun with other parameters \(seed 0, now 1\)"):
        evaluate(output, replace(evaluation, seed=1))
    evaluate(output, evaluation)
    assert computed == [0, 1, 2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["evaluated"]
    for found, expected in zip(table(output), table(folder), strict=True):
        for name in expected:
            if not name.endswith("_seconds") and expected[name]:
                assert float(found[name]) == pytest.approx(float(expected[name]), rel=1e-3, abs=1e-3), name


def test_a_block_is_the_same_in_another_process(evaluation: Evaluation) -> None:
    comparison = evaluation.comparison
    assert pickle.loads(pickle.dumps(comparison)) == comparison
    assert comparison.block(range(1))[:4] == b"\x89HDF"


def test_where_the_truth_is_not_known_only_what_needs_it_is_null(evaluation: Evaluation, tmp_path: Path) -> None:
    measured = tmp_path / "measured.h5"
    with h5py.File(CRYSTALS) as source, h5py.File(measured, "w") as target:
        target.attrs.update(source.attrs)
        target["patterns"] = source["patterns"][:2]
    result = evaluate(tmp_path / "out", replace(evaluation, dataset=measured, count=None, methods=("network", "er50")))
    assert result["n"] == 2
    for metrics in result["methods"].values():
        assert {name for name in METRICS if metrics[name] is not None} == {
            "chi2",
            "chi2_free",
            "starts",
            "averaged",
            "seconds",
        }
    assert table(tmp_path / "out")[0]["chi2_truth"] == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES


def test_best_median_and_worst_are_those_of_the_first_method_that_counts() -> None:
    rows = [{"refined_correlation": c, "network_correlation": 1 - c} for c in (0.9, 0.99, 0.2, 0.95, 0.5, 0.4)]
    chosen = representative(rows, ("network", "refined"), 0)
    assert chosen[:3] == [("best", 1), ("median", 4), ("worst", 2)]
    assert [title for title, _ in chosen[3:]] == ["random", "random"]
    assert len({index for _, index in chosen}) == 5
    assert representative(rows, ("network",), 0)[0] == ("best", 2)
    assert [title for title, _ in representative(rows[:1], ("refined",), 0)] == ["best"]
    by_chi2 = [{"network_correlation": None, "network_chi2": c} for c in (0.1, 0.01, 0.2)]
    assert representative(by_chi2, ("network",), 0) == [("best", 1), ("median", 0), ("worst", 2)]


def test_a_metric_that_nothing_has_is_null_and_one_that_some_have_is_of_those() -> None:
    rows = [{f"network_{name}": None for name in METRICS} for _ in range(2)]
    rows[0]["network_chi2"], rows[1]["network_ssim"] = 0.5, math.nan
    found = summary(rows, ["network"])["network"]
    assert found["chi2"] == {"mean": 0.5, "median": 0.5, "p5": 0.5, "p95": 0.5}
    assert all(found[name] is None for name in METRICS if name != "chi2")


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (
            {"methods": ("network", "guess")},
            PlanError,
            "'guess'; choose from refined, adapted, er50, network, iterative",
        ),
        ({"methods": ()}, PlanError, "none; choose from"),
        ({"methods": ("network", "network")}, PlanError, "named twice"),
        ({"count": 0}, PlanError, "0 samples"),
        ({"device": "warp"}, PlanError, "'warp' is not there"),
        ({"dataset": Path("none.h5")}, InputError, "no dataset file none.h5"),
        ({"dataset": EXAMPLE}, InputError, "no dataset file of autophasenn|no HDF5 file"),
        ({"weights": Path("none.safetensors")}, InputError, "no file of weights none"),
        ({"weights": CRYSTALS}, InputError, "damaged or no safetensors"),
    ],
)
def test_bad_input_is_explained_before_any_work(
    evaluation: Evaluation, tmp_path: Path, changes: dict[str, object], kind: type[AutoPhaseNNError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        evaluate(tmp_path / "out", replace(evaluation, **changes))
    assert not list(tmp_path.iterdir())


def test_the_papers_comparison_begins_with_the_papers_network_and_what_is_ours_with_the_unrolled_one(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    compared = paper(count=1)
    assert dict(zip(compared.methods, compared.networks, strict=True)) == {
        "network": "autophasenn",
        "er50": "autophasenn",
        "refined": "unrolled",
        "iterative": "unrolled",
    }
    result = evaluate(tmp_path / "out", replace(compared, inversion=evaluation.inversion))
    used = result["parameters"]["weights"]
    assert used["network"] == used["er50"] != used["refined"]
    assert "iterative" not in used
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)


def test_a_result_that_is_there_stays(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("")
    with pytest.raises(OutputError, match="not empty"):
        evaluate(tmp_path, evaluation)


def test_the_command_takes_methods_by_name(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(CRYSTALS), "-o", str(tmp_path / "out"), "--count", "1", "--threads", "1", "--methods"]
    done = CliRunner().invoke(cli.app, [*words, "network, er50", "--weights", str(evaluation.weights)])
    assert done.exit_code == 0, done.output
    assert "correlation" in done.stdout
    for named in ("networks", ","):
        monkeypatch.setattr(sys, "argv", ["autophasenn", *words, named])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
