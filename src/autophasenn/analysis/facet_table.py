"""What is said of each facet: indices, area, distance, roughness, strain and displacement, and how it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from autophasenn.analysis.facets import Plane
from autophasenn.analysis.indexing import Indices, Orientation, family_of
from autophasenn.analysis.inside import displacement_spread_nm, strain_spread
from autophasenn.analysis.quantity import Floats, Mean, Quantity, mean_of
from autophasenn.analysis.surface import Surface
from autophasenn.image import CrystalImage


@dataclass(frozen=True, eq=False)
class Facet:
    """A facet.

    Parameters
    ----------
    number : int
        From 1, the largest first.
    hkl : 3 ints, optional
        None: the orientation is not known, or no likely plane lies near.
    off_deg : float, optional
        Angle to that plane.
    normal : tuple of 3 floats
        Outward, laboratory.
    normal_frames : dict of str to tuple
        The same in the other frames that are known.
    normal_error_deg : float
    polar_deg : float, optional
        Angle to Q.
    centre : tuple of 3 floats
        On the axes of the image.
    area : Quantity
    share : float
        Of the surface.
    distance : Quantity
        From the centre of mass.
    roughness : Quantity
        Root mean square.
    strain, displacement : Mean, optional
        Of the voxels below it.
    triangles : int array
        Of the surface.
    """

    number: int
    hkl: Indices | None
    off_deg: float | None
    normal: tuple[float, ...]
    normal_frames: dict[str, tuple[float, ...]]
    normal_error_deg: float
    polar_deg: float | None
    centre: tuple[float, ...]
    area: Quantity
    share: float
    distance: Quantity
    roughness: Quantity
    strain: Mean | None
    displacement: Mean | None
    triangles: NDArray[np.integer[Any]] = field(repr=False)

    @property
    def family(self) -> Indices | None:
        """Indices without sign, falling."""
        return None if self.hkl is None else family_of(self.hkl)

    @property
    def title(self) -> str:
        """``(1 -1 1)``, or its number."""
        return f"facet {self.number}" if self.hkl is None else f"({' '.join(map(str, self.hkl))})"


def facets_of(
    image: CrystalImage,
    depth: Floats,
    surface: Surface,
    planes: Sequence[Plane],
    orientation: Orientation | None,
    frames: dict[str, Floats],
    to_frame: Floats,
    thickness: float,
    error: float,
    cells: float,
) -> tuple[Facet, ...]:
    """Each plane with what lies below it.

    Parameters
    ----------
    image, depth, surface, planes
    orientation : Orientation, optional
    frames : dict of str to float array (3, 3)
        Matrices from components in the laboratory.
    to_frame : float array (3, 3)
        That of the image's axes.
    thickness : float
        Of the layer below a facet whose strain is said, unit of the image.
    error : float
        How uncertain the place of the surface is.
    cells : float
        Voxels in a cell of the resolution.
    """
    q = None if image.scattering_vector is None else image.scattering_vector / np.linalg.norm(image.scattering_vector)
    below = _voxels_below(image, depth, surface, planes, thickness)
    spread, moved = strain_spread(image), displacement_spread_nm(image)
    square = "nm²" if image.unit == "nm" else "voxels²"
    found = []
    for number, plane in enumerate(planes, 1):
        lab = to_frame.T @ plane.normal
        hkl, off = (None, None) if orientation is None else orientation.indices_of(lab)
        part = below == number
        weight = surface.areas[plane.triangles]
        centre = weight @ surface.centres[plane.triangles] / weight.sum()
        found.append(
            Facet(
                number,
                hkl,
                off if hkl is not None else None,
                tuple(lab.tolist()),
                {name: tuple((matrix @ lab).tolist()) for name, matrix in frames.items()},
                plane.normal_error_deg,
                None if q is None else float(np.degrees(np.arccos(np.clip(plane.normal @ q, -1, 1)))),
                tuple(centre.tolist()),
                Quantity(plane.area, square, float(np.sqrt(plane.area)) * error, "place of the surface"),
                plane.area / surface.area,
                Quantity(
                    plane.distance,
                    image.unit,
                    float(np.hypot(error, plane.distance_error)),
                    "place of the surface, and roughness",
                ),
                Quantity(plane.roughness, image.unit),
                None
                if image.strain is None
                else mean_of(image.strain[part], "", None if spread is None else spread[part], cells),
                None
                if image.displacement is None
                else mean_of(image.displacement[part] * 1e9, "nm", None if moved is None else moved[part], cells),
                plane.triangles,
            )
        )
    return tuple(found)


def _voxels_below(
    image: CrystalImage, depth: Floats, surface: Surface, planes: Sequence[Plane], thickness: float
) -> NDArray[np.integer[Any]]:
    """Number of the facet that is nearest to each voxel, no deeper than `thickness` below it; 0: none."""
    owner = np.zeros(len(surface.triangles), int)
    for number, plane in enumerate(planes, 1):
        owner[plane.triangles] = number
    near = image.support & (depth < thickness + 2 * max(image.spacing))
    places = np.argwhere(near)
    positions = (places - np.array(image.shape) // 2) * np.array(image.spacing)
    distance, nearest = KDTree(surface.centres).query(positions, distance_upper_bound=thickness)
    labels = np.zeros(image.shape, int)
    labels[near] = np.where(np.isfinite(distance), np.append(owner, 0)[nearest], 0)
    return labels
