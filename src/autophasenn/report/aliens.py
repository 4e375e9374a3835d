"""What preprocessing masked because it belongs to another crystal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from autophasenn.report.detector import Panels, counts_scale, loggable
from autophasenn.report.planes import SECTIONS
from autophasenn.report.style import colour_bar, new_figure, styled

_OUTLINE = "#35e0ff"
_NUMBERED = 12
"""How many clusters get a number; more would hide the pattern."""


@styled
def aliens(
    counts: NDArray[Any],
    mask: NDArray[np.bool_],
    centres: ArrayLike,
    *,
    labels: Sequence[str] | None = None,
) -> Figure:
    """Draw the brightest counts along each axis, with an outline around what was masked and numbers on the clusters.

    Parameters
    ----------
    counts : array (n0, n1, n2)
        Before the clusters were masked.
    mask : bool array (n0, n1, n2)
        True = alien (the reverse of a pattern's mask).
    centres : array (clusters, 3)
        Frame, row and column of each cluster, the most important first: the first dozen are numbered.
    labels : sequence of str, optional
        Of each cluster, in place of numbers from 1.
    """
    places = np.asarray(centres, dtype=np.float64).reshape(-1, 3)
    names = labels or [str(number + 1) for number in range(len(places))]
    largest = float(np.nanmax(counts))
    positive = counts[counts > 0]
    colours, norm = counts_scale(largest, float(positive.min()) if positive.size else largest)
    n0, n1, n2 = counts.shape
    halo = withStroke(linewidth=2.5, foreground="black")
    panels = Panels.of((n0, n1, n2), None, 3.9)
    figure = new_figure((sum(panels.widths) + 2.2, panels.height + 1.1))
    row = panels.draw_on(figure, 1)[0]
    for number, (axes, section) in enumerate(zip(row, SECTIONS, strict=True)):
        brightest = section.oriented(np.nanmax(counts, axis=section.normal))
        panels.draw(axes, loggable(brightest, norm), number, colours, norm)
        shadow = section.oriented(np.any(mask, axis=section.normal))
        if shadow.any() and not shadow.all():
            centre_of = [np.arange(size) + 0.5 for size in shadow.shape]
            outlined = shadow.astype(np.float32)
            axes.contour(centre_of[1], centre_of[0], outlined, [0.5], colors=_OUTLINE, linewidths=1.4)
        for place, name in list(zip(places, names, strict=True))[:_NUMBERED]:
            is_right = place[section.across] > 0.85 * counts.shape[section.across]
            axes.annotate(
                name, (place[section.across] + 0.5, place[section.down] + 0.5),
                xytext=(-9 if is_right else 9, 9), ha="right" if is_right else "left", textcoords="offset points",
                color=_OUTLINE, fontsize=11, fontweight="bold", path_effects=[halo],
            ).set_in_layout(False)  # fmt: skip
        across, down = panels.labels(number)
        axes.set_xlabel(across)
        axes.set_ylabel(down)
    colour_bar(figure, list(row), colours, norm, "largest counts along the line of sight", shrink=0.85, aspect=26)
    found = f"{len(places)} alien cluster" + ("" if len(places) == 1 else "s")
    figure.suptitle(f"{found} masked: {float(mask.mean()) * 100:.2g} % of the voxels", fontsize=14)
    return figure
