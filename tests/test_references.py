"""What texts and docstrings point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
TEXTS = [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted((HOME / "docs").glob("[!_r]*/*.md"))]
SOURCES = sorted((HOME / "src").rglob("*.py"))
FILE = re.compile(r"\b((?:docs|tests|benchmarks|plans|src)/[\w/.-]+\.(?:md|py|yaml))\b")


@pytest.mark.parametrize("text", [*TEXTS, *SOURCES], ids=lambda path: path.relative_to(HOME).as_posix())
def test_every_file_that_is_named_is_there(text: Path) -> None:
    named = FILE.findall(text.read_text(encoding="utf-8"))
    assert [name for name in named if not (HOME / name).is_file()] == []


def test_what_the_paper_cites_is_listed_and_what_is_listed_is_cited() -> None:
    text = (HOME / "docs" / "paper" / "paper.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^@\w+\{(\w+),", (HOME / "docs" / "paper" / "paper.bib").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(set(listed)) == len(listed) > 5
    assert set(re.findall(r"@([a-z]+\d*)\b", text)) == set(listed)
