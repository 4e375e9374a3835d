"""A dataset file is the same file however often its making was killed, and whoever made it."""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from full_disk import files_limited_to
from mortal import Nursery

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.experiment.dataset import open_dataset, rounded
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.files.blocks import folder_of
from autophasenn.pipeline.simulate import LIBRARIES, Simulation, write_dataset

BLOCK = 2
COUNT = 2 * BLOCK + 1
KILLED = -signal.SIGKILL
SIMULATION = Simulation(Polyhedra(), Experiment(), 7, "paper")


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autophasenn.pipeline.simulate.BLOCK", BLOCK)
        yield


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uninterrupted") / "crystals.h5"
    write_dataset(path, COUNT, SIMULATION)
    assert names(path.parent) == ["crystals.h5"]
    return path


class At:
    """A `Progress` that acts when stage and number are reached."""

    def __init__(self, stage: str, done: int, act: Callable[[], None]) -> None:
        self.wanted, self.act, self.now = (stage, done), act, ""

    def stage(self, name: str) -> None:
        self.now = name

    def advance(self, done: int, total: int) -> None:
        if (self.now, done) == self.wanted:
            self.act()


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("nursery"), "small_blocks")
    yield nursery
    nursery.close()


def command(path: Path, count: int = COUNT) -> list[str]:
    """The words that make the file of `uninterrupted`."""
    return ["simulate", str(path), "--count", str(count), "--source", "polyhedra", "--seed", "7"]


def test_the_file_holds_the_samples_of_seed_and_index(uninterrupted: Path) -> None:
    made = simulate(Polyhedra(), Experiment(), 7, range(COUNT))
    with open_dataset(uninterrupted) as dataset:
        assert len(dataset) == COUNT
        assert torch.equal(dataset.patterns(range(COUNT)), made.counts)
        assert torch.equal(dataset.objects(range(COUNT)), rounded(made.objects))
        assert dataset.description.source == "polyhedra"
        assert dataset.description.seed == 7
        assert dataset.description.provenance["indices"] == [0, COUNT]
        assert dataset.description.provenance["source"]["metal"] == "Au"
        assert dataset.description.provenance["recipe"] == "paper"
        assert {*LIBRARIES, "machine"} == dataset.description.provenance["versions"].keys()
        assert {"scipy", "h5py", "hdf5plugin"} < {*LIBRARIES}  # positions, layout and compression


@pytest.mark.parametrize(("stage", "done"), [("Simulate", BLOCK), ("Simulate", COUNT), ("Write", 1)])
def test_killed_at_any_stage_and_resumed_it_is_the_uninterrupted_file(
    uninterrupted: Path, tmp_path: Path, nursery: Nursery, stage: str, done: int
) -> None:
    path = tmp_path / "crystals.h5"
    assert nursery.begin(*command(path), die_at=(stage, done)).end() == KILLED
    assert names(tmp_path)[-1] == "crystals.h5.partial"
    write_dataset(path, COUNT, SIMULATION)
    assert sha256(path) == sha256(uninterrupted)
    assert names(tmp_path) == ["crystals.h5"]


def test_killed_after_the_last_rename_it_is_complete_and_only_tidied(
    uninterrupted: Path, tmp_path: Path, nursery: Nursery
) -> None:
    path = tmp_path / "crystals.h5"
    assert nursery.begin(*command(path), die_at=("Remove", 0)).end() == KILLED
    assert names(tmp_path) == ["crystals.h5", "crystals.h5.partial"]
    with pytest.raises(OutputError, match="exists already"):
        write_dataset(path, COUNT + 1, SIMULATION)
    write_dataset(path, COUNT, SIMULATION)
    assert sha256(path) == sha256(uninterrupted)
    assert names(tmp_path) == ["crystals.h5"]


def test_killed_again_and_again_at_any_moment_it_is_the_uninterrupted_file(
    uninterrupted: Path, tmp_path: Path, nursery: Nursery
) -> None:
    path, kills, patience = tmp_path / "crystals.h5", 0, 0.02
    while not path.exists() or (tmp_path / "crystals.h5.partial").exists():
        running = nursery.begin(*command(path))
        time.sleep(patience)
        with suppress(ProcessLookupError):  # it was quicker
            os.kill(running.pid, signal.SIGKILL)
        kills += running.end() == KILLED
        patience *= 1.3  # a block takes longer than the first are let live
    assert kills > 5
    assert sha256(path) == sha256(uninterrupted)
    assert names(tmp_path) == ["crystals.h5"]


def test_finished_blocks_are_not_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "crystals.h5"
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, COUNT, SIMULATION, progress=At("Simulate", BLOCK, interrupt))
    kept = {block: block.stat().st_mtime_ns for block in (tmp_path / "crystals.h5.partial").glob("*.h5")}
    assert len(kept) == 1
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, COUNT, SIMULATION, progress=At("Simulate", 2 * BLOCK, interrupt))
    assert {block: block.stat().st_mtime_ns for block in kept} == kept


def test_many_processes_make_the_same_file(uninterrupted: Path, tmp_path: Path) -> None:
    path = tmp_path / "crystals.h5"
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, COUNT, SIMULATION, progress=At("Simulate", BLOCK, interrupt))
    write_dataset(path, COUNT, SIMULATION, workers=2)
    assert sha256(path) == sha256(uninterrupted)


@pytest.fixture
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


def test_a_scheduler_makes_the_same_file(uninterrupted: Path, tmp_path: Path, cluster: Any) -> None:
    write_dataset(tmp_path / "crystals.h5", COUNT, SIMULATION, scheduler=cluster.scheduler_address)
    assert sha256(tmp_path / "crystals.h5") == sha256(uninterrupted)


def test_workers_with_other_versions_are_refused(tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autophasenn.pipeline.simulate.version", lambda name: "0.0.7")
    with pytest.raises(InputError, match=r"has autophasenn \d.*, and here is 0\.0\.7"):
        write_dataset(tmp_path / "crystals.h5", COUNT, SIMULATION, scheduler=cluster.scheduler_address)
    assert names(tmp_path) == []


def test_a_lost_scheduler_leaves_what_is_finished(tmp_path: Path, cluster: Any) -> None:
    path = tmp_path / "crystals.h5"
    lost = At("Simulate", BLOCK, cluster.close)
    with pytest.raises(InputError, match=r"scheduler was lost.*same command goes on"):
        write_dataset(path, 6 * BLOCK, SIMULATION, scheduler=cluster.scheduler_address, progress=lost)
    assert "000000000.h5" in names(tmp_path / "crystals.h5.partial")


def test_without_dask_one_process_works_and_many_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PlanError, match=r"pip install .* '\.\[cluster\]'"):
        write_dataset(tmp_path / "crystals.h5", COUNT, SIMULATION, workers=2)
    assert names(tmp_path) == []
    write_dataset(tmp_path / "crystals.h5", 1, SIMULATION)


def test_a_scheduler_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autophasenn.workers.PATIENCE", "0.2s")
    with pytest.raises(InputError, match="No Dask scheduler answers"):
        write_dataset(tmp_path / "crystals.h5", 1, SIMULATION, scheduler="tcp://127.0.0.1:9")
    assert names(tmp_path) == []


def test_other_parameters_do_not_go_on_with_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "crystals.h5"
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, COUNT, SIMULATION, progress=At("Simulate", BLOCK, interrupt))
    kept = names(tmp_path / "crystals.h5.partial")
    for count, simulation, words in (
        (COUNT, Simulation(Polyhedra(), Experiment(), 8, "paper"), "seed 7, now 8"),
        (COUNT + 1, SIMULATION, f"count {COUNT}, now {COUNT + 1}"),
        (COUNT, Simulation(Polyhedra(metal="Pt"), Experiment(), 7, "paper"), "provenance.source.metal Au, now Pt"),
    ):
        with pytest.raises(OutputError, match=words):
            write_dataset(path, count, simulation, overwrite=True)
    assert names(tmp_path / "crystals.h5.partial") == kept


def test_files_that_are_not_of_the_simulation_stay(tmp_path: Path) -> None:
    path = tmp_path / "crystals.h5"
    folder = folder_of(path)

    def leave_notes() -> None:
        for name in ("notes.txt", "2022.h5"):
            (folder / name).write_text("precious")
        (folder / ".writing-of-mine").mkdir()

    other = tmp_path / ".writing-77-my-crystals.h5"
    other.write_text("another process writes my-crystals.h5")
    write_dataset(path, COUNT, SIMULATION, progress=At("Simulate", BLOCK, leave_notes))
    assert names(folder) == [".writing-of-mine", "2022.h5", "notes.txt"]
    assert {(folder / name).read_text() for name in ("notes.txt", "2022.h5")} == {"precious"}
    assert other.exists()
    with pytest.raises(OutputError, match="exists already"):
        write_dataset(path, COUNT, SIMULATION)


@pytest.mark.parametrize("name", ["notes.txt", "lock.txt", "000000000.h5"])
def test_a_folder_that_no_simulation_began_is_refused_as_it_is(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "crystals.h5.partial"
    folder.mkdir()
    (folder / name).write_text("precious")
    with pytest.raises(OutputError, match="holds files that no simulation put there"):
        write_dataset(tmp_path / "crystals.h5", 1, SIMULATION)
    assert names(folder) == [name]
    assert (folder / name).read_text() == "precious"


def test_a_failure_leaves_files_that_are_not_of_the_simulation(tmp_path: Path) -> None:
    path = tmp_path / "crystals.h5"

    def fail() -> None:
        (folder_of(path) / "notes.txt").write_text("precious")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, COUNT, SIMULATION, progress=At("Simulate", 0, fail))
    assert names(folder_of(path)) == ["notes.txt"]


def test_damaged_parameters_are_said_and_the_blocks_stay(tmp_path: Path) -> None:
    path = tmp_path / "crystals.h5"
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, COUNT, SIMULATION, progress=At("Simulate", BLOCK, interrupt))
    (folder_of(path) / "parameters.json").write_text('{"count"')
    with pytest.raises(OutputError, match=r"parameters\.json is damaged"):
        write_dataset(path, COUNT, SIMULATION)
    assert (folder_of(path) / "000000000.h5").exists()


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "crystals.h5"

    def again() -> None:
        with pytest.raises(OutputError, match="Another process is writing"):
            write_dataset(path, COUNT, SIMULATION)

    write_dataset(path, COUNT, SIMULATION, progress=At("Simulate", BLOCK, again))
    with open_dataset(path) as dataset:
        assert len(dataset) == COUNT


def test_a_file_that_is_there_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "crystals.h5"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        write_dataset(path, 1, SIMULATION)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, 1, SIMULATION, overwrite=True, progress=At("Write", 1, interrupt))
    assert path.read_text() == "precious"
    write_dataset(path, 1, SIMULATION, overwrite=True)
    assert h5py.is_hdf5(path)


def test_a_full_disk_keeps_what_is_finished_and_says_how_to_go_on(
    uninterrupted: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Room for nothing at all; for blocks but not for the whole; for everything."""
    path, whole = tmp_path / "crystals.h5", uninterrupted.stat().st_size
    with files_limited_to(whole // 20), pytest.raises(OutputError, match="disk is full") as nothing:
        write_dataset(tmp_path / "new" / "folder" / "crystals.h5", COUNT, SIMULATION)
    assert "kept" not in str(nothing.value)
    assert names(tmp_path) == []
    for share in (0.5, 0.7, 0.999):
        with files_limited_to(int(share * whole)), pytest.raises(OutputError, match=r"disk is full.*same command"):
            write_dataset(path, COUNT, SIMULATION)
        assert names(tmp_path) == ["crystals.h5.partial"]
    write_dataset(path, COUNT, SIMULATION)
    assert sha256(path) == sha256(uninterrupted)
    assert capfd.readouterr().err == ""


def test_ctrl_c_says_what_is_kept_and_leaves_with_130(tmp_path: Path, nursery: Nursery) -> None:
    path = tmp_path / "crystals.h5"
    running = nursery.begin(*command(path, count=1000))
    while not any(tmp_path.glob("crystals.h5.partial/[0-9]*.h5")):
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGINT)
    assert running.end() == 130
    said = running.said.read_text()
    assert said.startswith(f"Error: interrupted; what is finished is kept in {path}.partial")
    assert said.count("\n") == 1
