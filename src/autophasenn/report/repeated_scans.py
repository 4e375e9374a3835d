"""Repeated scans beside one another: the frame through each peak, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from autophasenn.report.style import ACCENT, INK, UNMEASURED, blank, named_map, new_figure, styled

ACROSS = 6
"""Scans in a row."""


@styled
def repeated_scans(
    names: Sequence[str],
    sections: Sequence[np.ndarray],
    shifts: Sequence[tuple[float, float, float]],
    alike: Sequence[float],
    is_used: Sequence[bool],
    title: str = "",
) -> Figure:
    """Draw the frame through the peak of each scan, on one logarithmic scale; those that are left out are framed.

    Parameters
    ----------
    names : sequence of str
    sections : sequence of arrays (rows, columns)
        Counts about the peak.
    shifts : sequence of 3 floats
        Voxels by which each was moved.
    alike : sequence of float
        Correlation with the reference.
    is_used : sequence of bool
    title : str
    """
    columns, rows = min(ACROSS, len(names)), math.ceil(len(names) / ACROSS)
    figure = new_figure((2.3 * max(columns, 2), 0.5 + 2.9 * rows))
    scale = LogNorm(1, max(2.0, float(max(section.max() for section in sections))))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes, name, section, shift, number, used in zip(panels, names, sections, shifts, alike, is_used, strict=False):
        axes.imshow(np.where(section > 0, section, np.nan), norm=scale, cmap=named_map("magma", bad=UNMEASURED))
        blank(axes)
        short = name if len(name) <= 28 else f"...{name[-25:]}"
        moved = ", ".join(f"{part:+.2f}" for part in shift)
        verdict = "summed" if used else "left out"
        axes.set_title(
            f"{short}\n{verdict}, alike {number:.2f}\nmoved {moved}", fontsize=8, color=INK if used else ACCENT
        )
        if not used:
            axes.set_frame_on(True)
            for spine in axes.spines.values():
                spine.set(visible=True, color=ACCENT, linewidth=2)
    figure.suptitle(title or "Repeated scans")
    return figure
