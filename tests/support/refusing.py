"""The command line, given what it must refuse."""

import sys
from collections.abc import Callable, Sequence

import pytest

from autophasenn import cli


def refusal(
    words: Sequence[str],
    everything: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Run `autophasenn WORDS`: status 2, one sentence, which it gives, and what `everything` sees stays as it was."""
    before = everything()
    monkeypatch.setattr(sys, "argv", ["autophasenn", *words])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    told = capsys.readouterr()
    assert leaving.value.code == 2
    assert told.out == ""
    assert told.err.startswith("Error: ")
    assert told.err.count("\n") == 1
    assert everything() == before
    return told.err
