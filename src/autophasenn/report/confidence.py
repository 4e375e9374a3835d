"""How far an image can be believed: where its variants differ, and whether such a number holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from autophasenn.report.annotations import scale_bar
from autophasenn.report.planes import GRID_PLANES, Plane
from autophasenn.report.scales import phase_scale, round_up
from autophasenn.report.style import ACCENT, INK, OUTSIDE, colour_bar, figure_to, frame, named_map

EDGES = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
"""Of the bins of the confidence."""
MOST_SHOWN = 0.98
"""Share of the crystal's voxels whose spread the colours tell apart; the others are voxels of hardly any amplitude."""
Floats = NDArray[np.floating[Any]]


def spread_map(
    rho: NDArray[np.complexfloating[Any, Any]],
    amplitude_spread: Floats,
    phase_spread: Floats,
    support: NDArray[np.bool_],
    path: Path | str,
    *,
    title: str = "",
) -> None:
    """Draw an image and how much its variants differ, on the three planes through its middle.

    Amplitude and phase, then the standard deviation of both over the variants. The colours of the phase are a circle; those
    of the spreads begin at 0 and rise in lightness alone, so that a doubtful voxel cannot be overlooked. Neutral grey is
    outside of the crystal.

    Parameters
    ----------
    rho : complex array (n0, n1, n2)
        Largest amplitude 1; the mean of its phase is taken away.
    amplitude_spread : float array (n0, n1, n2)
        In units of the largest amplitude.
    phase_spread : float array (n0, n1, n2)
        Rad.
    support : bool array (n0, n1, n2)
    path : path
        PNG file to write.
    title : str
    """
    phase = np.angle(rho * np.exp(-1j * np.angle(np.sum(rho[support]))))
    scale = phase_scale(np.where(support, phase, np.nan))
    rising = named_map("viridis")
    limits = [round_up(float(np.quantile(x[support], MOST_SHOWN))) for x in (amplitude_spread, phase_spread)]
    columns = (
        ("amplitude", np.abs(rho), named_map("bone_r", 0.0, 0.82), Normalize(0, 1)),
        (scale.title, scale.values(phase), scale.colours, scale.norm),
        ("spread of the amplitude\n(share of the largest)", amplitude_spread, rising, Normalize(0, limits[0])),
        ("spread of the phase (rad)", phase_spread, rising, Normalize(0, limits[1])),
    )
    middle, half = _window(support)
    with figure_to(path, (12.0, 9.6)) as figure:
        panels = figure.subplots(3, 4, squeeze=False)
        for column, (name, values, colours, norm) in enumerate(columns):
            shown = np.where(support, values, np.nan)
            for row, plane in enumerate(GRID_PLANES):
                axes = panels[row, column]
                section = plane.cut(shown, middle[plane.normal])
                axes.imshow(section, cmap=colours, norm=norm, origin="lower", interpolation="nearest")
                _finish(axes, plane, middle, half, with_labels=column == 0)
            panels[0, column].set_title(name)
            below = list(panels[:, column])
            placed: dict[str, Any] = {"location": "bottom", "shrink": 0.9, "aspect": 22, "pad": 0.015}
            if column == 1:
                scale.colour_bar(figure, below, **placed)
            else:
                colour_bar(figure, below, colours, norm, extend="max" if column >= 2 else "neither", **placed)
        if title:
            figure.suptitle(title, fontsize=14, color=INK)


def _finish(axes: Axes, plane: Plane, middle: tuple[int, ...], half: float, *, with_labels: bool) -> None:
    axes.set_facecolor(OUTSIDE)
    axes.set_xlim(middle[plane.across] - half, middle[plane.across] + half)
    axes.set_ylim(middle[plane.up] - half, middle[plane.up] + half)
    frame(axes)
    scale_bar(axes, "voxels")
    if with_labels:
        axes.set_xlabel(f"axis {plane.across} →")
        axes.set_ylabel(f"axis {plane.up} →")


def _window(support: NDArray[np.bool_]) -> tuple[tuple[int, ...], float]:
    """Middle voxel of the support's bounding box, and half the side of the square that is drawn."""
    places = np.argwhere(support)
    low, high = (places.min(0), places.max(0)) if len(places) else (np.zeros(3), np.array(support.shape) - 1)
    return tuple(int(x) for x in (low + high) // 2), 0.65 * float((high - low + 1).max())


def reliability(samples: Mapping[str, tuple[Floats, Floats]], path: Path | str, good: float) -> None:
    """Draw whether a confidence holds: the share of good images against it, and the correlation of every image.

    Parameters
    ----------
    samples : mapping of str to (float array (count,), float array (count,))
        Case -> confidence and correlation with the truth of its samples.
    path : path
        PNG file to write.
    good : float
        Correlation from which an image is good.
    """
    number = np.concatenate([confidence for confidence, _ in samples.values()])
    is_good = np.concatenate([correlation >= good for _, correlation in samples.values()])
    with figure_to(path, (13.33, 6.0)) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        left.plot([0, 1], [0, 1], color="#777783", linestyle="--", linewidth=1.3, label="a confidence that holds")
        for low, high in pairwise(EDGES):
            inside = (number >= low) & ((number < high) | (high == EDGES[-1]))
            if not inside.any():
                continue
            share, count = float(is_good[inside].mean()), int(inside.sum())
            lowest, highest = wilson(share, count)
            place = float(number[inside].mean())
            left.errorbar(
                place, share, [[share - lowest], [highest - share]], color=ACCENT, marker="o", markersize=7, linewidth=2,
                capsize=3,
            )  # fmt: skip
            left.annotate(f"{count}", (place, share), xytext=(9, -4), textcoords="offset points", fontsize=11)
        left.set(xlim=(-0.03, 1.08), ylim=(-0.03, 1.05), xlabel="confidence (mean of the bin)")
        left.set_ylabel(f"share with a correlation of {good:g} or more")
        left.set_title("with 95 % intervals and numbers of samples")
        left.grid(True, color="#e2e2e8", linewidth=0.8)
        left.legend(loc="upper left")
        for colour, marker, (name, (confidence, correlation)) in zip(
            matplotlib.colormaps["Dark2"](np.arange(8)), "oosD^vPX", samples.items(), strict=False
        ):
            right.scatter(confidence, 1 - correlation, s=34, color=colour, marker=marker, alpha=0.8, lw=0, label=name)
        right.axhline(1 - good, color="#777783", linestyle="--", linewidth=1.3)
        right.set(yscale="log", xlabel="confidence", ylabel="1 − correlation with the truth", xlim=(-0.03, 1.03))
        right.grid(True, color="#e2e2e8", linewidth=0.8)
        right.legend(loc="lower left", frameon=True, framealpha=0.9, edgecolor="none")


def wilson(share: float, count: int, deviations: float = 1.96) -> tuple[float, float]:
    """Interval of a probability of which a share of `count` trials was seen.

    Notes
    -----
    E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    weight = deviations**2 / count
    middle = (share + weight / 2) / (1 + weight)
    half = deviations * math.sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
