"""What a run shows while it works: its object from three sides, and how chi2 falls."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.style import named_map
from autophasenn.viewer.quantities import picture
from autophasenn.viewer.running.run import Following, Run

OBJECT = "object.npz"
MARGIN = 2
"""Voxels around the object."""
WIDTH, HEIGHT = 320, 64
"""Of the curve."""
NOTHING: dict[str, Any] = {"pictures": [], "curve": "", "chi2": ""}


class Live:
    """What one browser is shown of the run that works; drawn anew only when there is something new."""

    def __init__(self) -> None:
        self._of: tuple[Any, ...] = ()
        self._drawn = NOTHING

    def look(self, run: Run, following: Following) -> dict[str, Any]:
        """What the page shows.

        Parameters
        ----------
        run : Run
        following : Following
            Of that run.
        """
        try:
            written = (run.folder / OBJECT).stat().st_mtime_ns
        except OSError:
            written = 0
        of = run.key, written, len(following.chi2)
        if of != self._of:
            self._of, self._drawn = of, _drawn(run, following)
        seconds = f"{time.time() - run.began:.0f} s"
        return {
            "key": run.key,
            "stage": following.words,
            "share": following.share,
            "seconds": seconds,
            **self._drawn,
        }


def _drawn(run: Run, following: Following) -> dict[str, Any]:
    pictures: list[str] = []
    try:
        with np.load(run.folder / OBJECT) as kept:
            sides = [kept[f"along{axis}"] for axis in range(3)]
    except (OSError, ValueError, KeyError):
        sides = []
    most = max((float(side.max()) for side in sides), default=0.0)
    if most > 0:
        colours = named_map("viridis")
        pictures = [picture(np.asarray(colours(_cut(each) / most, bytes=True), np.uint8)[..., :3]) for each in sides]
    chi2 = following.chi2
    return {
        "pictures": pictures,
        "chi2": f"χ² {chi2[-1]:.3g}, lowest {min(chi2):.3g}" if chi2 else "",
        "curve": curve(chi2) if len(chi2) > 1 else "",
    }


def _cut(side: NDArray[Any]) -> NDArray[Any]:
    """The part of a picture in which something is."""
    inside = side > 0.02 * side.max()
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not rows.size:
        return side
    return side[
        max(rows[0] - MARGIN, 0) : rows[-1] + MARGIN + 1, max(columns[0] - MARGIN, 0) : columns[-1] + MARGIN + 1
    ]


def curve(chi2: Sequence[float]) -> str:
    """How chi2 falls, on a logarithmic scale from its least to its largest: the address of a picture."""
    heights = np.log10(np.maximum(chi2, 1e-12))
    reach = float(np.ptp(heights)) or 1.0
    across = np.linspace(2, WIDTH - 2, len(heights))
    down = 4 + (HEIGHT - 8) * (heights.max() - heights) / reach
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"><polyline points="{points}" fill="none" '
        'stroke="#4a90d9" stroke-width="1.8" stroke-linejoin="round"/></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
