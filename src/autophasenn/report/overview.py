"""One slide with everything that matters about a result."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.report.detector import Panels, counts_scale, loggable
from autophasenn.report.drawable import Calculated, Measured
from autophasenn.report.isosurface import BACK, FRONT, CrystalViews
from autophasenn.report.numbers import Report
from autophasenn.report.opengl import NoOpenGLError
from autophasenn.report.planes import SECTIONS, planes_of
from autophasenn.report.scales import Scale, phase_scale, strain_scale
from autophasenn.report.slices import draw_slice
from autophasenn.report.style import SLIDE, blank, colour_bar, new_figure, panel, styled
from autophasenn.report.words import facts

_SIDE = 2.85
_TOPS = (0.95, 4.2)
_CRYSTAL, _SLICE, _COUNTS = (0.15, _SIDE), (3.45, _SIDE), (7.55, _SIDE)
"""Inches: side of the panels, upper edges of both rows, left edge and width of each column."""


@styled
def overview(
    image: CrystalImage,
    pattern: Measured,
    reconstruction: Calculated,
    report: Report,
    *,
    title: str = "",
    views: CrystalViews | None = None,
) -> Figure:
    """Draw the crystal in 3-D, a slice of phase and strain, the patterns, and the key numbers on one 16:9 slide.

    The slice is the plane that holds most of the scattering vector. Where this machine cannot render, or the support
    holds no surface, slices in another plane take the place of the 3-D views. Without geometry a second view and slice
    of the phase take the place of the strain.

    Parameters
    ----------
    image : CrystalImage
    pattern : Pattern, or its arrays
    reconstruction : Reconstruction, or its arrays
    report : Report
        What is unknown is left out.
    title : str
        Above the slide: sample, scan, reflection.
    views : CrystalViews, optional
        Of this image, where another figure shows it too.
    """
    figure = new_figure(SLIDE, is_placed=True)
    crystal, slices, counts = (
        [panel(figure, left, top, width, _SIDE) for top in _TOPS] for left, width in (_CRYSTAL, _SLICE, _COUNTS)
    )
    _draw_crystal(figure, image, views, list(zip(crystal, slices, strict=True)))
    _draw_patterns(figure, pattern, reconstruction, counts)
    for axes in (*crystal, *slices, *counts):
        axes.set_anchor("N")
    _write_numbers(panel(figure, _NUMBERS_LEFT, _TOPS[0], _NUMBERS_RIGHT - _NUMBERS_LEFT, SLIDE[1] - _TOPS[0]), report)
    if title:
        figure.suptitle(title, parse_math=False, fontsize=17, fontweight="bold", x=0.015, y=0.975, ha="left")
    return figure


def _draw_crystal(
    figure: Figure, image: CrystalImage, views: CrystalViews | None, panels: list[tuple[Axes, Axes]]
) -> None:
    """The 3-D views on the left and the slices beside them, one colour scale a row."""
    planes = sorted(planes_of(image), key=lambda plane: _share_along(image, plane.normal))
    phase = phase_scale(image.phase, wrap=True)
    rows: list[tuple[Scale, np.ndarray]] = [(phase, image.phase)]
    if image.strain is not None:
        rows.append((strain_scale(image.strain), image.strain))
    second = len(rows) == 1
    rows += rows * second
    left = "surface at 30 % amplitude"
    try:
        with ExitStack() as stack:
            _draw_surfaces(views or stack.enter_context(CrystalViews(image)), [row[0] for row in panels])
    except (NoOpenGLError, InputError):
        left = planes[1].title(image)
        for axes, (scale, values) in zip(panels, rows, strict=True):
            draw_slice(axes[0], image, planes[1], scale, values)
    for row, (scale, values) in enumerate(rows):
        draw_slice(panels[row][1], image, planes[1 if second and row else 0], scale, values)
        cax = panel(figure, _SLICE[0] + _SLICE[1] + 0.12, _TOPS[row] + 0.25, 0.14, _SIDE - 0.5)
        scale.colour_bar(figure, [], scale.title, cax=cax)
    panels[0][0].set_title(left)
    panels[0][1].set_title("slices" if second else planes[0].title(image))


def _draw_surfaces(views: CrystalViews, panels: list[Axes]) -> None:
    if len(views.rows) == 2:
        views.draw(panels[0], 0, FRONT)
        views.draw(panels[1], 1, FRONT)
    else:
        views.draw(panels[0], 0, FRONT)
        views.draw(panels[1], 0, BACK)


def _share_along(image: CrystalImage, axis: int) -> float:
    """How much of the scattering vector points along `axis`; 0 where it is unknown."""
    return 0.0 if image.q_direction is None else abs(float(image.q_direction[axis]))


def _draw_patterns(figure: Figure, pattern: Measured, reconstruction: Calculated, panels: list[Axes]) -> None:
    """Measured above calculated counts on the detector's plane through the peak."""
    section = SECTIONS[0]
    drawn = Panels.of(pattern.counts.shape, pattern.reciprocal_steps, 3.0)
    seen = pattern.counts[pattern.mask]
    colours, norm = counts_scale(float(seen.max()), float(seen[seen > 0].min()))
    measured = loggable(section.central(pattern.counts), norm, section.central(pattern.mask))
    calculated = loggable(section.central(reconstruction.intensity), norm)
    for axes, values, name in zip(panels, (measured, calculated), ("measured", "calculated"), strict=True):
        drawn.draw(axes, values, 0, colours, norm)
        axes.set_title(name)
    cax = panel(figure, _COUNTS[0] + _COUNTS[1] + 0.12, _TOPS[0] + 0.5, 0.14, _TOPS[1] + _SIDE - _TOPS[0] - 1.0)
    colour_bar(figure, [], colours, norm, "counts", cax=cax)


KEY_NUMBERS = (
    *("χ²", "χ² of counting noise", "χ² of held-out voxels", "confidence", "resolution", "voxel", "d spacing", "|Q|"),
    *("volume", "strain", "displacement, 1 to 99 %"),
)
"""Of `report.words.facts`, the lines of the slide."""
_NUMBERS_LEFT, _NUMBERS_RIGHT = 11.42, SLIDE[0] - 0.12
"""Inches: where the lines of the slide begin, and where every one of them must have ended."""
_NAME_SIZE, _VALUE_SIZE = 11.0, 13.0
"""Points of a name and of its value; a text that would leave the slide is set smaller."""


def key_numbers(report: Report) -> list[tuple[str, str]]:
    """The lines of the slide, name and value with unit, of those numbers that are known."""
    known = facts(report)
    return [
        _with_power(name, known[name].value)
        for name in KEY_NUMBERS
        if known[name].is_known and (name != "resolution" or report.resolution_nm is not None)
    ]


def _with_power(name: str, value: str) -> tuple[str, str]:
    """A strain's power of ten stands beside its name, so that its two numbers are set as large as the others."""
    number, power, _ = value.partition(" × 10⁻⁴")
    return (f"{name} (10⁻⁴)", number) if power and name == "strain" else (name, value)


def _write_numbers(axes: Axes, report: Report) -> None:
    blank(axes)
    for line, (name, value) in enumerate(key_numbers(report)):
        top = 0.97 - 0.089 * line
        _write_fitted(axes, top, name, _NAME_SIZE, color="#6a6a76")
        _write_fitted(axes, top - 0.035, value, _VALUE_SIZE)


def _write_fitted(axes: Axes, top: float, words: str, size: float, **style: Any) -> None:
    """Write `words` from the left edge of `axes`, in type of `size` points or as much less as fits before its right edge."""
    text = axes.text(0.0, top, words, transform=axes.transAxes, fontsize=size, va="top", **style)
    text.set_in_layout(False)
    room = axes.get_window_extent().width
    while (width := text.get_window_extent().width) > room and size > 1:
        size = min(size - 0.1, size * room / width)  # widths follow the size by whole pixels of each letter
        text.set_fontsize(size)
