"""Three slices through the crystal at a crosshair, as pictures with what must be drawn over them, and the values in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.scales import round_length
from autophasenn.viewer.quantities import Quantity, picture
from autophasenn.viewer.results import StoredImage

MARGIN = 0.12
"""Room around the crystal, as a share of its longest edge."""


@dataclass(frozen=True)
class Plane:
    """A slice: which axis of the image runs to the right, which one up; seen so that the third comes to the viewer."""

    name: str
    across: int
    up: int

    @property
    def normal(self) -> int:
        """The axis that the plane leaves out."""
        return 3 - self.across - self.up


LAB_PLANES = (
    Plane("seen from downstream", 0, 1),
    Plane("seen from above", 2, 0),
    Plane("seen from inboard", 2, 1),
)
GRID_PLANES = (Plane("across axis 0", 2, 1), Plane("across axis 1", 2, 0), Plane("across axis 2", 1, 0))


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
        self.planes = LAB_PLANES if image.voxel_size else GRID_PLANES
        self._middle = np.mean(_ends(image), axis=1)
        self._side = side
        self.start = Crosshair(_centre(image))

    def position(self, crosshair: Crosshair) -> list[float]:
        """Of the crosshair's voxel, nm (or voxels) from the origin."""
        shape = self.image.amplitude.shape
        return [
            (index - n // 2) * step for index, n, step in zip(crosshair.voxel, shape, self.image.spacing, strict=True)
        ]

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
        places = ", ".join(
            f"{name} {place:.0f}".replace("-", "−")
            for name, place in zip(self.image.axes, self.position(crosshair), strict=True)
        )
        volumes = quantity.volumes[self.number]
        value = float(volumes[crosshair.voxel])
        amplitude = f"amplitude {float(self.image.amplitude[crosshair.voxel]):.2f}"
        shown = "" if quantity.key == "amplitude" else f": {quantity.said(value)}"
        return f"{places} {self.image.unit}{shown}, {amplitude}"

    def _drawn(self, plane: Plane, crosshair: Crosshair, quantity: Quantity, threshold: float) -> dict[str, Any]:
        steps, axes = self.image.spacing, self.image.axes
        values = self._cut(quantity.volumes[self.number], plane, crosshair)
        width, height = (
            100 * values.shape[side] * steps[axis] / self._side for side, axis in ((1, plane.across), (0, plane.up))
        )
        left = self._percent(plane.across, -0.5)
        top = 100 - self._percent(plane.up, values.shape[0] - 0.5)
        bar = round_length(self._side, 0.25)
        return {
            "name": f"{axes[plane.across]}–{axes[plane.up]}, {plane.name}" if self.image.voxel_size else plane.name,
            "across": axes[plane.across] + (" (beam)" if axes[plane.across] == "z" else ""),
            "up": axes[plane.up],
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
            "at": f"{self.position(crosshair)[plane.normal]:.0f} {self.image.unit}".replace("-", "−"),
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

        amplitude = self._cut(self.image.amplitude, plane, crosshair)
        lines = []
        for contour in find_contours(amplitude, threshold):
            places = [
                f"{self._percent(plane.across, column):.2f} {100 - self._percent(plane.up, row):.2f}"
                for row, column in contour
            ]
            lines.append("M" + "L".join(places))
        return "".join(lines)

    def _cut(self, volume: NDArray[Any], plane: Plane, crosshair: Crosshair) -> NDArray[Any]:
        """Rows upwards, columns across."""
        section = np.take(volume, crosshair.voxel[plane.normal], axis=plane.normal)
        return section if plane.across > plane.up else section.T


def slices_of(images: Sequence[StoredImage]) -> list[Slices]:
    """The slices of all results, drawn at one scale."""
    side = max(float((np.ptp(_ends(image), axis=1) * np.array(image.spacing)).max()) for image in images)
    return [Slices(image, number, side * (1 + 2 * MARGIN)) for number, image in enumerate(images)]


def _ends(image: StoredImage) -> NDArray[np.int_]:
    """First voxel of the crystal along each axis, and the first one after it: (3, 2)."""
    ends = []
    for axis in range(3):
        inside = np.flatnonzero(image.support.any(axis=tuple(a for a in range(3) if a != axis)))
        ends.append((inside[0], inside[-1] + 1))
    return np.array(ends)


def _centre(image: StoredImage) -> tuple[int, int, int]:
    """The voxel of the support that is nearest to its centre of mass."""
    inside = np.argwhere(image.support)
    nearest = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
    return int(nearest[0]), int(nearest[1]), int(nearest[2])
