"""A watcher's folder as a table: every scan, what became of it, and how long that took."""

from __future__ import annotations

import csv
import io
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from autophasenn.errors import InputError
from autophasenn.live.learned import FACT, Standing
from autophasenn.live.ledger import Ledger, ScanRecord, State
from autophasenn.live.thumbnails import newest_thumbnail
from autophasenn.viewer.numbers import VERDICTS, colour_of
from autophasenn.viewer.series import TABLE, Entry, entries_of

COLOURS: dict[State, str] = {
    "arriving": "info",
    "waiting": "secondary",
    "running": "info",
    "imaged": "primary",
    "refined": "success",
    "failed": "error",
}
"""Of the label of each state."""
WORDS: dict[State, str] = {"running": "first image begun", "imaged": "first image"}
"""For a state, where it is another word than its own."""
LATE = 1.0
"""Seconds after its last frame from which the watcher began late for a scan."""
UNKNOWN = "–"


class Scans:
    """The scans of a results folder, read whenever they change.

    Parameters
    ----------
    folder : Path
        Results folder of a watcher.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.records: list[ScanRecord] = []
        self.summary = ""
        self._ledger: Ledger | None = None
        self._version: int | None = None
        self._records: dict[str, ScanRecord] = {}
        self.entries: dict[str, Entry] = {}
        self._table: tuple[int, int] | None = None
        self._learned: str | None = None

    def look(self) -> set[str] | None:
        """Read the table if it changed; the keys of the scans that have another image now, None: all is as it was.

        Raises
        ------
        InputError
            If the watcher's ledger cannot be read.
        """
        if self._ledger is None:
            self._ledger = Ledger.open(self.folder, only_reads=True)
        version, learned = self._ledger.version(), self._ledger.fact(FACT)
        table = self._stamp()
        if (version, learned) == (self._version, self._learned) and table == self._table:
            return None
        self._table, self._learned = table, learned
        before, records = self._records, self._ledger.scans()
        self._records, self._version = {record.key: record for record in records}, version
        self.entries = entries_of(self.folder, records, self._ledger)
        self.records = list(records)
        standing = Standing.read(learned)
        self.summary = "; ".join([summary_of(records), *([] if standing is None else [standing.words])])
        return {r.key for r in records if r.key in before and _image(r) != _image(before[r.key])}

    def _stamp(self) -> tuple[int, int] | None:
        """When the table of the series was written, and its size."""
        try:
            status = (self.folder / TABLE).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def newest(self) -> str | None:
        """Key of the newest scan that has an image."""
        return next((key for key, record in self._records.items() if record.result is not None), None)

    def name(self, key: str) -> str:
        """What people call a scan."""
        return self._records[key].name

    def result(self, key: str) -> Path:
        """Folder of a scan's newest image.

        Raises
        ------
        InputError
            If there is none.
        """
        record = self._records.get(key)
        if record is None or record.result is None:
            raise InputError(f"The scan {key} has no image; choose another one from the table.")
        return self.file(record.result)

    def file(self, name: str) -> Path:
        """A file or folder of the results folder; links and ``..`` out of it are refused.

        Raises
        ------
        InputError
            If there is none.
        """
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder):
            raise InputError(f"{name} lies outside of {self.folder}; only files in that folder are shown.")
        if not path.exists():
            raise InputError(f"{name} is not in {self.folder} any more; look at the table again.")
        return path

    def thumbnail(self, name: str) -> Path:
        """The picture of a scan; the newest one, where that was replaced which a browser still asks for.

        Raises
        ------
        InputError
            If there is none.
        """
        newest = None if (self.folder / name).exists() else newest_thumbnail(self.folder / name)
        return self.file(name if newest is None else str(newest))

    def close(self) -> None:
        """Give the file back."""
        if self._ledger is not None:
            self._ledger.close()


def _image(record: ScanRecord) -> tuple[object, ...]:
    return record.result, record.state, record.chi2


def summary_of(records: Sequence[ScanRecord]) -> str:
    """How many scans are in each state."""
    numbers = Counter(record.state for record in records)
    return ", ".join(f"{numbers[state]} {WORDS.get(state, state)}" for state in COLOURS if state in numbers)


def arranged(
    records: Sequence[ScanRecord],
    by: str,
    is_descending: bool,
    wanted: str,
    verdicts: Mapping[str, str] = {},
) -> list[dict[str, Any]]:
    """Rows of the table, those with all of the wanted words, in an order.

    Parameters
    ----------
    records : sequence of ScanRecord
    by : str
        Name of a column; "": as they are. What has no value there comes last in either direction.
    is_descending : bool
    wanted : str
        Words that name, state, verdict or reason must have, in capitals or not.
    verdicts : mapping of str to str
        Of the images, by the keys of their scans; sorted from the best to the worst.
    """

    def value(record: ScanRecord) -> Any:
        if by != "verdict":
            return _value(record, by)
        return VERDICTS.index(verdicts[record.key]) if verdicts.get(record.key) in VERDICTS else None

    words = wanted.casefold().split()
    chosen = [record for record in records if all(word in _words(record, verdicts).casefold() for word in words)]
    if by:
        known = [record for record in chosen if value(record) is not None]
        known.sort(key=value, reverse=is_descending)
        chosen = [*known, *(record for record in chosen if value(record) is None)]
    return [row_of(record, verdicts.get(record.key, "")) for record in chosen]


def _words(record: ScanRecord, verdicts: Mapping[str, str]) -> str:
    return f"{record.name} {record.state} {WORDS.get(record.state, '')} {verdicts.get(record.key, '')} {record.reason or ''}"


FIELDS = {"strain": "strain_std", "seconds": "seconds_to_image", "seconds_refined": "seconds_to_refined"}
"""Fields of a record that have other names than their columns."""


def _value(record: ScanRecord, column: str) -> Any:
    value = getattr(record, FIELDS.get(column, column))
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", value)] if column == "name" else value


def as_csv(records: Sequence[ScanRecord]) -> str:
    """All scans as comma-separated values, with the numbers as they are: strain without factor, times in seconds."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = [each.name for each in fields(ScanRecord) if each.name != "thumbnail"]
    writer.writerow(columns)
    for record in records:
        cells = ["" if getattr(record, name) is None else getattr(record, name) for name in columns]
        # a spreadsheet would run what begins so; names come from folders that others write
        writer.writerow(
            [f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell for cell in cells]
        )
    return buffer.getvalue()


def row_of(record: ScanRecord, verdict: str = "") -> dict[str, Any]:
    """A scan as the table shows it; `verdict`: on its image."""
    return {
        "key": record.key,
        "name": record.name,
        "state": WORDS.get(record.state, record.state),
        "colour": COLOURS[record.state],
        "verdict": verdict or UNKNOWN,
        "verdict_colour": colour_of(verdict),
        "reason": record.reason or "",
        "arrived": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.arrived)) if record.arrived else "",
        "frames": _frames(record),
        "chi2": _number(record.chi2),
        "chi2_free": _number(record.chi2_free),
        "confidence": UNKNOWN if record.confidence is None else f"{100 * record.confidence:.0f} %",
        "strain": UNKNOWN if record.strain_std is None else f"{1e4 * record.strain_std:.2f}",
        "seconds": _seconds(record.seconds_to_image, record),
        "seconds_refined": _seconds(record.seconds_to_refined, record),
        "has_image": record.result is not None,
        "thumbnail": None if record.thumbnail is None else "thumbnail/" + quote(record.thumbnail),
    }


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:#.2g}".rstrip(".")


def _frames(record: ScanRecord) -> str:
    if not record.frames or record.expected in (None, record.frames):
        return str(record.frames or UNKNOWN)
    return f"{record.frames} of {record.expected}"


def is_late(record: ScanRecord) -> bool:
    """Did the watcher begin, or begin again, after the last frame? Then its seconds may count from there."""
    return bool(record.arrived) and record.counted_from > record.arrived + LATE


def _seconds(value: float | None, record: ScanRecord) -> str:
    return UNKNOWN if value is None else f"{value:.1f}{' *' if is_late(record) else ''}"
