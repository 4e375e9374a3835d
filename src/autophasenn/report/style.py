"""What all figures share: font, colours, colour maps, and how a figure begins and is written.

Figures are laid out in inches of a 13.33 x 7.5 slide, so the font size here is the one that an audience sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure

from autophasenn.errors import OutputError

DPI = 110
"""Of a PNG: a slide has 1466 x 825 pixels."""
KINDS = ("png", "pdf", "svg")
"""Of files that a figure can be written to."""
_PNG: dict[str, Any] = {"pil_kwargs": {"compress_level": 3}}
SLIDE = (13.33, 7.5)
"""Width and height of a slide in inches."""

OUTSIDE = "#d3d4da"
"""Where a quantity has no value: outside the support."""
UNMEASURED = "#b5b5bd"
"""Voxels that the detector did not measure: neither zero nor a low count."""
INK = "#1c1c28"
ACCENT = "#d1390b"
"""The scattering vector, the best start, the outline of an alien: what the eye shall find first."""

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.labelsize": 12,
    "axes.titlepad": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


P = ParamSpec("P")
T = TypeVar("T")


_ONE_AT_A_TIME = RLock()


@contextmanager
def in_style(style: dict[Any, Any] = _RC) -> Iterator[None]:
    """Matplotlib's parameters in one style; they are those of all threads, which therefore wait for each other."""
    with _ONE_AT_A_TIME, matplotlib.rc_context(style):
        yield


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Let a function draw in the common style, whatever the style of the session that calls it."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with in_style():
            return draw(*args, **kwargs)

    return drawn


class NotebookFigure(Figure):
    """A figure that a notebook shows where it is the last value of a cell, with or without pyplot."""

    def _repr_png_(self) -> bytes:
        return png_of(self)


def new_figure(size: tuple[float, float] = SLIDE, *, is_placed: bool = False) -> NotebookFigure:
    """An empty figure of `size` inches that pyplot does not know, so that nothing keeps it but who asked for it.

    Parameters
    ----------
    size : 2 floats
        Width and height.
    is_placed : bool
        True: every part is placed by :func:`panel`, which draws in half the time of an automatic layout.
    """
    return NotebookFigure(figsize=size, dpi=DPI, layout=None if is_placed else "constrained")


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes of a figure at a place in inches from its upper left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def png_of(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = BytesIO()
    with in_style():
        figure.savefig(buffer, format="png", dpi=DPI, **_PNG)
    return buffer.getvalue()


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG, PDF or SVG, as the ending of the path says.

    Raises
    ------
    OutputError
        If the ending is another one.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise OutputError(f"{path} ends in no format of pictures; give one that ends in .{', .'.join(KINDS)}.")
    options = _PNG if kind == "png" else {}
    with in_style():
        figure.savefig(path, format=kind, dpi=DPI, **options)


def cyclic_map() -> Colormap:
    """Hues of equal lightness and chroma around the circle: for angles, where -pi and +pi are the same value.

    Constant lightness leaves shading free to show the shape of a surface. Colours are a circle in the perceptual space
    Oklab (B. Ottosson, 2020, https://bottosson.github.io/posts/oklab); 0 rad is cyan, +-pi is salmon.
    """
    lightness, chroma, hue_at_zero = 0.74, 0.123, np.deg2rad(205)
    hue = hue_at_zero + np.linspace(-np.pi, np.pi, 512)
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cone = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    linear = (
        np.array(
            [
                [4.0767416621, -3.3077115913, 0.2309699292],
                [-1.2684380046, 2.6097574011, -0.3413193965],
                [-0.0041960863, -0.7034186147, 1.7076147010],
            ]
        )
        @ cone**3
    ).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return ListedColormap(srgb.T.clip(0, 1), name="autophasenn_cyclic").with_extremes(bad=OUTSIDE)


def named_map(name: str, start: float = 0.0, stop: float = 1.0, *, bad: str = OUTSIDE) -> Colormap:
    """The part from `start` to `stop` (0 to 1) of a matplotlib colour map, which draws NaN in colour `bad`."""
    part = matplotlib.colormaps[name](np.linspace(start, stop, 512))
    return ListedColormap(part, name=f"autophasenn_{name}").with_extremes(bad=bad)


def blank(axes: Axes) -> None:
    """Remove ticks and frame: the scale bar replaces them."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def frame(axes: Axes) -> None:
    """Remove ticks and leave a faint frame: the scale bar replaces them."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#b9bac4", linewidth=0.8)


def colour_bar(
    figure: Figure, beside: Axes | list[Axes], colours: Colormap, norm: Normalize, label: str = "", **options: Any
) -> Colorbar:
    """A colour bar whose place is taken from the axes `beside`, or is `cax`; `options` go to ``Figure.colorbar``."""
    if "cax" not in options:
        options["ax"] = beside
    bar = figure.colorbar(ScalarMappable(norm, colours), label=label, **options)
    bar.outline.set_visible(False)
    return bar
