"""How far an image can be believed: where its variants differ, and whether such a number holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from autophasenn.errors import InputError
from autophasenn.image import CrystalImage, Floats
from autophasenn.report.scales import phase_scale, spread_scale
from autophasenn.report.slices import draw_columns
from autophasenn.report.style import ACCENT, new_figure, styled

EDGES = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
"""Of the bins of the confidence."""


@styled
def spread_map(image: CrystalImage, *, title: str = "") -> Figure:
    """Draw an image and how uncertain it is, on the three planes through its centre of mass.

    Amplitude and phase, then the standard deviation of both over the reconstructions from several orientations.

    Parameters
    ----------
    image : CrystalImage
        With its uncertainties.
    title : str

    Raises
    ------
    InputError
        If the image has no uncertainties.
    """
    if image.amplitude_spread is None or image.phase_spread is None:
        raise InputError(
            "This image was made from one reconstruction, so nothing tells how uncertain it is; reconstruct it with "
            "confidence.number of 1 or more."
        )
    columns = [
        (None, image.amplitude),
        (phase_scale(image.phase), image.phase),
        (spread_scale("std of the amplitude", image.amplitude_spread), image.amplitude_spread),
        (spread_scale("std of the phase (rad)", image.phase_spread), image.phase_spread),
    ]
    return draw_columns(image, columns, title)


@styled
def reliability(samples: Mapping[str, tuple[Floats, Floats]], good: float) -> Figure:
    """Draw whether a confidence holds: the share of good images against it, and the correlation of every image.

    Parameters
    ----------
    samples : mapping of str to (float array (count,), float array (count,))
        Case -> confidence and correlation with the truth of its samples.
    good : float
        Correlation from which an image is good.
    """
    number = np.concatenate([confidence for confidence, _ in samples.values()])
    is_good = np.concatenate([correlation >= good for _, correlation in samples.values()])
    figure = new_figure((13.33, 6.0))
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
    return figure


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
