"""The measured pattern, the calculated one and what is left between them, plane by plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.files.cxi_image import CountsPair
from autophasenn.image import Floats
from autophasenn.report.detector import counts_scale, loggable, residual_of, residual_scale
from autophasenn.report.planes import AXES, SECTIONS
from autophasenn.report.scales import round_length
from autophasenn.viewer.quantities import picture

KINDS = ("measured", "calculated", "residual")


class PatternView:
    """The pattern of one result."""

    def __init__(self, pattern: CountsPair) -> None:
        self.pattern = pattern
        seen = pattern.counts[pattern.measured]
        self._colours, self._norm = counts_scale(float(seen.max()), float(seen[seen > 0].min()))
        central = [self._planes(section, self._middle(section)) for section in range(len(SECTIONS))]
        self._residual_colours, self._residual_norm = residual_scale([residual_of(*planes) for planes in central])

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
        down, across = SECTIONS[section].down, SECTIONS[section].across
        index = min(max(index, 0), self.last(section))
        counts, calculated, measured = self._planes(section, index)
        steps = self.pattern.steps
        true = counts.shape[1] * steps[across] / (counts.shape[0] * steps[down])
        ratio = float(np.clip(true, 0.5, 1.8))
        bar = round_length(counts.shape[1] * steps[across], 0.3)
        coloured = (
            self._log(loggable(counts, self._norm, measured)),
            self._log(loggable(calculated, self._norm)),
            self._linear(residual_of(counts, calculated, measured)),
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
                    {
                        "at": 50.0 + 50 * share,
                        "text": f"{share * (self._residual_norm.vmax or 1.0):g}".replace("-", "−"),
                    }
                    for share in (-1, -0.5, 0, 0.5, 1)
                ],
            },
        ]

    def said(self, section: int, index: int, across: float, down: float) -> str:
        """What lies at a place of a section, both coordinates from 0 (left, top) to 1."""
        axis_down, axis_across = SECTIONS[section].down, SECTIONS[section].across
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
        return SECTIONS[section].normal

    def _planes(self, section: int, index: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        plane, pattern = SECTIONS[section], self.pattern
        return (
            plane.cut(pattern.counts, index),
            plane.cut(pattern.calculated, index),
            plane.cut(pattern.measured, index),
        )

    def _log(self, counts: Floats) -> NDArray[np.uint8]:
        return np.asarray(self._colours(self._norm(np.ma.masked_invalid(counts)), bytes=True), np.uint8)[..., :3]

    def _linear(self, values: Floats) -> NDArray[np.uint8]:
        shares = self._residual_norm(np.ma.masked_invalid(values))
        return np.asarray(self._residual_colours(shares, bytes=True), np.uint8)[..., :3]


def _counts(value: Any) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _decade(exponent: int) -> str:
    if 0 <= exponent <= 2:
        return f"{10**exponent}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
