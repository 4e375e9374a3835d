"""The phase retrieval transfer function and the resolution read off it."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autophasenn.report.style import ACCENT, new_figure, styled


@styled
def prtf(
    frequencies: NDArray[np.floating],
    values: NDArray[np.floating],
    resolution: float | None,
    *,
    in_voxels: bool = False,
) -> Figure:
    """Draw the radial PRTF with the level 1/e and the full-period resolution ``2 pi / q`` where it is crossed.

    Parameters
    ----------
    frequencies : float array (shells,)
        |q| in 1/m (rad a voxel if `in_voxels`), increasing.
    values : float array (shells,)
        Between 0 and 1.
    resolution : float, optional
        In metres (voxels if `in_voxels`); None where the PRTF is below 1/e from the start.
    in_voxels : bool
        The geometry is unknown.
    """
    scale, unit, period = (1.0, "rad / voxel", "voxels") if in_voxels else (1e-9, "nm⁻¹", "nm")
    q = np.asarray(frequencies) * scale
    figure = new_figure((8.5, 5.0))
    axes = figure.subplots()
    axes.plot(q, values, color="#2a5b8c", linewidth=2.2, marker="o", markersize=3.5)
    axes.axhline(1 / math.e, color="#777783", linestyle="--", linewidth=1.3)
    axes.text(0.995, 1 / math.e + 0.015, "1/e", transform=axes.get_yaxis_transform(), ha="right", color="#55555f")
    axes.set_xlim(0, float(q[-1]) * 1.03)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel(f"spatial frequency |q| ({unit})")
    axes.set_ylabel("phase retrieval transfer function")
    axes.grid(True, color="#e2e2e8", linewidth=0.8)
    if resolution is None:
        axes.set_title("below 1/e from the start: no resolution can be read off")
    else:
        length = resolution / scale if in_voxels else resolution * 1e9
        crossing = 2 * math.pi / length
        is_bound = crossing >= float(q[-1]) * (1 - 1e-6)
        axes.plot([crossing, crossing], [0, 1 / math.e], color=ACCENT, linewidth=1.8)
        axes.plot(crossing, 1 / math.e, marker="o", color=ACCENT, markersize=8)
        words = "better than" if is_bound else "resolution"
        axes.annotate(
            f"{words} {length:.3g} {period}", (crossing, 0.05), xytext=(-8, 0), textcoords="offset points",
            ha="right", color=ACCENT, fontweight="bold", fontsize=13,
        )  # fmt: skip
    return figure
