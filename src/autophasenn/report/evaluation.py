"""How methods compare over many patterns: histograms of their metrics, and how chi2 falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator
from numpy.typing import NDArray

from autophasenn.report.style import ACCENT, INK, new_figure, styled

Values = NDArray[np.floating]

COLOURS = {"iterative": "#2a5b8c", "network": "#8c8c99", "er50": "#c99a2e", "refined": ACCENT}
NAMES = {
    "iterative": "random starts",
    "network": "network",
    "er50": "network + 50 ER",
    "refined": "network + refinement",
}
BINS = 32
FAINT = 60
"""How many single runs are drawn behind the median."""


@styled
def histograms(
    metrics: Mapping[str, Mapping[str, Values]], *, logarithmic: Sequence[str] = (), title: str = ""
) -> Figure:
    """Draw a panel for every metric with the distribution of each method, and its mean as a dashed line.

    Parameters
    ----------
    metrics : mapping of label to mapping of method to float array (samples,)
        Only finite values are drawn.
    logarithmic : sequence of str
        Labels of metrics whose axis is logarithmic.
    title : str
    """
    figure = new_figure((1.0 + 4.6 * len(metrics), 4.6))
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, (label, methods) in zip(panels, metrics.items(), strict=True):
        _distribution(axes, methods, is_logarithmic=label in logarithmic)
        axes.set_xlabel(label)
    panels[0].set_ylabel("patterns")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    if title:
        figure.suptitle(title, parse_math=False, fontsize=14)
    return figure


def _distribution(axes: Axes, methods: Mapping[str, Values], *, is_logarithmic: bool) -> None:
    known = {method: values[np.isfinite(values)] for method, values in methods.items()}
    together = np.concatenate(list(known.values()))
    if not together.size:
        axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center")
        return
    low, high = float(together.min()), float(together.max())
    if is_logarithmic and low > 0:
        edges = np.geomspace(low / 1.05, high * 1.05, BINS + 1)
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(1.5, 0.6)))
    else:
        margin = 0.02 * (high - low) or 0.01
        edges = np.linspace(low - margin, high + margin, BINS + 1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    for method, values in known.items():
        heights = np.histogram(values, edges)[0]
        colour = COLOURS.get(method, INK)
        axes.stairs(heights, edges, color=colour, linewidth=2, label=NAMES.get(method, method))
        axes.stairs(heights, edges, color=colour, alpha=0.15, fill=True)
        if values.size:
            axes.axvline(float(values.mean()), color=colour, linestyle="--", linewidth=1.4)


@styled
def fall_of_chi2(errors: Mapping[str, Values], *, noise: float | None = None, predicted: float | None = None) -> Figure:
    """Draw chi2 against the iteration: the median of every method in bold over its single runs.

    Random starts are dashed, predicted ones solid.

    Parameters
    ----------
    errors : mapping of method to float array (samples, iterations)
        Of the running object, without the threshold.
    noise : float, optional
        Median of what counting noise alone gives the true object; drawn as a level.
    predicted : float, optional
        Median of the network alone, at iteration 0.
    """
    figure = new_figure((11.0, 5.8))
    axes = figure.subplots()
    for method, runs in errors.items():
        iterations = np.arange(1, runs.shape[1] + 1)
        colour, style = COLOURS.get(method, INK), "--" if method == "iterative" else "-"
        shown = np.where(runs > 0, runs, np.nan)
        axes.plot(iterations, shown[:FAINT].T, color=colour, linestyle=style, linewidth=0.5, alpha=0.15)
        label = NAMES.get(method, method) + (f": median of {len(runs)}" if len(runs) > 1 else "")
        most = np.isfinite(shown).mean(0) > 0.5  # some runs go on where the others are done
        axes.plot(
            iterations[most],
            np.nanmedian(shown[:, most], 0),
            color=colour,
            linestyle=style,
            linewidth=2.6,
            label=label,
        )
    if predicted is not None:
        axes.plot([1], [predicted], "o", color=COLOURS["network"], markersize=9, label=NAMES["network"], zorder=4)
    if noise is not None:
        axes.axhline(noise, color=INK, linestyle=":", linewidth=1.4, label="counting noise alone, median")
    axes.set(yscale="log", xlabel="iteration", ylabel="χ²")
    axes.grid(True, which="major", color="#e2e2e8", linewidth=0.8)
    figure.legend(loc="outside upper center", ncols=3)
    return figure
