"""What a run shows while it works: its object from three sides, and how chi2 falls."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from autophasenn.report.style import named_map
from autophasenn.viewer.plots import address, themed
from autophasenn.viewer.quantities import picture
from autophasenn.viewer.running.run import Following, Run

OBJECT = "object.npz"
MARGIN = 2
"""Voxels around the object."""


def live(run: Run, following: Following, theme: str) -> dict[str, Any]:
    """What the page shows of a run.

    Parameters
    ----------
    run : Run
    following : Following
        Of that run.
    theme : str
        "light" or "dark".
    """
    found = {"key": run.key, "pictures": [], "curve": "", "chi2": ""}
    try:
        with np.load(run.folder / OBJECT) as kept:
            sides = [kept[f"along{axis}"] for axis in range(3)]
    except (OSError, ValueError, KeyError):
        sides = []
    if sides and max(side.max() for side in sides) > 0:
        colours, most = named_map("viridis"), max(float(side.max()) for side in sides)
        found["pictures"] = [
            picture(np.asarray(colours(_cut(side) / most, bytes=True), np.uint8)[..., :3]) for side in sides
        ]
    if following.chi2:
        found["chi2"] = f"χ² {following.chi2[-1]:.3g}"
    if len(following.chi2) > 1:
        found["curve"] = address(themed(lambda _: _curve(following.chi2))(theme))
    return found


def _cut(side: np.ndarray) -> np.ndarray:
    """The part of a picture in which something is."""
    inside = side > 0.02 * side.max()
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return side[
        max(rows[0] - MARGIN, 0) : rows[-1] + MARGIN + 1, max(columns[0] - MARGIN, 0) : columns[-1] + MARGIN + 1
    ]


def _curve(chi2: list[float]) -> Figure:
    figure = Figure(figsize=(4.2, 1.3), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(chi2, linewidth=1.6)
    axes.set_xlabel("seconds of phasing")
    axes.set_ylabel("χ²")
    axes.grid(True)
    return figure
