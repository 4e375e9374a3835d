"""A watcher as a process of its own, and patterns that it reconstructs in a second."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import psutil
from mortal import Nursery, Running

from autophasenn.inversion.learning import Learning
from autophasenn.live.ledger import FILE, Ledger, ScanRecord
from autophasenn.live.options import Watch
from autophasenn.live.settings import Settings
from autophasenn.live.watcher import _Watcher
from autophasenn.pipeline.example import EXAMPLE

QUICK = """
version: 2
confidence:
  number: 0
refinement:
  partial_coherence: false
even_density: null
"""
PATIENCE = 240.0


@cache
def counts(size: int = 32) -> np.ndarray:
    """The bundled pattern around its peak."""
    middle = slice(32 - size // 2, 32 + size // 2)
    return np.load(EXAMPLE)["counts"][middle, middle, middle]


class Watching:
    """`autophasenn watch` at work.

    Parameters
    ----------
    root : Path
        Gets ``data``, which is watched, and ``results``.
    nursery : Nursery
        Has loaded the watcher.
    """

    def __init__(self, root: Path, nursery: Nursery) -> None:
        self.data, self.results, self.plan = root / "data", root / "results", root / "plan.yaml"
        self.nursery = nursery
        self.data.mkdir()
        self.plan.write_text(QUICK)
        self.running: Running | None = None

    def begin(self, *options: str, folder: bool = True) -> None:
        words = ["watch", *([str(self.data)] if folder else []), "-o", str(self.results), "--plan", str(self.plan)]
        words += ["--threads", "1", "--poll", "0.1", "--settle", "0.3", *options]
        words += [] if "--port" in options else ["--no-page"]
        self.running = self.nursery.begin(*words)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit status."""
        running, self.running = self.running, None
        assert running is not None
        os.kill(running.pid, number)
        return running.end()

    def kill(self) -> None:
        """Kill it, and see that nothing that it began outlives it."""
        assert self.running is not None
        others = psutil.Process(self.running.pid).children(recursive=True)
        assert len(others) >= 2
        assert self.end(signal.SIGKILL) == -signal.SIGKILL
        assert not psutil.wait_procs(others, timeout=20)[1]

    @property
    def log(self) -> str:
        """What the last one said."""
        return self.nursery.said.read_text()

    def scans(self) -> dict[str, ScanRecord]:
        with Ledger.open(self.results) as ledger:
            return {scan.name: scan for scan in ledger.scans()}

    def wait_for(self, reached: Callable[[dict[str, ScanRecord]], bool]) -> dict[str, ScanRecord]:
        """Wait until the scans are as they should be."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if (self.results / FILE).is_file() and reached(scans := self.scans()):
                return scans
            assert self.running is not None
            assert psutil.pid_exists(self.running.pid), self.log
            time.sleep(0.02)
        raise AssertionError(self.log)

    def finish(self, *options: str) -> dict[str, ScanRecord]:
        """Let a watcher do all that is left to do."""
        self.begin("--once", *options)
        assert self.running is not None
        status, self.running = self.running.end(), None
        assert status == 0, self.log
        return self.scans()

    def drop(self, name: str, pattern: np.ndarray | None = None) -> None:
        """A file as a program writes it: it grows, then it is there."""
        np.save(self.data / f"{name}.npy", counts() if pattern is None else pattern)

    def check_results(self) -> None:
        """Every result that the ledger names is there and whole, and nothing else is."""
        named = {scan.result for scan in self.scans().values()} - {None}
        reports = {path.parent.relative_to(self.results).as_posix() for path in self.results.rglob("report.json")}
        assert named <= reports
        assert not list(self.results.rglob(".writing-*"))
        for scan in self.scans().values():
            assert scan.state != "refined" or (self.results / scan.thumbnail).stat().st_size > 0


@contextmanager
def watching(root: Path, nursery: Nursery) -> Iterator[Watching]:
    """Whatever happens in the block, nothing is left running."""
    made = Watching(root, nursery)
    try:
        yield made
    finally:
        if made.running is not None and psutil.pid_exists(made.running.pid):
            made.end(signal.SIGKILL)


def all_in(*states: str):
    return lambda scans: bool(scans) and {scan.state for scan in scans.values()} <= set(states)


class Loop:
    """A watcher whose turns are taken one by one."""

    def __init__(self, root: Path, settings: Settings, learning: Learning | None = None) -> None:
        self.data, self.results = root / "data", root / "results"
        self.ledger = Ledger.open(self.results)
        try:
            options = Watch(self.data, self.results, settings, settle=0.1, learning=learning)
            self.watcher = _Watcher(options, self.ledger)
        except BaseException:
            self.ledger.close()
            raise

    def end(self) -> None:
        self.watcher.end()
        self.ledger.close()

    def until(self, reached: Callable[[dict[str, ScanRecord]], bool]) -> dict[str, ScanRecord]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.watcher._endure(self.watcher._look)
            self.watcher._is_new = False
            self.watcher._work()
            if reached(scans := {scan.name: scan for scan in self.ledger.scans()}):
                return scans
            time.sleep(0.02)
        raise AssertionError(scans)

    def is_ready(self, _: object = None) -> bool:
        return all(worker.is_free for worker in self.watcher.workers)

    def limit_files_to(self, size: int) -> None:
        """Of the processes that make images, as a full disk does."""
        for worker in self.watcher.workers:
            resource.prlimit(worker._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
