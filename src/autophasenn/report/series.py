"""A series of scans in pictures: a number against a temperature, a potential or a time, and all images at one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autophasenn.image import CrystalImage
from autophasenn.report.annotations import scale_bar
from autophasenn.report.planes import Plane, planes_of
from autophasenn.report.scales import Scale, phase_scale, strain_scale
from autophasenn.report.style import ACCENT, INK, OUTSIDE, frame, new_figure, panel, styled

COLOURS = ("#20639b", "#d1390b", "#3a7d44", "#8e5ea2", "#b8860b", "#5b6770")
MARKERS = "osD^vP"
"""Of the crystals of a series, in turn."""
MOST_PICTURES = 48
"""On one sheet; of more, evenly spread ones are shown."""
COLUMNS = 8
LONGEST_TITLE = 22
"""Letters above a picture of a sheet."""


@dataclass(frozen=True)
class Point:
    """A number of one scan.

    Parameters
    ----------
    x, y : float
    error : float, optional
        One standard deviation of y; None: not known.
    crystal : str
        Points of one crystal are joined; empty: not known, so joined with none.
    is_doubtful : bool
        Drawn hollow.
    """

    x: float
    y: float
    error: float | None = None
    crystal: str = ""
    is_doubtful: bool = False


@styled
def series_plot(points: Sequence[Point], against: str, quantity: str, note: str = "") -> Figure:
    """Draw a number of every scan with its uncertainty.

    Parameters
    ----------
    points : sequence of Point
        In the order of the series; those of one crystal are joined, each crystal has its colour and marker.
    against, quantity : str
        Labels of the axes.
    note : str
        A sentence below.
    """
    figure = new_figure((8.2, 5.0))
    axes = figure.subplots()
    draw_series(axes, points)
    axes.set_xlabel(against, parse_math=False)
    axes.set_ylabel(quantity, parse_math=False)
    crystals = {point.crystal for point in points}
    if len(crystals) > 1:
        axes.legend(loc="best")
    if note:
        figure.supxlabel(note, fontsize=10, color="#555566", parse_math=False)
    return figure


@styled
def lines_plot(lines: Mapping[str, Sequence[Point]], against: str, quantity: str) -> Figure:
    """Draw a number of several parts of one crystal over a series.

    Parameters
    ----------
    lines : dict of str to sequence of Point
        Name of the part -> its points in the order of the series.
    against, quantity : str
        Labels of the axes.
    """
    figure = new_figure((8.2, 5.0))
    axes = figure.subplots()
    for number, (name, points) in enumerate(lines.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        errors = [point.error or 0.0 for point in points] if any(point.error for point in points) else None
        places, values = [point.x for point in points], [point.y for point in points]
        axes.errorbar(
            places, values, errors, fmt=f"{marker}-", color=colour, markersize=5, linewidth=1, capsize=2, label=name
        )
    axes.axhline(0, color=INK, linewidth=0.6, alpha=0.4, zorder=0)
    axes.set_xlabel(against, parse_math=False)
    axes.set_ylabel(quantity, parse_math=False)
    axes.legend(loc="best", ncols=2)
    return figure


def draw_series(
    axes: Axes, points: Sequence[Point], *, size: float = 6.0, colours: Sequence[str] = COLOURS, paper: str = "white"
) -> None:
    """Draw the points of a series into axes whose ground is `paper`; `colours`: of the crystals, in turn."""
    names = sorted({point.crystal for point in points}, key=lambda name: (not name, len(name), name))
    for number, crystal in enumerate(names):
        mine = [point for point in points if point.crystal == crystal]
        colour, marker = colours[number % len(colours)], MARKERS[number % len(MARKERS)]
        if not crystal and len(names) > 1:
            colour, marker = "#8a8c99", "x"
        title = f"crystal {crystal}" if crystal else "crystal not known"
        if crystal:
            axes.plot([p.x for p in mine], [p.y for p in mine], color=colour, linewidth=1, alpha=0.5, zorder=1)
        for is_doubtful in (False, True):
            part = [point for point in mine if point.is_doubtful == is_doubtful]
            if not part:
                continue
            axes.errorbar(
                [p.x for p in part],
                [p.y for p in part],
                [p.error or 0.0 for p in part] if any(p.error for p in part) else None,
                fmt=marker,
                color=colour,
                mfc=paper if is_doubtful else colour,
                markersize=size,
                capsize=3,
                elinewidth=1.2,
                label=title + (", not believed" if is_doubtful else ""),
            )


@dataclass(frozen=True, eq=False)
class Look:
    """How all images of a series are coloured.

    Parameters
    ----------
    scale : Scale
        One for all.
    is_strain : bool
        The strain; else, where the geometry is unknown, the phase.
    """

    scale: Scale
    is_strain: bool

    @classmethod
    def of(cls, images: Sequence[CrystalImage]) -> Look:
        """That in which the images of a series can be compared."""
        is_strain = all(image.strain is not None for image in images)
        values = [_values(image, is_strain=is_strain)[image.support] for image in images]
        together = np.concatenate(values) if values else np.zeros(1, np.float32)
        return cls(strain_scale(together) if is_strain else phase_scale(together), is_strain)

    def values(self, image: CrystalImage) -> NDArray[np.floating]:
        """What is coloured."""
        return _values(image, is_strain=self.is_strain)


def _values(image: CrystalImage, *, is_strain: bool) -> NDArray[np.floating]:
    return image.strain if is_strain and image.strain is not None else image.phase


@styled
def contact_sheet_of_series(images: Sequence[CrystalImage], names: Sequence[str], look: Look | None = None) -> Figure:
    """A slice of every image through the middle of the first, all in one colour scale and at one length scale.

    Parameters
    ----------
    images : sequence of CrystalImage
        On one grid, as `analysis.series.place` gives them.
    names : sequence of str
        Above each, of one or two lines; what is too long for its picture loses its beginning.
    look : Look, optional
        None: that of these images.
    """
    look = look or Look.of(images)
    shown = spread_evenly(len(images), MOST_PICTURES)
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    titles = ["\n".join(_short(line) for line in name.split("\n")[:2]) for name in names]
    side, gap, above = 1.6, 0.12, 0.42 + 0.17 * any("\n" in title for title in titles)
    figure = new_figure((0.3 + columns * (side + gap) + 1.1, 0.2 + rows * (side + above)), is_placed=True)
    plane = planes_of(images[0])[0]
    index = images[0].centre[plane.normal]
    for place, number in enumerate(shown):
        row, column = divmod(place, columns)
        axes = panel(figure, 0.3 + column * (side + gap), above + row * (side + above), side, side)
        draw_plane(axes, images[number], plane, index, look)
        axes.set_title(titles[number], fontsize=10, pad=4, parse_math=False)
        if place == 0:
            scale_bar(axes, images[0].unit)
    height = min(2.6, rows * (side + above) - above)
    cax = panel(figure, 0.4 + columns * (side + gap), above, 0.14, height)
    look.scale.colour_bar(figure, [], look.scale.title, cax=cax)
    return figure


def _short(line: str) -> str:
    return line if len(line) <= LONGEST_TITLE else f"…{line[1 - LONGEST_TITLE :]}"


def draw_plane(axes: Axes, image: CrystalImage, plane: Plane, index: int, look: Look) -> None:
    """A plane of an image in the colours of the series, in nm from the middle of its grid."""
    values = np.where(image.support, look.values(image), np.nan)
    rgb = look.scale.rgb(plane.cut(values, index))
    width, height = (image.shape[axis] * image.spacing[axis] / 2 for axis in (plane.across, plane.up))
    axes.imshow(rgb, origin="lower", extent=(-width, width, -height, height), interpolation="nearest")
    axes.set_facecolor(OUTSIDE)
    frame(axes)


def spread_evenly(number: int, most: int) -> list[int]:
    """Indices of at most `most` of `number` things, the first and the last among them."""
    if number <= most:
        return list(range(number))
    return np.unique(np.linspace(0, number - 1, most).round().astype(int)).tolist()


def mark(axes: Axes, point: Point) -> None:
    """Say which scan of a plot is shown."""
    axes.plot(point.x, point.y, "o", markersize=12, mfc="none", mec=ACCENT, mew=2, zorder=5)
    axes.axvline(point.x, color=INK, linewidth=0.6, alpha=0.4, zorder=0)
