"""Slices and patterns as they are seen, as files for a slide or a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from autophasenn.report.planes import AXES, SECTIONS, axis_label
from autophasenn.report.scales import round_length
from autophasenn.report.style import OUTSIDE, UNMEASURED
from autophasenn.viewer import qaxes
from autophasenn.viewer.figure import DPI, written
from autophasenn.viewer.pattern import KINDS, Part, PatternView
from autophasenn.viewer.scene import BACKGROUNDS
from autophasenn.viewer.slices import Crosshair, Drawing, Slices

SIDE = 3.4
"""Inches, of a panel."""
INK = {"light": "black", "dark": "white"}


def _new(rows: int, width: float, theme: str) -> tuple[Figure, Any]:
    figure = Figure(
        figsize=(width, rows * (SIDE + 0.55) + 0.8), dpi=DPI, facecolor=BACKGROUNDS[theme], layout="constrained"
    )
    return figure, figure.subplots(rows, 3, squeeze=False)


def slices_figure(
    slices: Sequence[Slices],
    crosshairs: Sequence[Crosshair],
    drawings: Sequence[Drawing],
    names: Sequence[str],
    theme: str,
    kind: str,
) -> bytes:
    """Three slices a result, with colour bar, scale bars, contour and crosshair.

    Parameters
    ----------
    slices : sequence of Slices
    crosshairs : sequence of Crosshair
    drawings : sequence of Drawing
    names : sequence of str
    theme : str
        "light" or "dark".
    kind : str
        "png", "svg" or "pdf".
    """
    figure, panels = _new(len(slices), 3 * (SIDE + 0.3), theme)
    quantity = drawings[0].quantity
    for row, (each, crosshair, drawing, name) in enumerate(zip(slices, crosshairs, drawings, names, strict=True)):
        for axes, plane in zip(panels[row], each.planes, strict=True):
            values = plane.cut(quantity.volumes[each.number], crosshair.voxel[plane.normal])
            sides = [each.place_of_edges(axis) for axis in (plane.across, plane.up)]
            axes.imshow(quantity.rgb(values), origin="lower", extent=(*sides[0], *sides[1]), interpolation="nearest")
            amplitude = plane.cut(each.image.amplitude, crosshair.voxel[plane.normal])
            if amplitude.min() < drawing.threshold <= amplitude.max():
                axes.contour(
                    amplitude, [drawing.threshold], colors="#1c1c28", linewidths=0.8, extent=(*sides[0], *sides[1])
                )
            place = each.from_middle(crosshair)
            axes.axvline(place[plane.across], color="#1c1c28", linewidth=0.5, linestyle=":")
            axes.axhline(place[plane.up], color="#1c1c28", linewidth=0.5, linestyle=":")
            half = each.side / 2 / drawing.window.zoom
            for limits, axis in ((axes.set_xlim, plane.across), (axes.set_ylim, plane.up)):
                limits(drawing.window.offset[axis] - half, drawing.window.offset[axis] + half)
            labels = f"{axis_label(each.image, plane.across)} →", f"{axis_label(each.image, plane.up)} →"
            _frame(axes, theme, *labels, OUTSIDE)
            title = (
                plane.title(each.image)
                if axes is not panels[row][0] or len(slices) == 1
                else f"{name}: {plane.title(each.image)}"
            )
            axes.set_title(title, color=INK[theme], fontsize=10)
            _bar(axes, each.image.unit, "#1c1c28")
    scale = ScalarMappable(Normalize(quantity.low, quantity.high), quantity.colours)
    bar = figure.colorbar(scale, ax=list(panels.ravel()), shrink=0.8, aspect=26)
    bar.set_label(quantity.title, color=INK[theme])
    ticks = quantity.ticks()
    bar.set_ticks(
        [quantity.low + tick["at"] / 100 * (quantity.high - quantity.low) for tick in ticks],
        labels=[tick["text"] for tick in ticks],
    )
    bar.ax.tick_params(colors=INK[theme])
    bar.outline.set_visible(False)
    return written(figure, kind, BACKGROUNDS[theme])


def pattern_figure(
    views: Sequence[PatternView],
    section: int,
    indices: Sequence[int],
    part: Part,
    names: Sequence[str],
    theme: str,
    kind: str,
) -> bytes:
    """Measured, calculated and residual of each result, with both colour bars.

    Parameters
    ----------
    views : sequence of PatternView
    section : int
        Number in `SECTIONS`.
    indices : sequence of int
        Plane of each.
    part : Part
    names : sequence of str
    theme : str
        "light" or "dark".
    kind : str
        "png", "svg" or "pdf".
    """
    ratio = views[0].drawn(section, indices[0])["ratio"]
    figure, panels = _new(len(views), 3 * (SIDE * ratio + 0.4), theme)
    plane = SECTIONS[section]
    for row, (view, index, name) in enumerate(zip(views, indices, names, strict=True)):
        box, drawn = view.box(section), view.drawn(section, index)
        left, top = box["left"] / 100, box["top"] / 100
        extent = (left, left + box["width"] / 100, top + box["height"] / 100, top)
        for axes, kind_of, rgb in zip(panels[row], KINDS, view.rgb(section, index), strict=True):
            axes.imshow(rgb, extent=extent, interpolation="nearest", aspect="auto")
            half = 0.5 / part.zoom
            axes.set_xlim(part.across - half, part.across + half)
            axes.set_ylim(part.down + half, part.down - half)
            axes.set_box_aspect(1 / ratio)
            _frame(axes, theme, f"{drawn['across']} →", f"← {drawn['down']}", UNMEASURED)
            _q_axes(axes, theme, view, section, part)
            title = f"{kind_of}, {AXES[plane.normal]} {index}"
            axes.set_title(f"{name}: {title}" if len(views) > 1 else title, color=INK[theme], fontsize=10)
            length = views[row].bar_length(section, part)
            _line(axes, length, f"{length[0]:g} {length[1]}", "white" if kind_of != "residual" else "black")
    for number, (mappable, title) in enumerate(views[0].mappables()):
        bar = figure.colorbar(
            mappable, ax=list(panels.ravel()), shrink=0.8, aspect=26, location="right", pad=0.02 + 0.02 * number
        )
        bar.set_label(title, color=INK[theme])
        bar.ax.tick_params(colors=INK[theme], which="both")
        bar.outline.set_visible(False)
    return written(figure, kind, BACKGROUNDS[theme])


def _frame(axes: Axes, theme: str, across: str, up: str, ground: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(across, color=INK[theme])
    axes.set_ylabel(up, color=INK[theme])
    axes.set_facecolor(ground)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _q_axes(axes: Axes, theme: str, view: PatternView, section: int, part: Part) -> None:
    """Ticks in nm⁻¹ from the Bragg peak, where the length of a voxel is known."""
    if not view.has_q:
        return
    plane = SECTIONS[section]
    for axis, middle, along in ((plane.across, part.across, axes.xaxis), (plane.down, part.down, axes.yaxis)):
        low, high = view.q_ends(axis)
        found = qaxes.ticks(*view.q_ends(axis, middle, part.zoom))
        along.set_ticks([(value - low) / (high - low) for value, _ in found], [text for _, text in found])
        along.set_label_text(f"{along.get_label_text()}  {qaxes.UNIT}")
    axes.tick_params(colors=INK[theme], labelsize=8, length=2)


def _bar(axes: Axes, unit: str, ink: str) -> None:
    left, right = axes.get_xlim()
    length = round_length(right - left, 0.25)
    _line(axes, (length, unit, length / (right - left)), f"{length:g} {unit}", ink)


def _line(axes: Axes, length: tuple[float, str, float], words: str, ink: str) -> None:
    """A scale bar; `length`: in its unit, its unit, and as a share of the panel's width."""
    axes.plot(
        [0.04, 0.04 + length[2]], [0.05, 0.05], color=ink, linewidth=3, transform=axes.transAxes, solid_capstyle="butt"
    )
    axes.text(
        0.04 + length[2] / 2, 0.07, words, color=ink, ha="center", va="bottom", transform=axes.transAxes, fontsize=10
    )
