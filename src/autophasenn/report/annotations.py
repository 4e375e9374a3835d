"""Marks drawn over a picture: the scale bar, the scattering vector, the axes of a 3-D view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from autophasenn.report.scales import round_length
from autophasenn.report.style import ACCENT, INK

SCALE_BAR = "scale bar"
"""The artist id (gid) of every scale bar."""


def scale_bar(axes: Axes, unit: str, *, colour: str = INK, halo: str = "white") -> float:
    """Draw a horizontal bar of a round length at the lower left; its width is exact in the data's coordinates.

    Parameters
    ----------
    axes : Axes
        Horizontal limits must be set, in `unit`.
    unit : str
        "nm" (1000 nm become 1 um), "1/nm" or "voxels".
    colour, halo : str
        Of the bar, and of the thin outline that keeps it readable on any background.

    Returns
    -------
    float
        The length in `unit`.
    """
    left, right = sorted(axes.get_xlim())
    extent = right - left
    length = max(1.0, round_length(extent)) if unit == "voxels" else round_length(extent)
    start = left + 0.05 * extent if axes.get_xlim()[0] < axes.get_xlim()[1] else right - 0.05 * extent - length
    outline = [withStroke(linewidth=2.5, foreground=halo, alpha=0.8)]
    axes.add_patch(
        Rectangle(
            (start, 0.045),
            length,
            0.014,
            transform=axes.get_xaxis_transform(),
            facecolor=colour,
            linewidth=0,
            gid=SCALE_BAR,
            path_effects=outline,
            zorder=5,
        )
    )
    shown, shown_unit = (length / 1000, "µm") if unit == "nm" and length >= 1000 else (length, unit)
    label = f"{shown:g} nm⁻¹" if shown_unit == "1/nm" else f"{shown:g} {shown_unit}"
    axes.text(
        start,
        0.07,
        "1 voxel" if label == "1 voxels" else label,
        transform=axes.get_xaxis_transform(),
        ha="left",
        va="bottom",
        color=colour,
        fontsize=11,
        path_effects=outline,
        zorder=5,
        in_layout=False,
    )
    return length


def direction(
    axes: Axes,
    vector: Sequence[float],
    label: str,
    *,
    origin: tuple[float, float],
    length: float,
    colour: str = ACCENT,
) -> None:
    """Draw a unit vector seen from the front, as an arrow, or as a dot or cross where it points at or from the viewer.

    Parameters
    ----------
    axes : Axes
        Its limits must be set and its data aspect equal.
    vector : 3 floats
        Unit vector: to the right, up, and towards the viewer.
    label : str
    origin : 2 floats
        Where the arrow starts, as fractions of the axes.
    length : float
        Of an arrow that lies in the plane, as a fraction of the axes' height.
    """
    ratio = _data_ratio(axes)
    across, up, towards = (float(component) for component in vector)
    outline = [withStroke(linewidth=2.5, foreground="white", alpha=0.85)]
    in_plane = float(np.hypot(across, up))
    text_at = (origin[0], origin[1] - 0.07)
    if in_plane > 0.12:
        tip = (origin[0] + length * across * ratio, origin[1] + length * up)
        axes.add_patch(
            FancyArrowPatch(
                origin,
                tip,
                transform=axes.transAxes,
                arrowstyle="-|>",
                mutation_scale=11,
                linewidth=2,
                color=colour,
                shrinkA=0,
                shrinkB=0,
                path_effects=outline,
                zorder=6,
                in_layout=False,
            )
        )
        beyond = length + 0.055 / in_plane
        text_at = (origin[0] + beyond * across * ratio, origin[1] + beyond * up)
    else:
        axes.plot(
            *origin, marker="o", markersize=9, mfc="white", mec=colour, mew=1.6, transform=axes.transAxes, zorder=6
        )
        axes.plot(
            *origin, marker="." if towards > 0 else "x", markersize=5, color=colour, transform=axes.transAxes, zorder=7
        )
    axes.text(
        *text_at,
        label,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=colour,
        fontsize=11,
        fontweight="bold",
        path_effects=outline,
        zorder=7,
        in_layout=False,
    )


def _data_ratio(axes: Axes) -> float:
    """Height over width of the data limits: of the drawn box too, where the aspect is equal."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return abs(top - bottom) / abs(right - left)


def seen_from(vector: NDArray[np.floating] | Sequence[float], basis: NDArray[np.floating]) -> NDArray[np.floating]:
    """Components of `vector`, scaled to length 1, along the rows of `basis`: right, up, towards the viewer."""
    array = np.asarray(vector, dtype=np.float64)
    return np.asarray(basis @ (array / np.linalg.norm(array)))
