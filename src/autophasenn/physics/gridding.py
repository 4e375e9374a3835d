"""How far the voxels of a scan lie from a straight grid, and counts brought onto one.

Phase retrieval takes a pattern for samples on a parallelepiped: constant steps in q along frames, rows and columns. A
detector is flat and the Ewald sphere is not, a motor may step unevenly, and an energy scan fans out; so the voxel that
lies at index i of the array belongs at index ``g(i) = c + (q(i) - q(c)) inv(steps(c))`` of the straight grid about the
peak c. Where ``g(i) - i`` stays small against a voxel, nothing need be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy import ndimage

from autophasenn.errors import GeometryError
from autophasenn.physics.axes import Numbers, Points
from autophasenn.volumes import Vectors

COARSE = 9
"""Places along rows and columns at which the offset is calculated; between them it is smooth."""
MAX_GRADIENT = 0.8
"""How much the offset may change from one voxel to the next before gridding would fold the array."""
NEAR = 0.02
"""Voxels to which the place is found from which a voxel of the grid takes its counts."""
MOST_ROUNDS = 30


@runtime_checkable
class Curved(Protocol):
    """A geometry that knows Q of every voxel."""

    def q(self, frame: Numbers, row: Numbers, column: Numbers, reference: float | None = None) -> Points:
        """As `ScanGeometry.q`."""

    def reciprocal_steps(self, pixel: tuple[float, float], frame: float | None = None) -> Vectors:
        """As `ScanGeometry.reciprocal_steps`."""


@dataclass(frozen=True, eq=False)
class Offsets:
    """Where voxels belong on the straight grid, less where they are in the array.

    Parameters
    ----------
    shape : (frames, rows, columns)
        Of the array.
    coarse : float array (3, frames, m1, m2)
        Offset along each axis, voxels, at all frames and `m1` x `m2` places of the detector.
    """

    shape: tuple[int, int, int]
    coarse: Float[np.ndarray, "3 n0 m1 m2"]

    @property
    def largest(self) -> float:
        """Of all voxels, along the axis on which it is largest, voxels."""
        return float(np.abs(self.coarse).max())

    @property
    def by_axis(self) -> tuple[float, float, float]:
        """The largest along frames, rows and columns, voxels."""
        frames, rows, columns = np.abs(self.coarse).max(axis=(1, 2, 3)).tolist()
        return frames, rows, columns

    def at(self, index: Float[np.ndarray, "3 ..."]) -> Float[np.ndarray, "3 ..."]:
        """At fractional voxels of the array; beyond its edge, that of the edge."""
        scale = [(m - 1) / max(n - 1, 1) for m, n in zip(self.coarse.shape[1:], self.shape, strict=True)]
        place = [axis * s for axis, s in zip(index, scale, strict=True)]
        return np.stack([ndimage.map_coordinates(offset, place, order=1, mode="nearest") for offset in self.coarse])


def offsets(
    geometry: Curved,
    shape: tuple[int, int, int],
    centre: tuple[float, float, float],
    first: tuple[float, float, float] = (0.0, 0.0, 0.0),
    binning: tuple[int, int, int] = (1, 1, 1),
) -> Offsets:
    """How far from a straight grid the voxels of a part of a scan lie.

    Parameters
    ----------
    geometry : ScanGeometry
    shape : (frames, rows, columns)
        Of the part.
    centre : (frame, row, column)
        Voxel of the part about which the grid is straight, the Bragg peak.
    first : (frame, row, column)
        Of the scan, middle of the part's first voxel.
    binning : 3 ints
        Voxels of the scan in one of the part.
    """
    start, by = np.asarray(first, np.float64), np.asarray(binning, np.float64)
    frame, row, column = start + by * np.asarray(centre)
    steps = geometry.reciprocal_steps((row, column), frame).numpy() * by[:, None]
    at = [
        np.arange(shape[0], dtype=np.float64),
        *(np.linspace(0, n - 1, min(n, COARSE)) for n in shape[1:]),
    ]
    index = np.stack(np.meshgrid(*at, indexing="ij"), -1)
    scan = start + by * index
    q = geometry.q(scan[..., 0], scan[..., 1], scan[..., 2], frame)
    middle = geometry.q(np.asarray(frame), np.asarray(row), np.asarray(column), frame)
    belongs = np.asarray(centre) + (q - middle) @ np.linalg.inv(steps)
    return Offsets(shape, np.moveaxis(belongs - index, -1, 0))


def straightened(
    counts: Real[np.ndarray, "n0 n1 n2"], mask: Bool[np.ndarray, "n0 n1 n2"], where: Offsets
) -> tuple[Float[np.ndarray, "n0 n1 n2"], Bool[np.ndarray, "n0 n1 n2"]]:
    """Counts on the straight grid, interpolated linearly between measured voxels.

    Interpolation averages neighbours, so the counts that come out are no longer Poisson distributed: their noise is
    smaller and correlated. A voxel of which a neighbour that counts was not measured is not measured.

    Parameters
    ----------
    counts, mask : arrays (frames, rows, columns)
    where : Offsets
        Of the same part of the scan.

    Returns
    -------
    counts : float32 array, mask : bool array

    Raises
    ------
    GeometryError
        If the offset changes so fast that voxels would change their order.
    """
    if counts.shape != where.shape or mask.shape != where.shape:
        raise GeometryError(
            f"The counts have shape {counts.shape}, the mask {mask.shape} and the offsets {where.shape}."
        )
    along = np.diff(where.coarse, axis=1)
    if along.size and float(np.abs(along[0]).max()) > MAX_GRADIENT:
        raise GeometryError(
            f"The frames lie up to {where.by_axis[0]:.1f} steps from even ones, and two neighbours by "
            f"{float(np.abs(along[0]).max()):.1f} steps differently: the scanned motor jumped, so leave out the frames "
            "where it did."
        )
    result = np.empty(counts.shape, np.float32)
    measured = np.empty(counts.shape, bool)
    filled = np.where(mask, counts, 0).astype(np.float32)
    known = mask.astype(np.float32)
    rows, columns = (np.arange(n, dtype=np.float64) for n in counts.shape[1:])
    for frame in range(counts.shape[0]):
        grid = np.stack(np.meshgrid([float(frame)], rows, columns, indexing="ij"))
        source = grid.copy()
        for _ in range(MOST_ROUNDS):  # source + offset(source) = grid, a contraction
            former, source = source, grid - where.at(source)
            if np.abs(source - former).max() < NEAR:
                break
        share = ndimage.map_coordinates(known, list(source), order=1, mode="constant", cval=0.0)
        value = ndimage.map_coordinates(filled, list(source), order=1, mode="constant", cval=0.0)
        measured[frame] = share[0] > 1 - 1e-3
        result[frame] = np.where(measured[frame], value[0], 0)
    return result, measured
