"""The scans of a folder as a series: a number of each against the scan, the time, a motor or other metadata."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autophasenn.campaign.measured import COLUMNS, Column, Measured, Value, columns_in, facet_column
from autophasenn.errors import InputError
from autophasenn.files.boundary import reading
from autophasenn.live.ledger import Ledger, ScanRecord
from autophasenn.report.numbers import NOT_BELIEVED
from autophasenn.report.series import Point

TABLE = "campaign.csv"
SCAN, TIME = "scan", "time"
SERIES = tuple(column.name for column in COLUMNS)
"""Numbers that can be plotted, beside those of facets."""
NUMBERS = "numbers/"
"""Begins the facts of a campaign's ledger that hold the numbers of a scan."""
HEADS = ("scan", "name", "status", "message", "crystal", "is_twin", "result")
ERROR = "_error"
LARGEST_TABLE, LARGEST_REPORT = 2**26, 2**24
"""Bytes."""


@dataclass(frozen=True)
class Entry:
    """What is known of one scan.

    Parameters
    ----------
    status : str
        The verdict on its image; empty: none yet.
    values, errors : dict of str to float
        By the names of `COLUMNS`, in their units of the CSV; `errors` are one standard deviation.
    metadata : dict of str to float or str
    crystal : str
        Scans of the same letter show one crystal.
    """

    status: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Value] = field(default_factory=dict)
    crystal: str = ""


def column_of(name: str) -> Column:
    """A number that can be plotted, by its name in the table.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = next((column for column in COLUMNS if column.name == name), None) or facet_column(name)
    if found is None:
        raise ValueError(f"{name!r} is no number of the table")
    return found


def entries_of(folder: Path, records: Sequence[ScanRecord], ledger: Ledger) -> dict[str, Entry]:
    """What is known of every scan, by its key: of the ledger, and of the table of the series where there is one.

    Raises
    ------
    InputError
        If the table cannot be read.
    """
    found = {record.key: _of_ledger(folder, record, ledger) for record in records}
    for key, entry in _of_table(folder / TABLE).items():
        if key in found:
            known = found[key]
            found[key] = replace(
                entry, status=known.status or entry.status, values={**known.values, **entry.values},
                errors={**known.errors, **entry.errors},
            )  # fmt: skip
    return found


def _of_ledger(folder: Path, record: ScanRecord, ledger: Ledger) -> Entry:
    plain = {
        "chi2": record.chi2, "chi2_free": record.chi2_free, "confidence": record.confidence,
        "strain_rms": record.strain_std, "seconds": record.seconds_to_refined or record.seconds_to_image,
    }  # fmt: skip
    values = {name: float(value) for name, value in plain.items() if value is not None}
    try:
        said = ledger.fact(NUMBERS + record.key)
        known = _of_watcher(record) if said is None else Measured.from_json(json.loads(said))
    except (ValueError, TypeError, KeyError):
        known = Measured()
    status = "" if record.result is None else known.status or _status(folder / record.result / "report.json")
    return Entry(status, {**values, **known.values}, known.errors, known.metadata)


def _of_watcher(record: ScanRecord) -> Measured:
    """A watcher, unlike a campaign, writes no numbers of a result down; it knows when the last frame came."""
    is_known = record.result is not None and record.arrived > 0
    return Measured(metadata={TIME: datetime.fromtimestamp(record.arrived, UTC).isoformat()} if is_known else {})


def _status(report: Path) -> str:
    """The verdict in a report; empty where it cannot be read."""
    try:
        if report.stat().st_size > LARGEST_REPORT:
            return ""
        found = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(found.get("status") or "") if isinstance(found, dict) else ""


def _of_table(path: Path) -> dict[str, Entry]:
    """The rows of ``campaign.csv`` that have a result; none where there is no such file."""
    with reading(path):
        if not path.is_file():
            return {}
        if path.stat().st_size > LARGEST_TABLE:
            raise InputError(f"{path} is larger than {LARGEST_TABLE >> 20} MiB; it is no table of a campaign.")
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    return {row["result"]: _entry(row) for row in rows if row.get("result")}


def _entry(row: Mapping[str, str]) -> Entry:
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    metadata: dict[str, Value] = {}
    for name, cell in row.items():
        if name is None or name in HEADS or not cell:
            continue
        of = name.removesuffix(ERROR)
        number = _number(cell)
        if of in SERIES or facet_column(of) is not None:
            if number is not None:
                (errors if name.endswith(ERROR) else values)[of] = number
        else:
            metadata[name.removeprefix("recorded ")] = cell if number is None else number
    return Entry(row.get("status", ""), values, errors, metadata, row.get("crystal", ""))


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def numbers_in(entries: Mapping[str, Entry]) -> list[dict[str, str]]:
    """What can be plotted: name and title of what at least two scans have."""
    return [
        {"value": column.name, "title": column.label}
        for column in columns_in(entry.values for entry in entries.values())
        if sum(column.name in entry.values for entry in entries.values()) > 1
    ]


def axes_in(entries: Mapping[str, Entry]) -> list[dict[str, str]]:
    """What it can be plotted against: the scan, the time, and numbers of the metadata that differ."""
    seen: dict[str, set[Value]] = {}
    for entry in entries.values():
        for name, value in entry.metadata.items():
            seen.setdefault(name, set()).add(value)
    numbers = [n for n, each in seen.items() if len(each) > 1 and all(isinstance(v, float | int) for v in each)]
    first = [{"value": SCAN, "title": "scan"}]
    first += [{"value": TIME, "title": "time since the first scan"}] if len(_times(entries)) > 1 else []
    return [*first, *({"value": name, "title": name} for name in sorted(numbers) if name not in (SCAN, TIME))]


def _times(entries: Mapping[str, Entry]) -> dict[str, float]:
    """Seconds since 1970 of the scans that say when they were taken."""
    found = {}
    for key, entry in entries.items():
        try:
            time = datetime.fromisoformat(str(entry.metadata.get(TIME, "")))
        except ValueError:
            continue
        found[key] = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return found


def places(records: Sequence[ScanRecord], entries: Mapping[str, Entry], against: str) -> dict[str, float]:
    """Where each scan lies on the axis of a plot; scans of which that is not known are left out.

    Parameters
    ----------
    records : sequence of ScanRecord
        The newest first.
    entries : mapping of str to Entry
    against : str
        ``scan`` (its number, or its place among them), ``time`` (hours since the first), or the name of metadata.
    """
    if against == TIME:
        times = _times(entries)
        begin = min(times.values(), default=0.0)
        return {key: (time - begin) / 3600 for key, time in times.items()}
    if against != SCAN:
        found = {key: entry.metadata.get(against) for key, entry in entries.items()}
        return {key: float(value) for key, value in found.items() if isinstance(value, float | int)}
    numbers = [record.number for record in records]
    if None not in numbers and len(set(numbers)) == len(numbers):
        return {record.key: float(record.number or 0) for record in records}
    return {record.key: float(place) for place, record in enumerate(reversed(records), 1)}


def points_of(entries: Mapping[str, Entry], where: Mapping[str, float], wanted: str) -> dict[str, Point]:
    """The number of each scan that has it, in its unit on plots, along the axis."""
    column = column_of(wanted)
    found: dict[str, Point] = {}
    for key in sorted(where, key=lambda key: where[key]):
        entry: Any = entries.get(key)
        if entry is None or column.name not in entry.values:
            continue
        error = entry.errors.get(column.name)
        found[key] = Point(
            where[key], entry.values[column.name] * column.factor, None if error is None else error * column.factor,
            entry.crystal, entry.status in NOT_BELIEVED,
        )  # fmt: skip
    return found
