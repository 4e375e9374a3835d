"""The direct beam and the distance from frames of the direct beam, placed by an independent model."""

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from autophasenn.beamlines.diffractometers import APS_34IDC
from autophasenn.errors import GeometryError, PlanError
from autophasenn.physics.detector_calibration import calibrated, spot
from autophasenn.pipeline.calibrate import calibrate_detector, write

PIXEL, DISTANCE, BEAM = 55e-6, 0.62, (258.5, 231.25)
DELTA = np.linspace(-0.8, 0.8, 9)


def where(delta, gamma=0.3):
    """Row and column that the beam meets: the arm turns by delta about y, by gamma about -x; rows down, columns outboard."""
    arm = Rotation.from_euler("y", delta, degrees=True) * Rotation.from_rotvec(
        np.radians(gamma) * np.array([-1.0, 0, 0])
    )
    x, y, z = arm.inv().apply([0, 0, 1.0])
    return BEAM[0] - y / z * DISTANCE / PIXEL, BEAM[1] + x / z * DISTANCE / PIXEL


def frames():
    rows, columns = np.mgrid[:516, :516]
    rng = np.random.default_rng(0)
    stack = [rng.poisson(0.1 + 5e3 * np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 8)) for r, c in map(where, DELTA)]
    return np.array(stack, np.uint16)


def test_distance_and_direct_beam_are_those_that_moved_the_spot(tmp_path):
    np.save(tmp_path / "beam.npy", frames())
    found = calibrate_detector(tmp_path / "beam.npy", "34idc", ("Delta=-0.8:0.2", "Gamma=0.3"), PIXEL)
    assert found.direct_beam == pytest.approx(BEAM, abs=0.1)
    assert found.distance_m == pytest.approx(DISTANCE, rel=1e-3)
    assert found.residual < 0.1
    write(tmp_path / "detector.yaml", found)
    assert yaml.safe_load((tmp_path / "detector.yaml").read_text())["distance_m"] == pytest.approx(DISTANCE, rel=1e-3)
    with pytest.raises(PlanError, match="no detector axis 'nu'"):
        calibrate_detector(tmp_path / "beam.npy", "34idc", ("nu=-0.8:0.2",), PIXEL)


def test_a_beam_that_does_not_move_as_the_arm_does_is_refused():
    spots = np.array([where(delta) for delta in DELTA])
    motors = {"Delta": DELTA, "Gamma": np.full(9, 0.3)}
    with pytest.raises(GeometryError, match="does not move over the detector"):
        calibrated(APS_34IDC, (PIXEL, PIXEL), spots[:, ::-1].copy(), motors)
    with pytest.raises(GeometryError, match="at least 3 frames"):
        calibrated(APS_34IDC, (PIXEL, PIXEL), spots[:1].repeat(9, axis=0), motors)


def test_a_frame_without_a_beam_is_refused():
    with pytest.raises(GeometryError, match="No spot"):
        spot(np.zeros((20, 20)))
