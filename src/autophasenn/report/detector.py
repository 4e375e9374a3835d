"""How sections and projections of a diffraction pattern stand side by side: one scale, the true aspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autophasenn.report.annotations import scale_bar
from autophasenn.report.planes import AXES, SECTIONS
from autophasenn.report.scales import reach, round_up
from autophasenn.report.style import UNMEASURED, frame, named_map


def voxel_steps(reciprocal_steps: Any) -> tuple[NDArray[np.float64], str]:
    """Length of a voxel along each axis and its unit: 1/nm, or voxels where the geometry (3, 3) is None."""
    if reciprocal_steps is None:
        return np.ones(3), "voxels"
    return np.linalg.norm(np.asarray(reciprocal_steps, np.float64), axis=1) * 1e-9, "1/nm"


@dataclass(frozen=True)
class Panels:
    """Where sections of a pattern are drawn: all at one scale, but for those too long or too narrow to read.

    Parameters
    ----------
    steps : float array (3,)
        Length of a voxel along each axis.
    unit : str
        Of `steps`: "1/nm" or "voxels".
    height : float
        Of every panel, in inches.
    widths : 3 floats
        Of the panel of each section, in inches.
    stretch : 3 floats
        How much wider than true each section is drawn; 1 where the aspect is true.
    """

    steps: NDArray[np.float64]
    unit: str
    height: float
    widths: tuple[float, ...]
    stretch: tuple[float, ...]

    @classmethod
    def of(cls, shape: tuple[int, int, int], reciprocal_steps: Any, height: float) -> Panels:
        """Panels for a pattern of `shape`; the tallest section is `height` inches tall."""
        steps, unit = voxel_steps(reciprocal_steps)
        extents = np.array(shape) * steps
        tallest = max(extents[section.down] for section in SECTIONS)
        true = np.array([extents[section.across] / tallest for section in SECTIONS])
        drawn = true.clip(0.5, 1.8)
        return cls(steps, unit, height, tuple((drawn * height).tolist()), tuple((drawn / true).tolist()))

    def draw_on(self, figure: Figure, rows: int) -> NDArray[np.object_]:
        """Axes in `rows` rows, one column a section."""
        axes: NDArray[np.object_] = figure.subplots(rows, len(SECTIONS), squeeze=False, width_ratios=self.widths)
        return axes

    def draw(self, axes: Axes, values: NDArray[Any], number: int, colours: Colormap, norm: Normalize) -> None:
        """Draw `values`, a plane of section `number`, with a scale bar.

        Directions are drawn as if the axes were orthogonal; those of a rocking scan are not.
        """
        section = SECTIONS[number]
        rows, columns = values.shape
        extent = (0, columns * self.steps[section.across], rows * self.steps[section.down], 0)
        axes.imshow(
            values, cmap=colours, norm=norm, extent=extent, interpolation="antialiased", interpolation_stage="data"
        )
        axes.set_aspect(1 / self.stretch[number])
        frame(axes)
        is_dark = isinstance(norm, LogNorm)
        scale_bar(axes, self.unit, colour="white" if is_dark else "black", halo="black" if is_dark else "white")

    def labels(self, number: int) -> tuple[str, str]:
        """What runs to the right in section `number`, and whether it is stretched; what runs down."""
        section, stretch = SECTIONS[number], self.stretch[number]
        note = "" if abs(stretch - 1) < 0.02 else f"\n(stretched × {stretch:.2g})"
        return f"{AXES[section.across]} →{note}", f"← {AXES[section.down]}"


def counts_scale(largest: float, smallest: float) -> tuple[Colormap, LogNorm]:
    """Colours of counts: logarithmic, from just below the smallest positive count, over at most seven decades."""
    decades = np.clip(np.ceil(np.log10(largest / max(smallest, 1e-30))), 2, 7)
    bottom = max(0.5 * smallest, largest / 10**decades)
    return named_map("inferno", bad=UNMEASURED), LogNorm(bottom, largest)


def loggable(values: NDArray[Any], norm: LogNorm, measured: NDArray[Any] | None = None) -> NDArray[Any]:
    """Counts for a logarithmic scale: no count becomes the lowest colour, an unmeasured voxel NaN."""
    raised = np.maximum(values, norm.vmin or 0)
    return raised if measured is None else np.where(measured, raised, np.nan)


def residual_of(counts: NDArray[Any], calculated: NDArray[Any], measured: NDArray[np.bool_]) -> NDArray[Any]:
    """``sqrt(I_m) - sqrt(I_c)``, whose standard deviation from counting noise alone is 1/2; NaN where not measured."""
    return np.where(measured, np.sqrt(np.maximum(counts, 0)) - np.sqrt(np.maximum(calculated, 0)), np.nan)


def residual_scale(residuals: Sequence[NDArray[Any]]) -> tuple[Colormap, Normalize]:
    """Colours of residuals, symmetric about zero, wide enough for 99 % of each of these."""
    limit = round_up(max(1.0, *(reach(residual, 0.99) for residual in residuals)))
    return named_map("RdBu_r", 0.05, 0.95, bad=UNMEASURED), Normalize(-limit, limit)
