"""What sentences advise is there for whoever reads them."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import autophasenn
from autophasenn.advice import OPTION, advice_for, reworded
from autophasenn.cli import app
from autophasenn.cli.app import advised
from autophasenn.errors import AutoPhaseNNError
from autophasenn.viewer import analysistab
from autophasenn.viewer.running.fields import FIELDS, TITLES, on_page

GROUP: Any = typer.main.get_command(app)
OPTIONS = {
    name: {o for each in its.params for o in (*each.opts, *each.secondary_opts)} for name, its in GROUP.commands.items()
}


@cache
def sentences() -> list[str]:
    """Words with which errors of this package are raised, as far as they stand in its source."""
    found = []
    for path in sorted(Path(autophasenn.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                words = " ".join(
                    each.value
                    for each in ast.walk(node.exc)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                )
                found += [words] if OPTION.search(words) else []
    return found


def bare(sentence: str) -> set[str]:
    """Options that a sentence names without their command."""
    found: set[str] = set()

    def note(option: str) -> str:
        found.add(option)
        return option

    reworded(sentence, note)
    return found


def test_the_sentences_are_found() -> None:
    said = sentences()
    assert len(said) > 60
    assert any("Choose one with --scan" in each for each in said)


@pytest.mark.parametrize("command", sorted(OPTIONS))
def test_every_option_that_is_advised_is_one_of_the_command_or_said_with_its_own(command: str) -> None:
    for sentence in sentences():
        said = advised(sentence, command)
        assert {each for each in bare(said) if any(each in its for its in OPTIONS.values())} <= OPTIONS[command], said


def test_an_option_that_no_command_has_is_left_as_it_is() -> None:
    assert advice_for("give --nothing.", "watch", OPTIONS) == "give --nothing."


def test_what_is_said_with_its_command_stays() -> None:
    said = "x.h5 holds scans; run autophasenn inspect x.h5 --scan, or autophasenn -h."
    assert advised(said, "watch") == said


def test_the_page_that_runs_has_fields_in_place_of_options() -> None:
    assert {field.option for field in FIELDS} <= TITLES.keys()
    for sentence in sentences():
        assert not bare(on_page(sentence)), sentence


def test_a_failure_of_a_beamline_is_told_in_the_words_of_the_watcher(tmp_path: Path) -> None:
    from autophasenn.pipeline.source import Source

    spec = tmp_path / "a.spec"
    spec.write_text("#F a.spec\n\n#S 54  ascan  th 0 1  10 1\n#D Thu Sep 12 2019\n#N 1\n#L th\n1\n2\n")
    folder = tmp_path / "Made_S0056"
    folder.mkdir()
    (folder / "a_0.tif").touch()
    with pytest.raises(AutoPhaseNNError, match="--scan") as refused:
        Source(str(folder), beamline="34idc", spec=spec).read()
    assert "Choose one with autophasenn reconstruct --scan." in advised(str(refused.value), "watch")


def test_what_an_analysis_says_on_the_page_names_its_fields_and_the_command_of_the_rest() -> None:
    folder = Path(autophasenn.__file__).parent / "analysis"
    texts = [node.value for path in folder.glob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]  # fmt: skip
    advising = [text for text in texts if OPTION.search(text)]
    advising = [text for text in advising if "python benchmarks" not in text]  # a docstring
    assert len(advising) > 5
    for text in advising:
        said = analysistab.on_page(text)
        assert bare(said) == set(), said
        for command, option in re.findall(r"autophasenn (\S+) (--[a-z-]+)", said):
            assert option in OPTIONS[command], said
