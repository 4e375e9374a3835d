"""The first image is on the disk before its confidence is known: whole, valid, and replaced by the final one."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

import autophasenn as ap
from autophasenn.errors import OutputError
from autophasenn.files.cxi_image import read_image
from autophasenn.inversion.orientations import Orientations
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.reconstruct import reconstruct_into
from autophasenn.pipeline.result import Output, Result
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.report.words import PENDING, facts

TWO = Plan(confidence=Orientations(2, random_starts=0), even_density=None)
NETWORK = Run("network")


class AtConfidence:
    """A `Progress` that does something as soon as the confidence is computed."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def stage(self, name: str) -> None:
        if name == "Confidence":
            self.act()

    def advance(self, done: int, total: int) -> None:
        pass


def interrupt() -> None:
    raise KeyboardInterrupt


def is_verified(folder: Path) -> bool:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    pairs = [line.split("  ", 1) for line in lines]
    return bool(pairs) and all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == sum for sum, name in pairs)


def test_a_reader_sees_a_whole_result_while_the_confidence_is_computed(tmp_path: Path) -> None:
    folder, seen, told = tmp_path / "out", list[Result](), list[Path]()

    def look() -> None:
        assert is_verified(folder)
        seen.append(ap.load(folder))
        assert read_image(folder / "result.cxi").support.any()

    final = reconstruct_into(Output(folder), Source(), NETWORK, TWO, AtConfidence(look), on_first=told.append)
    (first,) = seen
    assert told == [folder / "overview.png"]
    assert first.report.is_preliminary
    assert first.report.confidence.number is None
    assert facts(first.report)["confidence"].value == PENDING
    assert first.report.chi2 < 3 * first.report.chi2_noise
    assert not final.report.is_preliminary
    assert not final.report.confidence.is_pending
    assert ap.load(folder).report == final.report
    assert is_verified(folder)
    assert list(folder.glob(".*")) == []


def test_an_interrupted_confidence_leaves_the_first_image(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        reconstruct_into(Output(folder, figures=False), Source(), NETWORK, TWO, AtConfidence(interrupt))
    assert {path.name for path in folder.iterdir()} == {"result.cxi", "report.json", "plan.yaml", "SHA256SUMS"}
    assert is_verified(folder)
    left = ap.load(folder)
    assert left.report.confidence.is_pending
    assert "interrupted" in left.report.confidence.meaning
    assert left.image.support.any()


def test_a_first_image_is_written_only_where_the_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        reconstruct_into(Output(tmp_path), Source(), NETWORK, TWO)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_without_a_confidence_there_is_one_image_and_no_other(tmp_path: Path) -> None:
    told = list[Path]()
    alone = Plan(confidence=Orientations(0), even_density=None)
    where = Output(tmp_path / "out", figures=False)
    result = reconstruct_into(where, Source(), NETWORK, alone, on_first=told.append)
    assert told == []
    assert result.report.seconds["first_picture"] is None
    assert not list(where.folder.glob("*.png"))


def test_python_takes_the_number_of_orientations(example_results: Path) -> None:
    pattern = ap.load(example_results / "network")
    assert ap.reconstruct(pattern, method="network", confidence=0).report.confidence.number is None
    with pytest.raises(ap.PlanError, match="one orientation alone says nothing"):
        ap.reconstruct(pattern, method="network", confidence=1)


def test_a_report_that_is_older_than_the_image_beside_it_is_not_taken(example_results: Path, tmp_path: Path) -> None:
    result = ap.load(example_results / "network")
    result.save(tmp_path / "out", figures=False)
    report = tmp_path / "out" / "report.json"
    report.write_text(report.read_text().replace('"is_preliminary": false', '"is_preliminary": true'))
    assert not ap.load(tmp_path / "out").report.is_preliminary
