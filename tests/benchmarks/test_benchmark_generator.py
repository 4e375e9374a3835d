"""The benchmark of the generator has all its figures; how large they are is the machine's affair and no test's."""

import json
import math
from pathlib import Path

import generator_speed
import pytest
import torch

from autophasenn.errors import PlanError


@pytest.mark.slow
def test_every_figure_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(generator_speed, "BATCH", 2)
    threads = torch.get_num_threads()
    result = generator_speed.benchmark_generator(processes=1, batches=1, rounds=1)
    assert torch.get_num_threads() == threads
    assert set(result["one_thread"]) == {"objects", "patterns, paper", "patterns, beamline"}
    assert all(
        math.isfinite(case["ratio"]) and case["processor_milliseconds"] > 0 for case in result["one_thread"].values()
    )
    assert set(result["patterns_per_second"]) == {"paper", "beamline"}
    assert min(result["patterns_per_second"].values()) > 0
    assert result["met"] == (result["patterns_per_second"]["paper"] >= result["goal"] == 150)
    json.dumps(result, allow_nan=False)


def test_impossible_benchmarks_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PlanError, match="0 processes"):
        generator_speed.benchmark_generator(processes=0)
    assert generator_speed.main(["a.json", "b.json"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
