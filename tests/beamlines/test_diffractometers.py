"""Any diffractometer, any scanned axis, either way round: Q and voxel vectors against xrayutilities and by hand."""

import math
import warnings

import numpy as np
import pytest

from autophasenn.beamlines import diffractometers
from autophasenn.errors import GeometryError, InputError
from autophasenn.physics.axes import BEAM, axes, circles, direction, rotation
from autophasenn.physics.bragg import wavelength
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector
from autophasenn.physics.scan_geometry import ScanGeometry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import xrayutilities

LAB = np.eye(3)
# x, y, z of our laboratory frame in that of CHEX: y along the beam, z up, x to the right when looking downstream.
CHEX = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])

# As the sources write them: sample axes, their offsets, detector axes, columns, rows, direction of the beam.
TABLE = {
    "APS_34IDC": (["y+", "z-", "y+"], [0, 90, 0], ["y+", "x-"], "x+", "y-", LAB),
    "ID01": (["y-", "x-", "y-"], [0, 0, 0], ["y-", "x-"], "x+", "y-", LAB),
    "BM02": (["y+", "x-", "z+", "x-"], [0, 0, 0, 0], ["y+", "x-"], "x-", "y-", LAB),
    "ID27": (["y-"], [0], ["tx", "ty", "tz"], "x-", "y-", LAB),
    "P10": (["y+", "x-", "z+", "y-"], [0, 0, 90, 0], ["y+", "x-"], "x-", "y-", LAB),
    "P10_EH2": (["x-"], [0], ["x-"], "x-", "y-", LAB),
    "NANOMAX_MERLIN": (["x-", "y-"], [0, 0], ["y-", "x-"], "x+", "y-", LAB),
    "NANOMAX_EIGER": (["x-", "y-"], [0, 0], ["y-", "x-"], "x-", "y-", LAB),
    "SIXS_2019": (["x-", "y+"], [0, 0], ["x-", "y+", "x-"], "x+", "y-", LAB),
    "SIXS_2022": (["x-", "y+"], [0, 0], ["y+", "x-"], "y+", "x-", LAB),
    "CRISTAL": (["x-", "y+"], [0, 0], ["y+", "x-"], "x+", "y-", LAB),
    "APS_28IDB": (["z-", "x+", "y+", "z-"], [0, 0, 0, 0], ["z-", "x+"], "x-", "z-", CHEX),
    "APS_7IDD": (["x-", "z-", "x-", "y+"], [0, 0, 0, 0], ["y+", "x-"], "y+", "x+", LAB),
    "APS_1IDE": (["y-"], [0], ["z+", "ty", "tx"], "x+", "y-", LAB),
    "APS_20IDE": (["y+"], [0], ["tx", "ty"], "x+", "y-", LAB),
}
SCANS = [
    (name, motor, sense)
    for name in TABLE
    for motor in [*dict.fromkeys(a.name for a in getattr(diffractometers, name).sample), "energy"]
    for sense in (1, -1)
]


def positions(diffractometer, rng):
    """Motor values, degrees and metres, at which the detector stands well away from the direct beam."""
    values = {circle.name: float(rng.uniform(-60, 60)) for circle in diffractometer.sample}
    for axis in diffractometer.detector:
        if diffractometer.is_stage(axis.name):
            values[axis.name] = float(rng.uniform(0.03, 0.2) * rng.choice([-1, 1]))
        else:
            values[axis.name] = float(rng.uniform(8, 70) * rng.choice([-1, 1]))
    return values


def oracle(name, diffractometer, values, scanned, step, energy, distance, pixel_size, beam, pixel):
    """Q of the 3 x 3 x 3 voxels about `pixel`, crystal's frame of the source, 1/m, and sample-to-laboratory matrix."""
    sample, offsets, detector, columns, rows, frame = TABLE[name]
    conversion = xrayutilities.experiment.QConversion(sample, detector, frame.T @ BEAM, en=energy)
    conversion.init_area(
        rows,
        columns,
        cch1=beam[0] - pixel[0] + 1,
        cch2=beam[1] - pixel[1] + 1,
        Nch1=3,
        Nch2=3,
        distance=distance,
        pwidth1=pixel_size[0],
        pwidth2=pixel_size[1],
    )
    way = step * np.array([-1.0, 0.0, 1.0])
    arguments = []
    for axis, offset in zip(diffractometer.sample, offsets, strict=True):
        arguments.append(values[axis.name] - offset + (way if axis.name == scanned else 0 * way))
    arguments += [values[axis.name] + (way if axis.name == scanned else 0 * way) for axis in diffractometer.detector]
    energies = energy + (way if scanned == "energy" else 0 * way)
    q = np.stack(conversion.area(*arguments, deg=True, en=energies), axis=-1) * 1e10
    angles = [float(a[1]) for a in arguments[: len(sample)]]
    to_lab = frame @ np.stack([conversion.transformSample2Lab(unit, *angles) for unit in np.eye(3)], axis=1)
    return q @ to_lab.T


def geometry_of(diffractometer, values, scanned, step, energy, distance, pixel_size, beam):
    detector = diffractometer.detector_facing_the_beam(distance, pixel_size, beam)
    motors = dict(values)
    if scanned != "energy":
        motors[scanned] = tuple(values[scanned] + step * np.array([-1.0, 0.0, 1.0]))
    energies = tuple(energy + step * np.array([-1.0, 0.0, 1.0])) if scanned == "energy" else energy
    return ScanGeometry(diffractometer, detector, energies, motors, beam)


@pytest.mark.parametrize(("name", "scanned", "sense"), SCANS)
def test_q_and_voxel_vectors_of_every_circle_agree_with_xrayutilities(name, scanned, sense):
    diffractometer = getattr(diffractometers, name)
    rng = np.random.default_rng([ord(c) for c in name + scanned] + [sense + 1])
    checked = 0
    while checked < 10:
        values = positions(diffractometer, rng)
        step = sense * (float(rng.uniform(0.5, 5)) if scanned == "energy" else float(rng.uniform(5e-4, 3e-3)))
        energy, distance = float(rng.uniform(7e3, 2e4)), float(rng.uniform(0.4, 2))
        pixel_size = tuple(rng.uniform(2e-5, 2e-4, 2))
        beam, pixel = tuple(rng.uniform(0, 500, 2)), tuple(rng.integers(0, 500, 2).astype(float))
        geometry = geometry_of(diffractometer, values, scanned, step, energy, distance, pixel_size, beam)
        q = oracle(name, diffractometer, values, scanned, step, energy, distance, pixel_size, beam, pixel)
        frame, row, column = np.meshgrid(
            np.arange(3), pixel[0] + np.arange(-1, 2), pixel[1] + np.arange(-1, 2), indexing="ij"
        )
        np.testing.assert_allclose(
            geometry.q(frame, row, column), q, rtol=0, atol=1e-8 * np.linalg.norm(q, axis=-1).max()
        )
        steps = np.stack([q[2, 1, 1] - q[0, 1, 1], q[1, 2, 1] - q[1, 0, 1], q[1, 1, 2] - q[1, 1, 0]]) / 2
        flatness = abs(np.linalg.det(steps)) / np.linalg.norm(steps, axis=1).prod()
        if flatness < 0.05:
            continue  # the scan moves q nearly within the detector plane
        ours = 2 * math.pi * np.linalg.inv(geometry.reciprocal_steps(pixel).numpy()).T
        theirs = 2 * math.pi * np.linalg.inv(steps).T
        assert np.linalg.norm(ours - theirs, axis=1).max() < 1e-6 * np.linalg.norm(theirs, axis=1).max()
        checked += 1


ID01 = diffractometers.ID01
ANGLES = {"mu": 0.0, "eta": 17.5, "phi": 33.0, "nu": 4.0, "delta": 36.0}


def scan_of(positions_deg, *, motor="eta", beam=(250.0, 260.0), first=(0.0, 0.0), binning=(1, 1), energy=8e3):
    detector = ID01.detector_facing_the_beam(0.8, (55e-6, 55e-6), beam).of(first, binning)
    return ScanGeometry(ID01, detector, energy, {**ANGLES, motor: tuple(positions_deg)}, beam)


def turned(axis, angle_deg, vector):
    """Rodrigues' formula for one vector, as it stands in textbooks."""
    axis, a = np.asarray(axis, float), math.radians(angle_deg)
    return vector * math.cos(a) + np.cross(axis, vector) * math.sin(a) + axis * (axis @ vector) * (1 - math.cos(a))


def test_q_is_that_of_the_ray_through_the_pixel_drawn_by_hand():
    geometry = scan_of(np.linspace(17, 18, 11))
    k = 2 * math.pi * 8e3 / 1.239841984332e-06
    ray = np.array([(300 - 260.0) * 55e-6, -(200 - 250.0) * 55e-6, 0.8])
    ray = turned([0, -1, 0], 4.0, turned([-1, 0, 0], 36.0, ray))
    expected = k * (ray / np.linalg.norm(ray) - np.array([0, 0, 1]))
    np.testing.assert_allclose(geometry.scattering_vector((200.0, 300.0)).numpy(), expected, rtol=1e-12)


def test_turning_the_crystal_turns_q_the_other_way_in_its_own_frame():
    geometry = scan_of(np.linspace(17, 18, 11))
    lab = geometry.scattering_vector((200.0, 300.0)).numpy()
    # eta turns about -x and mu, which carries it, stands at zero; frame 8 is 0.3 degrees past frame 5.
    np.testing.assert_allclose(geometry.q(8.0, 200.0, 300.0, 5.0), turned([-1, 0, 0], -0.3, lab), rtol=1e-12)


def test_a_scan_backwards_is_the_scan_with_its_frames_in_reverse():
    forth, back = scan_of(np.linspace(17, 18, 11)), scan_of(np.linspace(18, 17, 11))
    frames = np.arange(11.0)
    np.testing.assert_allclose(back.q(frames, 9.0, 7.0, 5.0), forth.q(frames[::-1], 9.0, 7.0, 5.0), rtol=1e-12)
    signs = np.array([[-1.0], [1.0], [1.0]])
    np.testing.assert_allclose(
        back.reciprocal_steps((9.0, 7.0)), signs * forth.reciprocal_steps((9.0, 7.0)).numpy(), rtol=1e-9
    )


def test_the_direct_beam_may_have_been_seen_with_the_arm_elsewhere():
    at = {"nu": 0.7, "delta": -0.4}
    detector = ID01.detector_facing_the_beam(
        0.8, (55e-6, 55e-6), (100.0, 420.0), direct_beam_at=at, tilt_deg=(0.5, -0.3, 1.0)
    )
    geometry = ScanGeometry(ID01, detector, 8e3, {**ANGLES, **at, "eta": (17.0, 17.01)})
    np.testing.assert_allclose(geometry.scattering_vector((100.0, 420.0)), 0, atol=1e-3)
    assert detector.distance_m == pytest.approx(0.8, rel=1e-3)


def test_a_tilt_turns_the_pixels_about_the_middle_of_the_mount():
    straight = ID01.detector_facing_the_beam(0.8, (55e-6, 75e-6), (250.0, 260.0))
    tilted = ID01.detector_facing_the_beam(0.8, (55e-6, 75e-6), (250.0, 260.0), tilt_deg=(2.0, 0.0, 0.0))
    middle = np.array([0, 0, 0.8])
    for row, column in ((250.0, 260.0), (0.0, 0.0), (500.0, 30.0)):
        away = straight.positions(row, column) - middle
        np.testing.assert_allclose(tilted.positions(row, column), middle + turned([1, 0, 0], 2.0, away), atol=1e-12)


def test_a_binned_region_shows_the_middles_of_its_blocks():
    whole = scan_of(np.linspace(17, 18, 11))
    part = scan_of(np.linspace(17, 18, 11), first=(40.0, 60.0), binning=(2, 4))
    np.testing.assert_allclose(part.scattering_vector((3.0, 5.0)), whole.scattering_vector((46.5, 81.5)), rtol=1e-12)
    scale = np.array([[1.0], [2.0], [4.0]])
    np.testing.assert_allclose(
        part.reciprocal_steps((3.0, 5.0)), scale * whole.reciprocal_steps((46.5, 81.5)).numpy(), rtol=1e-9
    )


def test_a_rotating_detector_or_several_motors_at_once_move_q_as_finite_differences_say():
    frames = np.linspace(-0.01, 0.01, 21)
    for moving in ({"delta": 36 + frames}, {"eta": 17 + frames, "phi": 33 - 2 * frames, "nu": 4 + frames}):
        motors = {**ANGLES, **{name: tuple(values) for name, values in moving.items()}}
        detector = ID01.detector_facing_the_beam(0.8, (55e-6, 55e-6), (250.0, 260.0))
        geometry = ScanGeometry(ID01, detector, 8e3, motors)
        q = geometry.q(np.array([9.0, 11.0]), 120.0, 333.0, 10.0)
        np.testing.assert_allclose(geometry.reciprocal_steps((120.0, 333.0))[0], (q[1] - q[0]) / 2, rtol=1e-6, atol=1.0)
        assert set(geometry.scanned) == set(moving)


def test_what_only_drifts_beside_the_scanned_motor_is_not_called_scanned():
    detector = ID01.detector_facing_the_beam(0.8, (55e-6, 55e-6), (250.0, 260.0))
    drift = tuple(33 + 1e-7 * np.arange(21))
    geometry = ScanGeometry(ID01, detector, 8e3, {**ANGLES, "eta": tuple(17 + 0.01 * np.arange(21)), "phi": drift})
    assert geometry.scanned == ("eta",)
    assert geometry.step["eta"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy": 8.0}, "photon energy is 8 eV"),
        ({"motors": {"eta": (17.0, math.nan)}}, "motor eta is nan"),
        ({"motors": {"delta": 36000.0}}, "motor delta is 36000 degrees"),
        ({"motors": {"eta": (17.0, 17.1, 17.2), "phi": (1.0, 2.0)}}, "3 values of eta, 2 values of phi"),
        ({"without": "nu"}, "nu is not there"),
    ],
)
def test_positions_that_cannot_be_are_refused_with_their_value(change, words):
    motors = {**ANGLES, "eta": (17.0, 17.1, 17.2), **change.get("motors", {})}
    motors.pop(change.get("without"), None)
    detector = ID01.detector_facing_the_beam(0.8, (55e-6, 55e-6), (250.0, 260.0))
    with pytest.raises(GeometryError, match=words):
        ScanGeometry(ID01, detector, change.get("energy", 8e3), motors)


def test_a_scan_in_which_nothing_moves_or_whose_arm_is_in_the_beam_shows_no_peak():
    with pytest.raises(GeometryError, match="No motor of ESRF ID01 moves"):
        scan_of([17.0, 17.0, 17.0]).check((100.0, 100.0))
    detector = ID01.detector_facing_the_beam(0.8, (55e-6, 55e-6), (250.0, 260.0))
    motors = {**ANGLES, "nu": 0.0, "delta": 0.0, "eta": (17.0, 17.1)}
    with pytest.raises(GeometryError, match="points along the direct beam \\(nu 0, delta 0\\)"):
        ScanGeometry(ID01, detector, 8e3, motors).check((250.0, 260.0))


def test_axes_are_read_as_they_are_written():
    chi, stage = axes("chi z- 90, x tx")
    assert (chi.name, chi.axis, chi.offset_deg) == ("chi", (0.0, 0.0, -1.0), 90.0)
    assert (stage.name, stage.axis) == ("x", (1.0, 0.0, 0.0))
    assert direction("0 3 -4") == pytest.approx((0.0, 0.6, -0.8))
    np.testing.assert_allclose(rotation(circles("chi z- 90"), {"chi": 90.0}), np.eye(3), atol=1e-15)
    for wrong in ("chi", "chi z- 90 1", "chi w+"):
        with pytest.raises(GeometryError, match="axis"):
            axes(wrong)
    with pytest.raises(GeometryError, match="only circles"):
        circles("x tx")


def test_a_motor_and_the_columns_may_be_turned_round():
    turned_round = diffractometers.adjusted(diffractometers.ID27, columns="x+", reverse=["nath"])
    assert turned_round.sample[0].axis == (0.0, 1.0, 0.0)
    assert turned_round.columns == (1.0, 0.0, 0.0)
    with pytest.raises(InputError, match="no axis 'eta'"):
        diffractometers.adjusted(diffractometers.ID27, reverse=["eta"])
    with pytest.raises(GeometryError, match="right angle"):
        Diffractometer("skew", circles("th y+"), axes("delta y+"), direction("1 0.3 0"), direction("y-"))


def test_the_distance_is_that_to_the_plane_of_the_detector():
    detector = FlatDetector((0.1, -0.2, 0.7), (0.0, -1e-4, 0.0), (1e-4, 0.0, 0.0), binning=(2, 3))
    assert detector.distance_m == pytest.approx(0.7)
    assert detector.pixel_size_m == pytest.approx((2e-4, 3e-4))


def test_the_report_of_a_geometry_is_json():
    import json

    described = json.loads(json.dumps(scan_of(np.linspace(17, 18, 11)).describe((200.0, 300.0), 5.0)))
    assert described["scanned"] == "eta"
    assert described["step_deg"] == pytest.approx(0.1)
    assert described["angles_deg"]["delta"] == 36.0
    assert described["direct_beam"] == {"row": 250.0, "column": 260.0, "assumed": False}
    assert described["q_per_nm"] == pytest.approx(4 * math.pi / wavelength(8e3) * 1e-9 * 0.31, rel=0.1)
