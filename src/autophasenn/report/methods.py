"""What every method made of one measured pattern: its surface, and the crystal cut open."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from autophasenn.image import CrystalImage
from autophasenn.report.evaluation import NAMES
from autophasenn.report.isosurface import FRONT, draw_view, surface_colours
from autophasenn.report.style import new_figure, styled
from autophasenn.report.surface import ISOVALUE, View, render, surface_of

CUT = (0.0, 0.0, 1.0)
"""Normal of the plane through the middle of the crystal; what lies downstream of it (on axis 2) is taken away."""
OPEN = View("cut open", (0.35, 0.3, 1.0))
"""From where the cut face is seen."""
_SIDE, _PIXELS = 3.0, 400


@styled
def methods(images: Mapping[str, CrystalImage], captions: Mapping[str, str], *, title: str = "") -> Figure:
    """Draw a column for each method: the surface coloured by phase, then cut open, coloured by phase and by strain.

    Each row has one scale, that of the last method. Without geometry there is no strain.

    Parameters
    ----------
    images : mapping of str to CrystalImage
        In the order of the columns.
    captions : mapping of str to str
        Under the names of the methods.
    title : str

    Raises
    ------
    InputError
        If an image has no voxel above the isovalue.
    NoOpenGLError
        If this machine cannot render off screen.
    """
    whole = {name: surface_of(image) for name, image in images.items()}
    halves = {name: surface_of(image, cut=CUT) for name, image in images.items()}
    half_width = max(surface.half_width([FRONT, OPEN]) for surface in whole.values())
    last = list(images)[-1]
    scales = [scale for scale, _ in surface_colours(images[last], whole[last])]
    rows = [(whole, scales[0], 0, FRONT), *((halves, scale, place, OPEN) for place, scale in enumerate(scales))]
    figure = new_figure((0.9 + _SIDE * len(images), 0.7 + _SIDE * len(rows)))
    panels = figure.subplots(len(rows), len(images), squeeze=False)
    for row, (surfaces, scale, place, view) in zip(panels, rows, strict=True):
        for axes, (name, image) in zip(row, images.items(), strict=True):
            _, values = surface_colours(image, surfaces[name])[place]
            (picture,) = render(surfaces[name], scale.rgb(values), [view], half_width, _PIXELS)
            draw_view(axes, picture, view, half_width, image)
        scale.colour_bar(figure, list(row), scale.title, shrink=0.8, aspect=22)
    for axes, name in zip(panels[0], images, strict=True):
        axes.set_title(f"{NAMES.get(name, name)}\n{captions.get(name, '')}".rstrip(), fontsize=12)
    note = f"surfaces at {100 * ISOVALUE:.0f} % of the largest amplitude, below: cut open"
    figure.suptitle(f"{title}: {note}" if title else note, parse_math=False, fontsize=13)
    return figure
