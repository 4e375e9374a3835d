"""Planes through an image and through a pattern: which axis runs where, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.image import CrystalImage


@dataclass(frozen=True)
class Plane:
    """A plane of an image: which axis runs to the right, which one up; the third comes to the viewer or goes from him.

    Parameters
    ----------
    across, up : int
        Axes of the image.
    seen : str
        From where it is seen.
    """

    across: int
    up: int
    seen: str

    @property
    def normal(self) -> int:
        """The axis that the plane leaves out."""
        return 3 - self.across - self.up

    def towards_viewer(self, vector: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
        """Components of a vector of the image to the right, up, and towards the viewer."""
        handedness = 1 if (self.up - self.across) % 3 == 1 else -1
        return float(vector[self.across]), float(vector[self.up]), handedness * float(vector[self.normal])

    def cut(self, volume: NDArray[Any], index: int) -> NDArray[Any]:
        """The plane of a volume at an index of the axis that it leaves out: rows upwards, columns to the right."""
        section: NDArray[Any] = np.take(volume, index, axis=self.normal)
        return section if self.across > self.up else section.T

    def title(self, image: CrystalImage) -> str:
        """Both axes, and from where the plane is seen."""
        axes = image.axes
        return f"{axes[self.across]}–{axes[self.up]}, {self.seen}" if image.voxel_size else self.seen


LAB_PLANES = (
    Plane(0, 1, "seen from downstream"),
    Plane(2, 0, "seen from above"),
    Plane(2, 1, "seen from inboard"),
)
GRID_PLANES = (Plane(2, 1, "across axis 0"), Plane(2, 0, "across axis 1"), Plane(1, 0, "across axis 2"))


def planes_of(image: CrystalImage) -> tuple[Plane, ...]:
    """The planes of the laboratory frame, or of the detector's own grid where the geometry is unknown."""
    return LAB_PLANES if image.voxel_size else GRID_PLANES


def axis_label(image: CrystalImage, axis: int) -> str:
    """What an axis is called; z is the beam's."""
    name = image.axes[axis]
    return "z (beam)" if name == "z" else name


AXES = ("frame", "row", "column")
"""Of a pattern."""


@dataclass(frozen=True)
class Section:
    """A plane of the pattern: which axis runs down the picture, and which to the right."""

    down: int
    across: int

    @property
    def normal(self) -> int:
        """The axis that the plane leaves out."""
        return 3 - self.down - self.across

    def cut(self, volume: Any, index: int) -> NDArray[Any]:
        """The plane of a volume (array, or tensor of the CPU) at an index of the axis that it leaves out."""
        return self.oriented(np.take(np.asarray(volume), index, axis=self.normal))

    def central(self, volume: Any) -> NDArray[Any]:
        """The plane through voxel ``n // 2``."""
        return self.cut(volume, volume.shape[self.normal] // 2)

    def oriented(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A plane whose axes are in the order of the volume, turned so that its first axis runs down."""
        return plane if self.down < self.across else plane.T


SECTIONS = (Section(1, 2), Section(1, 0), Section(2, 0))
"""The detector's own view, then the two planes along the rocking axis."""
