"""Many scans at once: what `reconstruct` does with several that are not summed, and the command that plots a series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autophasenn.cli.app import INTERRUPTED, app
from autophasenn.cli.terminal import TerminalProgress, complain, show_facts, show_rows, show_sentences, show_table

if TYPE_CHECKING:
    from autophasenn.campaign.campaign import Campaign
    from autophasenn.campaign.series import Series
    from autophasenn.campaign.table import Row
    from autophasenn.campaign.written import Wanted

WITHOUT_IMAGE = 2
"""Exit status where no scan could be reconstructed."""
MOST_WARNED, MOST_SHOWN = 12, 60
"""Failed scans whose sentence is printed; scans of a table that is."""
SHOWN = {"confidence": "conf. %", "d_nm": "d (Å)", "strain_rms": "strain rms (10⁻⁴)", "chi2": "χ²"}
"""Columns of the table in the terminal."""


def reconstruct_campaign(campaign: Campaign, *, is_dry: bool) -> None:
    """Reconstruct several scans, say what became of each, and write table and series."""
    from autophasenn.campaign.campaign import run_campaign, state_of
    from autophasenn.campaign.series import Series
    from autophasenn.campaign.written import Wanted

    campaign.check()
    if is_dry:
        who = {"scheduler": campaign.scheduler} if campaign.scheduler else {"processes": campaign.workers}
        facts = {**state_of(campaign), **who, "method": campaign.run.method}
        show_facts({**facts, "output": str(campaign.folder)})
        return
    with TerminalProgress() as progress:
        ended = run_campaign(campaign, progress, progress.say)
        series = Series.load(campaign.folder, aligned=not ended.is_interrupted)
        if not ended.is_interrupted:
            written = _write(series, Wanted(film=campaign.figures), progress)
    if ended.is_interrupted:
        complain(f"{ended.waiting} scans are not reconstructed yet; repeat the command to go on.")
        raise typer.Exit(INTERRUPTED)
    _show(series, written)
    if ended.former:
        show_sentences([f"{ended.former} scans had been reconstructed before."])
    if ended.done == 0:
        raise typer.Exit(WITHOUT_IMAGE)


@app.command()
def series(
    folder: Annotated[
        Path,
        typer.Argument(metavar="CAMPAIGN", help="What `reconstruct` made of several scans, or the results of `watch`."),
    ],
    plot: Annotated[
        list[str] | None,
        typer.Option(
            help="A number of the table: strain, d, expansion, volume, chi2, facet 1 strain, ...; may be repeated."
        ),
    ] = None,
    against: Annotated[
        str, typer.Option(help="What is on the axis: scan, time, or what was recorded, as temperature or a motor.")
    ] = "scan",
    reference: Annotated[
        str | None,
        typer.Option(metavar="SCAN", help="The scan onto which images are aligned; else the first good one."),
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="CSV file: a column of scans, and columns of what else is known of them.")
    ] = None,
    film: Annotated[bool, typer.Option("--film/--no-film", help="Make a film of the series, or leave it.")] = True,
    formats: Annotated[str, typer.Option(help="Of the plots: png, pdf, svg, several with commas.")] = "png",
) -> None:
    """Table, plots, aligned images and a film of many scans."""
    from autophasenn.campaign.series import Series
    from autophasenn.campaign.written import Wanted, check_formats

    kinds = tuple(dict.fromkeys(each.strip() for each in formats.split(",") if each.strip()))
    check_formats(kinds)
    with TerminalProgress() as progress:
        found = Series.load(folder, reference=reference, metadata=metadata)
        written = _write(found, Wanted(tuple(plot or ()), against, film, kinds), progress)
    _show(found, written)


def _write(series: Series, wanted: Wanted, progress: TerminalProgress) -> list[Path]:
    from autophasenn.campaign.written import write_series

    return write_series(series, wanted, progress)


def _show(series: Series, written: list[Path]) -> None:
    from autophasenn.campaign.measured import COLUMNS
    from autophasenn.report.words import with_error

    columns = {each.name: each for each in COLUMNS}

    def cell(row: Row, name: str) -> str:
        value, column = row.values.get(name), columns[name]
        return "–" if value is None else with_error(value * column.factor, None, column.digits)

    if len(series.rows) <= MOST_SHOWN:
        rows = [[row.name, row.status, *(cell(row, name) for name in SHOWN)] for row in series.rows]
        show_rows(["scan", "status", *SHOWN.values()], rows)
    failed = [f"{row.name}: {row.message}" for row in series.rows if row.status == "failed"]
    more = [f"{len(failed) - MOST_WARNED} more failed; see the table."] if len(failed) > MOST_WARNED else []
    show_sentences([*series.notes, *failed[:MOST_WARNED], *more])
    show_table("Written", {path.name: path for path in written})
