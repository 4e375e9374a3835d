"""What a working process does: load the network once, then turn one scan after the other into an image.

It may die at any moment, of a scan that needs too much memory or of a fault in a library: it owns nothing but the folder of
the result it writes, and that is written whole or not at all.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from autophasenn.errors import AutoPhaseNNError, OutputError
from autophasenn.files.writing import TEMPORARY

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
        Whether `source` is a folder of a beamline.
    output : Path
        Folder of the result.
    picture : Path
        PNG file of the crystal.
    """

    key: str
    fingerprint: str
    method: str
    source: str
    from_beamline: bool
    output: Path
    picture: Path


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


@dataclass(frozen=True)
class Settings:
    """What holds for every task.

    Parameters
    ----------
    beamline : str, optional
    spec, dark, white, mask : Path, optional
    dataset : str, optional
        Name of the counts in HDF5 files.
    plan : Path, optional
    device : str
    weights : Path, optional
    threads : int
        CPU threads.
    figures : bool
        Whether refined results get the figures of ``autophasenn reconstruct``.
    force : bool
        Whether patterns of oversampling below 2 are phased all the same.
    seed : int
    """

    beamline: str | None = None
    spec: Path | None = None
    dark: Path | None = None
    white: Path | None = None
    mask: Path | None = None
    dataset: str | None = None
    plan: Path | None = None
    device: str = "cpu"
    weights: Path | None = None
    threads: int = 1
    figures: bool = False
    force: bool = False
    seed: int = 0


READY = "ready"


def work(orders: Connection, settings: Settings, niceness: int) -> None:
    """Say `READY`, or why not in a sentence; then answer every `Task` that comes with its `Outcome`."""
    for asked in (signal.SIGINT, signal.SIGTERM):  # the watcher says when to end
        signal.signal(asked, signal.SIG_IGN)
    die_with_parent()
    sys.argv = without_secrets(sys.argv)  # every result holds the command that made it
    os.nice(niceness)
    try:
        worker = _Worker(settings)
        worker.warm_up()
    except AutoPhaseNNError as error:
        orders.send(str(error))
        return
    orders.send(READY)
    while True:
        try:
            task = orders.recv()
        except EOFError:
            return
        orders.send(worker.outcome(task))


def without_secrets(words: Sequence[str]) -> list[str]:
    """A command line that anybody may read: the token of the page is left out."""
    pairs = zip(words, ["", *words], strict=False)
    return [word for word, former in pairs if former != "--token" and word.partition("=")[0] != "--token"]


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
        from autophasenn.inversion.orientations import Variants
        from autophasenn.pipeline.plan import Plan, load_plan
        from autophasenn.pipeline.reconstruct import Request, load_predictor

        use_threads(settings.threads)
        self._settings = settings
        self._plan = Plan() if settings.plan is None else load_plan(settings.plan)
        # How far an image can be believed takes several more; the first one shall come at once.
        self._quick_plan = replace(self._plan, confidence=Variants(variants=0))
        same = {name: getattr(settings, name) for name in ("device", "weights", "force", "seed")}
        request = self._request = Request(None, Path(), overwrite=True, figures=False, **same)
        self._predictor = load_predictor(request)

    def warm_up(self) -> None:
        """Once through everything: first calls load libraries and choose kernels."""
        from autophasenn.live.pictures import draw_crystal
        from autophasenn.pipeline.reconstruct import reconstruct

        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "result"
            request = replace(self._request, output=output, method="network")
            reconstruct(request, self._quick_plan, predictor=self._predictor)
            draw_crystal(output / "result.cxi", output / "picture.png")

    def outcome(self, task: Task) -> Outcome:
        """Reconstruct a scan; whatever is wrong with it is said, not raised."""
        try:
            return self._reconstruct(task)
        except AutoPhaseNNError as error:
            return Outcome(str(error), may_pass=isinstance(error, OutputError))
        except Exception as error:  # one bad scan must not stop the rest
            from autophasenn.devices import is_shortage

            if is_shortage(error):
                return Outcome("It does not fit into the memory; cut the scan around its peak, or bin it (--plan).")
            return Outcome(f"The program failed on it ({type(error).__name__}: {error}).", traceback.format_exc())

    def _reconstruct(self, task: Task) -> Outcome:
        from autophasenn.files.readers import READERS
        from autophasenn.live.pictures import draw_crystal
        from autophasenn.pipeline.reconstruct import reconstruct

        request, settings = replace(self._request, output=task.output, method=task.method), self._settings
        if task.from_beamline:
            request = replace(
                request,
                input=task.source,
                **{name: getattr(settings, name) for name in ("beamline", "spec", "dark", "white")},
            )
        else:
            needs_name = settings.dataset and Path(task.source).suffix.lower() not in READERS
            name = f"{task.source}:{settings.dataset}" if needs_name else task.source
            request = replace(request, input=name, mask=settings.mask)
        for left in task.output.glob(f"{TEMPORARY}*"):  # of a worker that was killed at this very result
            remove(left)
        quick = task.method == "network"
        prepared = _prepare_quickly(request, self._plan) if quick else None
        request = replace(request, figures=settings.figures and not quick, refined_follows=quick)
        plan = self._quick_plan if quick else self._plan
        report = reconstruct(request, plan, prepared=prepared, predictor=self._predictor)
        draw_crystal(task.output / "result.cxi", task.picture)
        return outcome_of(report, 0 if prepared is None else prepared.scan.frames.shape[0])


def outcome_of(report: Mapping[str, Any], frames: int) -> Outcome:
    """The numbers of the table, from those of a report."""
    return Outcome(
        frames=frames,
        chi2=report["chi2"],
        chi2_free=report["chi2_free"],
        strain_std=(report["strain"] or {}).get("std"),
        confidence=report["confidence"]["number"],
    )


def _prepare_quickly(request: Any, plan: Any) -> Any:
    """The middle of a large scan, where that is all the network looks at."""
    from autophasenn.live.near_peak import EDGE, is_cut, is_enough, near_peak
    from autophasenn.pipeline.reconstruct import prepare

    try:
        prepared = prepare(request, plan, cut=near_peak)
        if is_enough(prepared.preprocessed, prepared.scan):
            note = f"The first image was made from at most {EDGE} x {EDGE} pixels about the peak, all that the network sees."
            return replace(prepared, warnings=(*prepared.warnings, note)) if is_cut(prepared.scan) else prepared
    except AutoPhaseNNError:
        pass  # what is wrong with the whole scan is for the whole scan to say
    return prepare(request, plan)


def remove(path: Path) -> None:
    """A temporary file or folder of a process that was killed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
