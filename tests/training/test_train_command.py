"""`autophasenn train` over the real command line: killed, on two processes, and with what cannot be."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mortal import Nursery
from safetensors import safe_open

from autophasenn import cli
from autophasenn.training.machine import Machine
from autophasenn.training.plan import TrainingPlan
from autophasenn.training.run_folder import RunFolder
from autophasenn.training.train import dump_training_plan, load_training_plan
from autophasenn.training.trainer import fit

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("autophasenn")
PLAN: dict[str, Any] = {
    "version": 1,
    "samples": 6,
    "batch": 2,
    "precision": "32-true",
    "optimiser": {"method": "muon"},
    "network": {"name": "UnrolledDesign", "stages": 2, "width": 8, "blocks": [1, 1], "memory": 2},
    "data": [{"name": "Simulated", "share": 0.7}, {"name": "Simulated", "recipe": "beamline", "share": 0.3}],
    "validation": {"data": {"name": "Simulated"}, "count": 1, "every": 4},
    "log_every": 2,
    "checkpoint_every": 4,
}


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    return tmp_path / "plan.yaml"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("uninterrupted")
    (path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    parameters = load_training_plan(path / "plan.yaml")
    folder = RunFolder.create(path / "run", dump_training_plan(parameters))
    fit(parameters, folder, Machine(workers=0))
    return folder


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("nursery"), "autophasenn.training.train")
    yield nursery
    nursery.close()


def tensors(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def losses(folder: RunFolder) -> list[float]:
    return [json.loads(line)["loss"] for line in folder.log.read_text().splitlines()]


def test_killed_before_and_after_a_checkpoint_and_resumed_it_is_bit_for_bit_the_uninterrupted_one(
    uninterrupted: RunFolder, nursery: Nursery, plan: Path, tmp_path: Path
) -> None:
    run, alone = str(tmp_path / "run"), ("--workers", "0", "--threads", "1")
    begin = ("train", "--plan", str(plan), "-o", run, *alone)
    assert nursery.begin(*begin, die_at=("Train", 2)).end() == -signal.SIGKILL
    assert not (tmp_path / "run" / "last.safetensors").exists()
    assert nursery.begin("train", "--resume", run, *alone, die_at=("Train", 4)).end() == -signal.SIGKILL
    resumed = nursery.begin("train", "--resume", run, "--plan", str(plan), *alone)
    assert resumed.end() == 0, resumed.said.read_text()
    assert "samples: 6 of 6" in resumed.said.read_text()
    folder = RunFolder.existing(tmp_path / "run")
    assert losses(folder) == losses(uninterrupted)
    expected, found = tensors(uninterrupted.last), tensors(folder.last)
    assert all(torch.equal(expected[name], found[name]) for name in expected | found)
    assert [json.loads(line)["step"] for line in folder.pieces.read_text().splitlines()] == [0, 0, 2]


def test_two_processes_with_half_the_batch_give_the_curve_of_one_with_all_of_it(
    uninterrupted: RunFolder, plan: Path, tmp_path: Path
) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(COMMAND)]
    words = ["train", "--plan", str(plan), "-o", str(tmp_path / "run"), "--workers", "0", "--threads", "1"]
    done = subprocess.run([*torchrun, *words], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    folder = RunFolder.existing(tmp_path / "run")
    assert json.loads(folder.pieces.read_text())["processes"] == 2
    assert losses(folder) == pytest.approx(losses(uninterrupted), rel=1e-4)
    expected, found = tensors(uninterrupted.last), tensors(folder.last)
    for name in expected:
        if name.startswith("network."):
            assert torch.allclose(found[name], expected[name], atol=1e-5), name


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command with these words, which must leave with status 2; gives its one sentence."""

    def refused(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["autophasenn", "train", *words])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        said = capfd.readouterr().err
        assert leaving.value.code == 2, said
        assert said.startswith("Error: ")
        assert said.count("\n") == 1, said
        return said

    return refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"smaples": 8}, "has no parameter `smaples`; did you mean `samples`?"),
        ({"network": {"name": "UnrolledDesign", "depth": 3}}, "network has no parameter `depth`"),
        ({"network": {"name": "Transformer"}}, "network has the name 'Transformer', and it is one of"),
        ({"data": []}, "data is empty"),
        ({"data": [{"name": "Simulated", "share": -1}]}, "share is -1; give a number above 0"),
        ({"data": [{"name": "Simulated", "recipe": "x"}]}, "The recipe 'x' is not known"),
        ({"data": [{"name": "Recorded", "file": "absent.h5"}]}, "There is no dataset file absent.h5"),
        ({"batch": 0}, "batch is 0; give 1 or more"),
        ({"precision": "16"}, "precision is '16'; it should be 'bf16-mixed' or '32-true'"),
        ({"seed": 0}, "it would be tried on what it learned from"),
        ({"version": 2}, "version 2 of the plan cannot be read"),
        ({"optimiser": {"learning_rate": 0}}, "learning_rate is 0; give a number above 0"),
        ({"schedule": {"name": "WarmupCosine", "last": 2}}, "last is 2; give 0 to 1"),
        ({"schedule": {"name": "Plateau", "shrink": 0}}, "shrink is 0; give a number above 0, up to 1"),
        ({"loss": {"growth": 0}}, "growth is 0; give a number above 0"),
        ({"batch": 10**7}, "patterns would fit"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, refused: Callable[..., str], change: dict[str, Any], words: str
) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN | change))
    said = refused("--plan", str(tmp_path / "plan.yaml"), "-o", str(tmp_path / "run"), "--workers", "0")
    assert words in said
    assert not (tmp_path / "run").exists()


def test_words_that_make_no_sense_together_are_refused(
    tmp_path: Path, plan: Path, refused: Callable[..., str], uninterrupted: RunFolder
) -> None:
    run = str(uninterrupted.path)
    assert "give --plan and -o, or --resume" in refused("--plan", str(plan))
    assert "The device 'tpu' is not there" in refused(
        "--plan", str(plan), "-o", str(tmp_path / "run"), "--device", "tpu"
    )
    assert "is no folder of a training" in refused("--resume", str(tmp_path / "absent"))
    assert "stays where it is" in refused("--resume", run, "-o", str(tmp_path / "other"))
    assert f"go on with --resume {run}" in refused("--plan", str(plan), "-o", run)
    plan.write_text(yaml.safe_dump(PLAN | {"samples": 9}))
    assert "is not the plan of the training" in refused("--resume", run, "--plan", str(plan))
    assert "cannot be read" in refused("--plan", str(tmp_path / "absent.yaml"), "-o", str(tmp_path / "run"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(plan: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    said = refused("--plan", str(plan), "-o", str(tmp_path / "run"), "--device", "cuda")
    assert "The device 'cuda' is not there; use --device cpu" in said
    assert not (tmp_path / "run").exists()


def test_a_batch_that_does_not_divide_among_the_processes_is_refused(
    plan: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WORLD_SIZE", "3"), ("LOCAL_WORLD_SIZE", "3"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    said = refused("--plan", str(plan), "-o", str(tmp_path / "run"))
    assert "A batch of 2 does not divide among 3 processes" in said


def test_the_default_plan_is_printed_with_every_parameter_explained(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["autophasenn", "plan", "--training"])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert not leaving.value.code
    printed = capfd.readouterr().out
    (tmp_path / "plan.yaml").write_text(printed)
    assert load_training_plan(tmp_path / "plan.yaml") == TrainingPlan()
    assert "# Patterns seen in all." in printed


def test_every_plan_survives_being_written_and_read(tmp_path: Path) -> None:
    plans = [load_training_plan(path) for path in sorted((ROOT / "plans").glob("*.yaml"))]
    assert len(plans) >= 2
    for parameters in (TrainingPlan(), *plans):
        (tmp_path / "plan.yaml").write_text(dump_training_plan(parameters))
        assert load_training_plan(tmp_path / "plan.yaml") == parameters
