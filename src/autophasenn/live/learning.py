"""The watcher's side of learning on: which weights are in use, when a lesson is due, and that it waits for all else."""

from __future__ import annotations

import ctypes
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autophasenn.errors import AutoPhaseNNError, InputError, PlanError
from autophasenn.files.stored import sha256_of
from autophasenn.files.writing import TEMPORARY, check_folder
from autophasenn.inversion.verdict import BELIEVABLE
from autophasenn.live.crew import PROCESSES, Worker
from autophasenn.live.learned import FACT, FOLDER, MOST, Standing, learned_files, number_in
from autophasenn.live.learner import NICENESS, Learned, Lesson, School, learn
from autophasenn.live.ledger import Ledger
from autophasenn.live.work import remove
from autophasenn.network import predict, weights
from autophasenn.pipeline.plan import Plan, load_plan

if TYPE_CHECKING:
    from autophasenn.live.options import Watch

logger = logging.getLogger(__name__)


class Teacher:
    """Gives lessons to a process that learns while the others have nothing to do.

    Parameters
    ----------
    options : Watch
        With `learning`.
    ledger : Ledger

    Raises
    ------
    InputError, PlanError, OutputError
        If what was learned before is damaged, or began with other weights; if no image will have a confidence; if nothing
        can be written where it is kept.
    """

    def __init__(self, options: Watch, ledger: Ledger) -> None:
        assert options.learning is not None
        self._options, self._how, self._ledger = options, options.learning, ledger
        run, plan = options.settings.run, options.settings.plan
        if not (Plan() if plan is None else load_plan(plan)).confidence.number:
            raise PlanError(
                "--learn takes scans whose image can be believed, and the plan asks for no confidence; give its "
                "confidence.number 1 or more, or leave --learn out."
            )
        self._folder = options.results / FOLDER
        self._root = predict.weights_file(run.weights, run.network)
        check_folder(self._folder, overwrite=True)
        for left in self._folder.glob(f"{TEMPORARY}*"):
            remove(left)
        self._note(_standing(self._folder, self._root))
        self._may_work = PROCESSES.RawValue(ctypes.c_bool, False)
        school = School(self._root, self._folder, self._how, self._may_work)
        limits = replace(
            options.limits(), seconds=math.inf, remedy="leave --learn out"
        )  # it may have to wait for hours
        self.worker: Worker[Lesson] | None = Worker("learning", school, limits, NICENESS, learn)
        self._rounds = number_in(self._folder, self.weights)
        self._known: frozenset[tuple[str, str]] = frozenset()
        self._goes_on = False
        self._places: dict[str, int] = {}

    @property
    def weights(self) -> Path:
        """Those in use: the newest that were learned, else those of the beginning."""
        return next(iter(learned_files(self._folder)), self._root)

    @property
    def pipes(self) -> list[Any]:
        """That say when there is something to be read."""
        return [] if self.worker is None else [self.worker.connection]

    @property
    def is_done(self) -> bool:
        """Is there nothing to learn?"""
        return self.worker is None or (self.worker.task is None and self._lesson() is None)

    def rest(self) -> None:
        """Wait, from the next step on."""
        self._may_work.value = False

    def turn(self, is_idle: bool) -> None:
        """Learn while nothing else is to be done; take what was learned."""
        self._may_work.value = is_idle
        if self.worker is None:
            return
        try:
            outcome = self.worker.answer()
        except InputError as error:  # images are made without it
            logger.warning("nothing more is learned: %s", error)
            self.end()
            return
        if outcome is not None:
            self._take(outcome)
        if is_idle and self.worker.is_free and (due := self._lesson()) is not None:
            lesson, self._known = due
            self._rounds += 1
            self.worker.give(lesson)

    def end(self) -> None:
        """End the process."""
        if self.worker is not None:
            self.worker.end()
            self.worker = None

    def _lesson(self) -> tuple[Lesson, frozenset[tuple[str, str]]] | None:
        """One that is due, and of which scans: some are new to it, or the last one brought better weights."""
        scans = self._believable()
        seen = frozenset((scan.key, scan.fingerprint) for scan in scans)
        if len(scans) < self._how.least or not (self._goes_on or seen - self._known):
            return None
        if len(learned_files(self._folder)) >= MOST:
            return None
        for scan in reversed(scans):
            self._places.setdefault(scan.key, len(self._places))
        folders = tuple((scan.key, self._options.results / str(scan.result)) for scan in scans)
        places = tuple(self._places[scan.key] for scan in scans)
        return Lesson(self._rounds, self.weights, folders, places), seen

    def _believable(self) -> list[Any]:
        """The scans that are learned from, the newest first."""
        refined = [scan for scan in self._ledger.queue(["refined"]) if (scan.confidence or 0.0) >= BELIEVABLE]
        return refined[: self._how.remembered]

    def _take(self, outcome: Any) -> None:
        self._goes_on = isinstance(outcome, Learned) and outcome.weights is not None
        if outcome.reason is not None:
            logger.warning("nothing learned: %s", outcome.trace or outcome.reason)
        elif self._goes_on:
            self._note(_standing(self._folder, self._root))
            logger.info("weights %d from now on, learned from %d scans: %s",
                        number_in(self._folder, outcome.weights), len(outcome.scans), outcome.sentence)  # fmt: skip
        else:
            logger.info("the weights stay: %s", outcome.sentence)

    def _note(self, standing: Standing) -> None:
        self.standing = standing
        self._ledger.note(FACT, standing.fact)


def _standing(folder: Path, root: Path) -> Standing:
    """How far former watchers came.

    Raises
    ------
    InputError
        If their weights are damaged, or began with others than `root`.
    """
    files = learned_files(folder)
    if not files:
        return Standing(0, 0, 0.0)
    try:
        _, card = weights.load(files[0])
        number, scans = number_in(folder, files[0]), len(card["learned_from"])
        standing = Standing(number, scans, float(card["since"]), len(files) >= MOST).checked()
        began_with = card["root"]["file"], card["root"]["sha256"]
    except AutoPhaseNNError as error:
        raise InputError(f"{error} Or remove {folder}, which throws away what was learned.") from error
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{files[0]} was not learned by a watcher; remove {folder}, which throws away what was learned."
        ) from error
    if began_with[1] != sha256_of(root):
        raise InputError(
            f"What was learned in {folder} began with other weights ({began_with[0]}) than {root}; give those by --weights, "
            f"or remove {folder} to learn anew."
        )
    return standing
