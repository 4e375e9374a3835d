"""A training is the same however it is interrupted, learns from diffraction alone, and says how it goes."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.experiment.dataset import Description, encoded
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.network import weights
from autophasenn.network.architectures import build
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.first_guess import FirstGuess
from autophasenn.network.loss import root_chi2, unit_modulus
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.physics.fourier import diffract_padded
from autophasenn.training.average import Average
from autophasenn.training.examples import Patterns, Recorded, Simulated
from autophasenn.training.machine import Machine
from autophasenn.training.objective import Loss, Objective
from autophasenn.training.plan import Optimiser, Plateau, TrainingPlan, Validation, WarmupCosine
from autophasenn.training.run_folder import RunFolder
from autophasenn.training.trainer import PATIENCE, fit

TINY = UnrolledDesign(stages=2, width=8, blocks=(1, 1), memory=2, feedback=1, guess=FirstGuess(1, 10))
PLAN = TrainingPlan(
    samples=6,
    batch=2,
    precision="32-true",
    network=TINY,
    data=(Simulated(share=0.7), Simulated(recipe="beamline", share=0.3)),
    optimiser=Optimiser(learning_rate=3e-3),
    schedule=WarmupCosine(warmup=4),
    validation=Validation(count=2, every=4),
    log_every=4,
    checkpoint_every=4,
)
HERE = Machine(workers=0)


def folder_of(path: Path) -> RunFolder:
    return RunFolder.create(path, "version: 1\n")


def tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def log(folder: RunFolder) -> list[dict[str, Any]]:
    """Without what a clock says."""
    lines = [json.loads(line) for line in folder.log.read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "samples_per_second", "share_waiting")} for line in lines
    ]


def assert_same(one: RunFolder, other: RunFolder) -> None:
    for name in ("last", "best"):
        first, second = tensors(getattr(one, name)), tensors(getattr(other, name))
        assert first.keys() == second.keys()
        assert [key for key in first if not torch.equal(first[key], second[key])] == []
    assert log(one) == log(other)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = folder_of(tmp_path_factory.mktemp("trainings") / "uninterrupted")
    course = fit(PLAN, folder, HERE)
    assert course.step == PLAN.steps == 3
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weak patterns, whose noise is a high floor for the loss."""
    path = tmp_path_factory.mktemp("dataset") / "crystals.h5"
    samples = simulate(Polyhedra(), Experiment(photons=(5e4, 5e4)), 3, range(2))
    path.write_bytes(encoded(samples, Description("polyhedra", 3, {})))
    return path


def test_stopped_after_every_step_and_resumed_it_is_bit_for_bit_the_uninterrupted_one(
    uninterrupted: RunFolder, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "run")
    steps = [fit(PLAN, folder, HERE, minutes=0.0).step for _ in range(3)]
    assert steps == [1, 2, 3]
    assert_same(folder, uninterrupted)
    assert len(folder.pieces.read_text().splitlines()) == 3


def test_a_signal_stops_it_with_a_checkpoint(uninterrupted: RunFolder, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")

    def ask(number: int) -> Any:
        return lambda done, total: os.kill(os.getpid(), number) if done == 2 else None

    assert fit(PLAN, folder, HERE, on_progress=ask(signal.SIGTERM)).step == 2
    with pytest.raises(KeyboardInterrupt):
        fit(PLAN, folder, HERE, on_progress=lambda done, total: os.kill(os.getpid(), signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert fit(PLAN, folder, HERE).step == 3
    assert_same(folder, uninterrupted)


def test_the_folder_tells_how_it_went(uninterrupted: RunFolder) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    lines = log(uninterrupted)
    assert [(line["kind"], line["samples"]) for line in lines] == [
        (kind, samples) for samples in (4, 6) for kind in ("training", "validation")
    ]
    assert {"loss", "gradient_norm", "learning_rate"} <= lines[0].keys()
    assert {"loss", "chi2", "correlation", "correlation_p5", "share_good"} <= lines[1].keys()
    events = EventAccumulator(str(uninterrupted.curves)).Reload()
    assert {"training/loss", "validation/chi2", "validation/correlation"} <= set(events.Tags()["scalars"])
    assert [point.step for point in events.Scalars("validation/chi2")] == [4, 6]
    assert events.Tags()["images"] == ["examples"]
    (piece,) = map(json.loads, uninterrupted.pieces.read_text().splitlines())
    assert {"hardware", "threads", "versions", "device"} <= piece.keys()


def test_the_best_weights_are_the_average_with_the_card_of_their_validation(uninterrupted: RunFolder) -> None:
    network, card = weights.load(uninterrupted.best)
    validations = [line for line in log(uninterrupted) if line["kind"] == "validation"]
    best = max(validations, key=lambda line: line["correlation"])
    assert card["validation"]["correlation"] == best["correlation"]
    assert (card["samples"], card["seed"], card["skipped_steps"]) == (best["samples"], PLAN.seed, 0)
    assert card["plan"]["optimiser"]["learning_rate"] == 3e-3
    if best["samples"] == PLAN.samples:
        average = {k.removeprefix("average."): v for k, v in tensors(uninterrupted.last).items() if "average." in k}
        assert all(torch.equal(value, average[name]) for name, value in network.state_dict().items())


def test_it_begins_with_given_weights_that_fit(uninterrupted: RunFolder, tmp_path: Path) -> None:
    plan = replace(PLAN, samples=2, begin_with=str(uninterrupted.best), optimiser=Optimiser(learning_rate=1e-9))
    folder = folder_of(tmp_path / "run")
    fit(replace(plan, network=replace(TINY, stages=1)), folder, HERE)
    learned = weights.load(uninterrupted.best)[0].state_dict()
    found = {name: tensors(folder.last)[f"network.{name}"] for name in learned}
    assert all(torch.allclose(found[name], learned[name], atol=1e-6) for name in learned)
    with pytest.raises(PlanError, match="give a network that fits them"):
        fit(replace(plan, network=replace(TINY, width=16)), folder_of(tmp_path / "refused"), HERE)


def test_the_truth_in_a_file_makes_no_difference_to_what_is_learned(dataset: Path, tmp_path: Path) -> None:
    unknown = tmp_path / "measured.h5"
    unknown.write_bytes(dataset.read_bytes())
    with h5py.File(unknown, "r+") as file:
        del file["objects"]
    learned = []
    for name, path in (("simulated", dataset), ("measured", unknown)):
        trial = Validation(Recorded(str(path)), count=1, every=4, best_by="chi2")
        folder = folder_of(tmp_path / name)
        fit(replace(PLAN, samples=4, data=(Recorded(str(path)),), validation=trial), folder, HERE)
        learned.append(tensors(folder.last))
    assert all(torch.equal(learned[0][name], learned[1][name]) for name in learned[0])
    plan = replace(PLAN, validation=Validation(Recorded(str(unknown)), count=2))
    with pytest.raises(PlanError, match="no objects to correlate with"):
        fit(plan, folder_of(tmp_path / "refused"), HERE)


def test_a_pattern_is_learned_down_to_its_noise(dataset: Path) -> None:
    trial = Recorded(str(dataset)).trial(0, 1)
    assert trial.objects is not None
    truth = diffract_padded(trial.objects, (64, 64, 64))
    floor = float(root_chi2(truth, unit_modulus(trial.counts, trial.measured), trial.measured).mean())
    objective = Objective(build(replace(TINY, guess=FirstGuess(1, 1)), 1), Loss())
    optimiser = torch.optim.AdamW(objective.parameters(), 5e-3, (0.9, 0.98))
    cooling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 75)
    losses = []
    for _ in range(75):
        optimiser.zero_grad()
        stages = objective(trial.counts, trial.measured, [torch.Generator().manual_seed(1)])
        stages.sum().backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step()
        cooling.step()
        losses.append(stages[-1].item())
    assert losses[0] > 1.15 * floor
    assert losses[-1] < floor


def test_the_paper_network_trains_and_resumes_with_its_running_statistics(tmp_path: Path) -> None:
    plan = replace(
        PLAN,
        samples=4,
        network=AutoPhaseNNDesign(width=2),
        schedule=Plateau(),
        optimiser=Optimiser(average=0.0, clip=0.0),
    )
    whole, pieces = folder_of(tmp_path / "whole"), folder_of(tmp_path / "pieces")
    fit(plan, whole, HERE)
    for _ in range(2):
        fit(plan, pieces, HERE, minutes=0.0)
    assert_same(whole, pieces)
    last = tensors(whole.last)
    assert any(name.endswith("running_mean") and value.abs().max() > 0 for name, value in last.items())
    for name, value in last.items():
        if name.startswith("network."):
            assert torch.equal(last[name.replace("network.", "average.")], value)


def test_half_precision_rounds_convolutions_and_neither_counts_nor_losses(tmp_path: Path) -> None:
    curves = {}
    for precision in ("32-true", "bf16-mixed"):
        folder = folder_of(tmp_path / precision)
        fit(replace(PLAN, samples=4, log_every=2, precision=precision), folder, HERE)
        curves[precision] = [line["loss"] for line in log(folder) if line["kind"] == "training"]
    assert curves["bf16-mixed"] != curves["32-true"]
    assert curves["bf16-mixed"] == pytest.approx(
        curves["32-true"], rel=2e-3
    )  # counts in bf16 would be off by 4e-3 each


class Spoiled(Simulated):
    """Patterns, some of which are too bright for float32."""

    bad: range = range(2, 4)

    def patterns(self, seed: int, indices: Any, device: Any = "cpu") -> Patterns:
        made = super().patterns(seed, indices, device)
        for place, index in enumerate(indices):
            if index in self.bad:
                made.counts[place] = 1e38
        return made


def test_a_step_without_a_finite_gradient_is_skipped_and_counted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    assert fit(replace(PLAN, samples=2, data=(Spoiled(),)), folder, HERE).skipped == 0
    before = tensors(folder.last)
    course = fit(replace(PLAN, samples=4, data=(Spoiled(),)), folder, HERE)
    assert (course.step, course.skipped, course.skipped_in_a_row) == (2, 1, 1)
    after = tensors(folder.last)
    assert all(torch.equal(before[name], after[name]) for name in before)
    course = fit(replace(PLAN, samples=6, data=(Spoiled(),)), folder, HERE)
    assert (course.skipped, course.skipped_in_a_row) == (1, 0)


def test_many_such_steps_end_the_training_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spoiled, "bad", range(1000))
    folder = folder_of(tmp_path / "run")
    with pytest.raises(PlanError, match=rf"{PATIENCE} steps in a row .* diverges. Give a smaller learning_rate"):
        fit(replace(PLAN, samples=1000, batch=1, data=(Spoiled(),)), folder, HERE)


def test_a_batch_that_cannot_fit_is_refused_with_one_that_would(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A batch of 10000000 patterns .* about (\d+) patterns would fit") as refusal:
        fit(replace(PLAN, batch=10**7), folder_of(tmp_path / "run"), HERE)
    fits = int(str(refusal.value).split("about ")[-1].split()[0])
    assert 10 < fits < 10**6


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    with folder.held(), pytest.raises(OutputError, match="Another process is training"):
        fit(PLAN, folder, HERE)
    with pytest.raises(OutputError, match=r"not empty; go on with --resume"):
        folder_of(tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": replace(TINY, width=16)}, "belongs to another network or optimiser"),
        ({"network": AutoPhaseNNDesign(width=2)}, "belongs to another network or optimiser"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    uninterrupted: RunFolder, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    folder = folder_of(tmp_path / "run")
    folder.last.write_bytes(uninterrupted.last.read_bytes())
    with pytest.raises(InputError, match=words):
        fit(replace(PLAN, **change), folder, HERE)
    folder.last.write_bytes(uninterrupted.last.read_bytes()[:-10])
    with pytest.raises(InputError, match="is damaged"):
        fit(PLAN, folder, HERE)
    folder.last.write_bytes(uninterrupted.best.read_bytes())
    with pytest.raises(InputError, match="no checkpoint of version 1 but autophasenn-weights"):
        fit(PLAN, folder, HERE)


def test_the_average_remembers_weights_as_long_as_it_is_told(tmp_path: Path) -> None:
    network = build(TINY)
    average = Average(network, memory=0.9)
    first = next(average.network.parameters()).clone()
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    for step in range(1000, 1003):
        average.update(network, step)
    assert torch.allclose(next(average.network.parameters()), first + 1 - 0.9**3, atol=1e-5)
    average.update(network, 1)  # there is next to nothing to remember after one step
    assert torch.allclose(next(average.network.parameters()), first + 1 - 0.1 * 0.9**3, atol=1e-5)


def test_the_learning_rate_rises_then_falls_as_a_cosine() -> None:
    schedule = WarmupCosine(warmup=100, last=0.1)
    factors = [schedule.factor(seen, 1000, ()) for seen in range(0, 1001, 10)]
    peak = factors.index(max(factors))
    assert peak == 10
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] == pytest.approx(0.1)
    assert schedule.factor(500, 1000, ()) == pytest.approx(0.55)


def test_the_learning_rate_of_a_plateau_is_that_of_torch() -> None:
    losses = [1.0, 0.9, 0.95, 0.9, 0.91, 0.92, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4]
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=2)
    for number, loss in enumerate(losses, 1):
        theirs.step(loss)
        assert Plateau().factor(0, 1, losses[:number]) == optimiser.param_groups[0]["lr"]
