"""The crystal's surface as triangles, finer than a voxel: marching cubes of the amplitude (Lewiner et al., 2003)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from autophasenn.analysis.quantity import Floats
from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.report.contour import REACH

LEAST_TRIANGLES = 24
"""A surface of fewer has no facets worth a name."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of the isosurface; positions are from voxel ``n // 2``, in nm (voxels without geometry).

    Parameters
    ----------
    vertices : float array (vertices, 3)
    triangles : int array (triangles, 3)
        Corners, anticlockwise as seen from outside.
    normals : float array (triangles, 3)
        Outward unit vectors: minus the gradient of the amplitude, smoothed over a voxel or two.
    isovalue : float
    edge_width : float
        Over which the amplitude rises at the surface: the crystal's amplitude over the median slope.
    slope : float array (triangles,)
        Of the amplitude along the normal, 1/nm.
    """

    vertices: Floats
    triangles: NDArray[np.integer[Any]]
    normals: Floats
    isovalue: float
    edge_width: float
    slope: Floats

    @cached_property
    def _cross(self) -> Floats:
        a, b, c = (self.vertices[self.triangles[:, i]] for i in range(3))
        return np.asarray(np.cross(b - a, c - a))

    @cached_property
    def areas(self) -> Floats:
        """Of the triangles: nm², or voxels²."""
        return np.asarray(np.linalg.norm(self._cross, axis=1) / 2)

    @cached_property
    def centres(self) -> Floats:
        """Of the triangles, (triangles, 3)."""
        return np.asarray(self.vertices[self.triangles].mean(axis=1))

    @cached_property
    def volume(self) -> float:
        """That the triangles enclose, by the divergence theorem."""
        return float(abs((self.centres * self._cross).sum()) / 6)

    @property
    def area(self) -> float:
        """Of all triangles."""
        return float(self.areas.sum())

    @cached_property
    def centroid(self) -> Floats:
        """Centre of mass of the volume that the triangles enclose."""
        a, b, c = (self.vertices[self.triangles[:, i]] for i in range(3))
        volumes = (a * np.cross(b, c)).sum(axis=1) / 6
        return np.asarray(((a + b + c) / 4 * volumes[:, None]).sum(axis=0) / volumes.sum())

    @cached_property
    def adjacency(self) -> sparse.csr_matrix:
        """Which triangles share an edge: sparse, (triangles, triangles)."""
        count = len(self.triangles)
        edges = np.sort(np.concatenate([self.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
        owner = np.tile(np.arange(count), 3)
        order = np.lexsort((edges[:, 1], edges[:, 0]))
        edges, owner = edges[order], owner[order]
        same = np.flatnonzero((edges[1:] == edges[:-1]).all(axis=1))
        first, second = owner[same], owner[same + 1]
        ones = np.ones(2 * len(first), np.int8)
        pairs = (np.concatenate([first, second]), np.concatenate([second, first]))
        return sparse.csr_matrix((ones, pairs), shape=(count, count))

    def mesh(self, origin: Floats | float = 0.0) -> Any:
        """The triangles as a ``pyvista.PolyData``, positions from `origin`."""
        import pyvista

        corners: Any = np.asarray(self.vertices - origin, np.float32)
        faces: Any = self.triangles
        return pyvista.PolyData.from_regular_faces(corners, faces)

    def along(self, direction: Floats) -> float:
        """Extent of the surface along a unit vector."""
        reach = self.vertices @ direction
        return float(reach.max() - reach.min())


def surface_of(image: CrystalImage, isovalue: float, smoothing: float = 1.0) -> Surface:
    """Where the amplitude is `isovalue`, in and around the support.

    Parameters
    ----------
    image : CrystalImage
    isovalue : float
        Between 0 and 1.
    smoothing : float
        Voxels over which the amplitude is smoothed (standard deviation of a Gaussian) before normals are taken.

    Raises
    ------
    InputError
        If the amplitude reaches the value nowhere, or on a speck only.
    """
    box = tuple(
        slice(max(0, part.start - REACH - 2), min(n, part.stop + REACH + 2))
        for part, n in zip(image.box, image.shape, strict=True)
    )
    reached = ndimage.binary_dilation(image.support[box], iterations=REACH)
    amplitude = np.pad(np.where(reached, image.amplitude[box], 0).astype(np.float32), 1)
    if not amplitude.max() > isovalue > 0:
        raise InputError(
            f"The amplitude of the crystal is {float(amplitude.max()):.3g} at most, so it has no surface at {isovalue:g}; "
            "give an isosurface between 0 and that."
        )
    from skimage.measure import marching_cubes

    spacing = np.array(image.spacing)
    corners, triangles, _, _ = marching_cubes(amplitude, isovalue, gradient_direction="ascent")
    if len(triangles) < LEAST_TRIANGLES:
        raise InputError(
            f"The surface at amplitude {isovalue:g} has {len(triangles)} triangles, a speck; give a lower isosurface."
        )
    smooth = ndimage.gaussian_filter(amplitude, smoothing)
    middles = corners[triangles].mean(axis=1)
    slopes = np.stack(
        [ndimage.map_coordinates(np.gradient(smooth, axis=axis), middles.T, order=1) for axis in range(3)], axis=1
    )
    slopes = slopes / spacing
    length = np.linalg.norm(slopes, axis=1)
    normals = -slopes / np.maximum(length, 1e-12)[:, None]
    origin = np.array([part.start - 1 - n // 2 for part, n in zip(box, image.shape, strict=True)])
    vertices = (corners + origin) * spacing
    raw = np.stack(
        [ndimage.map_coordinates(np.gradient(amplitude, axis=axis), middles.T, order=1) for axis in range(3)], axis=1
    )
    slope = np.linalg.norm(raw / spacing, axis=1)
    plateau = float(np.median(image.amplitude[image.support]))
    surface = Surface(
        vertices, triangles, normals, isovalue, plateau / max(float(np.median(slope)), 1e-12), np.asarray(slope)
    )
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    if float((np.cross(b - a, c - a) * normals).sum()) < 0:  # the normals say what is outside
        surface = Surface(vertices, triangles[:, ::-1], normals, isovalue, surface.edge_width, surface.slope)
    return surface
