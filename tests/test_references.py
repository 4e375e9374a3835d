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
