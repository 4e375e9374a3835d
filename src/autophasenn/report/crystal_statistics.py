"""Two sources of crystals side by side: what their objects look like, and how the numbers that describe them spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from numpy.typing import NDArray

from autophasenn.report.style import ACCENT, INK, OUTSIDE, colour_bar, frame, named_map, new_figure, styled

COLOURS = ("#2a5b8c", ACCENT)
EXAMPLES = 6
"""Slices that are drawn of each source."""
BINS = 24
FAINTEST = 0.1
"""Amplitude below which a slice shows no phase."""


@dataclass(frozen=True, eq=False)
class Population:
    """The objects of one source, and the numbers that describe them.

    Parameters
    ----------
    name : str
        Of the source.
    numbers : mapping of str to float array (count,)
        What `crystals.statistics.describe` gives, and ``spectrum`` (count, shells), whose shell k has k periods
        across the box.
    slices : complex array (examples, n, n)
        Slices through the middle of some objects, their phases without a linear part.
    """

    name: str
    numbers: Mapping[str, NDArray[np.float64]]
    slices: NDArray[np.complexfloating]


@styled
def crystal_statistics(first: Population, second: Population, labels: Mapping[str, str], title: str = "") -> Figure:
    """Draw both populations into one figure.

    Parameters
    ----------
    first, second : Population
        The first is the reference: its slices stand above.
    labels : mapping of str to str
        The seven numbers to draw, and the words for each, with unit.
    title : str
    """
    figure = new_figure((13.33, 9.0))
    if title:
        figure.suptitle(title, parse_math=False, fontsize=16, fontweight="bold")
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 2))
    _draw_slices(figure, grid[0], (first, second))
    cells = grid[1].subgridspec(2, 4)
    panels = [figure.add_subplot(cells[place]) for place in range(8)]
    for axes, (name, label) in zip(panels[:-1], labels.items(), strict=True):
        _draw_distribution(axes, label, [population.numbers[name] for population in (first, second)])
    _draw_spectra(panels[-1], (first, second))
    return figure


def _draw_slices(figure: Figure, place: SubplotSpec, populations: Sequence[Population]) -> None:
    shown = [population.slices[:EXAMPLES] for population in populations]
    phases = [np.where(np.abs(s) >= FAINTEST, np.angle(s), np.nan) for s in shown]
    limit = float(np.nanpercentile(np.abs(np.concatenate(phases)), 99))
    norm, colours = Normalize(-limit, limit), named_map("RdBu_r", bad="white")
    cells = place.subgridspec(len(shown), EXAMPLES)
    panels = []
    for row, (population, images) in enumerate(zip(populations, phases, strict=True)):
        for column, image in enumerate(images):
            axes = figure.add_subplot(cells[row, column])
            axes.imshow(image.T, cmap=colours, norm=norm, origin="lower", interpolation="nearest")
            frame(axes)
            if column == 0:
                axes.set_ylabel(population.name, color=COLOURS[row], fontweight="bold")
            panels.append(axes)
    bar = colour_bar(figure, panels, colours, norm, pad=0.01, aspect=14)
    bar.ax.set_title("phase\n(rad)", fontsize=11)


def _draw_distribution(axes: Axes, label: str, values: Sequence[NDArray[np.float64]]) -> None:
    together = np.concatenate(values)
    low, high = np.percentile(together, (0.5, 99.5))
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    for value, colour in zip(values, COLOURS, strict=True):
        share = np.histogram(value.clip(low, high), edges)[0] / len(value)
        axes.stairs(share, edges, color=colour, linewidth=2, fill=False)
        axes.stairs(share, edges, color=colour, alpha=0.15, fill=True)
        axes.axvline(float(np.median(value)), color=colour, linestyle="--", linewidth=1.4)
    axes.set_xlabel(label)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _draw_spectra(axes: Axes, populations: Sequence[Population]) -> None:
    for population, colour in zip(populations, COLOURS, strict=True):
        spectra = population.numbers["spectrum"][:, 1:]
        periods = np.arange(1, spectra.shape[1] + 1)
        low, middle, high = np.percentile(spectra, (10, 50, 90), axis=0)
        axes.fill_between(periods, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(periods, middle, color=colour, linewidth=2.2, label=population.name)
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("periods across the box")
    axes.set_ylabel("phase power (rad² voxels)", color=INK)
    axes.grid(True, which="major", color=OUTSIDE, linewidth=0.6)
    axes.legend(title="median, 10 to 90 %")
