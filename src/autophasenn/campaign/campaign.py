"""The campaign itself: scans handed out to processes, what became of each written down, so that it goes on after any end."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

import yaml

from autophasenn.campaign.crew import Crew, Crewman, cluster_of, processes
from autophasenn.campaign.scans import ScanOfCampaign, check_there, fingerprint, scans_of
from autophasenn.campaign.table import DONE, GIVEN, NUMBERS, as_csv, read_metadata, rows_of
from autophasenn.campaign.work import Reconstructed, Settings, Task
from autophasenn.errors import OutputError, PlanError
from autophasenn.files.writing import LAST, TEMPORARY, check_folder, forsaken, write_atomically
from autophasenn.live import ledger as ledgers
from autophasenn.live import lock
from autophasenn.live.ledger import BEGUN_WITH, Ledger, ScanRecord
from autophasenn.live.thumbnails import new_thumbnail, remove_older
from autophasenn.live.work import Outcome, remove
from autophasenn.machine import Stop
from autophasenn.pipeline.plan import Plan, dump_plan
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.progress import Progress, Silent

logger = logging.getLogger(__name__)

TABLE = "campaign.csv"
THUMBNAILS = "thumbnails"
OF_ONE_SCAN = ("input", "scan")
"""Of a source, what says which scan it is; the rest holds for all."""
POLL = 1.0
"""Seconds between two looks at processes that say nothing."""


@dataclass(frozen=True)
class Campaign:
    """Scans, and how each is reconstructed.

    Parameters
    ----------
    sources : tuple of Source
    folder : Path
        Gets a folder a scan, the table and the series.
    run : Run
    plan : Plan
    workers : int
        Processes of this machine.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the work instead.
    threads : int
        CPU threads of each.
    figures : bool
        Whether each result gets its figures.
    overwrite : bool
        Whether scans that are done are done again.
    metadata : Path, optional
        A table of what else is known of the scans (`table.read_metadata`).
    command : str
        The command line, kept with every result.

    Raises
    ------
    PlanError
        If there are no workers, workers and a scheduler, or no scans.
    """

    sources: tuple[Source, ...]
    folder: Path
    run: Run = field(default_factory=Run)
    plan: Plan = field(default_factory=Plan)
    workers: int = 1
    threads: int = 1
    figures: bool = True
    overwrite: bool = False
    metadata: Path | None = None
    command: str = ""
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise PlanError(f"{self.workers} workers can do no work; give 1 or more.")
        if self.workers > 1 and self.scheduler is not None:
            raise PlanError(
                "The workers of this machine and a scheduler are two ways; give one, workers or a scheduler."
            )
        scans_of(self.sources)
        self.run.check(self.plan)

    def check(self) -> None:
        """Refuse a folder that holds anything but a campaign, and to begin one of which no file is there.

        Raises
        ------
        OutputError, InputError
        """
        held = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        check_folder(self.folder, overwrite=ledgers.FILE in held or held <= {lock.FILE})
        if ledgers.FILE not in held:
            check_there(self.sources)


@dataclass(frozen=True)
class Ended:
    """What became of a campaign.

    Parameters
    ----------
    done, failed, waiting : int
        Scans with a result, without, and those that nobody has tried yet.
    former : int
        Of those with a result, how many had one before.
    is_interrupted : bool
    """

    done: int
    failed: int
    waiting: int
    former: int = 0
    is_interrupted: bool = False


def run_campaign(
    campaign: Campaign, progress: Progress | None = None, tell: Callable[[str], None] | None = None
) -> Ended:
    """Reconstruct every scan that has no result yet; Ctrl-C and SIGTERM end it, and the same call goes on.

    Parameters
    ----------
    campaign : Campaign
    progress : Progress, optional
        Told how many scans are done.
    tell : callable, optional
        Given a sentence for every scan.

    Raises
    ------
    InputError, PlanError
        If weights, device or metadata are not what they should be, or the campaign was begun with other parameters.
    OutputError
        If the folder holds something else, cannot be written, or another process writes to it.
    """
    if campaign.scheduler is None:
        campaign.run.torch_device()
    given = None if campaign.metadata is None else read_metadata(campaign.metadata)
    campaign.check()
    campaign.folder.mkdir(parents=True, exist_ok=True)
    with lock.only_one(campaign.folder), Ledger.open(campaign.folder) as ledger, Stop() as stop:
        _agree(campaign, ledger)
        if given is not None:
            ledger.note(GIVEN, json.dumps(given))
        for left in [*campaign.folder.glob(f"*/{TEMPORARY}*"), *forsaken(campaign.folder / TABLE)]:
            remove(left)  # of a campaign that was killed
        return _Campaign(campaign, ledger, progress or Silent(), tell or (lambda _: None)).run(stop)


def state_of(campaign: Campaign) -> dict[str, int]:
    """How many scans there are, and how many have a result already; nothing is written."""
    scans = scans_of(campaign.sources)
    known: list[ScanRecord] = []
    if (campaign.folder / ledgers.FILE).is_file():
        with Ledger.open(campaign.folder) as ledger:
            _agree(campaign, ledger, is_dry=True)
            known = ledger.scans()
            scans = scans_of(campaign.sources, known)
    records = {record.key: record for record in known}
    done = sum(not campaign.overwrite and is_done(campaign.folder, scan, records.get(scan.key)) for scan in scans)
    return {"scans": len(scans), "done before": done, "to do": len(scans) - done}


def is_done(folder: Path, scan: ScanOfCampaign, record: ScanRecord | None) -> bool:
    """Has a scan a whole result, made of the files that it has now?"""
    return (
        record is not None
        and record.state in DONE
        and record.fingerprint == fingerprint(scan.source)
        and (folder / scan.key / LAST).is_file()
    )


class _Campaign:
    def __init__(self, campaign: Campaign, ledger: Ledger, progress: Progress, tell: Callable[[str], None]) -> None:
        self._campaign, self._ledger, self._progress, self._tell = campaign, ledger, progress, tell
        self._folder = campaign.folder
        self._scans = {scan.key: scan for scan in scans_of(campaign.sources, ledger.scans())}
        self._waiting = self._enter()
        self._former = len(self._scans) - len(self._waiting)
        self._failed = 0

    def _enter(self) -> list[ScanOfCampaign]:
        """Write down which scans there are; those that are to be done. What failed before is tried again."""
        waiting = []
        for scan in self._scans.values():
            record = self._ledger.scan(scan.key)
            if not self._campaign.overwrite and is_done(self._folder, scan, record):
                continue
            waiting.append(scan)
            looks = fingerprint(scan.source)
            now = ScanRecord(scan.key, scan.name, "waiting", source=scan.path, fingerprint=looks, number=scan.number)
            self._ledger.put(replace(now, arrived=time.time()))
        return waiting

    def run(self, stop: Stop) -> Ended:
        """Hand out scans until all are done or a signal asks for an end."""
        total, waiting = len(self._waiting), list(self._waiting)
        self._write_table()
        self._progress.stage("Scans")
        self._progress.advance(0, total)
        ended = 0
        with self._crew(total) as crew:
            try:
                while ended < total and not stop.is_asked():
                    for worker in crew:
                        task, outcome = worker.task, worker.answer()
                        if task is not None and outcome is not None:
                            ended += 1
                            self._conclude(task, outcome)
                            self._progress.advance(ended, total)
                        if worker.is_free and waiting:
                            self._give(worker, waiting.pop(0))
                    if ended < total:
                        connection.wait([*(worker.connection for worker in crew), stop.pipe], POLL)
            finally:
                for worker in crew:
                    worker.end()
                self._put_back()
                self._write_table()
        done = self._former + ended - self._failed
        return Ended(done, self._failed, total - ended, self._former, is_interrupted=ended < total)

    def _crew(self, scans: int) -> AbstractContextManager[Crew]:
        campaign = self._campaign
        settings = Settings(campaign.run, campaign.plan, campaign.threads, campaign.figures, campaign.command)
        if campaign.scheduler is not None and scans:
            return cluster_of(campaign.scheduler, settings, scans)
        return processes(settings, min(campaign.workers, scans))

    def _give(self, worker: Crewman, scan: ScanOfCampaign) -> None:
        self._ledger.change(scan.key, state="running")
        picture = new_thumbnail(self._folder / THUMBNAILS / scan.key)
        worker.give(Task(scan.key, scan.source, self._folder / scan.key, picture))

    def _conclude(self, task: Task, outcome: Outcome) -> None:
        """Write down what became of a scan: its numbers first, so that what has a result has them."""
        scan, record = self._scans[task.key], self._ledger.scan(task.key)
        assert record is not None  # it was entered
        if outcome.trace is not None:
            logger.error("%s: %s", scan.name, outcome.trace)
        if not isinstance(outcome, Reconstructed):
            self._failed += 1
            reason = " ".join((outcome.reason or "It gave no result.").split())
            self._ledger.put(replace(record, state="failed", reason=reason))
            self._tell(f"{scan.name}: failed. {reason}")
        else:
            numbers = outcome.numbers
            self._ledger.note(NUMBERS + scan.key, json.dumps(numbers.to_json(), allow_nan=False))
            done = replace(
                record,
                state="refined",
                reason=None,
                chi2=outcome.chi2,
                chi2_free=outcome.chi2_free,
                strain_std=outcome.strain_std,
                confidence=outcome.confidence,
                result=scan.key,
                thumbnail=task.picture.relative_to(self._folder).as_posix(),
                seconds_to_refined=numbers.values.get("seconds"),
            )
            self._ledger.put(done)
            remove_older(task.picture)
            self._tell(f"{scan.name}: {numbers.status}. {numbers.message}")
        self._write_table()

    def _put_back(self) -> None:
        running = self._ledger.queue(["running"])
        self._ledger.change(*(record.key for record in running), state="waiting")

    def _write_table(self) -> None:
        with write_atomically(self._folder / TABLE) as temporary:
            temporary.write_text(as_csv(rows_of(self._folder, self._ledger)), encoding="utf-8")


def _agree(campaign: Campaign, ledger: Ledger, *, is_dry: bool = False) -> None:
    """Refuse to go on with other parameters than those with which the results that are there were made."""
    if ledger.fact("folder"):
        raise OutputError(f"{campaign.folder} holds the results of a watcher; give another -o.")
    source = {name: value for name, value in asdict(campaign.sources[0]).items() if name not in OF_ONE_SCAN}
    now = _leaves({"run": asdict(campaign.run), "plan": yaml.safe_load(dump_plan(campaign.plan)), "scans": source})
    before = ledger.fact(BEGUN_WITH)
    if before is not None and not campaign.overwrite:
        then = json.loads(before)
        differing = [name for name in now.keys() | then.keys() if now.get(name) != then.get(name)]
        if differing:
            name = min(differing, key=lambda each: (each not in then, each))
            was = f"with {name} {then[name]}" if name in then else f"without {name}, as an earlier version may have"
            raise PlanError(
                f"{campaign.folder} was begun {was}, and now it is {now.get(name, 'not')}; repeat the command that "
                "began it, give another -o, or --overwrite to do all scans again."
            )
    if not is_dry:
        ledger.note(BEGUN_WITH, json.dumps(now))


def _leaves(tree: Any, name: str = "") -> dict[str, str]:
    """Dotted name -> value, as text, of everything in nested mappings and sequences."""
    if isinstance(tree, Mapping):
        pairs = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple):
        pairs = [(str(number), value) for number, value in enumerate(tree)]
    else:
        return {name: str(tree)}
    return {key: value for child, below in pairs for key, value in _leaves(below, f"{name}.{child}".strip(".")).items()}
