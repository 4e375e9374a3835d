"""Axes of a pattern in reciprocal nanometres from its Bragg peak: ticks, and what a voxel lies at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autophasenn.report.scales import round_length

UNIT = "nm⁻¹"
SHARE = 0.28
"""Of an axis, between two ticks at most."""
MARGINS = {"across": (15.0, 92.0), "down": (11.0, 95.0)}
"""Percent of a panel between which ticks are named: the names lie inside of it, and its corner names their unit."""


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round values between two others, and how they are written.

    Examples
    --------
    >>> ticks(-0.13, 0.28)
    [(-0.1, '−0.1'), (0.0, '0'), (0.1, '0.1'), (0.2, '0.2')]
    """
    step = round_length(high - low, SHARE)
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(float(f"{n * step:.6g}"), written(n * step, 6)) for n in numbers]


def written(value: float, digits: int = 2) -> str:
    """A number with a minus sign."""
    return f"{value:.{digits}g}".replace("-", "−")


def on_edge(edge: str, low: float, high: float) -> list[dict[str, Any]]:
    """Ticks along an edge of a panel: percent of it, and text.

    Parameters
    ----------
    edge : str
        "across", from left to right, or "down", from above.
    low, high : float
        What lies at both ends, nm⁻¹.
    """
    least, most = MARGINS[edge]
    named = [(100 * (value - low) / (high - low), text) for value, text in ticks(low, high)]
    return [{"at": at, "text": text} for at, text in named if least <= at <= most]


def from_peak(voxel: Sequence[int | float], peak: Sequence[int | float], steps: Sequence[float]) -> str:
    """Where a voxel lies along each axis, in words."""
    offsets = [(i - middle) * step for i, middle, step in zip(voxel, peak, steps, strict=True)]
    return f"({', '.join(written(offset) for offset in offsets)}) {UNIT} from the peak"
