"""The measured pattern beside the calculated one, and what is left between them."""

from __future__ import annotations

from matplotlib.figure import Figure

from autophasenn.report.detector import Panels, counts_scale, loggable, residual_of, residual_scale
from autophasenn.report.drawable import Calculated, Measured
from autophasenn.report.planes import SECTIONS
from autophasenn.report.style import colour_bar, new_figure, panel, styled

_LEFT, _GAP, _BETWEEN = 0.75, 0.12, 0.25
"""Inches: room for labels on the left, between panels, and more of it for the names of their axes."""


@styled
def pattern_comparison(pattern: Measured, reconstruction: Calculated) -> Figure:
    """Draw measured counts, calculated counts and their residual on the three central planes.

    Counts share one logarithmic scale. The residual is ``sqrt(I_m) - sqrt(I_c)``, whose standard deviation from
    counting noise alone is 1/2 wherever more than a few counts are expected. Unmeasured voxels are grey, never zero.

    Parameters
    ----------
    pattern : Pattern, or its arrays
    reconstruction : Reconstruction, or its arrays
        On the grid of `pattern`.
    """
    measured = [section.central(pattern.counts) for section in SECTIONS]
    calculated = [section.central(reconstruction.intensity) for section in SECTIONS]
    masks = [section.central(pattern.mask) for section in SECTIONS]
    residuals = [residual_of(*planes) for planes in zip(measured, calculated, masks, strict=True)]

    seen = pattern.counts[pattern.mask]
    colours, norm = counts_scale(float(seen.max()), float(seen[seen > 0].min()))
    residual_colours, residual_norm = residual_scale(residuals)

    panels = Panels.of(pattern.counts.shape, pattern.reciprocal_steps, 2.7)
    above = 0.4 + 0.2 * any("\n" in panels.labels(number)[0] for number in range(len(SECTIONS)))
    right = _LEFT + sum(panels.widths) + _GAP * len(SECTIONS) + _BETWEEN * (len(SECTIONS) - 1)
    step = panels.height + _GAP
    figure = new_figure((right + 1.35, above + 3 * step), is_placed=True)
    counts_style, residual_style = (colours, norm), (residual_colours, residual_norm)
    rows = (
        ("measured", [loggable(m, norm, mask) for m, mask in zip(measured, masks, strict=True)], counts_style),
        ("calculated", [loggable(c, norm) for c in calculated], counts_style),
        ("residual", residuals, residual_style),
    )
    for row, (name, planes, (map_of_row, norm_of_row)) in enumerate(rows):
        left = _LEFT
        for number, (values, width) in enumerate(zip(planes, panels.widths, strict=True)):
            across, down = panels.labels(number)
            axes = panel(figure, left, above + row * step, width, panels.height)
            panels.draw(axes, values, number, map_of_row, norm_of_row)
            axes.set_ylabel(f"{name}\n{down}" if number == 0 else down, linespacing=1.5)
            if row == 0:
                axes.set_title(across, fontsize=12)
            left += width + _GAP + _BETWEEN
    bar = panel(figure, right, above + 0.4, 0.15, 2 * step - 1.0)
    colour_bar(figure, [], colours, norm, "counts", cax=bar, extend="min")
    label = "√measured − √calculated\n(noise alone: ±0.5)"
    bar = panel(figure, right, above + 2 * step + 0.1, 0.15, panels.height - 0.2)
    colour_bar(figure, [], residual_colours, residual_norm, label, cax=bar, extend="both")
    return figure
