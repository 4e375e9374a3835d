"""The processes around the watcher: begun, watched over, ended, begun again."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import psutil

from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.live.work import READY, Outcome, die_with_parent, work

logger = logging.getLogger(__name__)

T = TypeVar("T")
"""What a worker is given to do."""

PROCESSES: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
"""Workers are forks of a process of its own that has loaded the libraries and has no threads: they begin in a second.
Where there is no such thing (Windows), each is a new process."""
if PROCESSES.get_start_method() == "forkserver":
    PROCESSES.set_forkserver_preload(["autophasenn.pipeline.reconstruct", "autophasenn.report.surface", "pyvista"])
START_LIMIT = 300.0
"""Seconds that a worker may take to load the network."""
FALSE_STARTS = 3
"""Ends before it was ready after which a process is given up."""
SOON = 10.0
"""Seconds from the start of a companion until it is begun again; one that ended later than that had begun."""
CANNOT = 2
"""Exit status of a companion that could not begin, for a reason that the user can mend."""


@dataclass(frozen=True)
class Limits:
    """What one scan may take.

    Parameters
    ----------
    seconds : float
        For one image of it.
    memory : int
        Bytes of a worker.
    remedy : str
        What to do where a scan takes more memory.
    """

    seconds: float
    memory: int
    remedy: str = "raise --memory-limit, or bin the scan"


class Worker(Generic[T]):
    """A process that makes one image after the other.

    Parameters
    ----------
    name : str
        For the log.
    settings : object
        What `target` is given; can be pickled.
    limits : Limits
    niceness : int
        How far it gives way to others.
    target : callable
        What the process runs, of a module: ``target(orders, settings, niceness)``, as `live.work.work`.
    """

    def __init__(
        self,
        name: str,
        settings: object,
        limits: Limits,
        niceness: int = 0,
        target: Callable[[Connection, Any, int], None] = work,
    ) -> None:
        self.name = name
        self._settings, self._limits, self._niceness, self._target = settings, limits, niceness, target
        self._false_starts = 0
        self.task: T | None = None
        self._start()

    def _start(self) -> None:
        self.connection, theirs = PROCESSES.Pipe()
        self._process: BaseProcess = PROCESSES.Process(
            target=self._target, args=(theirs, self._settings, self._niceness), name=self.name, daemon=True
        )
        self._process.start()
        theirs.close()
        self._ready, self._since = False, time.monotonic()

    @property
    def is_free(self) -> bool:
        """Can it take a task?"""
        return self._ready and self.task is None

    def give(self, task: T) -> None:
        """Begin a task; `is_free` must be True."""
        self.task, self._since = task, time.monotonic()
        with suppress(OSError):  # it has just ended; `answer` will say so
            self.connection.send(task)

    def answer(self) -> Outcome | None:
        """The outcome of its task once there is one, which may be that the process is no more.

        Raises
        ------
        InputError
            If it cannot do any work: no weights, no such device, a plan that is wrong.
        """
        try:
            said = self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError):
            return self._lost(self._how_it_ended())
        if said == READY:
            self._ready, self._false_starts = True, 0
            logger.info("%s ready after %.1f s", self.name, time.monotonic() - self._since)
        elif isinstance(said, str):
            raise InputError(said)
        elif said is not None:
            self.task = None
            assert isinstance(said, Outcome)
            return said
        return self._beyond_limits()

    def end(self) -> None:
        """Kill it: what it writes is written whole or not at all."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _beyond_limits(self) -> Outcome | None:
        taken, used = time.monotonic() - self._since, self._resident()
        if not self._ready and taken > START_LIMIT:
            return self._lost(f"it was not ready after {START_LIMIT:g} s")
        if self.task is None:
            return None
        if taken > self._limits.seconds:
            return self._lost(f"it took longer than {self._limits.seconds:g} s; raise --time-limit, or bin the scan")
        if used > self._limits.memory:
            return self._lost(
                f"it took {used / 2**30:.1f} GiB of memory, and {self._limits.memory / 2**30:.1f} GiB are allowed; "
                f"{self._limits.remedy}"
            )
        return None

    def _resident(self) -> int:
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def _how_it_ended(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        if code == -getattr(signal, "SIGKILL", 9):  # Windows has none
            return "its process was killed, as the system does when memory runs out"
        if code is not None and code < 0:
            return f"its process ended with {signal.Signals(-code).name}, a fault of a library"
        return f"its process ended with status {code}"

    def _lost(self, reason: str) -> Outcome | None:
        """Begin again; the outcome of the task, if there was one."""
        task, self.task, ready = self.task, None, self._ready
        self.end()
        self._false_starts += not ready
        if self._false_starts >= FALSE_STARTS:
            raise InputError(f"The process {self.name!r} ended {FALSE_STARTS} times before it was ready: {reason}.")
        logger.warning("%s begins again: %s", self.name, reason)
        self._start()
        return None if task is None else Outcome(f"It was given up: {reason}.")


class Companion:
    """A process that runs as long as the watcher does, such as the page or the client of a detector.

    Parameters
    ----------
    name : str
        For the log.
    target : callable
        Of a module, so that a new process can import it. Ends on SIGTERM.
    *arguments : object
        For `target`.
    """

    def __init__(self, name: str, target: Callable[..., None], *arguments: object) -> None:
        self.name = name
        self._target, self._arguments = target, arguments
        self._starts = 0
        self._process: BaseProcess | None = None

    def start(self) -> None:
        """Begin."""
        self._process = PROCESSES.Process(
            target=_accompany, args=(self._target, self._arguments), name=self.name, daemon=True
        )
        self._process.start()
        self._starts += 1
        self._since = self._seen_alive = time.monotonic()

    def look_after(self) -> None:
        """Begin again what has ended, not more often than every `SOON` seconds.

        Raises
        ------
        InputError
            If it could not even begin, for a reason that the user can mend.
        """
        if self._process is None:
            return
        if self._process.is_alive():
            self._seen_alive = time.monotonic()
            return
        had_begun = self._starts > 1 or self._seen_alive - self._since > SOON
        if self._process.exitcode == CANNOT and not had_begun:
            raise InputError(f"The {self.name} could not begin; why stands above.")
        if time.monotonic() - self._since > SOON:
            logger.warning("%s ended with status %s and begins again", self.name, self._process.exitcode)
            self.start()

    def end(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(5)
            self._process.kill()
            self._process.join()


def _accompany(target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    die_with_parent()
    log_to_stderr()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the watcher says when to end
    try:
        target(*arguments)
    except AutoPhaseNNError as error:
        logger.error("%s", error)
        sys.exit(CANNOT)


def log_to_stderr(name: str = "autophasenn.live") -> None:
    """One line an event, with its time, of the part of this package that is called so."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    events = logging.getLogger(name)
    events.addHandler(handler)
    events.setLevel(logging.INFO)
