"""Three slices through the crystal at a crosshair, as pictures with what must be drawn over them, and the values in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.planes import Plane, axis_label, planes_of
from autophasenn.report.scales import round_length
from autophasenn.viewer.overlay import svg_picture
from autophasenn.viewer.quantities import Quantity, picture
from autophasenn.viewer.results import StoredImage

MARGIN = 0.12
"""Room around the crystal, as a share of its longest edge."""
MOST_ZOOM = 32.0


@dataclass(frozen=True)
class Crosshair:
    """The voxel where the three slices meet."""

    voxel: tuple[int, int, int]

    def moved(self, axis: int, to: int, shape: tuple[int, ...]) -> Crosshair:
        """The same, elsewhere along an axis, inside the volume."""
        voxel = list(self.voxel)
        voxel[axis] = min(max(int(to), 0), shape[axis] - 1)
        return Crosshair((voxel[0], voxel[1], voxel[2]))


@dataclass(frozen=True)
class Window:
    """The part of the squares that is seen, the same in all three planes and in all results.

    Parameters
    ----------
    zoom : float
        How much larger than at first.
    offset : tuple of 3 floats
        From the middle of each crystal's box to the middle of what is seen, nm (or voxels).
    """

    zoom: float = 1.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def zoomed(self, factor: float, towards: Sequence[float], side: float) -> Window:
        """Enlarged about a place that stays where it is drawn.

        Parameters
        ----------
        factor : float
        towards : sequence of 3 floats
            From the middle of the crystal's box, nm (or voxels).
        side : float
            Of the whole square, which is never left.
        """
        zoom = min(max(self.zoom * factor, 1.0), MOST_ZOOM)
        room = side / 2 * (1 - 1 / zoom)
        moved = [
            place + (offset - place) * self.zoom / zoom for place, offset in zip(towards, self.offset, strict=True)
        ]
        x, y, z = (min(max(offset, -room), room) for offset in moved)
        return Window(zoom, (x, y, z))


@dataclass(frozen=True)
class Drawing:
    """How the slices are drawn.

    Parameters
    ----------
    quantity : Quantity
    threshold : float
        Amplitude whose contour is drawn.
    window : Window
    line : tuple of two places, optional
        Ends of a line, each three floats from the origin, nm (or voxels).
    """

    quantity: Quantity
    threshold: float
    window: Window = Window()
    line: tuple[Sequence[float], Sequence[float]] | None = None


class Slices:
    """The slices of one result.

    Parameters
    ----------
    image : StoredImage
    number : int
        Which of the volumes of a quantity belong to it.
    side : float
        Of the square that is drawn, nm (or voxels).
    """

    def __init__(self, image: StoredImage, number: int, side: float) -> None:
        self.image, self.number = image, number
        self.planes = planes_of(image)
        self._middle = _middle(image)
        self.side = side
        self.start = Crosshair(image.centre)

    def position(self, crosshair: Crosshair) -> list[float]:
        """Of the crosshair's voxel, nm (or voxels) from the origin."""
        return list(self.image.position(crosshair.voxel))

    def drawn(self, crosshair: Crosshair, drawing: Drawing) -> list[dict[str, Any]]:
        """What the page shows of each plane: the picture, and lines over it, in a square of 100 x 100."""
        return [self._drawn(plane, crosshair, drawing) for plane in self.planes]

    def voxel_at(
        self, plane: Plane, crosshair: Crosshair, across: float, up: float, window: Window = Window()
    ) -> Crosshair:
        """The voxel under a place in a plane; both coordinates from 0 (left, top) to 1."""
        voxel = crosshair
        for axis, share in ((plane.across, across), (plane.up, 1 - up)):
            offset = window.offset[axis] + (share - 0.5) * self.side / window.zoom
            index = self._middle[axis] + offset / self.image.spacing[axis]
            voxel = voxel.moved(axis, int(np.floor(index)), self.image.amplitude.shape)
        return voxel

    def from_middle(self, crosshair: Crosshair) -> list[float]:
        """Of the middle of a voxel, from the middle of the crystal's box, nm (or voxels)."""
        return [
            (index + 0.5 - float(middle)) * step
            for index, middle, step in zip(crosshair.voxel, self._middle, self.image.spacing, strict=True)
        ]

    def said(self, crosshair: Crosshair, quantity: Quantity) -> str:
        """Where a voxel lies and what it has, with units."""
        places = self._place(crosshair)
        volumes = quantity.volumes[self.number]
        value = float(volumes[crosshair.voxel])
        amplitude = f"amplitude {float(self.image.amplitude[crosshair.voxel]):.2f}"
        shown = "" if quantity.key == "amplitude" else f": {quantity.said(value)}"
        return f"{places}{shown}, {amplitude}"

    def _place(self, crosshair: Crosshair) -> str:
        """In nm from the origin; without geometry the index in the file."""
        if self.image.voxel_size is None:
            return f"voxel [{', '.join(map(str, crosshair.voxel))}]"
        places = zip(self.image.axes, self.position(crosshair), strict=True)
        return ", ".join(f"{name} {place:.0f}".replace("-", "−") for name, place in places) + " nm"

    def _at(self, plane: Plane, crosshair: Crosshair) -> str:
        """Where a plane lies along the axis that it leaves out, likewise."""
        if self.image.voxel_size is None:
            return f"index {crosshair.voxel[plane.normal]}"
        return f"{self.position(crosshair)[plane.normal]:.0f} nm".replace("-", "−")

    def _drawn(self, plane: Plane, crosshair: Crosshair, drawing: Drawing) -> dict[str, Any]:
        steps, axes, window = self.image.spacing, self.image.axes, drawing.window
        values = plane.cut(drawing.quantity.volumes[self.number], crosshair.voxel[plane.normal])
        seen = self.side / window.zoom
        width, height = (
            100 * values.shape[side] * steps[axis] / seen for side, axis in ((1, plane.across), (0, plane.up))
        )
        left = self._percent(plane.across, -0.5, window)
        top = 100 - self._percent(plane.up, values.shape[0] - 0.5, window)
        bar = round_length(seen, 0.25)
        return {
            "name": plane.title(self.image),
            "across": axis_label(self.image, plane.across),
            "up": axis_label(self.image, plane.up),
            "picture": picture(drawing.quantity.rgb(values[::-1])),
            "left": left,
            "top": top,
            "width": width,
            "height": height,
            "lines": self._lines(plane, crosshair, drawing),
            "bar": 100 * bar / seen,
            "bar_text": f"{bar:g} {self.image.unit}",
            "normal": plane.normal,
            "normal_name": axes[plane.normal],
            "at": self._at(plane, crosshair),
            "index": crosshair.voxel[plane.normal],
            "last": self.image.amplitude.shape[plane.normal] - 1,
        }

    def _percent(self, axis: int, index: float | int, window: Window) -> float:
        """Where the middle of a voxel lies along an axis of the square."""
        place = (index + 0.5 - float(self._middle[axis])) * self.image.spacing[axis] - window.offset[axis]
        return 50 + 100 * place * window.zoom / self.side

    def _lines(self, plane: Plane, crosshair: Crosshair, drawing: Drawing) -> str:
        """Outline, crosshair and profile as the address of a drawing."""
        x = self._percent(plane.across, crosshair.voxel[plane.across], drawing.window)
        y = 100 - self._percent(plane.up, crosshair.voxel[plane.up], drawing.window)
        drawn = (
            f'<path d="{self._outline(plane, crosshair, drawing)}" stroke="#1c1c28" stroke-width="0.4"/>'
            f'<path d="M{x:.2f} 0V100M0 {y:.2f}H100" stroke="#1c1c28" stroke-width="0.25" stroke-dasharray="1.5 1"/>'
        )
        if drawing.line is not None:
            ends = [
                (self._percent(plane.across, at[plane.across], drawing.window),
                 100 - self._percent(plane.up, at[plane.up], drawing.window))
                for at in (self.index_at(place) for place in drawing.line)
            ]  # fmt: skip
            (ax, ay), (bx, by) = ends
            for colour, width in (("#ffffff", 1.5), ("#c2185b", 0.7)):
                drawn += f'<path d="M{ax:.2f} {ay:.2f}L{bx:.2f} {by:.2f}" stroke="{colour}" stroke-width="{width}"/>'
            drawn += "".join(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="1" fill="#c2185b"/>' for x, y in ends)
        return svg_picture("0 0 100 100", f'<g fill="none">{drawn}</g>')

    def place_of_edges(self, axis: int) -> tuple[float, float]:
        """Of the grid along an axis, from the middle of the crystal's box, nm (or voxels)."""
        step, middle = self.image.spacing[axis], float(self._middle[axis])
        return -middle * step, (self.image.amplitude.shape[axis] - middle) * step

    def index_at(self, place: Sequence[float]) -> list[float]:
        """Index, with its fraction, of a place in nm (or voxels) from the origin."""
        return [
            each / step + count // 2
            for each, step, count in zip(place, self.image.spacing, self.image.amplitude.shape, strict=True)
        ]

    def _outline(self, plane: Plane, crosshair: Crosshair, drawing: Drawing) -> str:
        """The contour of the amplitude as the path of an SVG drawing."""
        from skimage.measure import find_contours

        amplitude = plane.cut(self.image.amplitude, crosshair.voxel[plane.normal])
        lines = []
        for contour in find_contours(amplitude, drawing.threshold):
            across, up = (
                [self._percent(axis, float(index), drawing.window) for index in contour[:, column]]
                for axis, column in ((plane.across, 1), (plane.up, 0))
            )
            lines.append("M" + "L".join(f"{x:.2f} {100 - y:.2f}" for x, y in zip(across, up, strict=True)))
        return "".join(lines)


def slices_of(images: Sequence[StoredImage]) -> list[Slices]:
    """The slices of all results, at one scale where their lengths have one unit: a voxel is no nanometre."""
    sides: dict[str, float] = {}
    for image in images:
        sides[image.unit] = max(sides.get(image.unit, 0.0), *image.extent)
    return [Slices(image, number, sides[image.unit] * (1 + 2 * MARGIN)) for number, image in enumerate(images)]


def _middle(image: StoredImage) -> NDArray[np.float64]:
    """Of the crystal's box along each axis, in voxels from the edge of the grid."""
    return np.array([(part.start + part.stop) / 2 for part in image.box])
