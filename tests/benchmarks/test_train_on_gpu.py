"""The way from a plan to weights that a GPU goes in pieces, gone on a CPU with a narrow network and a few patterns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import train_on_gpu

from autophasenn.network import weights
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.training.machine import Machine
from autophasenn.training.plan import TrainingPlan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small() -> TrainingPlan:
    plan = train_on_gpu.planned("autophasenn", CPU, batch=2, samples=8)
    validation = replace(plan.validation, count=2, every=4)
    design = AutoPhaseNNDesign(width=2, gathered=4)
    return replace(plan, network=design, validation=validation, log_every=2, checkpoint_every=2, precision="32-true")


def test_a_second_piece_goes_on_where_the_first_ended_and_leaves_weights(
    small: TrainingPlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    first = train_on_gpu.piece(output, small, Machine("cpu", 0), minutes=0.0)
    assert first["samples"] == "2 of 8"
    last = train_on_gpu.piece(output, small, Machine("cpu", 0), minutes=5.0)
    assert last["samples"] == "8 of 8"
    assert "8 of 8 patterns" in capsys.readouterr().out
    network, card = weights.load(str(last["weights"]), "autophasenn")
    assert network.design == small.network
    assert card["samples"] <= 8


def test_the_plans_are_those_of_the_two_networks_and_the_batch_is_the_largest_that_fits(
    small: TrainingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(train_on_gpu.planned("autophasenn", CPU, batch=4).network, AutoPhaseNNDesign)
    assert isinstance(train_on_gpu.planned("unrolled", CPU, batch=4).network, UnrolledDesign)
    monkeypatch.setattr(train_on_gpu, "bytes_kept", lambda *_: 10 / train_on_gpu.MARGIN)
    for memory, batch in ((1000, 64), (100, 8), (1e6, train_on_gpu.MOST)):
        monkeypatch.setattr(train_on_gpu, "memory_of", lambda _, memory=memory: memory)
        assert train_on_gpu.largest_batch(small, CPU) == batch
    monkeypatch.setattr(train_on_gpu, "memory_of", lambda _: 1)
    assert train_on_gpu.main(["autophasenn", "-o", "never", "--device", "cpu"]) == 2
