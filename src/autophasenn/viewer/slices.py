"""Three slices through the crystal at a crosshair, as pictures with what must be drawn over them, and the values in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.planes import Plane, axis_label, planes_of
from autophasenn.report.scales import round_length
from autophasenn.viewer.quantities import Quantity, picture
from autophasenn.viewer.results import StoredImage

MARGIN = 0.12
"""Room around the crystal, as a share of its longest edge."""


@dataclass(frozen=True)
class Crosshair:
    """The voxel where the three slices meet."""

    voxel: tuple[int, int, int]

    def moved(self, axis: int, to: int, shape: tuple[int, ...]) -> Crosshair:
        """The same, elsewhere along an axis, inside the volume."""
        voxel = list(self.voxel)
        voxel[axis] = min(max(int(to), 0), shape[axis] - 1)
        return Crosshair((voxel[0], voxel[1], voxel[2]))


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
        self._side = side
        self.start = Crosshair(image.centre)

    def position(self, crosshair: Crosshair) -> list[float]:
        """Of the crosshair's voxel, nm (or voxels) from the origin."""
        return list(self.image.position(crosshair.voxel))

    def drawn(self, crosshair: Crosshair, quantity: Quantity, threshold: float) -> list[dict[str, Any]]:
        """What the page shows of each plane: the picture, and lines over it in a square of 100 x 100.

        Parameters
        ----------
        crosshair : Crosshair
        quantity : Quantity
        threshold : float
            Amplitude whose contour is drawn.
        """
        return [self._drawn(plane, crosshair, quantity, threshold) for plane in self.planes]

    def voxel_at(self, plane: Plane, crosshair: Crosshair, across: float, up: float) -> Crosshair:
        """The voxel under a place in a plane; both coordinates from 0 (left, top) to 1."""
        voxel = crosshair
        for axis, share in ((plane.across, across), (plane.up, 1 - up)):
            index = self._middle[axis] + (share - 0.5) * self._side / self.image.spacing[axis]
            voxel = voxel.moved(axis, int(np.floor(index)), self.image.amplitude.shape)
        return voxel

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

    def _drawn(self, plane: Plane, crosshair: Crosshair, quantity: Quantity, threshold: float) -> dict[str, Any]:
        steps, axes = self.image.spacing, self.image.axes
        values = plane.cut(quantity.volumes[self.number], crosshair.voxel[plane.normal])
        width, height = (
            100 * values.shape[side] * steps[axis] / self._side for side, axis in ((1, plane.across), (0, plane.up))
        )
        left = self._percent(plane.across, -0.5)
        top = 100 - self._percent(plane.up, values.shape[0] - 0.5)
        bar = round_length(self._side, 0.25)
        return {
            "name": plane.title(self.image),
            "across": axis_label(self.image, plane.across),
            "up": axis_label(self.image, plane.up),
            "picture": picture(quantity.rgb(values[::-1])),
            "left": left,
            "top": top,
            "width": width,
            "height": height,
            "svg": self._lines(plane, crosshair, threshold),
            "bar": 100 * bar / self._side,
            "bar_text": f"{bar:g} {self.image.unit}",
            "normal": plane.normal,
            "normal_name": axes[plane.normal],
            "at": self._at(plane, crosshair),
            "index": crosshair.voxel[plane.normal],
            "last": self.image.amplitude.shape[plane.normal] - 1,
        }

    def _percent(self, axis: int, index: float | int) -> float:
        """Where the middle of a voxel lies along an axis of the square."""
        return 50 + 100 * (index + 0.5 - float(self._middle[axis])) * self.image.spacing[axis] / self._side

    def _lines(self, plane: Plane, crosshair: Crosshair, threshold: float) -> str:
        """Outline and crosshair as an SVG drawing."""
        x = self._percent(plane.across, crosshair.voxel[plane.across])
        y = 100 - self._percent(plane.up, crosshair.voxel[plane.up])
        return (
            '<svg viewBox="0 0 100 100" style="position: absolute; width: 100%; height: 100%" fill="none">'
            f'<path d="{self._outline(plane, crosshair, threshold)}" stroke="#1c1c28" stroke-width="0.4"/>'
            f'<path d="M{x} 0V100M0 {y}H100" stroke="#1c1c28" stroke-width="0.25" stroke-dasharray="1.5 1"/></svg>'
        )

    def _outline(self, plane: Plane, crosshair: Crosshair, threshold: float) -> str:
        """The contour of the amplitude as the path of an SVG drawing."""
        from skimage.measure import find_contours

        amplitude = plane.cut(self.image.amplitude, crosshair.voxel[plane.normal])
        lines = []
        for contour in find_contours(amplitude, threshold):
            places = [
                f"{self._percent(plane.across, column):.2f} {100 - self._percent(plane.up, row):.2f}"
                for row, column in contour
            ]
            lines.append("M" + "L".join(places))
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
