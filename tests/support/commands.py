"""The command line, run in this process."""

import sys

import pytest

from autophasenn import cli


def status_of(*words: object) -> int:
    """Run `autophasenn WORDS`; its exit status. Where no fixture of a test can set ``sys.argv``, as in those of a module."""
    before = sys.argv
    sys.argv = ["autophasenn", *map(str, words)]
    try:
        with pytest.raises(SystemExit) as leave:
            cli.main()
    finally:
        sys.argv = before
    return int(leave.value.code or 0)
