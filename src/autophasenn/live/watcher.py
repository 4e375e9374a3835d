"""The watcher: finds scans, has them reconstructed, and writes down what became of each.

It computes nothing itself. Two processes do: one makes first images with the network, the other refines, so that a first
image never waits for a refinement. What is to be done stands in the ledger alone, so the watcher may be killed at any
moment and begin again. Each scan is at most once in each process, the newest first.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from autophasenn.errors import AutoPhaseNNError, OutputError, PlanError
from autophasenn.files.writing import TEMPORARY, check_folder
from autophasenn.live.arrivals import Arrivals
from autophasenn.live.crew import Companion, Worker
from autophasenn.live.learned import FACT
from autophasenn.live.learning import Teacher
from autophasenn.live.ledger import BEGUN_WITH, Ledger, ScanRecord, State
from autophasenn.live.lock import only_one
from autophasenn.live.notices import Notices
from autophasenn.live.options import Watch
from autophasenn.live.peeking import Peeker
from autophasenn.live.pictures import FrameSum
from autophasenn.live.stack_sum import StackSum
from autophasenn.live.thumbnails import new_thumbnail, remove_older
from autophasenn.live.work import Outcome, Task, remove
from autophasenn.machine import Stop

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""Watchers that may be killed while a scan is at work, before that scan is taken for the reason."""
PREVIEW_SECONDS = 0.2
"""For which new frames are read between two looks."""
UNFINISHED: tuple[State, ...] = ("arriving", "waiting", "running", "imaged")
GONE = "Its files are not there now; it waits for them."
LATER = 60.0
"""Seconds after which a scan is tried once more that failed for what may pass: a full disk, a mount that is gone."""


def watch(options: Watch, companions: Sequence[Companion] = ()) -> dict[str, Any]:
    """Reconstruct scans as they land, until SIGTERM, Ctrl-C, or the end of what is there (`once`).

    Parameters
    ----------
    options : Watch
    companions : sequence of Companion
        Processes that run as long as this does.

    Returns
    -------
    dict
        Numbers of scans by what became of them; what was learned, where the network learns on.

    Raises
    ------
    InputError, PlanError, OutputError
        If the folders, the weights or the plan are not what they should be, or another watcher is at work.
    """
    _make(options.results)
    with only_one(options.results), Ledger.open(options.results) as ledger, Stop() as stop:
        _claim(ledger, options.folder)
        for depth in ("*/*", "*/*/*"):  # only one watcher writes here, and its predecessor is gone
            for left in options.results.glob(f"{depth}/{TEMPORARY}*"):
                remove(left)
        for stream in options.streams:
            options.spool(stream).mkdir(parents=True, exist_ok=True)
        try:
            return _watched(options, ledger, companions, stop)
        except EOFError:  # a service manager ends all at once, and with the rest what begins the processes
            if not stop.is_asked():
                raise
            return _numbers(ledger)


def _watched(options: Watch, ledger: Ledger, companions: Sequence[Companion], stop: Stop) -> dict[str, Any]:
    watcher = _Watcher(options, ledger)
    try:
        for companion in companions:
            companion.start()
        watcher.run(stop, companions)
    finally:
        for companion in companions:
            companion.end()
        watcher.end()
        logger.info("ended; %s", ", ".join(f"{number} {state}" for state, number in _numbers(ledger).items()))
    return watcher.facts()


def _numbers(ledger: Ledger) -> dict[str, int]:
    """Scans by what became of them."""
    names = {"refined": ("refined",), "failed": ("failed",), "unfinished": UNFINISHED}
    return {name: ledger.count(states) for name, states in names.items()}  # type: ignore[arg-type]


class _Watcher:
    def __init__(self, options: Watch, ledger: Ledger) -> None:
        self._options, self._ledger = options, ledger
        self._resume()
        self._peeker = Peeker()
        self._arrivals = Arrivals(ledger, options.places(self._peeker), options.largest_bytes, options.retry)
        self._sums: dict[str, FrameSum | StackSum] = {}
        self._done: list[tuple[Task, Outcome]] = []
        self._later: dict[str, float] = {}
        self._complaints: dict[str, str] = {}
        self._is_new = True
        ledger.note(FACT, "")
        self.learning = None if options.learning is None else Teacher(options, ledger)
        limits = options.limits()
        self._imager = Worker[Task]("network", options.settings, limits)
        self._refiner = Worker[Task]("refinement", options.settings, limits, niceness=5)
        self.workers = (self._imager, self._refiner)

    def run(self, stop: Stop, companions: Sequence[Companion]) -> None:
        """Look, hand out work, take what is done; again and again."""
        logger.info("watching %s; results in %s", self._options.folder or "detector streams", self._options.results)
        with Notices(self._options.folder if self._options.notify else None) as notices:
            next_look = 0.0
            while not stop.is_asked():
                if time.monotonic() >= next_look or notices.take():
                    self._endure(self._look)
                    self._is_new, next_look = False, time.monotonic() + self._pause()
                self._work()
                for companion in companions:
                    companion.look_after()
                if self._options.once and self._is_done():
                    return
                pipes = [worker.connection for worker in self.workers]
                pipes += [] if self.learning is None else self.learning.pipes
                connection.wait(
                    [*pipes, *notices.pipes, stop.pipe], max(0.0, min(self._options.poll, next_look - time.monotonic()))
                )

    def _resume(self) -> None:
        """Go on where a former watcher was; what was at work in too many that were killed is given up."""
        self._change(["running"], state="waiting")
        self._change(UNFINISHED, counted_from=time.time())  # nothing is late because nobody watched
        for scan in self._ledger.queue(UNFINISHED):
            if scan.attempts >= ATTEMPTS:
                self._fail(
                    scan, f"The watcher was killed {ATTEMPTS} times while it worked on it, and takes it for the reason."
                )

    def end(self) -> None:
        """End its processes, and leave what is at work to the next watcher."""
        for worker in self.workers:
            worker.end()
        if self.learning is not None:
            self.learning.end()
        self._peeker.end()
        self.put_back()

    def put_back(self) -> None:
        """What is at work waits for the next watcher; it is not the reason why this one ends."""
        self._change(["running"], state="waiting")
        self._change(UNFINISHED, attempts=0)

    def _change(self, states: Sequence[State], **values: Any) -> None:
        self._ledger.change(*(scan.key for scan in self._ledger.queue(states)), **values)

    def facts(self) -> dict[str, Any]:
        """What to tell at the end."""
        return _numbers(self._ledger) | ({} if self.learning is None else {"network": self.learning.standing.words})

    def _pause(self) -> float:
        if self._options.notify and not self._arrivals.growing and not self._options.streams:
            return 60 * self._options.poll
        return self._options.poll

    def _endure(self, step: Callable[[], None]) -> None:
        """Do a step; what hinders it (a mount is gone, a disk is full) is told once, and the next turn tries anew."""
        try:
            step()
        except Exception as error:
            is_fault = not isinstance(error, AutoPhaseNNError | OSError)
            if self._options.once or (self._is_new and not is_fault):
                raise
            if str(error) != self._complaints.get(step.__name__):
                logger.warning("%s", error, exc_info=is_fault)
            self._complaints[step.__name__] = str(error)
        else:
            self._complaints.pop(step.__name__, None)

    def _work(self) -> None:
        """Take what is done, and hand out what is to be done."""
        for worker in self.workers:
            task, outcome = worker.task, worker.answer()
            if task is not None and outcome is not None:
                self._done.append((task, outcome))
        self._endure(self._enter)
        self._endure(self._hand_out)
        self._endure(self._learn)

    def _learn(self) -> None:
        """While there is nothing else to do."""
        if self.learning is not None:
            self.learning.turn(is_idle=not self._done and all(worker.is_free for worker in self.workers))

    def _look(self) -> None:
        """See what is new."""
        try:
            self._arrivals.look()
        finally:  # one folder may be missing, and the others not
            self._preview()

    def _preview(self) -> None:
        """The sum of the frames so far, for scans that still arrive."""
        growing = self._arrivals.growing
        self._sums = {key: total for key, total in self._sums.items() if key in growing}
        for key in growing:
            total = self._sum_of(key)
            if total is None:
                continue
            picture = new_thumbnail(self._options.results / key)
            if total.update(PREVIEW_SECONDS / len(growing)) and total.draw(picture):
                self._ledger.change(key, thumbnail=self._relative(picture))
                remove_older(picture)

    def _sum_of(self, key: str) -> FrameSum | StackSum | None:
        """Of the frames of a scan so far; None where there are none to be read."""
        sighting = self._arrivals.sightings.get(key)
        if sighting is None or (sighting.stack is None and not sighting.path.is_dir()):
            return None
        if sighting.stack is None:
            return self._sums.setdefault(key, FrameSum(sighting.path))
        total = self._sums.setdefault(key, StackSum(self._peeker))
        if isinstance(total, StackSum):
            total.stack = sighting.stack
        return total

    def _hand_out(self) -> None:
        """First images before refinements, the newest scan first."""
        if self._imager.is_free and (scan := self._next("waiting")) is not None:
            self._give(self._imager, scan, "network", "running")
        if self._refiner.is_free and (scan := self._next("imaged")) is not None:
            self._give(self._refiner, scan, "refined", "imaged")

    def _next(self, state: State) -> ScanRecord | None:
        """The newest scan in a state that can be worked on now; those whose files are out of sight say so."""
        queue, present = self._ledger.queue([state]), self._arrivals.present
        self._ledger.change(*(s.key for s in queue if s.key not in present and s.reason != GONE), reason=GONE)
        self._ledger.change(*(s.key for s in queue if s.key in present and s.reason == GONE), reason=None)
        return next(filter(self._is_ready, queue), None)

    def _is_ready(self, scan: ScanRecord) -> bool:
        """Are its files there, and has it not just failed for what may pass?"""
        return scan.key in self._arrivals.present and self._later.get(scan.key, 0.0) <= time.monotonic()

    def _is_done(self) -> bool:
        """Is nothing left to do of what is there?"""
        is_idle = not self._done and all(worker.task is None for worker in self.workers)
        if not is_idle or any(map(self._is_ready, self._ledger.queue(UNFINISHED))):
            return False
        return self.learning is None or self.learning.is_done

    def _give(self, worker: Worker[Task], scan: ScanRecord, method: str, state: State) -> None:
        weights = None
        if self.learning is not None:
            self.learning.rest()
            weights = self.learning.weights
        self._ledger.change(scan.key, state=state, reason=None, attempts=scan.attempts + 1)
        output, picture = self._options.results / scan.key / method, new_thumbnail(self._options.results / scan.key)
        is_beamlines = self._options.is_of_beamline(scan.key, Path(scan.source))
        worker.give(
            Task(scan.key, scan.fingerprint, method, scan.source, is_beamlines, output, picture, scan.number, weights)
        )

    def _enter(self) -> None:
        """Write down what was done; that stays in memory until the ledger has it."""
        while self._done:
            self._enter_one(*self._done[0])
            del self._done[0]

    def _enter_one(self, task: Task, outcome: Outcome) -> None:
        scan = self._ledger.scan(task.key)
        if scan is None or scan.fingerprint != task.fingerprint or scan.state == "arriving":
            logger.info("%s: changed while it was reconstructed", Path(task.source).name)
            return
        if outcome.trace is not None:
            logger.error("%s: %s", scan.name, outcome.trace)
        is_first = task.method == "network"
        if outcome.reason is not None:
            said = self._options.advised(outcome.reason)
            reason = " ".join((said if is_first else f"Not refined: {said}").split())
            if (outcome.may_pass or not Path(task.source).exists()) and not self._options.once:
                self._ledger.change(scan.key, state="waiting" if is_first else "imaged", reason=reason, attempts=0)
                self._later[scan.key] = time.monotonic() + LATER
                logger.warning("%s: waits. %s", scan.name, reason)
            else:
                self._fail(scan, reason)
            return
        seconds = max(0.0, time.time() - scan.counted_from)
        done = replace(
            scan,
            state="imaged" if is_first else "refined",
            attempts=0,
            reason=None,
            frames=outcome.frames or scan.frames,
            chi2=outcome.chi2,
            chi2_free=outcome.chi2_free,
            strain_std=outcome.strain_std,
            confidence=outcome.confidence,
            result=self._relative(task.output),
            thumbnail=self._relative(task.picture),
            seconds_to_image=seconds if is_first else scan.seconds_to_image,
            seconds_to_refined=scan.seconds_to_refined if is_first else seconds,
        )
        self._ledger.put(done)
        remove_older(task.picture)
        logger.info("%s: %s %.1f s after its last frame, chi2 %.3g", scan.name, done.state, seconds, outcome.chi2)

    def _fail(self, scan: ScanRecord, reason: str) -> None:
        self._ledger.change(scan.key, state="failed", reason=reason, attempts=0)
        logger.warning("%s: failed. %s", scan.name, reason)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._options.results).as_posix()


def _claim(ledger: Ledger, folder: Path | None) -> None:
    """The keys of a ledger mean the scans of one folder."""
    if ledger.fact(BEGUN_WITH):
        raise OutputError(f"{ledger.path.parent} holds a campaign of `autophasenn reconstruct`; give another -o.")
    watched, former = "" if folder is None else str(folder.resolve()), ledger.fact("folder")
    if watched and former and former != watched:
        raise PlanError(f"{ledger.path.parent} holds the results of {former}, not of {watched}; give another -o.")
    if watched:
        ledger.note("folder", watched)


def _make(results: Path) -> None:
    check_folder(results, overwrite=True)
    results.mkdir(parents=True, exist_ok=True)
    if not os.access(results, os.W_OK):
        raise OutputError(f"The results folder {results} cannot be written to; give another -o.")
