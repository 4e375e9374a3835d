"""Lines and planes through an image: every quantity along them, with its uncertainty where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autophasenn.analysis.inside import displacement_spread_nm, strain_spread
from autophasenn.analysis.quantity import Floats
from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.physics.nearest import nearest_known
from autophasenn.report.contour import filled

Point = tuple[float, float, float]
FARTHEST = 10.0
"""Diagonals of the image, from whose middle a point of a line may be so far."""


@dataclass(frozen=True, eq=False)
class Profile:
    """Quantities along a line.

    Parameters
    ----------
    name : str
    distance : float array (n,)
        From its first point, unit of the image.
    positions : float array (n, 3)
    values : mapping of str to float array (n,)
        By name with unit; NaN outside of the crystal, but for the amplitude.
    """

    name: str
    distance: Floats
    positions: Floats
    values: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class PlaneCut:
    """Quantities on a plane.

    Parameters
    ----------
    name : str
    centre, right, up : float array (3,)
        A point of the plane, and the unit vectors along which columns and rows count; the plane's normal, right x up, points
        to the viewer.
    step : float
        Between pixels, unit of the image.
    values : mapping of str to float array (rows, columns)
    """

    name: str
    centre: Floats
    right: Floats
    up: Floats
    step: float
    values: Mapping[str, Floats] = field(repr=False)

    @property
    def normal(self) -> Floats:
        """Unit vector, to the viewer."""
        return np.asarray(np.cross(self.right, self.up))


def quantities_of(image: CrystalImage, others: Mapping[str, Floats | None] | None = None) -> dict[str, Floats]:
    """Volumes by name with unit, as profiles and exports have them; those that are not known are left out."""
    spread = strain_spread(image)
    moved = displacement_spread_nm(image)
    volumes: dict[str, Floats | None] = {
        "amplitude": image.amplitude,
        "phase_rad": image.phase,
        "displacement_nm": None if image.displacement is None else image.displacement * np.float32(1e9),
        "strain": image.strain,
        **(others or {}),
        "amplitude_spread": image.amplitude_spread,
        "phase_spread_rad": image.phase_spread,
        "displacement_spread_nm": moved,
        "strain_spread": spread,
    }
    return {name: volume for name, volume in volumes.items() if volume is not None}


class Sampler:
    """Values of an image's quantities between its voxels (linear)."""

    def __init__(self, image: CrystalImage, volumes: Mapping[str, Floats]) -> None:
        self._image = image
        box = tuple(slice(max(0, p.start - 2), p.stop + 2) for p in image.box)
        self._low = np.array([part.start for part in box])
        self._support = image.support[box].astype(np.float32)
        nearest = nearest_known(image.support[box])
        self._volumes = {
            name: volume[box] if name == "amplitude" else filled(volume[box][nearest])
            for name, volume in volumes.items()
        }

    def at(self, positions: Floats) -> dict[str, Floats]:
        """Values at positions (..., 3) from voxel ``n // 2``, unit of the image; NaN outside, amplitude 0 off the grid."""
        image = self._image
        index = np.asarray(positions, float) / np.array(image.spacing) + np.array(image.shape) // 2 - self._low
        places = np.moveaxis(index, -1, 0)
        inside = self._sampled(self._support, places) >= 0.5
        return {
            name: (value if name == "amplitude" else np.where(inside, value, np.nan)).astype(np.float32)
            for name, value in ((name, self._sampled(volume, places)) for name, volume in self._volumes.items())
        }

    @staticmethod
    def _sampled(volume: NDArray[Any], places: Floats) -> Floats:
        result: Floats = ndimage.map_coordinates(volume, places, order=1, mode="constant")
        return result


def line(image: CrystalImage, sampler: Sampler, name: str, first: Point | Floats, last: Point | Floats) -> Profile:
    """Quantities along the line from one point to another, half a voxel apart.

    Raises
    ------
    InputError
        If both points are one or far outside of the image, or the line misses the crystal.
    """
    start, end = np.asarray(first, float), np.asarray(last, float)
    length = float(np.linalg.norm(end - start))
    step = min(image.spacing) / 2
    farthest = FARTHEST * float(np.linalg.norm(image.extent))
    if max(float(np.linalg.norm(start)), float(np.linalg.norm(end))) > farthest:
        raise InputError(
            f"The line from {first} to {last} leaves the image by far; give points within {farthest:.3g} {image.unit} of "
            "its middle."
        )
    if not length > step:
        raise InputError(f"The line from {first} to {last} has no length; give two points, in {image.unit}.")
    distance = np.linspace(0, length, max(2, int(np.ceil(length / step)) + 1))
    positions = start + distance[:, None] * (end - start) / length
    values = sampler.at(positions)
    if not np.isfinite(values["phase_rad"]).any():
        reach = [(round(low, 1), round(high, 1)) for low, high in box_of(image)]
        raise InputError(
            f"The line from {first} to {last} misses the crystal, which lies within {reach} {image.unit} along "
            f"{', '.join(image.axes)}; give points on either side of it."
        )
    return Profile(name, distance, positions, values)


def through(image: CrystalImage, sampler: Sampler, name: str, direction: Floats, centre: Floats) -> Profile:
    """The line through a point along a direction, from one side of the crystal to the other and two voxels beyond."""
    reach = 0.5 * float(np.linalg.norm(image.extent)) + 2 * max(image.spacing)
    way = np.linspace(-reach, reach, 401)
    index = np.round((centre + way[:, None] * direction) / np.array(image.spacing) + np.array(image.shape) // 2)
    places = index.astype(int)
    valid = ((places >= 0) & (places < np.array(image.shape))).all(axis=1)
    inside = way[valid][image.support[tuple(places[valid].T)]]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (-reach, reach)
    margin = 2 * max(image.spacing)
    return line(image, sampler, name, centre + (low - margin) * direction, centre + (high + margin) * direction)


def cut(image: CrystalImage, sampler: Sampler, name: str, normal: Floats, centre: Floats, up: Floats) -> PlaneCut:
    """Quantities on the plane through a point, `up` drawn upwards as far as it lies in the plane.

    Raises
    ------
    InputError
        If the normal is zero.
    """
    length = float(np.linalg.norm(normal))
    if not 0 < length < np.inf:
        raise InputError(f"The normal of the plane is {np.asarray(normal).tolist()}; give a vector that is not zero.")
    towards = np.asarray(normal, float) / length
    upwards = up - (up @ towards) * towards
    if np.linalg.norm(upwards) < 0.1:
        other = np.eye(3)[int(np.abs(towards).argmin())]
        upwards = other - (other @ towards) * towards
    upwards = upwards / np.linalg.norm(upwards)
    right = np.cross(upwards, towards)
    step = min(image.spacing)
    half = int(np.ceil(0.55 * float(np.linalg.norm(image.extent)) / step))
    way = np.arange(-half, half + 1) * step
    positions = centre + way[:, None, None] * upwards + way[None, :, None] * right
    return PlaneCut(name, np.asarray(centre, float), right, upwards, step, sampler.at(positions))


def box_of(image: CrystalImage) -> list[tuple[float, float]]:
    """From where to where the crystal reaches along each axis, unit of the image."""
    return [
        ((part.start - n // 2) * step, (part.stop - 1 - n // 2) * step)
        for part, n, step in zip(image.box, image.shape, image.spacing, strict=True)
    ]
