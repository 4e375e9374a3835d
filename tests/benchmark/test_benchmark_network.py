"""The benchmark of prediction has all its figures; how large they are is the machine's affair and no test's."""

import json
import math

import pytest
import torch

from autophasenn.benchmark import network as module
from autophasenn.cli.terminal import show_network_benchmark
from autophasenn.errors import PlanError
from autophasenn.inversion.methods import Inversion
from autophasenn.inversion.orientations import Orientations
from autophasenn.network.architectures import build
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.predict import Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.refinement import Refinement
from autophasenn.phasing.schedule import error_reduction
from autophasenn.progress import Silent


@pytest.mark.slow
def test_every_figure_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(module.BATCHES, "cpu", (1, 2))
    monkeypatch.setitem(module.SIDE, "cpu", 64)
    monkeypatch.setattr(module, "MOST_SECONDS_BATCH", math.inf)
    short = Inversion(
        retrieval=Ensemble(schedule=error_reduction(2)),
        refinement=Refinement(error_reduction(1), None, polish=0, partial_coherence=False, likelihood=None),
        confidence=Orientations(number=2, random_starts=0),
        even_density=None,
    )
    tiny = build(UnrolledDesign(stages=1, width=4, memory=1))
    paper = AutoPhaseNNDesign(width=2)
    result = module.benchmark_network(tiny, rounds=1, paper=paper, inversion=short)
    assert set(result["cases"]) == {
        module.READY,
        module.NETWORK,
        "network + 50 ER",
        module.REFINED,
        module.BELIEVED,
        module.RETRIEVAL,
    }
    assert all(math.isfinite(case["ratio"]) and case["ratio"] > 0 for case in result["cases"].values())
    assert set(result["patterns_per_second"]) == {"1", "2"}
    assert result["operations"] > 1e6
    assert result["share_of_matrix_product"] > 0
    slow, quick = result["cases"][module.RETRIEVAL], result["cases"][module.REFINED]
    compared = result["times_as_long"][f"{module.RETRIEVAL} / {module.REFINED}"]
    assert compared["ratio"] == pytest.approx(slow["ratio"] / quick["ratio"])
    assert compared["met"] == (compared["ratio"] >= compared["goal"] == 5)
    json.dumps(result, allow_nan=False)
    show_network_benchmark(result)
    said = capsys.readouterr().out
    assert f"{module.RETRIEVAL} / {module.REFINED}: {compared['ratio']:.1f} (at least 5)" in said
    assert "Patterns a second by batch" in said


def test_a_batch_that_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.BATCHES, "cpu", (1, 2, 4))
    monkeypatch.setitem(module.SIDE, "cpu", 64)
    monkeypatch.setattr(module, "MOST_SECONDS_BATCH", 0.0)
    predictor = Predictor(build(UnrolledDesign(stages=1, width=4, memory=1)))
    counts = torch.ones(1, 64, 64, 64)
    found = module._throughput(predictor, counts, counts > 0, Silent())
    assert list(found["patterns_per_second"]) == ["1"]


def test_impossible_benchmarks_are_refused() -> None:
    with pytest.raises(PlanError, match="0 rounds"):
        module.benchmark_network(rounds=0)
    with pytest.raises(PlanError, match="'warp' is not there"):
        module.benchmark_network(device="warp")
