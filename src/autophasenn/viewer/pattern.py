"""The measured pattern, the calculated one and what is left between them, plane by plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from numpy.typing import NDArray

from autophasenn.files.cxi_image import CountsPair
from autophasenn.image import Floats
from autophasenn.report.detector import counts_scale, loggable, residual_of, residual_scale
from autophasenn.report.planes import AXES, SECTIONS
from autophasenn.report.scales import round_length
from autophasenn.viewer import qaxes
from autophasenn.viewer.quantities import picture

COUNTS = "counts, logarithmic"
RESIDUAL = "√measured − √calculated (counting noise alone: ±0.5)"
MOST_ZOOM = 32.0
KINDS = ("measured", "calculated", "residual")


@dataclass(frozen=True, eq=False)
class Shared:
    """What the patterns of all results that are shown have in common, so that what looks different is different.

    Parameters
    ----------
    colours : (Colormap, LogNorm)
        Of counts.
    residual_colours : (Colormap, Normalize)
    extents : float array (3,), optional
        Length of the longest pattern along each axis; None: their lengths have several units, and each has its own scale.
    """

    colours: tuple[Colormap, LogNorm]
    residual_colours: tuple[Colormap, Normalize]
    extents: Floats | None


@dataclass(frozen=True)
class Part:
    """The part of the panels that is seen, the same in all of them.

    Parameters
    ----------
    zoom : float
        How much larger than at first.
    across, down : float
        Middle of what is seen, from 0 (left, top) to 1.
    """

    zoom: float = 1.0
    across: float = 0.5
    down: float = 0.5

    def zoomed(self, factor: float, across: float, down: float) -> Part:
        """Enlarged about a place of the panel, as it is drawn now, which stays where it is."""
        zoom = min(max(self.zoom * factor, 1.0), MOST_ZOOM)
        room = 0.5 / zoom
        middle = []
        for seen, before in ((across, self.across), (down, self.down)):
            place = before + (min(max(seen, 0.0), 1.0) - 0.5) / self.zoom
            moved = place + (before - place) * self.zoom / zoom
            middle.append(min(max(moved, room), 1 - room))
        return Part(zoom, *middle)


def patterns_of(patterns: Sequence[CountsPair]) -> list[PatternView]:
    """The patterns of all results, in the same colours and, where their lengths have one unit, at the same scale."""
    seen = [pattern.counts[pattern.measured & (pattern.counts > 0)] for pattern in patterns]
    largest, smallest = max(float(counts.max()) for counts in seen), min(float(counts.min()) for counts in seen)
    residuals = [
        residual_of(*(section.central(volume) for volume in (pattern.counts, pattern.calculated, pattern.measured)))
        for pattern in patterns
        for section in SECTIONS
    ]
    extents = np.max([np.array(pattern.counts.shape) * pattern.steps for pattern in patterns], axis=0)
    has_one_unit = len({pattern.unit for pattern in patterns}) == 1
    shared = Shared(counts_scale(largest, smallest), residual_scale(residuals), extents if has_one_unit else None)
    return [PatternView(pattern, shared) for pattern in patterns]


class PatternView:
    """The pattern of one result."""

    def __init__(self, pattern: CountsPair, shared: Shared) -> None:
        self.pattern = pattern
        self._colours, self._norm = shared.colours
        self._residual_colours, self._residual_norm = shared.residual_colours
        self._own = np.array(pattern.counts.shape) * pattern.steps
        self._extents = self._own if shared.extents is None else shared.extents

    def peak(self, section: int) -> int:
        """Index of the plane of a section that goes through the Bragg peak."""
        return int(self.pattern.counts.shape[self._normal(section)] // 2)

    def beside(self, other: PatternView, section: int, index: int) -> int:
        """The plane that lies as far from the peak as plane `index` of another pattern; the peak's in another unit."""
        if self.pattern.unit != other.pattern.unit:
            return self.peak(section)
        normal = self._normal(section)
        steps = (index - other.peak(section)) * other.pattern.steps[normal] / self.pattern.steps[normal]
        return min(max(self.peak(section) + round(float(steps)), 0), self.last(section))

    def last(self, section: int) -> int:
        """Largest index of a section."""
        return int(self.pattern.counts.shape[self._normal(section)] - 1)

    def drawn(self, section: int, index: int, part: Part = Part()) -> dict[str, Any]:
        """What the page shows of a section: three pictures, how they are called, and their scales.

        Parameters
        ----------
        section : int
            Number in `SECTIONS`.
        index : int
            Along the axis that the section leaves out; beyond its ends the last plane.
        part : Part
        """
        down, across = SECTIONS[section].down, SECTIONS[section].across
        index = min(max(index, 0), self.last(section))
        width, height = float(self._extents[across]), float(self._extents[down])
        true = width / height
        ratio = float(np.clip(true, 0.5, 1.8))
        bar, unit, share = self.bar_length(section, part)
        return {
            "pictures": [picture(rgb) for rgb in self.rgb(section, index)],
            "ratio": ratio,
            **self.box(section, part),
            "across": AXES[across] + ("" if abs(ratio / true - 1) < 0.02 else f" (stretched × {ratio / true:.2g})"),
            "down": AXES[down],
            "normal": AXES[self._normal(section)],
            "index": index,
            "last": self.last(section),
            "bar": 100 * share,
            "bar_text": f"{bar:g} {unit}",
            "q_unit": qaxes.UNIT if self.has_q else "",
            "q_across": qaxes.on_edge("across", *self.q_ends(across, part.across, part.zoom)) if self.has_q else [],
            "q_down": qaxes.on_edge("down", *self.q_ends(down, part.down, part.zoom)) if self.has_q else [],
        }

    @property
    def has_q(self) -> bool:
        """Is the length of a voxel known?"""
        return self.pattern.unit == "1/nm"

    def q_ends(self, axis: int, middle: float = 0.5, zoom: float = 1.0) -> tuple[float, float]:
        """What lies at both ends of what is seen of an axis, nm⁻¹ from the middle of the voxel of the Bragg peak.

        Parameters
        ----------
        axis : int
        middle : float
            Of what is seen, from 0 to 1.
        zoom : float
        """
        extent, step, count = (
            float(self._extents[axis]),
            float(self.pattern.steps[axis]),
            self.pattern.counts.shape[axis],
        )
        start = (float(self._own[axis]) - extent) / 2 - (count // 2 + 0.5) * step
        return start + (middle - 0.5 / zoom) * extent, start + (middle + 0.5 / zoom) * extent

    def rgb(self, section: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Measured, calculated and residual of a plane in their colours: uint8 (rows, columns, 3) each."""
        counts, calculated, measured = self._planes(section, index)
        return (
            self._log(loggable(counts, self._norm, measured)),
            self._log(loggable(calculated, self._norm)),
            self._linear(residual_of(counts, calculated, measured)),
        )

    def bar_length(self, section: int, part: Part = Part()) -> tuple[float, str, float]:
        """Of a scale bar: in its unit, its unit, and as a share of the panel's width."""
        width = float(self._extents[SECTIONS[section].across]) / part.zoom
        bar = round_length(width, 0.3)
        return bar, qaxes.UNIT if self.has_q else "voxels", bar / width

    def mappables(self) -> list[tuple[ScalarMappable, str]]:
        """What the colour bars of a figure are of, and their titles."""
        return [
            (ScalarMappable(self._norm, self._colours), COUNTS),
            (ScalarMappable(self._residual_norm, self._residual_colours), RESIDUAL),
        ]

    def scales(self) -> list[dict[str, Any]]:
        """The colour bars: counts, and the residual."""
        bottom, top = np.log10(self._norm.vmin or 1.0), np.log10(self._norm.vmax or 1.0)
        decades = [d for d in range(-6, 12) if bottom <= d <= top]
        rising = picture(np.asarray(self._colours(np.linspace(0, 1, 256), bytes=True), np.uint8)[None, :, :3])
        both = picture(np.asarray(self._residual_colours(np.linspace(0, 1, 256), bytes=True), np.uint8)[None, :, :3])
        return [
            {
                "title": COUNTS,
                "ramp": rising,
                "ticks": [{"at": float(100 * (d - bottom) / (top - bottom)), "text": _decade(d)} for d in decades],
            },
            {
                "title": RESIDUAL,
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

    def box(self, section: int, part: Part = Part()) -> dict[str, float]:
        """Where the pattern lies in its panel, which is as large as the largest of all patterns: percent."""
        plane = SECTIONS[section]
        width, height = (
            float(100 * part.zoom * self._own[axis] / self._extents[axis]) for axis in (plane.across, plane.down)
        )
        left = 50 + 100 * part.zoom * (0.5 - part.across) - width / 2
        top = 50 + 100 * part.zoom * (0.5 - part.down) - height / 2
        return {"left": left, "top": top, "width": width, "height": height}

    def said(self, section: int, index: int, across: float, down: float, part: Part = Part()) -> str:
        """What lies at a place of the panel of a section, both coordinates from 0 (left, top) to 1."""
        box = self.box(section, part)
        across, down = ((100 * across - box["left"]) / box["width"], (100 * down - box["top"]) / box["height"])
        if not (0 <= across <= 1 and 0 <= down <= 1):
            return "outside of this pattern"
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
        if self.has_q:
            peak = [count // 2 for count in self.pattern.counts.shape]
            where += f", {qaxes.from_peak(voxel, peak, self.pattern.steps.tolist())}"
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
