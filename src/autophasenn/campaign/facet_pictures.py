"""Pictures of the facets of a series: the strain of each against what changed, and which one has which number."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from autophasenn.analysis.analyse import analyse
from autophasenn.analysis.figures_facets import facets
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.subject import read_subject
from autophasenn.campaign.measured import facet_names
from autophasenn.campaign.series import Series
from autophasenn.campaign.table import axis
from autophasenn.errors import InputError
from autophasenn.report.opengl import NoOpenGLError
from autophasenn.report.series import Point, lines_plot
from autophasenn.report.surface import ISOVALUE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

MOST_LINES = 6
"""Facets of one plot, the largest; all are in the table."""


def plot_of_facets(series: Series, against: str) -> Figure | None:
    """Mean strain below the largest facets; None where fewer than two scans have any.

    Raises
    ------
    PlanError
        If no scan has what it is plotted against.
    """
    lines: dict[str, list[Point]] = {}
    for number in range(1, MOST_LINES + 1):
        points = [point for point in series.points(facet_names(number)[0], against) if point is not None]
        if len(points) > 1:
            lines[f"facet {number}"] = sorted(points, key=lambda point: point.x)
    return lines_plot(lines, axis(series.rows, against)[0], "strain of facets (10⁻⁴)") if lines else None


def numbered_facets(series: Series) -> Figure | None:
    """The crystal of the reference with the number of each facet; None where it has none, or nothing can be rendered."""
    row = next((row for row in series.rows if row.key == series.reference), None)
    if row is None or row.result is None or not row.facets:
        return None
    try:
        subject, _ = read_subject(row.result)
        return facets(analyse(subject, AnalysisOptions(isosurface=ISOVALUE)))
    except (InputError, NoOpenGLError) as error:
        logger.warning("Its facets are not drawn: %s", error)
        return None
