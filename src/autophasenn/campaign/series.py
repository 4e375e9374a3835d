"""A campaign, or what a watcher has made so far, as one series: its table, its images aligned, its plots."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autophasenn.analysis.series import SAME_CRYSTAL, SURELY, Placed, place
from autophasenn.campaign.facets import followed
from autophasenn.campaign.measured import Measured, measured
from autophasenn.campaign.table import SCAN, Row, axis, column, names_of, read_metadata, rows_of, with_change_of_d
from autophasenn.errors import InputError, PlanError, quoted
from autophasenn.files.convention import RESULT
from autophasenn.files.cxi_image import image_in, process_in, read_image
from autophasenn.files.guarded import opened_result
from autophasenn.image import CrystalImage
from autophasenn.live import ledger as ledgers
from autophasenn.live.ledger import Ledger
from autophasenn.report.numbers import NOT_BELIEVED, Report
from autophasenn.report.series import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

REPORT = "report.json"


@dataclass(frozen=True, eq=False)
class Series:
    """Scans of one campaign, in the order of their numbers.

    Parameters
    ----------
    folder : Path
    rows : tuple of Row
        The table.
    notes : tuple of str
        What is to be known of it, sentences.
    reference : str, optional
        Key of the scan onto which the images are aligned; None: there is none that could be.
    placed : dict of str to Placed
        Key -> image on the common grid; of results that are not poor.
    """

    folder: Path
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    reference: str | None = None
    placed: Mapping[str, Placed] | None = None

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        reference: str | int | None = None,
        metadata: Path | str | None = None,
        aligned: bool = True,
    ) -> Series:
        """Read the results of a campaign, finished or not, or of ``autophasenn watch``.

        Parameters
        ----------
        folder : path
        reference : str or int, optional
            Name or number of the scan onto which images are aligned and whose d changes are told against; None: the first
            one that is not poor.
        metadata : path, optional
            A table of what else is known of the scans (`table.read_metadata`), for this once.
        aligned : bool
            Whether images are read and aligned, which takes a second for some scans.

        Raises
        ------
        InputError
            If there is no such folder, its table is damaged, or no scan has the name of the reference.
        """
        folder = Path(folder)
        if not (folder / ledgers.FILE).is_file():
            raise InputError(
                f"{folder} is no campaign: it has no {ledgers.FILE}; give the folder that `reconstruct` was given with -o "
                "for several scans, or the results of `watch`."
            )
        given = {} if metadata is None else read_metadata(Path(metadata))
        with Ledger.open(folder, only_reads=True) as ledger:
            rows = [_with(given, _complete(row), ledger) for row in rows_of(folder, ledger)]
        first = _reference(rows, reference)
        placed: dict[str, Placed] = {}
        notes: list[str] = []
        if aligned and first is not None:
            placed, notes = _aligned(rows, first)
            rows = [_with_place(row, placed.get(row.key)) for row in rows]
            rows = followed(rows, placed, first) if first in placed else rows
        rows = with_change_of_d(rows, first)
        return cls(folder, tuple(rows), (*_said_of(rows), *notes), first, placed if aligned else None)

    @property
    def name(self) -> str:
        """That of its folder."""
        return self.folder.resolve().name

    @cached_property
    def crystal(self) -> str:
        """That of the reference."""
        return next((row.crystal for row in self.rows if row.key == self.reference), "")

    @property
    def images(self) -> dict[str, CrystalImage]:
        """Key -> image of every scan of the reference's crystal, on one grid."""
        return {key: each.image for key, each in (self.placed or {}).items() if each.crystal == self.crystal}

    def __repr__(self) -> str:
        counted = Counter(row.status for row in self.rows)
        return (
            f"<Series {self.name}: {', '.join(f'{number} {status}' for status, number in counted.items()) or 'empty'}>"
        )

    def points(self, quantity: str, against: str = SCAN) -> list[Point | None]:
        """A number of each scan with its uncertainty; None where it, or what it is plotted against, is not known.

        Raises
        ------
        PlanError
            If there is no such number, or no scan has such metadata.
        """
        wanted = column(quantity)
        _, places = axis(self.rows, against)
        points: list[Point | None] = []
        for row, x in zip(self.rows, places, strict=True):
            y, error = row.values.get(wanted.name), row.errors.get(wanted.name)
            if x is None or y is None:
                points.append(None)
                continue
            scaled = None if error is None else error * wanted.factor
            points.append(Point(x, y * wanted.factor, scaled, row.crystal, row.status in NOT_BELIEVED))
        return points

    def plot(self, quantity: str, against: str = SCAN) -> Figure:
        """Draw a number against the scan, the time, a motor or any other metadata, with its uncertainties.

        Parameters
        ----------
        quantity : str
            A column of the table, or a shorter name: ``strain``, ``d``, ``expansion``, ``volume``, ``chi2``, ...
        against : str
            ``scan``, ``time``, the name of metadata, or a column of the table.

        Raises
        ------
        PlanError
            If there is no such number or no scan has such metadata, or no scan has both.
        """
        from autophasenn.report.series import series_plot

        points = [point for point in self.points(quantity, against) if point is not None]
        if not points:
            raise PlanError(
                f"No scan of {self.folder} has both {quoted(quantity)} and {quoted(against)}; plot another number."
            )
        ordered = sorted(points, key=lambda point: point.x)
        label, _ = axis(self.rows, against)
        with_errors = any(point.error for point in points)
        return series_plot(ordered, label, column(quantity).label, "" if with_errors else NO_ERRORS)


NO_ERRORS = "No uncertainty is known of this number."


def _with(given: Mapping[str, Mapping[str, Any]], row: Row, ledger: Ledger) -> Row:
    record = ledger.scan(row.key)
    source = "" if record is None else record.source
    more = next((given[each] for each in names_of(row.key, row.name, row.number, source) if each in given), {})
    return replace(row, metadata={**row.metadata, **more}) if more else row


def _complete(row: Row) -> Row:
    """With its numbers, where the table has none: a watcher writes down fewer."""
    if row.result is None or row.values:
        return row
    try:
        found = _measured_at(row.result, (row.result / REPORT).stat().st_mtime_ns)
    except (InputError, OSError, ValueError) as error:
        return replace(row, status="failed", message=f"Its result cannot be read: {error}", result=None)
    return replace(
        row,
        status=found.status or row.status,
        message=found.message,
        values=found.values,
        errors=found.errors,
        metadata={**found.metadata, **row.metadata},
        facets=found.facets,
    )


@lru_cache(maxsize=4096)
def _measured_at(result: Path, _: int) -> Measured:
    """The numbers of a result that was written at this time; a series that grows asks for them again and again."""
    with opened_result(result / RESULT) as stored:
        image, process = image_in(stored), process_in(stored)
    report = json.loads((result / REPORT).read_text(encoding="utf-8"))
    origin = process.get("input")
    return measured(image, Report.from_json(report), origin if isinstance(origin, Mapping) else {})


def _reference(rows: Sequence[Row], asked: str | int | None) -> str | None:
    if asked is None:
        return next((row.key for row in rows if row.is_good), None)
    wanted = str(asked).casefold()
    for row in rows:
        if wanted in names_of(row.key, row.name, row.number, ""):
            if not row.is_good:
                raise InputError(f"The scan {row.name} cannot be the reference: it is {row.status}. Give another one.")
            return row.key
    raise InputError(f"There is no scan {quoted(asked)} in this campaign; give the number or name of one.")


def _aligned(rows: Sequence[Row], reference: str) -> tuple[dict[str, Placed], list[str]]:
    """The images of all good results on one grid, and what is to be said of them."""
    found: dict[str, CrystalImage] = {}
    notes = []
    for row in rows:
        if row.result is None or not row.is_good:
            continue
        try:
            image = read_image(row.result / RESULT)
        except InputError as error:
            notes.append(f"{row.name} is not in the series: {error}")
            continue
        # What the series does not show is not kept in memory.
        found[row.key] = replace(image, displacement=None, phase_spread=None, amplitude_spread=None)
    has_geometry = {key: image.voxel_size is not None for key, image in found.items()}
    if reference not in found:
        return {}, notes
    kept = [key for key in found if has_geometry[key] == has_geometry[reference]]
    others = len(found) - len(kept)
    if others:
        notes.append(
            f"{others} scan{'s' * (others > 1)} of which the geometry is {'not ' * has_geometry[reference]}known "
            f"cannot be compared with the reference, of which it is{' not' * (not has_geometry[reference])}."
        )
    placed = dict(zip(kept, place([found[key] for key in kept], kept.index(reference)), strict=True))
    names = {row.key: row.name for row in rows}
    return placed, [*notes, *_said_of_places(placed, names, reference)]


def _said_of_places(placed: Mapping[str, Placed], names: Mapping[str, str], reference: str) -> list[str]:
    notes = []
    crystals: dict[str, list[str]] = {}
    for key, each in placed.items():
        crystals.setdefault(each.crystal, []).append(names[key])
    for crystal, members in crystals.items():
        if crystal != placed[reference].crystal:
            notes.append(
                f"{_listed(members)} show{'s' * (len(members) == 1)} another crystal ({crystal}) than {names[reference]}: "
                "not aligned on it, not in the film, and joined with it in no plot."
            )
    twins = [names[key] for key, each in placed.items() if each.is_twin]
    if twins:
        notes.append(f"Of {_listed(twins)} the twin is shown, as it is the one that the other images are alike to.")
    doubtful = [names[key] for key, each in placed.items() if SAME_CRYSTAL <= each.alike < SURELY]
    if doubtful:
        least = min(each.alike for each in placed.values() if each.alike >= SAME_CRYSTAL)
        notes.append(
            f"{_listed(doubtful)} overlap{'s' * (len(doubtful) == 1)} with the crystal of the others by {least:.2f} only: "
            "another one of like shape, or an image that is not good; look at it."
        )
    guesses = [names[key] for key, each in placed.items() if each.is_guess]
    if guesses:
        notes.append(
            f"Which of the twins of {_listed(guesses)} is shown is a guess: both are as much alike to the others."
        )
    return notes


def _said_of(rows: Sequence[Row]) -> list[str]:
    counted = Counter(row.status for row in rows)
    numbers = ", ".join(f"{number} {status}" for status, number in counted.most_common())
    notes = [f"{len(rows)} scan{'s' * (len(rows) > 1)}: {numbers}."] if rows else []
    poor = [row.name for row in rows if row.is_done and not row.is_good]
    if poor:
        notes.append(f"Poor, and so compared with no other image: {_listed(poor)}.")
    return notes


def _with_place(row: Row, placed: Placed | None) -> Row:
    if placed is None:
        return row
    values = {**row.values, "alike": placed.alike}
    return replace(row, values=values, crystal=placed.crystal, is_twin=placed.is_twin)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
