"""A process that looks into files that are still written: a library that hangs or crashes ends it, not the watcher."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.live.crew import PROCESSES
from autophasenn.live.work import die_with_parent

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for one look; the first one loads the libraries."""


class Peeker:
    """The process, begun when it is first asked."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None

    def ask(self, look: Callable[..., Any], *arguments: object) -> Any:
        """What `look` returns there.

        Parameters
        ----------
        look : callable
            Of a module, so that the process can import it.
        *arguments : object

        Raises
        ------
        InputError
            As `look` does; or if the process ended, or gave no answer.
        """
        if self._process is None:
            self._begin()
        try:
            self._connection.send((look, arguments))
            if not self._connection.poll(PATIENCE):
                raise TimeoutError(f"gave no answer within {PATIENCE:g} s")
            is_said, value = self._connection.recv()
        except (EOFError, OSError) as error:  # TimeoutError is an OSError
            self.end()
            how = str(error) if isinstance(error, TimeoutError) else "crashed"
            raise InputError(
                f"A library {how} while it looked into {arguments[0]}; it is damaged, or its disk does not answer."
            ) from error
        if not is_said:
            raise InputError(value)
        return value

    def end(self) -> None:
        """Kill it; the next question begins another."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _begin(self) -> None:
        self._connection, theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=_answer, args=(theirs,), name="peeker", daemon=True)
        self._process.start()
        theirs.close()


def _answer(questions: Connection) -> None:
    for asked in (signal.SIGINT, signal.SIGTERM):  # the watcher says when to end
        signal.signal(asked, signal.SIG_IGN)
    die_with_parent()
    while True:
        try:
            look, arguments = questions.recv()
        except EOFError:
            return
        try:
            questions.send((True, look(*arguments)))
        except AutoPhaseNNError as error:
            questions.send((False, str(error)))
        except Exception as error:  # of a library, about a file that changes under it
            questions.send((False, f"{arguments[0]} cannot be looked into now ({type(error).__name__}: {error})."))
