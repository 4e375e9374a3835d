"""The series of a watcher, kept up to date while scans come in: what ``autophasenn watch --series`` runs beside it."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from autophasenn.campaign.series import Series
from autophasenn.campaign.table import SCAN, axis
from autophasenn.campaign.written import Wanted, write_series
from autophasenn.errors import AutoPhaseNNError, PlanError
from autophasenn.live.crew import log_to_stderr
from autophasenn.live.ledger import Ledger
from autophasenn.live.work import die_with_parent

logger = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds between two looks at the ledger."""
SHARE = 3.0
"""It rests this many times as long as writing took, so that most of the machine is the reconstructions'."""
NICENESS = 10
Known = list[tuple[str, str, str | None]]


def keep_series(results: Path, against: str) -> None:
    """Write table, page, plots and aligned images of what a watcher has made whenever there is more; never ends by itself.

    Parameters
    ----------
    results : Path
        Folder of the watcher.
    against : str
        What the plots are drawn against.
    """
    die_with_parent()
    log_to_stderr("autophasenn.campaign")
    with suppress(AttributeError, OSError):  # Windows has none
        os.nice(NICENESS)
    before: Known = []
    while True:
        before, taken = refreshed(results, against, before)
        time.sleep(max(PAUSE, SHARE * taken))


def refreshed(results: Path, against: str, before: Known) -> tuple[Known, float]:
    """Write the series anew if anything has become of a scan; what is known now, and the seconds that it took.

    What hinders it, as a disk that is full, is logged, and the next turn tries again.
    """
    began = time.monotonic()
    try:
        known = _known(results)
        if known == before:
            return before, 0.0
        series = write_now(results, against, film=False)
    except AutoPhaseNNError as error:
        logger.warning("The series is not up to date: %s", error)
        return before, time.monotonic() - began
    logger.info("series of %d scans in %s", len(series.rows), results)
    return known, time.monotonic() - began


def write_now(results: Path, against: str, *, film: bool) -> Series:
    """Write the series of a watcher, against the number of the scan as long as no scan has anything else.

    Raises
    ------
    InputError, OutputError
        If the ledger is damaged, or the disk full.
    """
    series = Series.load(results)
    try:
        axis(series.rows, against)
    except PlanError as error:
        logger.warning("The series is plotted against the number of the scan: %s", error)
        against = SCAN
    write_series(series, Wanted(against=against, film=film))
    return series


def _known(results: Path) -> Known:
    """A new image has a new thumbnail."""
    with Ledger.open(results, only_reads=True) as ledger:
        ended = ledger.queue(["imaged", "refined", "failed"])
    return sorted((scan.key, scan.state, scan.thumbnail) for scan in ended)
