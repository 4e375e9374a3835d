"""The crystal in three dimensions, coloured by its phase and by the strain at its surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autophasenn.image import CrystalImage, Floats
from autophasenn.report.annotations import direction, scale_bar, seen_from
from autophasenn.report.scales import Scale, phase_scale, strain_scale
from autophasenn.report.style import ACCENT, SLIDE, blank, new_figure, panel, styled
from autophasenn.report.surface import ISOVALUE, Renderer, Surface, View, surface_of

FRONT = View("front", (0.7, 0.55, 1.0))
BACK = View("back", (-0.7, -0.55, -1.0))
ABOVE = View("top", (0.0, 1.0, 0.0), up=(1.0, 0.0, 0.0))


class CrystalViews:
    """The surface of a crystal with its colours, computed once for all figures that show it, and rendered when asked for.

    Use it as a context, so that the renderer is closed.

    Parameters
    ----------
    image : CrystalImage
    isovalue : float
        Amplitude of the surface; the largest amplitude is 1.

    Raises
    ------
    InputError
        If no voxel reaches the isovalue.
    NoOpenGLError
        If this machine cannot render off screen.
    """

    def __init__(self, image: CrystalImage, isovalue: float = ISOVALUE) -> None:
        self.image, self.isovalue = image, isovalue
        surface = surface_of(image, isovalue)
        self.views = (FRONT, BACK, _against(image.q_direction))
        self.rows = surface_colours(image, surface)
        self._renderer = Renderer(surface, surface.half_width(self.views))

    def __enter__(self) -> CrystalViews:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the renderer back."""
        self._renderer.close()

    def draw(self, axes: Axes, row: int, view: View) -> None:
        """Place a view, coloured by the quantity of `rows[row]`, in axes."""
        scale, values = self.rows[row]
        picture = self._renderer.picture(scale.title, scale.rgb(values), view)
        draw_view(axes, picture, view, self._renderer.half_width, self.image)


@styled
def isosurface(image: CrystalImage, *, views: CrystalViews | None = None) -> Figure:
    """Draw the surface of constant amplitude from three sides, coloured by phase and, where it is known, by strain.

    The front is what someone sees who stands downstream, outboard and above; the back is the opposite of it; the third
    view looks against Q, or down on axis 1 where Q is unknown. Axes and the scattering vector Q stand in the corner of
    each view. There is no perspective, so the scale bar holds everywhere.

    Parameters
    ----------
    image : CrystalImage
    views : CrystalViews, optional
        Of this image, where another figure shows it too.

    Raises
    ------
    InputError
        If no voxel reaches the isovalue.
    NoOpenGLError
        If this machine cannot render off screen. Catch it and leave the figure out.
    """
    if views is None:
        with CrystalViews(image) as own:
            return isosurface(image, views=own)
    side, above = 3.8, 0.75
    figure = new_figure((SLIDE[0], above + side * len(views.rows)), is_placed=True)
    for row, (scale, _) in enumerate(views.rows):
        top = above + row * side
        for column, view in enumerate(views.views):
            axes = panel(figure, 0.15 + column * (side + 0.05), top, side, side - 0.1)
            views.draw(axes, row, view)
            if row == 0:
                axes.set_title(view.name)
        cax = panel(figure, 0.3 + len(views.views) * (side + 0.05), top + 0.35, 0.16, side - 0.8)
        scale.colour_bar(figure, [], scale.title, cax=cax)
    figure.suptitle(f"Surface at {views.isovalue:.0%} of the largest amplitude", fontsize=14)
    return figure


def surface_colours(image: CrystalImage, surface: Surface) -> list[tuple[Scale, NDArray[np.float32]]]:
    """What a surface can be coloured by: the phase, and the strain where it is known, each with its scale."""
    rows = [(phase_scale(image.phase, wrap=True), surface.phase)]
    if image.strain is not None and surface.strain is not None:
        rows.append((strain_scale(image.strain), surface.strain))
    return rows


def draw_view(axes: Axes, picture: NDArray[np.uint8], view: View, half_width: float, image: CrystalImage) -> None:
    """Place a rendered view in `axes` with a scale bar, the axes' directions and Q."""
    axes.imshow(picture, extent=(-half_width, half_width, -half_width, half_width), interpolation="antialiased")
    axes.set_ylim(-1.2 * half_width, half_width)
    blank(axes)
    scale_bar(axes, image.unit)
    basis = view.basis()
    names = [name.removeprefix("axis ") for name in image.axes]
    arrows: list[tuple[Sequence[float], str, str]] = [
        (unit, name, "#555566") for unit, name in zip(np.eye(3).tolist(), names, strict=True)
    ]
    if image.scattering_vector is not None:
        arrows.append((image.scattering_vector.tolist(), "Q", ACCENT))
    for vector, name, colour in arrows:
        seen = seen_from(vector, basis).tolist()
        direction(axes, seen, name, origin=(0.88, 0.12), length=0.09, colour=colour)


def _against(direction_of_q: Floats | None) -> View:
    """The view of someone at the tip of Q who looks back at the crystal."""
    if direction_of_q is None:
        return ABOVE
    x, y, z = (float(component) for component in direction_of_q)
    return View("along Q", (x, y, z), up=(0.0, 1.0, 0.0) if abs(y) < 0.9 else (0.0, 0.0, 1.0))
