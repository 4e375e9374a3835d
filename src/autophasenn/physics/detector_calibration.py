"""Where the direct beam meets a detector, and how far away that is, from frames of the direct beam.

The arm carries the detector through the beam; its spot moves over the pixels as the geometry says, which leaves the
distance and the pixel at zero angles as unknowns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from autophasenn.errors import GeometryError
from autophasenn.physics.axes import BEAM, carried
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector


@dataclass(frozen=True)
class DetectorCalibration:
    """What frames of the direct beam say of a detector.

    Parameters
    ----------
    direct_beam : (row, column)
        Pixel that the beam meets with the detector's axes at zero.
    distance_m : float
    residual : float
        Root mean square of what is left between spots and model, pixels.
    """

    direct_beam: tuple[float, float]
    distance_m: float
    residual: float


def spot(frame: Real[np.ndarray, "rows columns"]) -> tuple[float, float]:
    """Centre of mass (row, column) of the brightest spot of a frame, above half of its height.

    Raises
    ------
    GeometryError
        If nothing stands out of the frame.
    """
    smooth = gaussian_filter(np.nan_to_num(frame.astype(np.float64), posinf=0.0), 1.0)
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    level = float(np.median(smooth))
    height = float(smooth[row, column]) - level
    if not height > 5 * (float(smooth.std()) + 1e-12) / np.sqrt(smooth.size) or height <= 0:
        raise GeometryError("No spot of the direct beam stands out of the frame; give a frame that holds it.")
    rows, columns = (slice(max(0, at - 15), at + 16) for at in (int(row), int(column)))
    weight = (smooth[rows, columns] - level - 0.5 * height).clip(min=0)
    place = np.indices(weight.shape)
    centre = (place * weight).sum(axis=(1, 2)) / weight.sum()
    return float(rows.start + centre[0]), float(columns.start + centre[1])


def beam_pixel(
    diffractometer: Diffractometer, detector: FlatDetector, motors: Mapping[str, float]
) -> tuple[float, float]:
    """Pixel (row, column) of the whole detector that the direct beam meets with its axes at `motors`."""
    at = {name: float(motors.get(name, 0.0)) for name in diffractometer.motors}
    origin, row, column = (np.asarray(v) for v in (detector.origin_m, detector.row_edge_m, detector.column_edge_m))
    corner, down, across = carried(diffractometer.detector, np.stack([origin, origin + row, origin + column]), at)[0]
    edges = np.stack([down - corner, across - corner, -np.asarray(BEAM)], axis=1)
    found = np.linalg.solve(edges, -corner)
    return float(found[0]), float(found[1])


def calibrated(
    diffractometer: Diffractometer,
    pixel_size_m: tuple[float, float],
    spots: Float[np.ndarray, "frames 2"],
    motors: Mapping[str, Float[np.ndarray, " frames"]],
    guess_m: float = 1.0,
) -> DetectorCalibration:
    """Direct beam and distance of a detector that an arm carried through the beam.

    Parameters
    ----------
    diffractometer : Diffractometer
    pixel_size_m : (row, column)
    spots : array (frames, 2)
        Row and column of the beam in each frame, of the whole detector.
    motors : dict
        Detector axis -> degrees or metres, one a frame.
    guess_m : float
        Distance to begin with.

    Raises
    ------
    GeometryError
        If the spots do not move, or do not move as the axes would have it.
    """
    if len(spots) < 3 or float(np.ptp(spots, axis=0).max()) < 2:
        raise GeometryError(
            f"The beam moves over {float(np.ptp(spots, axis=0).max()) if len(spots) else 0:.1f} pixels in {len(spots)} "
            "frames; a distance needs at least 3 frames with the arm at different angles."
        )

    def placed(unknown: np.ndarray) -> FlatDetector:
        return diffractometer.detector_facing_the_beam(
            float(np.clip(np.exp(unknown[2]), 1e-2, 1e2)), pixel_size_m, (float(unknown[0]), float(unknown[1]))
        )

    def residuals(unknown: np.ndarray) -> np.ndarray:
        detector = placed(unknown)
        model = [
            beam_pixel(diffractometer, detector, {name: float(values[i]) for name, values in motors.items()})
            for i in range(len(spots))
        ]
        return np.asarray((np.array(model) - spots).ravel())

    fitted = least_squares(residuals, [*spots.mean(axis=0), np.log(guess_m)], x_scale=[100.0, 100.0, 0.1])
    residual = float(np.sqrt(np.mean(fitted.fun**2)))
    if residual > 2:
        raise GeometryError(
            f"The beam does not move over the detector as the axes of {diffractometer.name} have it: {residual:.1f} pixels "
            "are left; check the motors and the directions of rows and columns (--rows, --columns)."
        )
    return DetectorCalibration((float(fitted.x[0]), float(fitted.x[1])), float(np.exp(fitted.x[2])), residual)
