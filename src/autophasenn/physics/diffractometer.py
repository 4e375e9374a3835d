"""Any diffractometer as a value: its circles, its stages, and a flat detector on them.

Laboratory frame: z along the beam, y up, x outboard, right-handed. The sample sits on circles, the detector on circles
(an arm) or on stages; either list runs from the outermost axis to the innermost. Lengths are metres, angles degrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from autophasenn.errors import GeometryError
from autophasenn.physics.axes import BEAM, Axis, Circle, Direction, Numbers, Points, Stage, carried, tilted
from autophasenn.physics.bragg import check_range


@dataclass(frozen=True)
class Diffractometer:
    """Circles, stages and the way the detector is mounted.

    Parameters
    ----------
    name : str
    sample, detector : tuple of Axis
        From the outermost to the innermost. A motor that carries both (a table) stands in both lists.
    columns, rows : (x, y, z)
        In which the column and the row number of the detector grow while all of its axes stand at zero.
    forward : bool
        Peaks are recorded near the direct beam, so the detector may stand in it.
    """

    name: str
    sample: tuple[Circle, ...]
    detector: tuple[Axis, ...]
    columns: Direction = (1.0, 0.0, 0.0)
    rows: Direction = (0.0, -1.0, 0.0)
    forward: bool = False

    def __post_init__(self) -> None:
        for what, axes in (("sample", self.sample), ("detector", self.detector)):
            names = [axis.name for axis in axes]
            if len(set(names)) < len(names):
                raise GeometryError(f"The {what} axes of {self.name} have the names {names}; no two may be alike.")
        if abs(float(np.dot(self.columns, self.rows))) > 1e-2:
            raise GeometryError(
                f"The columns of the detector of {self.name} go along {self.columns} and its rows along {self.rows}, which "
                "is no right angle; give two directions at right angles, as x+ and y-."
            )

    @property
    def motors(self) -> tuple[str, ...]:
        """Names of all axes, sample first."""
        return tuple(dict.fromkeys(axis.name for axis in (*self.sample, *self.detector)))

    def is_stage(self, motor: str) -> bool:
        """Does this motor move in metres?"""
        return any(isinstance(axis, Stage) and axis.name == motor for axis in (*self.sample, *self.detector))

    def detector_facing_the_beam(
        self,
        distance_m: float,
        pixel_size_m: tuple[float, float],
        direct_beam: tuple[float, float],
        *,
        direct_beam_at: Mapping[str, float] | None = None,
        tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> FlatDetector:
        """A detector whose plane, with its axes at zero, stands behind the sample across the beam.

        Parameters
        ----------
        distance_m : float
            From the sample to the detector along the beam, its motors where `direct_beam_at` has them.
        pixel_size_m : (row, column)
            Edge of a pixel from row to row and from column to column, metres.
        direct_beam : (row, column)
            Pixel of the whole detector that the direct beam meets.
        direct_beam_at : dict, optional
            Where the detector's motors stood then, degrees or metres; those that are absent stood at zero.
        tilt_deg : (x, y, z)
            By which the detector is turned out of that plane, about x, then y, then z, in its mount.

        Raises
        ------
        GeometryError
            If a value is implausible, or the beam cannot meet the detector there.
        """
        check_range("detector distance", distance_m, "m", 1e-2, 1e2)
        for size in pixel_size_m:
            check_range("pixel size", size, "m", 1e-7, 1e-2)
        if not all(math.isfinite(coordinate) for coordinate in direct_beam):
            raise GeometryError(
                f"The direct beam is at pixel {direct_beam}; give its row and column as finite numbers."
            )
        row_edge = pixel_size_m[0] * tilted(np.asarray(self.rows), tilt_deg)
        column_edge = pixel_size_m[1] * tilted(np.asarray(self.columns), tilt_deg)
        at = {name: float((direct_beam_at or {}).get(name, 0.0)) for name in self.motors}
        # Stages may have carried the detector along its normal already.
        moved, _ = carried(self.detector, np.stack([np.zeros(3), np.asarray(BEAM)]), at)
        middle = (distance_m - float((moved[1] - moved[0]) @ moved[0])) * np.asarray(BEAM)
        place, _ = carried(self.detector, np.stack([middle, middle + row_edge, middle + column_edge]), at)
        edges = (place[1:] - place[0])[:, :2]  # x, y of the two edges: the beam is the line x = y = 0
        if abs(np.linalg.det(edges)) < 1e-6 * pixel_size_m[0] * pixel_size_m[1]:
            raise GeometryError(
                f"With the detector at {listed(at)} the direct beam runs along the detector plane and meets none of its "
                "pixels; give the positions at which the direct beam was seen."
            )
        offset = np.linalg.solve(edges.T, -place[0, :2])  # from `middle` to where the beam is, in pixels
        middle_pixel = np.asarray(direct_beam, np.float64) - offset
        origin = middle - middle_pixel[0] * row_edge - middle_pixel[1] * column_edge
        return FlatDetector(_triple(origin), _triple(row_edge), _triple(column_edge))

    def beam_on(
        self, detector: FlatDetector, motors: Mapping[str, float] | None = None
    ) -> tuple[float, float, float] | None:
        """Row and column of the frames that the direct beam meets, and how far from the sample, metres.

        Parameters
        ----------
        detector : FlatDetector
        motors : dict, optional
            Where the detector's axes stand, degrees or metres; those that are absent stand at zero.

        Returns
        -------
        (row, column, distance) or None
            The distance is negative where the detector's plane meets the line of the beam before the sample; None where
            the two are parallel.
        """
        at = {name: float((motors or {}).get(name, 0.0)) for name in self.motors}
        place = detector.positions(np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
        corner, down, across = carried(self.detector, place, at)[0]
        edges = np.stack([down - corner, across - corner, -np.asarray(BEAM)], axis=1)
        if abs(np.linalg.det(edges)) < 1e-6 * np.prod(detector.pixel_size_m):
            return None
        row, column, distance = (float(n) for n in np.linalg.solve(edges, -corner))
        return row, column, distance

    def replaced(
        self,
        detector: FlatDetector,
        *,
        distance_m: float | None = None,
        pixel_size_m: tuple[float, float] | None = None,
        direct_beam: tuple[float, float] | None = None,
    ) -> FlatDetector:
        """A detector whose place is known, with another distance, other pixels, or another pixel of the direct beam.

        Its directions stay as they are. The pixel that the direct beam meets while the detector's axes stand at zero stays
        on the beam; where no pixel does, the one nearest to the sample stays on its normal.

        Parameters
        ----------
        detector : FlatDetector
        distance_m : float, optional
            From the sample to the detector plane, along its normal.
        pixel_size_m : (row, column), optional
            Edge of a pixel of the whole detector, metres.
        direct_beam : (row, column), optional
            Pixel of the whole detector that the direct beam meets while the detector's axes stand at zero.

        Raises
        ------
        GeometryError
            If a value is implausible, or no pixel can be brought onto the beam.
        """
        whole = detector.of((0.0, 0.0))
        origin = np.asarray(whole.origin_m)
        edges = [np.asarray(whole.row_edge_m), np.asarray(whole.column_edge_m)]
        normal = np.cross(edges[0], edges[1])
        normal = normal / np.linalg.norm(normal)
        met = self.beam_on(whole)
        if met is not None and met[2] > 0 and abs(normal @ np.asarray(BEAM)) > 0.5:
            pixel, fixed = np.array(met[:2]), met[2] * np.asarray(BEAM)
        elif direct_beam is not None:
            raise GeometryError(
                "With its axes at zero the detector does not face the direct beam, so that none of its pixels can be put on "
                "it; leave out --direct-beam, or give the whole geometry with --geometry."
            )
        else:
            fixed = (origin @ normal) * normal
            pixel = np.linalg.lstsq(np.stack(edges, axis=1), fixed - origin)[0]
        if distance_m is not None:
            check_range("detector distance", distance_m, "m", 1e-2, 1e2)
            fixed = fixed * (distance_m / whole.distance_m)
        if pixel_size_m is not None:
            for size in pixel_size_m:
                check_range("pixel size", size, "m", 1e-7, 1e-2)
            edges = [size * edge / np.linalg.norm(edge) for size, edge in zip(pixel_size_m, edges, strict=True)]
        if direct_beam is not None:
            if not all(math.isfinite(coordinate) for coordinate in direct_beam):
                raise GeometryError(
                    f"The direct beam is at pixel {direct_beam}; give its row and column as finite numbers."
                )
            pixel = np.asarray(direct_beam, np.float64)
        origin = fixed - pixel[0] * edges[0] - pixel[1] * edges[1]
        return replace(
            detector, origin_m=_triple(origin), row_edge_m=_triple(edges[0]), column_edge_m=_triple(edges[1])
        )


@dataclass(frozen=True)
class FlatDetector:
    """Where the pixels of the whole detector are, while the axes that carry it stand at zero.

    Parameters
    ----------
    origin_m : (x, y, z)
        Middle of pixel (0, 0), metres from the sample.
    row_edge_m, column_edge_m : (x, y, z)
        From one row, and from one column, to the next, metres.
    first_pixel : (row, column)
        Of the whole detector, where the frames begin.
    binning : (rows, columns)
        Pixels of the whole detector that make one of the frames.
    """

    origin_m: Direction
    row_edge_m: Direction
    column_edge_m: Direction
    first_pixel: tuple[float, float] = (0.0, 0.0)
    binning: tuple[int, int] = (1, 1)

    @property
    def pixel_size_m(self) -> tuple[float, float]:
        """Edge of a pixel of the frames from row to row and from column to column."""
        row, column = (float(np.linalg.norm(edge)) for edge in (self.row_edge_m, self.column_edge_m))
        return row * self.binning[0], column * self.binning[1]

    @property
    def distance_m(self) -> float:
        """From the sample to the detector plane, along its normal."""
        normal = np.cross(self.row_edge_m, self.column_edge_m)
        return float(abs(normal @ np.asarray(self.origin_m)) / np.linalg.norm(normal))

    def whole_pixel(self, row: Numbers, column: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """Pixel of the whole detector in which a pixel of the frames has its middle."""
        (first_row, first_column), (by_row, by_column) = self.first_pixel, self.binning
        return (
            np.asarray(first_row + (np.asarray(row, np.float64) + 0.5) * by_row - 0.5),
            np.asarray(first_column + (np.asarray(column, np.float64) + 0.5) * by_column - 0.5),
        )

    def positions(self, row: Numbers, column: Numbers) -> Points:
        """Of pixels of the frames, metres; the detector's axes at zero."""
        whole_row, whole_column = self.whole_pixel(row, column)
        edges = whole_row[..., None] * np.asarray(self.row_edge_m) + whole_column[..., None] * np.asarray(
            self.column_edge_m
        )
        result: np.ndarray = np.asarray(self.origin_m) + edges
        return result

    def of(self, first_pixel: tuple[float, float], binning: tuple[int, int] = (1, 1)) -> FlatDetector:
        """The same detector, of which frames show the part that begins at `first_pixel`."""
        return replace(self, first_pixel=first_pixel, binning=binning)


def _triple(vector: np.ndarray) -> Direction:
    x, y, z = (float(c) for c in vector)
    return x, y, z


def listed(motors: Mapping[str, float]) -> str:
    """Motors and where they stand, for a message."""
    return ", ".join(f"{name} {value:g}" for name, value in motors.items())
