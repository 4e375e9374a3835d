"""The table of a campaign: a row a scan, its numbers with uncertainties and its metadata; as values and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from autophasenn.analysis.facet_series import SeenFacet
from autophasenn.beamlines.recorded import TIME, seconds_of
from autophasenn.campaign.measured import COLUMNS, Column, Measured, Value, columns_in, facet_column
from autophasenn.campaign.scans import natural, number_in
from autophasenn.errors import InputError, PlanError, quoted
from autophasenn.live.ledger import Ledger, ScanRecord

NUMBERS = "numbers/"
"""Begins the names of the facts in the ledger that hold the numbers of a scan."""
GIVEN = "given metadata"
"""The fact that holds what ``--metadata`` gave."""
DONE = ("imaged", "refined")
"""States of the ledger in which there is a result."""
SCAN = "scan"
"""What is on the axis of plots where nothing else is asked for: the number of the scan."""
ERROR = "_error"
MOST_LISTED = 12


@dataclass(frozen=True)
class Row:
    """One scan of a campaign.

    Parameters
    ----------
    key, name : str
        Folder of its result, and what people call it.
    number : int, optional
        Of the scan.
    status : str
        That of its result (reconstructed, unchecked, uncertain, poor), or ``failed``, ``waiting``, ``running``.
    message : str
        The verdict, or why it failed.
    values, errors : dict of str to float
        By the names of `measured.COLUMNS`; unknown ones are left out.
    metadata : dict
        Name -> number or text.
    crystal : str
        "A", "B", ...: scans of the same letter show one crystal. Empty: not known.
    is_twin : bool
        Is it shown in the series as its twin?
    result, thumbnail : Path, optional
        Folder of the result, and a picture of the crystal.
    facets : tuple of SeenFacet
        As they were found in this image alone.
    """

    key: str
    name: str
    number: int | None
    status: str
    message: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Value] = field(default_factory=dict)
    crystal: str = ""
    is_twin: bool = False
    result: Path | None = None
    thumbnail: Path | None = None
    facets: tuple[SeenFacet, ...] = ()

    @property
    def is_done(self) -> bool:
        """Is there a result?"""
        return self.result is not None

    @property
    def is_good(self) -> bool:
        """Is there one that can be believed at all?"""
        return self.is_done and self.status != "poor"


def rows_of(folder: Path, ledger: Ledger) -> list[Row]:
    """The table of a folder, sorted by number and name."""
    given = json.loads(ledger.fact(GIVEN) or "{}")
    rows = [_row(folder, ledger, record, given) for record in ledger.scans()]
    return sorted(rows, key=lambda row: (row.number is None, row.number or 0, natural(row.name)))


def _row(folder: Path, ledger: Ledger, record: ScanRecord, given: Mapping[str, Mapping[str, Value]]) -> Row:
    said = ledger.fact(NUMBERS + record.key)
    numbers = Measured() if said is None or record.state not in DONE else Measured.from_json(json.loads(said))
    more = next(
        (given[name] for name in names_of(record.key, record.name, record.number, record.source) if name in given), {}
    )
    is_done = record.state in DONE and record.result is not None
    return Row(
        record.key,
        record.name,
        number_in(record.name) if record.number is None else record.number,
        numbers.status or ("reconstructed" if is_done else record.state),
        record.reason or numbers.message,
        numbers.values,
        numbers.errors,
        {**numbers.metadata, **more},
        result=folder / record.result if is_done and record.result else None,
        thumbnail=folder / record.thumbnail if record.thumbnail else None,
        facets=numbers.facets,
    )


def names_of(key: str, name: str, number: int | None, source: str) -> tuple[str, ...]:
    """Everything that a scan may be called in a table that is given."""
    numbers = () if number is None else (str(number),)
    return tuple(each.casefold() for each in (*numbers, key, name, Path(source).name, Path(source).stem, source))


def read_metadata(path: Path) -> dict[str, dict[str, Value]]:
    """A table of scans: its first column is the number or name of a scan, the others are what a series is plotted against.

    Returns
    -------
    dict
        Scan -> name -> number or text.

    Raises
    ------
    InputError
        If it cannot be read, or has no column but the first, or a scan twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(
            f"The table {path} cannot be read ({reason}); give a CSV file whose first column is the scan."
        ) from error
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    lines = [line for line in csv.reader(io.StringIO(text), delimiter=separator) if any(cell.strip() for cell in line)]
    if not lines or len(lines[0]) < 2:
        raise InputError(
            f"The table {path} has no columns to plot against; give a header such as 'scan,temperature' and a line a scan."
        )
    names = [name.strip() for name in lines[0]]
    found: dict[str, dict[str, Value]] = {}
    for line in lines[1:]:
        scan = line[0].strip().casefold()
        if scan in found:
            raise InputError(f"The table {path} has the scan {quoted(line[0].strip())} twice; give each scan one line.")
        pairs = zip(names[1:], line[1:], strict=False)
        found[scan] = {name: _value(cell.strip()) for name, cell in pairs if name and cell.strip()}
    return found


def _value(cell: str) -> Value:
    try:
        return float(cell)
    except ValueError:
        return cell


def metadata_names(rows: Iterable[Row]) -> list[str]:
    """Names of all metadata, those that are not the same in all scans first."""
    seen: dict[str, set[Value]] = {}
    for row in rows:
        for name, value in row.metadata.items():
            seen.setdefault(name, set()).add(value)
    return sorted(seen, key=lambda name: (name != TIME, len(seen[name]) < 2))


def column(name: str) -> Column:
    """The column of a name or alias.

    Raises
    ------
    PlanError
        If there is none.
    """
    for each in COLUMNS:
        if name.casefold() in (each.name.casefold(), *each.aliases):
            return each
    of_facet = facet_column(name)
    if of_facet is not None:
        return of_facet
    known = ", ".join((each.aliases or (each.name,))[0] for each in COLUMNS)
    raise PlanError(f"There is no number {quoted(name)} to plot; choose from {known}, facet 1 strain, facet 1 area.")


def axis(rows: Sequence[Row], name: str) -> tuple[str, list[float | None]]:
    """What a plot is drawn against: a title, and the place of each row; None where it is not known.

    ``scan`` is the number of the scan (the place in the table where scans have no numbers), ``time`` the hours since the
    first scan; else the name of metadata, in capitals or not, or a part of it that no other has; or a number of the table.

    Raises
    ------
    PlanError
        If no scan has it, or several names have this part.
    """
    asked = name.casefold()
    if asked == SCAN:
        numbers = [row.number for row in rows]
        are_known = None not in numbers and len(set(numbers)) == len(numbers)
        return "scan", [float(n) for n in numbers if n is not None] if are_known else [
            1.0 + i for i in range(len(rows))
        ]
    names = metadata_names(rows)
    if asked == TIME:
        times = [seconds_of(str(row.metadata.get(TIME, ""))) for row in rows]
        first = min((t for t in times if t is not None), default=None)
        if first is None:
            raise PlanError(f"No scan says when it was taken, so nothing can be plotted against time; {_offer(rows)}.")
        return "time since the first scan (h)", [None if t is None else (t - first) / 3600 for t in times]
    found = [each for each in names if each.casefold() == asked] or [each for each in names if asked in each.casefold()]
    if len(found) > 1:
        raise PlanError(f"{quoted(name)} may be {', '.join(found[:MOST_LISTED])}; give one of them in full.")
    if found:
        values = [row.metadata.get(found[0]) for row in rows]
        return found[0], [float(value) if isinstance(value, float | int) else None for value in values]
    try:
        wanted = column(name)
    except PlanError as error:
        raise PlanError(f"No scan has {quoted(name)} among its metadata; {_offer(rows)}.") from error
    return wanted.label, [_scaled(row.values.get(wanted.name), wanted) for row in rows]


def _scaled(value: float | None, by: Column) -> float | None:
    return None if value is None else value * by.factor


def _offer(rows: Sequence[Row]) -> str:
    names = [name for name in metadata_names(rows) if name != TIME]
    listed = ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")
    return f"choose from {SCAN}{', ' + listed if listed else ''}, or give a table of them with --metadata"


def with_change_of_d(rows: Sequence[Row], reference: str | None) -> list[Row]:
    """With d relative to that of the reference, the row of this key; for scans of its crystal alone."""
    base = next((row for row in rows if row.key == reference), None)
    d = None if base is None else base.values.get("d_nm")
    if base is None or d is None:
        return list(rows)
    changed = []
    for row in rows:
        if "d_nm" not in row.values or row.crystal != base.crystal:
            changed.append(row)
            continue
        values = {**row.values, "d_change": row.values["d_nm"] / d - 1}
        errors = dict(row.errors)
        if "d_nm" in row.errors and "d_nm" in base.errors:
            errors["d_change"] = 0.0 if row is base else math.hypot(row.errors["d_nm"], base.errors["d_nm"]) / d
        changed.append(replace(row, values=values, errors=errors))
    return changed


def as_csv(rows: Sequence[Row]) -> str:
    """Everything, in SI units or those that a name says; a spreadsheet's formulas are made text."""
    names = [each.name for each in columns_in(row.values for row in rows)]
    with_errors = {name for row in rows for name in row.errors}
    numbers = [part for name in names for part in (name, *([name + ERROR] if name in with_errors else []))]
    metadata = metadata_names(rows)
    heads = ["scan", "name", "status", "message", "crystal", "is_twin", *numbers, "result"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*heads, *(name if name not in heads else f"recorded {name}" for name in metadata)])
    for row in rows:
        known = {**row.values, **{name + ERROR: error for name, error in row.errors.items()}}
        cells: list[object] = [row.number, row.name, row.status, row.message, row.crystal, row.is_twin]
        cells += [known.get(name) for name in numbers]
        cells += [row.key if row.is_done else None, *(row.metadata.get(name) for name in metadata)]
        writer.writerow([_cell(cell) for cell in cells])
    return buffer.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
