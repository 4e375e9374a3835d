"""The command `autophasenn` in processes that may be killed.

They are forked from a process of their own that has loaded everything and has no threads: loading it for each would take
seconds, and a fork of the tests' own process, which has threads, may hang. That process is this file, run as a script.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass
class Running:
    """A command at work."""

    nursery: "Nursery"
    pid: int
    said: Path

    def end(self) -> int:
        """Wait for it; its exit status, negative where a signal ended it."""
        return int(self.nursery.hear())


class Nursery:
    """Begins commands, one at a time; the module `loaded` need not be imported by each."""

    def __init__(self, folder: Path, loaded: str = "autophasenn.pipeline.simulate") -> None:
        self.said = folder / "said"
        self.process = subprocess.Popen(
            [sys.executable, __file__, loaded], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, *words: str, die_at: tuple[str, int] | None = None) -> Running:
        """Begin ``autophasenn`` with these words. It kills itself where stage and number of `die_at` are reached."""
        order = {"words": words, "die_at": die_at, "said": str(self.said)}
        assert self.process.stdin is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return Running(self, int(self.hear()), self.said)

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close(self) -> None:
        self.process.communicate()


def obey(words: list[str], die_at: list[Any] | None, said: str) -> None:
    from autophasenn import cli
    from autophasenn.cli import learning
    from autophasenn.files.blocks import Parts

    os.dup2(os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 1)
    os.dup2(1, 2)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    class Progress(learning.TerminalProgress):
        now = ""

        def stage(self, name: str) -> None:
            self.now = name

        def advance(self, done: int, total: int) -> None:
            if [self.now, done] == die_at:
                die()

    learning.TerminalProgress = Progress  # type: ignore[misc]
    if die_at == ["Remove", 0]:
        Parts.remove = die  # type: ignore[method-assign]
    sys.argv = ["autophasenn", *words]
    cli.main()


def main() -> None:
    import autophasenn.experiment.recipes  # noqa: F401

    import_module(sys.argv[1])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                obey(**json.loads(line))
            except SystemExit as leaving:
                os._exit(int(leaving.code or 0))
            finally:
                os._exit(1)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
