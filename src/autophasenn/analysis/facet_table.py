"""What is said of each facet: indices, area, distance, roughness, strain and displacement, and how it lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from autophasenn.analysis.facets import Plane
from autophasenn.analysis.indexing import Indices, Orientation, family_of
from autophasenn.analysis.inside import phase_error, strain_error
from autophasenn.analysis.quantity import ORIENTATIONS, Floats, Mean, Quantity, mean_of
from autophasenn.analysis.surface import Surface
from autophasenn.image import CrystalImage

ALONG_FACET = 0.45
"""Of the error of a voxel's strain, the part that is alike all along a facet which lies across Q.

A facet scatters into a rod. A phase that depends on the depth below it alone, and is odd about the surface, changes the
wave on the rod at right angles to what is there, and so the counts in second order only: counting noise leaves it open, for
the whole facet at once. Its slope is along the normal, so that strain has of it the cosine of normal and Q. How much it is
was fitted to crystals of seeds 9100, 9200 and 9300: 0.51 at 5e6 photons, 0.36 at 1e6, 0.43 at 5e7. Fresh ones judge it
(``python benchmarks/facet_strain_truth.py``)."""
COUNTED = f"{ORIENTATIONS}; counting noise"
"""What the uncertainties of a facet rest on where the photons are known."""


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
    photons: float | None = None,
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
    photons : float, optional
        Of the pattern; None: counting noise is not in the uncertainties.
    """
    q = None if image.scattering_vector is None else image.scattering_vector / np.linalg.norm(image.scattering_vector)
    below = _voxels_below(image, depth, surface, planes, thickness)
    errors = phase_error(image, photons, cells)
    rests_on = ORIENTATIONS if photons is None else COUNTED
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
                _strain_of(image, part, plane, errors, cells, rests_on),
                _displacement_of(image, part, errors, cells, rests_on),
                plane.triangles,
            )
        )
    return tuple(found)


def _strain_of(
    image: CrystalImage, part: NDArray[np.bool_], plane: Plane, errors: Floats | None, cells: float, rests_on: str
) -> Mean | None:
    """Mean strain of the voxels below a facet; its uncertainty holds what is alike all along the facet."""
    if image.strain is None:
        return None
    spread = None if errors is None else strain_error(image, errors)
    below = None if spread is None else spread[part]
    found = mean_of(image.strain[part], "", below, cells, 1.0, rests_on)
    if below is None or image.q_direction is None or not bool(np.isfinite(below).any()):
        return found
    alike = ALONG_FACET * abs(float(plane.normal @ image.q_direction)) * float(np.sqrt(np.nanmean(np.square(below))))
    error = math.hypot(found.mean.uncertainty or 0.0, alike)
    return replace(found, mean=replace(found.mean, uncertainty=error))


def _displacement_of(
    image: CrystalImage, part: NDArray[np.bool_], errors: Floats | None, cells: float, rests_on: str
) -> Mean | None:
    if image.displacement is None or image.scattering_vector is None:
        return None
    to_nm = 1e9 / float(np.linalg.norm(image.scattering_vector))
    below = None if errors is None else errors[part] * np.float32(to_nm)
    return mean_of(image.displacement[part] * 1e9, "nm", below, cells, 1.0, rests_on)


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
