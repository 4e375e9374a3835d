"""A mask drawn by hand: strokes of a brush and boxes, in voxels of the frames, as values that a file can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.planes import SECTIONS

MOST_STROKES, MOST_POINTS = 500, 4000
WIDEST = 200.0
"""Voxels, of a brush."""


@dataclass(frozen=True)
class Stroke:
    """One movement of the hand.

    Parameters
    ----------
    tool : str
        "brush", or "box" of which two corners count.
    section : int
        In `report.planes.SECTIONS`, in which it was drawn.
    points : tuple of (down, across)
        In voxels; the middle of the first one is 0.5.
    radius : float
        Of the brush, in voxels.
    span : (first, last)
        Along the axis that the section leaves out; both are covered.
    restores : bool
        Whether it takes voxels back into the measurement that earlier strokes took out.
    """

    tool: str
    section: int
    points: tuple[tuple[float, float], ...]
    radius: float
    span: tuple[int, int]
    restores: bool = False

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Stroke:
        """From what :meth:`as_json` made.

        Raises
        ------
        ValueError, TypeError, KeyError
            If it is none.
        """
        points = tuple((float(down), float(across)) for down, across in kept["points"][:MOST_POINTS])
        first, last = (int(end) for end in kept["span"])
        section, tool = int(kept["section"]), str(kept["tool"])
        if section not in range(len(SECTIONS)) or tool not in ("brush", "box") or not points:
            raise ValueError("no stroke")
        radius = min(max(float(kept["radius"]), 0.5), WIDEST)
        return cls(tool, section, points, radius, (first, last), bool(kept.get("restores")))

    def as_json(self) -> dict[str, Any]:
        """Values that a JSON file holds."""
        return asdict(self)

    def plane(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """What it covers in its section: bool (down, across)."""
        section = SECTIONS[self.section]
        rows, columns = shape[section.down], shape[section.across]
        covered = np.zeros((rows, columns), bool)
        ends = [self.points[0], self.points[-1]] if self.tool == "box" else self.points
        if self.tool == "box":
            low, high = (np.floor(function(ends, axis=0)).astype(int).tolist() for function in (np.min, np.max))
            covered[_within(low[0], high[0], rows), _within(low[1], high[1], columns)] = True
            return covered
        for start, end in zip(ends, ends[1:] or ends, strict=False):
            _draw(covered, np.array(start), np.array(end), self.radius)
        return covered


def _within(first: int, last: int, size: int) -> slice:
    return slice(min(max(first, 0), size), min(max(last + 1, 0), size))


def _draw(covered: NDArray[np.bool_], start: NDArray[Any], end: NDArray[Any], radius: float) -> None:
    """Voxels whose middle lies nearer than the radius to the line between two points; at least those under its ends."""
    low, high = np.floor(np.minimum(start, end) - radius), np.floor(np.maximum(start, end) + radius)
    rows = _within(int(low[0]), int(high[0]), covered.shape[0])
    columns = _within(int(low[1]), int(high[1]), covered.shape[1])
    down, across = np.ogrid[rows, columns]
    down, across = down + 0.5 - start[0], across + 0.5 - start[1]
    line = end - start
    length = float(line @ line)
    share = np.clip((down * line[0] + across * line[1]) / length, 0, 1) if length else np.zeros(())
    covered[rows, columns] |= np.hypot(down - share * line[0], across - share * line[1]) <= max(radius, 0.75)


def drawn(strokes: Sequence[Stroke], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The voxels that strokes, one after the other, take out of the measurement: bool of `shape`."""
    out = np.zeros(shape, bool)
    for stroke in strokes:
        section = SECTIONS[stroke.section]
        plane = section.oriented(stroke.plane(shape))  # in the order of the volume
        first, last = max(min(stroke.span), 0), min(max(stroke.span), shape[section.normal] - 1)
        at: list[Any] = [slice(None)] * 3
        at[section.normal] = slice(first, last + 1)
        part = np.moveaxis(out[tuple(at)], section.normal, 0)  # a view: its other axes stay in their order
        part[:, plane] = not stroke.restores
    return out
