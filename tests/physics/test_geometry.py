"""The geometry of a rocking scan, against the published numbers of a real scan and against xrayutilities."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autophasenn.errors import GeometryError
from autophasenn.physics.axes import axes, circles
from autophasenn.physics.geometry import (
    Diffractometer,
    FixedGeometry,
    RockingGeometry,
    ScanGeometry,
    d_spacing,
    direct_voxel_vectors,
    two_theta,
    wavelength,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import xrayutilities

SCAN_54 = RockingGeometry(
    energy_ev=9000.0,
    distance_m=0.5,
    pixel_size_m=(55e-6, 55e-6),
    delta_deg=32.174,
    gamma_deg=12.6346,
    theta_step_deg=0.005,
    centre_pixel=(128.0, 128.0),
)


def unit_vectors(geometry):
    """A, B, C, Q as they are written down for the pixel where the arm points."""
    k = 2 * math.pi / wavelength(geometry.energy_ev)
    d, g = math.radians(geometry.delta_deg), math.radians(geometry.gamma_deg)
    row, column = (k * p / geometry.distance_m for p in geometry.pixel_size_m)
    turn = k * math.radians(geometry.theta_step_deg)
    a = [column * math.cos(d), 0, -column * math.sin(d)]
    b = [row * math.sin(d) * math.sin(g), -row * math.cos(g), row * math.cos(d) * math.sin(g)]
    c = [turn * (1 - math.cos(d) * math.cos(g)), 0, turn * math.sin(d) * math.cos(g)]
    q = [k * math.sin(d) * math.cos(g), k * math.sin(g), k * (math.cos(d) * math.cos(g) - 1)]
    return torch.tensor([c, b, a], dtype=torch.float64), torch.tensor(q, dtype=torch.float64)


def oracle(geometry, pixel):
    """Q and steps by xrayutilities, a code by other authors: its goniometer, central differences."""
    conversion = xrayutilities.experiment.QConversion(["y+"], ["y+", "x-"], [0, 0, 1], en=geometry.energy_ev)
    row, column = geometry.pixel_size_m
    # Nine pixels around the asked one, which is number 1 of 0, 1, 2 on both axes.
    conversion.init_area(
        "y-",
        "x+",
        cch1=geometry.centre_pixel[0] - pixel[0] + 1,
        cch2=geometry.centre_pixel[1] - pixel[1] + 1,
        Nch1=3,
        Nch2=3,
        distance=geometry.distance_m,
        pwidth1=row,
        pwidth2=column,
    )
    theta = np.array([-1.0, 0.0, 1.0]) * geometry.theta_step_deg
    q = np.stack(conversion.area(theta, geometry.delta_deg, geometry.gamma_deg, deg=True), axis=-1) * 1e10
    q = q.reshape(3, 3, 3, 3)
    steps = np.stack([q[2, 1, 1] - q[0, 1, 1], q[1, 2, 1] - q[1, 0, 1], q[1, 1, 2] - q[1, 1, 0]]) / 2
    return torch.from_numpy(steps), torch.from_numpy(q[1, 1, 1])


def test_scan_54_has_the_numbers_of_two_independent_codes():
    q = SCAN_54.scattering_vector((128.0, 128.0))
    vectors = direct_voxel_vectors(SCAN_54.reciprocal_steps((128.0, 128.0)), (201, 256, 256))
    assert float(q.norm()) * 1e-9 == pytest.approx(26.911, rel=1e-4)
    assert d_spacing(q) * 1e10 == pytest.approx(2.3348, rel=1e-4)
    assert two_theta(q, 9000.0) == pytest.approx(34.316, rel=1e-4)
    assert (vectors.norm(dim=1) * 1e9).tolist() == pytest.approx([15.115, 5.013, 5.041], rel=1e-4)


def test_steps_are_the_written_vectors_where_the_arm_points():
    steps, q = unit_vectors(SCAN_54)
    torch.testing.assert_close(SCAN_54.reciprocal_steps((128.0, 128.0)), steps, rtol=1e-12, atol=1e-3)
    torch.testing.assert_close(SCAN_54.scattering_vector((128.0, 128.0)), q, rtol=1e-12, atol=1e-3)


angles = st.floats(5, 120).flatmap(lambda a: st.sampled_from([a, -a]))
pixels = st.tuples(st.floats(-600, 600), st.floats(-600, 600))


@settings(max_examples=60, deadline=None)
@given(
    energy=st.floats(5e3, 4e4),
    distance=st.floats(0.3, 5),
    rows=st.floats(20e-6, 200e-6),
    columns=st.floats(20e-6, 200e-6),
    delta=angles,
    gamma=st.floats(-60, 60),
    step=st.floats(1e-3, 2e-2).flatmap(lambda a: st.sampled_from([a, -a])),
    centre=pixels,
    offset=pixels,
)
def test_q_and_steps_agree_with_xrayutilities(energy, distance, rows, columns, delta, gamma, step, centre, offset):
    geometry = RockingGeometry(energy, distance, (rows, columns), delta, gamma, step, centre)
    pixel = (centre[0] + offset[0], centre[1] + offset[1])
    steps, q = oracle(geometry, pixel)
    assert float((geometry.scattering_vector(pixel) - q).norm() / q.norm()) < 1e-8
    relative = (geometry.reciprocal_steps(pixel) - steps).norm(dim=1) / steps.norm(dim=1)
    assert float(relative.max()) < 1e-6


def test_the_steps_are_the_derivatives_of_q_over_the_detector():
    pixel, h = (37.0, 411.0), 1e-3
    q = SCAN_54.scattering_vector
    down = (q((pixel[0] + h, pixel[1])) - q((pixel[0] - h, pixel[1]))) / (2 * h)
    across = (q((pixel[0], pixel[1] + h)) - q((pixel[0], pixel[1] - h))) / (2 * h)
    torch.testing.assert_close(SCAN_54.reciprocal_steps(pixel)[1:], torch.stack([down, across]), rtol=1e-5, atol=10.0)


def test_moving_the_centre_pixel_moves_the_whole_detector():
    moved = dataclasses.replace(SCAN_54, centre_pixel=(28.0, 428.0))
    torch.testing.assert_close(moved.reciprocal_steps((30.0, 400.0)), SCAN_54.reciprocal_steps((130.0, 100.0)))
    torch.testing.assert_close(moved.scattering_vector((30.0, 400.0)), SCAN_54.scattering_vector((130.0, 100.0)))


def test_scanning_backwards_turns_the_frame_step_round():
    back = dataclasses.replace(SCAN_54, theta_step_deg=-0.005)
    signs = torch.tensor([[-1.0], [1.0], [1.0]], dtype=torch.float64)
    torch.testing.assert_close(back.reciprocal_steps((128.0, 128.0)), signs * SCAN_54.reciprocal_steps((128.0, 128.0)))


def test_voxel_vectors_give_the_phase_of_the_discrete_fourier_transform():
    shape = (12, 10, 14)
    steps = SCAN_54.reciprocal_steps((90.0, 200.0))
    vectors = direct_voxel_vectors(steps, shape)
    phase = vectors @ steps.T  # r . q of one voxel step and one q step
    expected = torch.diag(2 * math.pi / torch.tensor(shape, dtype=torch.float64))
    torch.testing.assert_close(phase, expected, rtol=1e-12, atol=1e-12)


def test_more_voxels_in_q_make_smaller_voxels_on_that_axis_only():
    steps = SCAN_54.reciprocal_steps((128.0, 128.0))
    ratio = direct_voxel_vectors(steps, (64, 64, 64)).norm(dim=1) / direct_voxel_vectors(steps, (128, 64, 64)).norm(
        dim=1
    )
    assert ratio.tolist() == pytest.approx([2.0, 1.0, 1.0])


def test_bragg_law_and_the_detector_arm_agree_on_two_theta():
    q = SCAN_54.scattering_vector((128.0, 128.0))
    d, g = math.radians(32.174), math.radians(12.6346)
    assert two_theta(q, 9000.0) == pytest.approx(math.degrees(math.acos(math.cos(d) * math.cos(g))), rel=1e-12)


def test_a_photon_of_12398_ev_has_a_wavelength_of_one_angstrom():
    assert wavelength(12398.41984) == pytest.approx(1e-10, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy_ev": 9.0}, "photon energy is 9 eV"),
        ({"energy_ev": -9000.0}, "photon energy is -9000 eV"),
        ({"energy_ev": math.nan}, "photon energy is nan"),
        ({"distance_m": 0.0}, "detector distance is 0 m"),
        ({"distance_m": 500.0}, "detector distance is 500 m"),
        ({"pixel_size_m": (55e-6, 55.0)}, "pixel size is 55 m"),
        ({"theta_step_deg": 0.0}, "theta step is 0 degrees"),
        ({"delta_deg": 0.0, "gamma_deg": 0.0}, "along the direct beam"),
        ({"delta_deg": 0.0}, "span no volume"),
        ({"delta_deg": 1e4}, "delta is 10000 degrees"),
        ({"centre_pixel": (math.inf, 0.0)}, "centre pixel"),
    ],
)
def test_what_is_no_rocking_scan_is_refused_with_its_value(change, words):
    with pytest.raises(GeometryError, match=words):
        dataclasses.replace(SCAN_54, **change)


def test_a_fixed_geometry_is_the_same_at_every_pixel():
    steps, q = unit_vectors(SCAN_54)
    fixed = FixedGeometry(steps, q)
    assert torch.equal(fixed.reciprocal_steps((0.0, 0.0)), fixed.reciprocal_steps((500.0, 3.0)))
    assert torch.equal(fixed.scattering_vector((9.0, 9.0)), q)


def test_a_fixed_geometry_without_q_or_volume_is_refused():
    steps, q = unit_vectors(SCAN_54)
    with pytest.raises(GeometryError, match="nonzero Q"):
        FixedGeometry(steps, torch.zeros(3, dtype=torch.float64))
    with pytest.raises(GeometryError, match="span no volume"):
        FixedGeometry(steps[[0, 1, 1]], q)


def test_q_beyond_twice_the_wave_number_is_refused():
    q = SCAN_54.scattering_vector((128.0, 128.0))
    with pytest.raises(GeometryError, match="cannot be reached"):
        two_theta(q, 2000.0)


def test_degrees_are_not_compared_with_metres_to_tell_what_is_scanned() -> None:
    """A stage that moves by micrometres while a circle turns by degrees is scanned; one that creeps beside it drifts."""
    arm = Diffractometer("made", circles("th y+"), axes("x tx, y ty, delta y+"))
    detector = arm.detector_facing_the_beam(0.8, (55e-6, 55e-6), (250.0, 260.0))
    motors = {"th": (0.0, 1.0, 2.0), "x": (0.0, 1e-4, 2e-4), "y": (0.0, 1e-8, 2e-8), "delta": 30.0}
    assert ScanGeometry(arm, detector, 9e3, motors).scanned == ("th", "x")
