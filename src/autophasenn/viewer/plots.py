"""Plots of the page: histogram, profile, convergence and PRTF, in the colours of the page and as files."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
from cycler import cycler
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from autophasenn.image import Floats
from autophasenn.report.series import COLOURS, Point, draw_series, mark
from autophasenn.report.style import in_style
from autophasenn.viewer.curves import RESOLUTION_LEVEL, Curves
from autophasenn.viewer.figure import written
from autophasenn.viewer.profile import Profile, Spread
from autophasenn.viewer.quantities import Quantity

LINES = {"light": ("#1f5fa8", "#c2410c"), "dark": ("#7db4f0", "#f59e6c")}
"""Of the first and of the second result."""
PAPERS = {"light": "#ffffff", "dark": "#212121"}
"""Of the page: Vuetify's surfaces."""
INKS = {"light": "#1c1c28", "dark": "#f0f0f4"}
CRYSTALS = ("#7db4f0", "#f59e6c", "#8fcf9a", "#cfa6e0", "#e2bd5c", "#b4bfc6")
"""Of the crystals of a series on a dark page."""
P = ParamSpec("P")


def themed(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function, whose first parameter is the theme, draw in its colours."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        theme = str(args[0])
        ink, paper = INKS[theme], PAPERS[theme]
        coloured = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
        style: dict[Any, Any] = dict.fromkeys(coloured, ink) | {
            "figure.facecolor": paper, "axes.facecolor": paper, "savefig.facecolor": paper, "font.size": 11,
            "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "svg.hashsalt": "autophasenn",
            "grid.color": "#80808055", "axes.prop_cycle": cycler(color=LINES[theme]),
        }  # fmt: skip
        with in_style(style):
            return draw(*args, **kwargs)

    return drawn


def address(figure: Figure) -> str:
    """A figure as the address of a picture."""
    body = written(figure, "svg", str(to_hex(figure.get_facecolor())))
    return "data:image/svg+xml;base64," + base64.b64encode(body).decode()


def _new(width: float = 4.2, height: float = 3.6) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _label(quantity: Quantity) -> str:
    return quantity.title


@themed
def histogram(theme: str, quantity: Quantity, names: Sequence[str], spreads: Sequence[Spread]) -> Figure:
    """How the values of each result are spread."""
    figure = _new()
    axes = figure.subplots()
    for name, spread in zip(names, spreads, strict=True):
        said = f"mean {_short(spread.mean, quantity.high)}, std {_short(spread.std, quantity.high)}"
        axes.stairs(spread.share, spread.edges, fill=True, alpha=0.25, color=LINES[theme][len(axes.patches) // 2 % 2])
        axes.stairs(spread.share, spread.edges, linewidth=1.6, color=LINES[theme][len(axes.patches) // 2 % 2],
                    label=f"{name}: {said}" if len(names) > 1 else said)  # fmt: skip
    axes.set_xlim(quantity.low, quantity.high)
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5)  # their names would run into each other
    axes.set_xlabel(_label(quantity))
    axes.set_ylabel("voxels (%)")
    axes.grid(True)
    figure.legend(loc="outside upper center", fontsize=10)
    return figure


@themed
def profile(theme: str, quantity: Quantity, names: Sequence[str], unit: str, profiles: Sequence[Profile]) -> Figure:
    """The quantity, and below it the amplitude, along a line."""
    figure = _new()
    has_two = quantity.key != "amplitude"
    parts: Any = figure.subplots(1 + has_two, 1, sharex=True, squeeze=False)
    for name, found in zip(names, profiles, strict=True):
        if has_two:
            parts[0, 0].plot(found.distance, found.values, label=name)
        parts[-1, 0].plot(found.distance, found.amplitude, label=name)
    if has_two:
        parts[0, 0].set_ylabel(_label(quantity))
    parts[-1, 0].set_ylabel("Amplitude")
    parts[-1, 0].set_ylim(bottom=0)
    parts[-1, 0].set_xlabel(f"distance ({unit})")
    for axes in parts[:, 0]:
        axes.grid(True)
    if len(names) > 1:
        figure.legend(*parts[-1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=10)
    return figure


@themed
def convergence(theme: str, names: Sequence[str], found: Sequence[Curves]) -> Figure:
    """How chi2 fell, the chosen start in bold, and what counting noise alone would leave."""
    figure = _new(7.0, 4.6)
    axes = figure.subplots()
    for number, (name, curves) in enumerate(zip(names, found, strict=True)):
        colour, about = LINES[theme][number % 2], f"{name}: " if len(names) > 1 else ""
        for start, errors in enumerate(curves.errors):
            is_best = start == curves.best
            axes.plot(
                np.arange(1, errors.size + 1), errors, color=colour, linewidth=2.4 if is_best else 0.9,
                alpha=1.0 if is_best else 0.45, label=f"{about}{_curve(curves, start)}",
                marker="o" if errors.size == 1 else None,
            )  # fmt: skip
        if curves.chi2_noise:
            axes.axhline(curves.chi2_noise, color=colour, linestyle="--", linewidth=1.2,
                         label=f"{name}: counting noise alone" if len(names) > 1 else "counting noise alone")  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("iteration")
    axes.set_ylabel("χ² of fitted voxels")
    axes.grid(True)
    handles = dict(
        zip(*reversed(axes.get_legend_handles_labels()), strict=True)
    )  # one for all starts that were not chosen
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=2, fontsize=10)
    return figure


def _curve(curves: Curves, start: int) -> str:
    """What one of the curves is."""
    if len(curves.errors) == 1:
        return "network prediction, then refinement" if curves.is_refined else "the only start"
    return f"chosen start ({start})" if start == curves.best else "other starts"


@themed
def transfer(theme: str, names: Sequence[str], found: Sequence[Curves]) -> Figure:
    """The phase retrieval transfer function of the results that have one."""
    figure = _new(7.0, 4.6)
    axes = figure.subplots()
    last = 0.0
    for number, (name, curves) in enumerate(zip(names, found, strict=True)):
        if curves.prtf is not None:
            q, value = curves.prtf
            last = max(last, float(q[-1]))
            axes.plot(q, value, marker="o", markersize=3, color=LINES[theme][number % 2], label=name)
    axes.axhline(RESOLUTION_LEVEL, color="#888890", linestyle="--", linewidth=1.2, label="1/e")
    axes.set_xlim(0, last * 1.03)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel(f"spatial frequency |q| ({found[0].q_unit})")
    axes.set_ylabel("phase retrieval transfer function")
    axes.grid(True)
    figure.legend(loc="outside upper center", ncols=3, fontsize=10)
    return figure


@themed
def series(theme: str, points: Sequence[Point], marked: Sequence[Point], against: str, quantity: str) -> Figure:
    """A number of every scan with its uncertainty; those that are open are marked."""
    figure = _new(8.4, 4.8)
    axes = figure.subplots()
    draw_series(axes, points, colours=CRYSTALS if theme == "dark" else COLOURS, paper=PAPERS[theme])
    for point in marked:
        mark(axes, point)
    axes.set_xlabel(against, parse_math=False)
    axes.set_ylabel(quantity, parse_math=False)
    axes.grid(True)
    figure.legend(loc="outside upper center", ncols=4, fontsize=10)
    return figure


def _short(value: float, of: float) -> str:
    """A number; 0 where it is nothing beside `of`."""
    return f"{value if abs(value) > 1e-4 * of else 0:.3g}".replace("-", "−")


def table(columns: dict[str, Floats]) -> str:
    """Columns of numbers as comma-separated values; shorter ones end empty.

    Parameters
    ----------
    columns : dict of str to float array (n,)
    """
    length = max((len(values) for values in columns.values()), default=0)
    lines = [",".join(f'"{name}"' for name in columns)]
    for row in range(length):
        lines.append(",".join(f"{values[row]:.6g}" if row < len(values) else "" for values in columns.values()))
    return "\n".join(lines) + "\n"
