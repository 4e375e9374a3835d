"""What a working process does: load the network once, then turn one scan after the other into an image.

It may die at any moment, of a scan that needs too much memory or of a fault in a library: it owns nothing but the folder of
the result it writes, and that is written whole or not at all.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from autophasenn.errors import AutoPhaseNNError, OutputError
from autophasenn.files.convention import RESULT
from autophasenn.files.writing import TEMPORARY
from autophasenn.live.learned import number_of

if TYPE_CHECKING:
    from autophasenn.live.settings import Settings
    from autophasenn.pipeline.plan import Plan
    from autophasenn.pipeline.prepare import Prepared
    from autophasenn.pipeline.result import Result
    from autophasenn.pipeline.source import Source
    from autophasenn.report.numbers import Report

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One image of one scan.

    Parameters
    ----------
    key, fingerprint : str
        Of the scan as it was seen.
    method : str
        network or refined.
    source : str
        Its folder or file.
    from_beamline : bool
        Whether `source` is a folder or file of a beamline.
    output : Path
        Folder of the result.
    picture : Path
        PNG file of the crystal.
    scan : int, optional
        Its number, where `source` holds several.
    weights : Path, optional
        Of the network; None: those of the beginning.
    """

    key: str
    fingerprint: str
    method: str
    source: str
    from_beamline: bool
    output: Path
    picture: Path
    scan: int | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Parameters
    ----------
    reason : str, optional
        Why there is no image; None: there is one.
    trace : str, optional
        Of a fault of the program.
    may_pass : bool
        Whether the reason lies not with the scan: the disk of the results is full.
    frames : int
    chi2, chi2_free, strain_std, confidence : float, optional
    """

    reason: str | None = None
    trace: str | None = None
    may_pass: bool = False
    frames: int = 0
    chi2: float | None = None
    chi2_free: float | None = None
    strain_std: float | None = None
    confidence: float | None = None


READY = "ready"
FIRST_IMAGE = "The network's first image; the refined one will have a confidence."
BY_LEARNED_WEIGHTS = (
    "The image was made by weights that were learned at this beamtime, and its confidence was calibrated with those of the "
    "package, so take it as rough."
)


class Doer(Protocol):
    """What a working process does with its tasks."""

    def warm_up(self) -> None:
        """Once through everything: first calls load libraries and choose kernels."""

    def outcome(self, task: Any) -> Outcome:
        """Do a task; whatever is wrong with it is said, not raised."""


def work(orders: Connection, settings: Settings, niceness: int) -> None:
    """Say `READY`, or why not in a sentence; then answer every `Task` that comes with its `Outcome`."""
    serve(orders, lambda: _Worker(settings), niceness)


def serve(orders: Connection, begin: Callable[[], Doer], niceness: int) -> None:
    """What every working process does, whatever its tasks are.

    Parameters
    ----------
    orders : Connection
        Tasks come through it and outcomes go, `READY` or a sentence on why there will be none before them.
    begin : callable
        Gives what does the tasks; may raise what the user can mend.
    niceness : int
    """
    for asked in (signal.SIGINT, signal.SIGTERM):  # the parent says when to end
        signal.signal(asked, signal.SIG_IGN)
    die_with_parent()
    if niceness:
        os.nice(niceness)
    try:
        doer = begin()
        doer.warm_up()
    except AutoPhaseNNError as error:
        orders.send(str(error))
        return
    orders.send(READY)
    while True:
        try:
            task = orders.recv()
        except EOFError:
            return
        orders.send(doer.outcome(task))


def attempted(make: Callable[[], Outcome]) -> Outcome:
    """What became of a scan; whatever is wrong with it is said, not raised: one bad scan must not stop the rest."""
    try:
        return make()
    except AutoPhaseNNError as error:
        return Outcome(str(error), may_pass=isinstance(error, OutputError))
    except Exception as error:
        from autophasenn.devices import is_shortage

        if is_shortage(error):
            return Outcome("It does not fit into the memory; cut the scan around its peak, or bin it (--plan).")
        return Outcome(f"The program failed on it ({type(error).__name__}: {error}).", traceback.format_exc())


def die_with_parent() -> None:
    """End this process, from a thread, when the watcher is gone: one that was killed cannot end its workers."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class _Worker:
    """The network, loaded, and how it is used."""

    def __init__(self, settings: Settings) -> None:
        from autophasenn.devices import use_threads
        from autophasenn.inversion.orientations import Orientations
        from autophasenn.pipeline.plan import Plan, load_plan

        use_threads(settings.threads)
        self._settings = settings
        self._plan = Plan() if settings.plan is None else load_plan(settings.plan)
        # How far an image can be believed takes several more, and a last resort as long; the first one shall come at once.
        self._quick_plan = replace(self._plan, confidence=Orientations(number=0), even_density=None, deblurring=None)
        self._predictor = settings.run.predictor()

    def warm_up(self) -> None:
        """Once through everything: first calls load libraries and choose kernels."""
        from autophasenn.live.pictures import draw_crystal
        from autophasenn.pipeline.reconstruct import reconstruct
        from autophasenn.pipeline.source import Source

        run = replace(self._settings.run, method="network")
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "result"
            result = reconstruct(Source(), run, self._quick_plan, predictor=self._predictor)
            result.save(output, figures=False)
            draw_crystal(output / RESULT, output / "picture.png")

    def outcome(self, task: Task) -> Outcome:
        """Reconstruct a scan; whatever is wrong with it is said, not raised."""
        return attempted(lambda: self._reconstruct(task))

    def _reconstruct(self, task: Task) -> Outcome:
        from autophasenn.live.pictures import draw_crystal
        from autophasenn.pipeline.prepare import prepare
        from autophasenn.pipeline.reconstruct import reconstruct
        from autophasenn.pipeline.result import Output

        settings = self._settings
        self._take_weights(task.weights)
        run = replace(settings.run, method=task.method)
        for left in task.output.glob(f"{TEMPORARY}*"):  # of a worker that was killed at this very result
            remove(left)
        Output(task.output, overwrite=True).check()
        source = self._source_of(task)
        is_quick = task.method == "network"
        plan = self._quick_plan if is_quick else self._plan
        prepared = _prepare_quickly(source, plan, run.force) if is_quick else prepare(source, plan, force=run.force)
        result = reconstruct(prepared, run, plan, predictor=self._predictor, command=settings.command)
        if is_quick:
            result = _announcing_the_refined(result)
        elif number_of(self._predictor.file or Path()):
            result = _by_learned_weights(result)
        result.save(task.output, overwrite=True, figures=settings.figures and not is_quick)
        draw_crystal(task.output / RESULT, task.picture)
        return outcome_of(result.report, prepared.scan.frames.shape[0] if is_quick else 0)

    def _take_weights(self, file: Path | None) -> None:
        """Go on with other weights; those in use stay where others cannot be read, and every result names its own."""
        if file is None or file == self._predictor.file:
            return
        from autophasenn.network.predict import Predictor

        former = self._predictor
        try:
            self._predictor = Predictor.from_file(file, former.inference, former.device)
        except AutoPhaseNNError as error:
            logger.warning("the weights stay: %s", error)

    def _source_of(self, task: Task) -> Source:
        from autophasenn.files.readers import READERS
        from autophasenn.pipeline.source import Source

        shared, dataset = self._settings.source, self._settings.dataset
        if task.from_beamline:
            return replace(shared, input=task.source, scan=task.scan)
        needs_name = dataset and Path(task.source).suffix.lower() not in READERS
        place = f"{task.source}:{dataset}" if needs_name else task.source
        # What a stream wrote is a file, even where the folders are those of a beamline.
        return shared.of(place) if shared.beamline is None else Source(place, mask=shared.mask)


def _announcing_the_refined(result: Result) -> Result:
    """A first image, whose refinement is under way: that one will have a confidence."""
    trust = replace(result.report.confidence, meaning=FIRST_IMAGE)
    return replace(result, report=replace(result.report, confidence=trust))


def _by_learned_weights(result: Result) -> Result:
    """With a warning that the confidence was not calibrated for such weights."""
    report = result.report
    if report.confidence.number is None:
        return result
    return replace(result, report=replace(report, warnings=(*report.warnings, BY_LEARNED_WEIGHTS)))


def outcome_of(report: Report, frames: int) -> Outcome:
    """The numbers of the table, from those of a report."""
    return Outcome(
        frames=frames,
        chi2=report.chi2,
        chi2_free=report.chi2_free,
        strain_std=None if report.strain is None else report.strain.std,
        confidence=report.confidence.number,
    )


def _prepare_quickly(source: Source, plan: Plan, force: bool) -> Prepared:
    """The middle of a large scan, where that is all the network looks at."""
    from autophasenn.live.near_peak import EDGE, is_cut, is_enough, near_peak
    from autophasenn.pipeline.prepare import prepare

    try:
        prepared = prepare(source, plan, force=force, cut=near_peak)
        if is_enough(prepared.preprocessed, prepared.scan):
            note = f"The first image was made from at most {EDGE} x {EDGE} pixels about the peak, all that the network sees."
            return replace(prepared, warnings=(*prepared.warnings, note)) if is_cut(prepared.scan) else prepared
    except AutoPhaseNNError:
        pass  # what is wrong with the whole scan is for the whole scan to say
    return prepare(source, plan, force=force)


def remove(path: Path) -> None:
    """A temporary file or folder of a process that was killed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
