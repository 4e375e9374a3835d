"""The view as a picture for a slide: with colour bar, scale bar and the names of what is seen."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from autophasenn.report.scales import round_length
from autophasenn.viewer.quantities import Quantity
from autophasenn.viewer.scene import BACKGROUNDS, Appearance

DPI = 160


def view_figure(
    picture: NDArray[np.uint8],
    quantity: Quantity,
    names: Sequence[str],
    appearance: Appearance,
    pixels: Sequence[tuple[float, str]],
    theme: str,
    kind: str = "png",
    legend: Mapping[str, str] = {},
    marks: Sequence[tuple[float, float, str, str]] = (),
) -> bytes:
    """The crystals as they are seen, as a file.

    Parameters
    ----------
    picture : uint8 array (rows, columns, 3)
    quantity : Quantity
        What they are coloured by.
    names : sequence of str
        Of the results, from left to right.
    appearance : Appearance
    pixels : sequence of (float, str)
        Edge of a pixel in the part of each result, and its unit.
    theme : str
        "light" or "dark".
    kind : str
        "png", or "svg" and "pdf" with words and lines as such.
    legend : mapping of str to str
        Words -> colour, instead of a colour bar.
    marks : sequence of (float, float, str, str)
        Pixels from the left and from below, what is written there, and its colour ("": black).
    """
    rows, columns = picture.shape[:2]
    ink, paper = ("white" if theme == "dark" else "black"), BACKGROUNDS[theme]
    height = 6.0
    width = height * columns / rows
    figure = Figure(figsize=(width + 1.3, height + 0.6), dpi=DPI, facecolor=paper, layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture, extent=(0, columns, 0, rows))
    axes.set_axis_off()
    shown = pixels if len(set(pixels)) > 1 else pixels[:1]  # one bar where it holds for all
    for number, (edge, unit) in enumerate(shown):
        length = round_length(rows * edge, 0.25)
        left, bottom = (0.03 + number / len(shown)) * columns, 0.05 * rows
        axes.plot([left, left + length / edge], [bottom, bottom], color=ink, linewidth=4, solid_capstyle="butt")
        middle = left + length / edge / 2
        axes.text(middle, bottom * 1.3, f"{length:g} {unit}", color=ink, ha="center", va="bottom", fontsize=13)
    for number, name in enumerate(names):
        axes.text(
            (number + 0.5) / len(names), 1.01, name, color=ink, ha="center", va="bottom", transform=axes.transAxes
        )
    axes.text(1, 0.01, _words(appearance), color=ink, ha="right", transform=axes.transAxes)
    for right, up, words, colour in marks:
        axes.text(
            right, up, words, color=colour or "black", ha="center", va="center", fontsize=11, clip_on=True,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    if legend:
        handles = [Line2D([], [], marker="s", linestyle="", markersize=11, color=colour) for colour in legend.values()]
        figure.legend(handles, list(legend), loc="outside right center", labelcolor=ink, frameon=False)
        return written(figure, kind, paper)
    scale = ScalarMappable(Normalize(quantity.low, quantity.high), quantity.colours)
    bar = figure.colorbar(scale, ax=axes, shrink=0.7, aspect=26)
    bar.set_label(quantity.title, color=ink, fontsize=12)
    ticks = quantity.ticks()
    places = [quantity.low + tick["at"] / 100 * (quantity.high - quantity.low) for tick in ticks]
    bar.set_ticks(places, labels=[tick["text"] for tick in ticks])
    bar.ax.tick_params(colors=ink)
    bar.outline.set_visible(False)
    return written(figure, kind, paper)


def written(figure: Figure, kind: str, paper: str) -> bytes:
    """A figure as a file; `kind`: png, svg or pdf."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, facecolor=paper)
    return buffer.getvalue()


def _words(appearance: Appearance) -> str:
    """What cannot be seen in the picture itself."""
    words = [f"surface at amplitude {appearance.threshold:.2f}"]
    if appearance.cut is not None:
        words.append(
            f"cut at {appearance.place:.0f} along ({', '.join(f'{part:.2g}' for part in appearance.cut[0])})".replace(
                "-", "−"
            )
            if len(set(appearance.cut)) == 1
            else f"each cut at {appearance.place:.0f} along its Q".replace("-", "−")
        )
    if appearance.largest_spread is not None:
        words.append(f"grey: uncertain by more than {appearance.largest_spread:.2f} rad")
    return ", ".join(words)
