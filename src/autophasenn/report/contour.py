"""Where the amplitude has a value: the crystal's surface at any threshold, with whatever was measured inside on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autophasenn.physics.nearest import nearest_known

REACH = 2
"""How many voxels outside the support the surface may lie; what is farther belongs to no crystal."""


@dataclass(frozen=True, eq=False)
class Body:
    """A crystal and its fields on a grid from which contours are cut.

    Parameters
    ----------
    amplitude : float array (n0, n1, n2)
        Zero beyond the reach of the support.
    fields : mapping of str to float array (n0, n1, n2)
        Without NaN: outside the support the value of the nearest voxel inside.
    spacing : 3 floats
        Edges of a voxel.
    origin : 3 floats
        Position of voxel (0, 0, 0), in the unit of `spacing`.
    """

    amplitude: NDArray[np.floating[Any]]
    fields: Mapping[str, NDArray[np.floating[Any]]]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]

    @classmethod
    def of(
        cls,
        amplitude: NDArray[np.floating[Any]],
        support: NDArray[np.bool_],
        fields: Mapping[str, NDArray[np.floating[Any]]],
        spacing: tuple[float, float, float],
    ) -> Body:
        """The part of a volume that the crystal fills, its reach and one layer more.

        Parameters
        ----------
        amplitude : float array (n0, n1, n2)
        support : bool array (n0, n1, n2)
            Not empty.
        fields : mapping of str to float array (n0, n1, n2)
            May be NaN where there is no value.
        spacing : 3 floats
            Edges of a voxel. Voxel ``n // 2`` of the volume lies at the origin.
        """
        box = _box(support, REACH + 1)
        reached = ndimage.binary_dilation(support[box], iterations=REACH)
        x, y, z = ((part.start - n // 2) * step for part, n, step in zip(box, amplitude.shape, spacing, strict=True))
        return cls(
            np.where(reached, amplitude[box], 0),
            {name: filled(values[box]) for name, values in fields.items()},
            spacing,
            (x, y, z),
        )

    def grid(self, isovalue: float) -> Any:
        """The fields as a ``pyvista.ImageData`` whose contour at `isovalue` is closed and has no specks.

        Pieces of less than 1 % of the volume of the largest one are left out, and one more layer, zero, closes the
        surface where the crystal touches the edge of the array.
        """
        import pyvista

        amplitude = np.where(_specks(self.amplitude >= isovalue), 0, self.amplitude)
        grid = pyvista.ImageData(
            dimensions=np.array(amplitude.shape) + 2,
            spacing=self.spacing,
            origin=np.array(self.origin) - np.array(self.spacing),
        )
        grid["amplitude"] = np.pad(amplitude, 1).ravel(order="F").astype(np.float32)
        for name, values in self.fields.items():
            grid[name] = np.pad(values, 1, mode="edge").ravel(order="F").astype(np.float32)
        return grid

    def surface(self, isovalue: float) -> Any:
        """Triangles where the amplitude is `isovalue`, every field at their corners: a ``pyvista.PolyData``."""
        return self.grid(isovalue).contour([isovalue], scalars="amplitude", compute_normals=True)

    def half(self, isovalue: float, normal: Sequence[float], through: Sequence[float]) -> Any:
        """The surface of the half behind a plane, its cut face with it; a ``pyvista.PolyData``.

        Parameters
        ----------
        isovalue : float
        normal : 3 floats
            Of the plane; what it points to is cut away.
        through : 3 floats
            A point of the plane.
        """
        solid = self.grid(isovalue).clip_scalar(scalars="amplitude", invert=False, value=isovalue)
        skin = solid.clip(normal=tuple(normal), origin=tuple(through)).extract_surface(algorithm="dataset_surface")
        # The edge of the cut is sharp: shading must not run around it.
        return skin.triangulate().compute_normals(split_vertices=True, feature_angle=40.0)


def filled(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Values, and where they are NaN that of the nearest voxel that has one."""
    if np.isfinite(values).all():
        return values
    return values[nearest_known(np.isfinite(values))]


def _box(inside: NDArray[np.bool_], margin: int) -> tuple[slice, ...]:
    """The smallest box around the True voxels and `margin` voxels more, as far as the array goes."""
    slices = []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        slices.append(slice(max(0, int(occupied[0]) - margin), int(occupied[-1]) + margin + 1))
    return tuple(slices)


def _specks(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of pieces that hold less than 1 % as many voxels as the largest piece."""
    pieces, _ = ndimage.label(inside)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    is_small = sizes < 0.01 * sizes.max()
    is_small[0] = False
    return np.asarray(is_small[pieces])
