"""The measured pattern, the calculated one and what is left between them, plane by plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from numpy.typing import NDArray

from autophasenn.report.scales import reach, round_length, round_up
from autophasenn.report.style import UNMEASURED, named_map
from autophasenn.viewer.quantities import picture
from autophasenn.viewer.results import Floats, StoredPattern

AXES = ("frame", "row", "column")
SECTIONS = ((1, 2), (1, 0), (2, 0))
"""Which axis runs down, and which to the right: the detector's own view, then the planes along the rocking axis."""
KINDS = ("measured", "calculated", "residual")
DECADES = 7
"""The most that the colours of counts span."""


class PatternView:
    """The pattern of one result."""

    def __init__(self, pattern: StoredPattern) -> None:
        self.pattern = pattern
        seen = pattern.counts[pattern.measured]
        largest, smallest = float(seen.max()), float(seen[seen > 0].min())
        decades = float(np.clip(np.ceil(np.log10(largest / smallest)), 2, DECADES))
        self._norm = LogNorm(max(0.5 * smallest, largest / 10**decades), largest)
        self._colours = named_map("inferno", bad=UNMEASURED)
        self._limit = round_up(max(1.0, *(reach(self._residual(*self._planes(s, self._middle(s)))) for s in range(3))))
        self._residual_colours = named_map("RdBu_r", 0.05, 0.95, bad=UNMEASURED)

    def last(self, section: int) -> int:
        """Largest index of a section."""
        return int(self.pattern.counts.shape[self._normal(section)] - 1)

    def _middle(self, section: int) -> int:
        return int(self.pattern.counts.shape[self._normal(section)] // 2)

    def drawn(self, section: int, index: int) -> dict[str, Any]:
        """What the page shows of a section: three pictures, how they are called, and their scales.

        Parameters
        ----------
        section : int
            Number in `SECTIONS`.
        index : int
            Along the axis that the section leaves out; beyond its ends the last plane.
        """
        down, across = SECTIONS[section]
        index = min(max(index, 0), self.last(section))
        counts, calculated, measured = self._planes(section, index)
        steps = self.pattern.steps
        true = counts.shape[1] * steps[across] / (counts.shape[0] * steps[down])
        ratio = float(np.clip(true, 0.5, 1.8))
        bar = round_length(counts.shape[1] * steps[across], 0.3)
        coloured = (
            self._log(np.where(measured, counts, np.nan)),
            self._log(calculated),
            self._linear(self._residual(counts, calculated, measured)),
        )
        return {
            "pictures": [picture(rgb) for rgb in coloured],
            "ratio": ratio,
            "across": AXES[across] + ("" if abs(ratio / true - 1) < 0.02 else f" (stretched × {ratio / true:.2g})"),
            "down": AXES[down],
            "normal": AXES[self._normal(section)],
            "index": index,
            "last": self.last(section),
            "bar": float(100 * bar / (counts.shape[1] * steps[across])),
            "bar_text": f"{bar:g} {'nm⁻¹' if self.pattern.unit == '1/nm' else 'voxels'}",
        }

    def scales(self) -> list[dict[str, Any]]:
        """The colour bars: counts, and the residual."""
        bottom, top = np.log10(self._norm.vmin or 1.0), np.log10(self._norm.vmax or 1.0)
        decades = [d for d in range(-6, 12) if bottom <= d <= top]
        rising = picture(np.asarray(self._colours(np.linspace(0, 1, 256), bytes=True), np.uint8)[None, :, :3])
        both = picture(np.asarray(self._residual_colours(np.linspace(0, 1, 256), bytes=True), np.uint8)[None, :, :3])
        return [
            {
                "title": "counts, logarithmic",
                "ramp": rising,
                "ticks": [{"at": float(100 * (d - bottom) / (top - bottom)), "text": _decade(d)} for d in decades],
            },
            {
                "title": "√measured − √calculated (counting noise alone: ±0.5)",
                "ramp": both,
                "ticks": [
                    {"at": 50.0 + 50 * share, "text": f"{share * self._limit:g}".replace("-", "−")}
                    for share in (-1, -0.5, 0, 0.5, 1)
                ],
            },
        ]

    def said(self, section: int, index: int, across: float, down: float) -> str:
        """What lies at a place of a section, both coordinates from 0 (left, top) to 1."""
        axis_down, axis_across = SECTIONS[section]
        voxel = [0, 0, 0]
        voxel[self._normal(section)] = min(max(index, 0), self.last(section))
        for axis, share in ((axis_down, down), (axis_across, across)):
            size = self.pattern.counts.shape[axis]
            voxel[axis] = min(max(int(share * size), 0), size - 1)
        place = (voxel[0], voxel[1], voxel[2])
        known = bool(self.pattern.measured[place])
        counts = f"{_counts(self.pattern.counts[place])} counts" if known else "not measured"
        where = ", ".join(f"{name} {i}" for name, i in zip(AXES, voxel, strict=True))
        return f"{where}: measured {counts}, calculated {_counts(self.pattern.calculated[place])} counts"

    @staticmethod
    def _normal(section: int) -> int:
        return 3 - sum(SECTIONS[section])

    def _planes(self, section: int, index: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        def plane(volume: NDArray[Any]) -> NDArray[Any]:
            cut = np.take(volume, index, axis=self._normal(section))
            down, across = SECTIONS[section]
            return cut if down < across else cut.T

        return plane(self.pattern.counts), plane(self.pattern.calculated), plane(self.pattern.measured)

    @staticmethod
    def _residual(counts: Floats, calculated: Floats, measured: NDArray[np.bool_]) -> Floats:
        return np.where(measured, np.sqrt(np.maximum(counts, 0)) - np.sqrt(calculated), np.nan)

    def _log(self, counts: Floats) -> NDArray[np.uint8]:
        raised = np.where(np.isnan(counts), np.nan, np.maximum(counts, self._norm.vmin or 0))
        shares = self._norm(np.ma.masked_invalid(raised))
        return np.asarray(self._colours(shares, bytes=True), np.uint8)[..., :3]

    def _linear(self, values: Floats) -> NDArray[np.uint8]:
        shares = Normalize(-self._limit, self._limit)(np.ma.masked_invalid(values))
        return np.asarray(self._residual_colours(shares, bytes=True), np.uint8)[..., :3]


def _counts(value: Any) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _decade(exponent: int) -> str:
    if 0 <= exponent <= 2:
        return f"{10**exponent}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
