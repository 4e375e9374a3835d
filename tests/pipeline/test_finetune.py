"""A network that learns on from measured patterns, and `autophasenn finetune`."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from small_network import QUICK, STEEP, network

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import AutoPhaseNNError, InputError, OutputError, PlanError
from autophasenn.experiment.experiment import Experiment
from autophasenn.inversion.adaptation import Adaptation, _seen, adapt, spread_evenly
from autophasenn.network import weights
from autophasenn.phasing.held_out import HeldOut, hold_out
from autophasenn.pipeline.finetune import Finetuning, finetune, sources
from autophasenn.pipeline.simulate import Simulation, write_dataset
from autophasenn.progress import Silent
from autophasenn.volumes import Pattern
from crystals import expected_counts, polyhedron


@pytest.fixture(scope="module")
def box() -> HeldOut:
    rng = np.random.default_rng(3)
    intensity = torch.from_numpy(expected_counts(polyhedron((64, 64, 64), (3, 3, 3), rng), 1e6)).float()
    counts = torch.poisson(intensity, generator=torch.Generator().manual_seed(0))
    return HeldOut(Pattern(counts, counts >= 0), hold_out(counts >= 0, 0.02, 0))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "patterns.h5"
    write_dataset(path, 2, Simulation(Polyhedra(), Experiment(), 5, "paper"))
    return path


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "start.safetensors"
    weights.save(network(), {"seed": 0}, path)
    return path


def test_learning_on_lowers_the_misfit_of_held_out_voxels(box: HeldOut) -> None:
    found = adapt(network(), [box], STEEP, seed=1)
    assert found.steps == STEEP.steps
    assert found.best_step > 0
    assert found.after < 0.99 * found.before


def test_weights_that_got_worse_are_not_kept(box: HeldOut) -> None:
    begun = network()
    found = adapt(begun, [box], replace(QUICK, learning_rate=10.0, average=0.0), seed=1)
    assert found.best_step == 0
    assert found.after == found.before
    for mine, other in zip(found.network.parameters(), begun.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_the_network_never_sees_held_out_voxels(box: HeldOut) -> None:
    """Whatever they hold; and every photon that it sees was measured."""
    spoiled = HeldOut(replace(box.pattern, counts=torch.where(box.free, 1e5, box.pattern.counts)), box.free)
    for index in range(4):
        seen, same = _seen([box], 1, index, QUICK), _seen([spoiled], 1, index, QUICK)
        assert torch.equal(seen.counts, same.counts)
        assert torch.equal(seen.mask, same.mask)
        assert 0.45 < float(seen.counts.sum() / box.pattern.counts[box.used[0]].sum()) <= 1
        assert torch.equal(seen.counts, seen.counts.round())


@pytest.mark.parametrize(("number", "most"), [(1, 8), (8, 8), (9, 8), (256, 8)])
def test_the_patterns_that_judge_are_spread_evenly_over_all(box: HeldOut, number: int, most: int) -> None:
    """Not the first few: patterns of several scans come one scan after the other."""
    boxes = [replace(box) for _ in range(number)]
    places = [boxes.index(each) for each in spread_evenly(boxes, most)]
    steps = [after - before for before, after in zip(places, [*places[1:], number], strict=True)]
    assert places[0] == 0
    assert len(places) == min(number, most)
    assert min(steps) >= 1
    assert max(steps) - min(steps) <= 1


def test_the_command_writes_weights_with_their_card(dataset: Path, start: Path, tmp_path: Path) -> None:
    output = tmp_path / "tuned.safetensors"
    told = finetune(Finetuning(sources([str(dataset)]), output, start, minutes=0.02, options=QUICK))
    tuned, card = weights.load(output)
    assert card["patterns"] == told["patterns"] == 2
    assert card["data"][0]["sha256"]
    assert card["begun_with"]["file"] == start.name
    assert card["chi2_free_after"] <= card["chi2_free_before"]
    assert card["steps"] >= 1
    assert card["kept"] == told["kept"]
    if not card["best_step"]:
        begun, _ = weights.load(start)
        assert all(torch.equal(a, b) for a, b in zip(tuned.parameters(), begun.parameters(), strict=True))
    with pytest.raises(OutputError, match="--overwrite"):
        finetune(Finetuning(sources([str(dataset)]), output, start))


def test_input_that_nothing_can_be_learned_from_is_refused_and_nothing_written(start: Path, tmp_path: Path) -> None:
    output = tmp_path / "tuned.safetensors"
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.attrs["format"] = "autophasenn-dataset"
    (tmp_path / "broken.npy").write_bytes(b"no array")
    for name in ("empty.h5", "broken.npy"):
        with pytest.raises(AutoPhaseNNError, match=f"Nothing can be learned from .*{name}"):
            finetune(Finetuning(sources([str(tmp_path / name)]), output, start))
    with pytest.raises(InputError, match="no scan, pattern or dataset"):
        sources([str(tmp_path / "missing.h5")])
    with pytest.raises(InputError, match="damaged"):
        finetune(Finetuning(sources([str(tmp_path / "empty.h5")]), output, tmp_path / "broken.npy"))
    assert not output.exists()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody may write to")
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(start: Path, tmp_path: Path) -> None:
    for output in (Path("/proc/tuned.safetensors"), tmp_path / "absent" / "tuned.safetensors"):
        with pytest.raises(OutputError, match="folder"):
            finetune(Finetuning(sources([__file__]), output, start))
    with pytest.raises(OutputError, match="cannot be written"):
        finetune(Finetuning(sources([__file__]), tmp_path / f"{'x' * 300}.safetensors", start))


class Meanwhile(Silent):
    """Something happens when the learning begins."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self.happens = happens

    def stage(self, name: str) -> None:
        if name == "Learn":
            self.happens()


def test_a_folder_that_vanishes_meanwhile_is_one_sentence(dataset: Path, start: Path, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    job = Finetuning(sources([str(dataset)]), folder / "tuned.safetensors", start, minutes=0.001, options=QUICK)
    with pytest.raises(OutputError, match="cannot be written"):
        finetune(job, Meanwhile(folder.rmdir))


def test_an_interruption_speaks_of_weights_only_where_it_wrote_them(dataset: Path, start: Path, tmp_path: Path) -> None:
    """An older file of that name, which an interruption before the learning leaves as it was, is not meant."""
    output = tmp_path / "tuned.safetensors"
    output.write_bytes(b"old")
    job = Finetuning(sources([str(dataset)]), output, start, overwrite=True, options=QUICK)
    with pytest.raises(KeyboardInterrupt) as before:
        finetune(job, Meanwhile(lambda: signal.raise_signal(signal.SIGINT)))
    assert str(before.value) == ""
    assert output.read_bytes() == b"old"
    with pytest.raises(KeyboardInterrupt, match=r"in .*tuned\.safetensors"):
        finetune(job, InTheMiddle())
    assert weights.load(output)[1]["method"] == "finetuned"


class InTheMiddle(Silent):
    """Ctrl-C while the network learns."""

    learns = False

    def stage(self, name: str) -> None:
        self.learns = name == "Learn"

    def advance(self, done: int, total: int) -> None:
        if self.learns:
            self.learns = False
            signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_patterns_on_a_gpu_are_learned_from(box: HeldOut) -> None:
    there = HeldOut(Pattern(box.pattern.counts.cuda(), box.pattern.mask.cuda()), box.free.cuda())
    assert adapt(network().cuda(), [there], QUICK, seed=1).steps == QUICK.steps


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"minutes": 0.0}, "minutes"),
        ({"output": Path("weights.txt")}, "safetensors"),
        ({"inputs": ()}, "nothing to learn"),
    ],
)
def test_options_that_make_no_sense_are_refused(change: dict[str, object], sentence: str) -> None:
    job = Finetuning(sources([__file__]), Path("tuned.safetensors"))
    with pytest.raises(PlanError, match=sentence):
        replace(job, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"steps": 0}, {"learning_rate": 0.0}, {"thinned": (0.0, 1.0)}, {"gapped": 1.5}])
def test_adaptations_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(PlanError):
        Adaptation(**change)  # type: ignore[arg-type]
