"""A film of a series: the crystal in three dimensions and in a slice, scan after scan, beside the plot of a number."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.report.annotations import scale_bar
from autophasenn.report.isosurface import FRONT, draw_view
from autophasenn.report.opengl import NoOpenGLError
from autophasenn.report.planes import planes_of
from autophasenn.report.series import Look, Point, draw_plane, draw_series, mark, spread_evenly
from autophasenn.report.style import new_figure, panel, styled
from autophasenn.report.surface import Surface, render, surface_of

logger = logging.getLogger(__name__)

MOST_FRAMES = 240
SECONDS = 0.45
"""Of a frame; the last one stays three times as long."""
DPI = 80
COLOURS = 256
"""Of a frame of a GIF."""


@dataclass(frozen=True)
class Curve:
    """A number of each scan of the film, and what it is plotted against.

    Parameters
    ----------
    points : sequence of Point or None
        One for each frame; None where the number is not known.
    against, quantity : str
        Labels of the axes.
    """

    points: Sequence[Point | None]
    against: str
    quantity: str


@styled
def write_film(path: Path, images: Sequence[CrystalImage], names: Sequence[str], curve: Curve) -> None:
    """Write a film as an animated GIF.

    All frames have one colour scale, one length scale and one view. Where this machine cannot render, or an image has no
    surface, a frame has the slice alone.

    Parameters
    ----------
    path : Path
    images : sequence of CrystalImage
        On one grid, of one crystal, as `analysis.series.place` gives them.
    names : sequence of str
        Titles of the frames.
    curve : Curve
    """
    shown = spread_evenly(len(images), MOST_FRAMES)
    look = Look.of(images)
    surfaces = {number: _surface(images[number]) for number in shown}
    width = max((each.half_width([FRONT]) for each in surfaces.values() if each is not None), default=1.0)
    frames = []
    for number in shown:
        pixels = _frame(images[number], names[number], curve, number, look, surfaces[number], width)
        frames.append(Image.fromarray(pixels).quantize(COLOURS, method=Image.Quantize.MEDIANCUT))
    durations = [int(1000 * SECONDS)] * (len(frames) - 1) + [int(3000 * SECONDS)]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)


def _surface(image: CrystalImage) -> Surface | None:
    with suppress(InputError):
        return surface_of(image)
    return None


def _frame(
    image: CrystalImage, name: str, curve: Curve, number: int, look: Look, surface: Surface | None, width: float
) -> NDArray[np.uint8]:
    figure = new_figure((9.2, 6.2), is_placed=True)
    figure.set_dpi(DPI)
    figure.text(0.03, 0.955, name, fontsize=14, parse_math=False)
    picture = _rendered(surface, look, width)
    if picture is not None:
        draw_view(panel(figure, 0.1, 0.45, 3.7, 3.7), picture, FRONT, width, image)
    plane = planes_of(image)[0]
    axes = panel(figure, 4.2, 0.6, 3.4, 3.4)
    draw_plane(axes, image, plane, image.shape[plane.normal] // 2, look)
    axes.set_title(f"slice, {plane.seen}", fontsize=11)
    scale_bar(axes, image.unit)
    look.scale.colour_bar(figure, [], look.scale.title, cax=panel(figure, 7.85, 0.8, 0.14, 3.0))
    below = panel(figure, 1.0, 4.45, 7.6, 1.05)
    known = [point for point in curve.points if point is not None]
    draw_series(below, known, size=4.0)
    point = curve.points[number]
    if point is not None:
        mark(below, point)
    below.set_xlabel(curve.against, fontsize=11, parse_math=False)
    below.set_ylabel(curve.quantity, fontsize=10, parse_math=False)
    return _pixels(figure)


def _rendered(surface: Surface | None, look: Look, width: float) -> NDArray[np.uint8] | None:
    if surface is None:
        return None
    values = surface.strain if look.is_strain else surface.phase
    try:
        return render(surface, look.scale.rgb(np.asarray(values)), [FRONT], width)[0]
    except NoOpenGLError as error:
        logger.warning("The film shows slices alone: %s", error)
        return None


def _pixels(figure: matplotlib.figure.Figure) -> NDArray[np.uint8]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
