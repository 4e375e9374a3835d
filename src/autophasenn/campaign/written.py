"""What a series leaves in its folder: the table as CSV and page, plots, all images on a sheet, a film, aligned volumes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import h5py
import numpy as np

from autophasenn.beamlines.recorded import TIME
from autophasenn.campaign.campaign import TABLE
from autophasenn.campaign.facet_pictures import numbered_facets, plot_of_facets
from autophasenn.campaign.measured import COLUMNS, Column, Value
from autophasenn.campaign.series import Series
from autophasenn.campaign.table import SCAN, Row, as_csv, axis, column, metadata_names
from autophasenn.errors import PlanError
from autophasenn.files.cxi_image import nx_dataset, nx_group
from autophasenn.files.writing import forsaken, write_atomically
from autophasenn.progress import Progress, Silent
from autophasenn.report.film import Curve, write_film
from autophasenn.report.series import contact_sheet_of_series
from autophasenn.report.series_page import Cell, Picture, page
from autophasenn.report.style import KINDS, save
from autophasenn.report.words import percent, with_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "campaign.html"
FOLDER = "series"
SHEET, FACETS, FILM, VOLUMES = "images", "facets", "film.gif", "aligned.h5"
OVERVIEW = "overview.png"
DEFAULT_PLOTS = ("strain_rms", "d_nm", "volume_nm3", "confidence")
LARGEST_FILM = 6 * 2**20
"""Bytes of a film that is put into the page; a larger one stays beside it."""
MOST_METADATA = 8
"""On the page, of those that change; all are in the CSV."""
ON_PAGE = ("confidence", "d_nm", "d_change", "strain_rms", "volume_nm3", "chi2", "resolution_nm", "photons")


@dataclass(frozen=True)
class Wanted:
    """What is drawn of a series.

    Parameters
    ----------
    plots : tuple of str
        Numbers of the table; the first one is shown in the film. Empty: `DEFAULT_PLOTS` and the strain of facets, as far as
        they are known.
    against : str
        What they are plotted against.
    film : bool
        Whether the film is made.
    formats : tuple of str
        Of the plots: png, pdf, svg.
    """

    plots: tuple[str, ...] = ()
    against: str = SCAN
    film: bool = True
    formats: tuple[str, ...] = ("png",)

    def columns(self, series: Series) -> list[Column]:
        """The numbers that are plotted; of the default ones those that some scan has.

        Raises
        ------
        PlanError
            If one was asked for that there is not.
        """
        asked = [column(name) for name in self.plots or DEFAULT_PLOTS]
        if self.plots:
            return asked

        def known(each: Column) -> bool:
            return any(point is not None for point in series.points(each.name, self.against))

        # Without geometry and confidence there is still how well each image explains its pattern.
        return list(filter(known, asked)) or list(filter(known, [column("chi2")]))


def write_series(series: Series, wanted: Wanted | None = None, progress: Progress | None = None) -> list[Path]:
    """Write table, page, plots, images and film into the campaign's folder, each file whole or not at all.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    PlanError
        If a number or what it is plotted against is not known.
    OutputError
        If the disk is full.
    """
    wanted, progress = wanted or Wanted(), progress or Silent()
    axis(series.rows, wanted.against)
    columns = wanted.columns(series)
    folder = series.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    progress.stage("Series")
    label = axis(series.rows, wanted.against)[0]
    written, pictures = list[Path](), list[Picture]()

    def keep(figure: Figure, name: str, title: str, formats: Sequence[str] = ("png",)) -> None:
        for kind in formats:
            path = folder / f"{name}.{kind}"
            with _replacing(path) as temporary:
                save(figure, temporary)
            written.append(path)
            if kind == "png":
                pictures.append(Picture(title, path.read_bytes()))

    against = _safe(wanted.against)
    for each in columns:
        keep(
            series.plot(each.name, wanted.against),
            f"{each.name}_against_{against}",
            f"{each.title} against {label}",
            wanted.formats,
        )
    of_facets = None if wanted.plots else plot_of_facets(series, wanted.against)
    if of_facets is not None:
        keep(of_facets, f"{FACETS}_strain_against_{against}", f"strain of facets against {label}", wanted.formats)
        numbered = numbered_facets(series)
        if numbered is not None:
            keep(numbered, FACETS, "Facets by their numbers")
    images = series.images
    if images:
        names = _titles(series, wanted.against)
        sheet = contact_sheet_of_series(list(images.values()), [names[key] for key in images])
        keep(sheet, SHEET, "All images of the series on one scale")
        written.append(_write_volumes(series, folder / VOLUMES))
    if wanted.film and len(images) > 1 and columns:
        progress.stage("Film")
        path = folder / FILM
        points = dict(
            zip((row.key for row in series.rows), series.points(columns[0].name, wanted.against), strict=True)
        )
        curve = Curve([points[key] for key in images], label, columns[0].label)
        with _replacing(path) as temporary:
            titles = [names[key].replace("\n", ", ") for key in images]
            write_film(temporary, list(images.values()), titles, curve)
        written.append(path)
        if path.stat().st_size <= LARGEST_FILM:
            pictures.append(Picture("Film of the series", path.read_bytes(), "gif"))
    return [*_write_table(series, pictures), *written]


def _write_table(series: Series, pictures: Sequence[Picture]) -> list[Path]:
    table, html = series.folder / TABLE, series.folder / PAGE
    with _replacing(table) as temporary:
        temporary.write_text(as_csv(series.rows), encoding="utf-8")
    with _replacing(html) as temporary:
        temporary.write_text(html_of(series, pictures), encoding="utf-8")
    return [table, html]


def html_of(series: Series, pictures: Sequence[Picture] = ()) -> str:
    """The page."""
    rows = series.rows
    changing = [name for name in metadata_names(rows) if name != TIME and len(_values(rows, name)) > 1][:MOST_METADATA]
    shown = [each for each in COLUMNS if each.name in ON_PAGE and any(each.name in row.values for row in rows)]
    with_time = any(TIME in row.metadata for row in rows)
    heads = ["", "scan", "what became of it", "crystal", *(each.label for each in shown)]
    heads += [*(["time"] if with_time else []), *changing]
    body = []
    for row in rows:
        cells = [Cell(f"crystal of {row.name}", kind="picture", picture=_thumbnail(row)), _name(series, row)]
        cells += [Cell(row.status, row.status, "status", row.message), Cell(row.crystal, row.crystal or None)]
        cells += [_number(row, each) for each in shown]
        body.append([*cells, *(_recorded(row, name) for name in [*([TIME] if with_time else []), *changing])])
    return page(f"Campaign {series.name}", series.notes, heads, body, pictures)


def _values(rows: Sequence[Row], name: str) -> set[Value]:
    return {row.metadata[name] for row in rows if name in row.metadata}


def _name(series: Series, row: Row) -> Cell:
    overview = None if row.result is None else row.result / OVERVIEW
    link = ""
    if overview is not None and overview.is_file():
        link = quote(overview.relative_to(series.folder).as_posix())
    return Cell(row.name, row.name, "link", link)


def _thumbnail(row: Row) -> bytes | None:
    try:
        return None if row.thumbnail is None else row.thumbnail.read_bytes()
    except OSError:
        return None


def _number(row: Row, each: Column) -> Cell:
    return Cell(number_of(row, each), row.values.get(each.name), "number")


def number_of(row: Row, each: Column) -> str:
    """A number of a scan as people read it, in the unit of its column; a dash where it is not known."""
    value, error = row.values.get(each.name), row.errors.get(each.name)
    if value is None:
        return "–"
    if each.unit == "%":
        return percent(value).removesuffix(" %").replace("more than ", "> ").replace("less than ", "< ")
    return with_error(value * each.factor, None if error is None else error * each.factor, each.digits)


def _recorded(row: Row, name: str) -> Cell:
    value = row.metadata.get(name)
    if value is None:
        return Cell("–")
    if isinstance(value, str):
        return Cell(value[:16].replace("T", " ") if name == TIME else value, value)
    return Cell(f"{value:.6g}", value, "number")


def _titles(series: Series, against: str) -> dict[str, str]:
    """Key -> name of the scan, and in a second line what the series is plotted against."""
    label, places = axis(series.rows, against)
    titles = {}
    for row, place in zip(series.rows, places, strict=True):
        is_told = against.casefold() != SCAN and place is not None
        titles[row.key] = f"{row.name}\n{label} {place:.5g}" if is_told else row.name
    return titles


def _write_volumes(series: Series, path: Path) -> Path:
    """Amplitude, phase and strain of all images on one grid, as NeXus: (scans, nx, ny, nz)."""
    images = series.images
    rows = {row.key: row for row in series.rows}
    first = next(iter(images.values()))
    with _replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["default"] = "entry"
        nx_group(file, "entry", "NXentry", default="series")
        data = nx_group(file, "entry/series", "NXdata")
        fields = ("strain", "phase", "amplitude") if first.strain is not None else ("phase", "amplitude")
        data.attrs["signal"], data.attrs["auxiliary_signals"] = fields[0], list(fields[1:])
        data.attrs["axes"] = ["scan", "x", "y", "z"]
        for name in (*fields, "support"):
            volumes = np.stack([np.asarray(getattr(image, name)) for image in images.values()])
            data.create_dataset(
                name, data=volumes.astype(np.uint8 if name == "support" else np.float32),
                chunks=(1, *first.shape), compression="gzip", compression_opts=1, shuffle=True,
            )  # fmt: skip
        data["scan"] = np.arange(1, len(images) + 1)
        data["name"] = [rows[key].name for key in images]
        nx_dataset(data, "is_twin", np.array([rows[key].is_twin for key in images], np.uint8))
        for axis_name, size, step in zip("xyz", first.shape, first.spacing, strict=True):
            nx_dataset(data, axis_name, (np.arange(size) - size // 2) * step, first.unit)
    return path


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def _replacing(path: Path) -> AbstractContextManager[Path]:
    """Write one file in one step; what a killed process left of it goes."""
    for left in forsaken(path):
        left.unlink(missing_ok=True)
    return write_atomically(path)


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats that plots cannot be written in.

    Raises
    ------
    PlanError
    """
    unknown = [each for each in formats if each not in KINDS]
    if unknown or not formats:
        raise PlanError(
            f"Plots cannot be written as {unknown[0] if unknown else 'nothing'!r}; give {', '.join(KINDS)}."
        )
