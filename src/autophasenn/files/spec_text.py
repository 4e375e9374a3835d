"""SPEC files as they are found: line ends of Windows, degrees and micrometres in Latin-1, comments without end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from autophasenn.files.boundary import check_regular, reading

MANY_COMMENTS = 10_000
"""The SPEC reader of silx takes minutes for ten times as many, and crashes at two hundred times."""
LONGEST_LINE = 4000
"""Characters of a header line that are kept; at some ten thousand the same reader crashes."""


@contextmanager
def legible(path: Path) -> Iterator[Path]:
    """A file with the same scans that a reader of SPEC files understands: mostly `path` itself.

    Raises
    ------
    InputError
        If it is missing or no regular file; or what reads it in the block fails.
    """
    check_regular(path, "SPEC file")
    with reading(path, "a SPEC file"):
        content = path.read_bytes()
        text = _text(content)
        if text.encode() == content:
            yield path
            return
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "scans.spec"
            copy.write_text(text, encoding="utf-8", newline="\n")
            yield copy


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    text = re.sub(r"^#S[^\n]*\n?\Z", "", text, flags=re.MULTILINE)  # a scan of which only its name is there: a crash
    if text.count("\n#C") > MANY_COMMENTS:
        text = re.sub(r"^#C.*\n", "", text, flags=re.MULTILINE)
    return re.sub(rf"^(#.{{{LONGEST_LINE}}}).+", r"\1", text, flags=re.MULTILINE)
