"""Voxels that lie off the straight grid: how far, and counts brought onto it."""

import math

import numpy as np
import pytest

from autophasenn.beamlines.diffractometers import APS_34IDC, ID01
from autophasenn.errors import GeometryError
from autophasenn.physics.gridding import offsets, straightened
from autophasenn.physics.scan_geometry import ScanGeometry


def scan_54(frames=201):
    detector = APS_34IDC.detector_facing_the_beam(0.5, (55e-6, 55e-6), (128.0, 128.0))
    theta = tuple(0.22 + 0.005 * (np.arange(frames) - frames // 2))
    motors = {"Theta": theta, "Chi": 90.0, "Phi": -5.0, "Delta": 32.174, "Gamma": 12.6346}
    return ScanGeometry(APS_34IDC, detector, 9e3, motors)


def in_pixels(where, geometry):
    """The largest offset as a distance in q, in steps from pixel to pixel."""
    steps = geometry.reciprocal_steps((128.0, 128.0), 100.0).numpy()
    distance = np.linalg.norm(np.einsum("ijkl,im->jklm", where.coarse, steps), axis=-1)
    return distance.max() / np.linalg.norm(steps[2])


def test_the_ewald_sphere_bends_scan_54_by_the_known_pixels():
    """About 3 pixels at the corners of the whole scan, 0.2 at those of its central 64 voxels."""
    geometry = scan_54()
    assert in_pixels(offsets(geometry, (201, 256, 256), (100.0, 128.0, 128.0)), geometry) == pytest.approx(
        2.85, abs=0.2
    )
    middle = offsets(geometry, (64, 64, 64), (32.0, 32.0, 32.0), first=(68.0, 96.0, 96.0))
    assert in_pixels(middle, geometry) == pytest.approx(0.2, abs=0.05)


def test_even_steps_over_a_small_region_lie_on_a_straight_grid():
    assert offsets(scan_54(), (16, 8, 8), (8.0, 4.0, 4.0), first=(92.0, 124.0, 124.0)).largest < 0.02


def test_binned_voxels_are_as_far_off_in_their_own_measure():
    fine = offsets(scan_54(), (200, 256, 256), (100.0, 128.0, 128.0))
    coarse = offsets(scan_54(), (100, 128, 128), (50.0, 64.0, 64.0), first=(0.5, 0.5, 0.5), binning=(2, 2, 2))
    assert coarse.largest == pytest.approx(fine.largest / 2, rel=0.1)


def uneven(positions):
    detector = ID01.detector_facing_the_beam(0.8, (55e-6, 55e-6), (16.0, 16.0))
    motors = {"mu": 0.0, "eta": tuple(positions), "phi": 33.0, "nu": 4.0, "delta": 36.0}
    return ScanGeometry(ID01, detector, 8e3, motors)


def test_uneven_steps_are_off_by_as_many_steps_as_the_motor_is():
    frames = np.arange(41)
    wave = 1.5 * np.sin(2 * math.pi * frames / 40)
    wave -= np.polyval(np.polyfit(frames, wave, 1), frames)
    found = offsets(uneven(17 + 0.01 * (frames + wave)), (41, 32, 32), (20.0, 16.0, 16.0))
    expected = np.abs(wave - wave[20]).max()
    assert found.by_axis[0] == pytest.approx(expected, rel=0.05)


def test_a_peak_measured_with_uneven_steps_is_round_again_on_the_even_grid():
    frames = np.arange(41)
    wave = 2 * np.sin(2 * math.pi * frames / 40)
    wave -= np.polyval(np.polyfit(frames, wave, 1), frames)
    geometry = uneven(17 + 0.01 * (frames + wave))
    index = np.stack(np.meshgrid(frames, np.arange(32), np.arange(32), indexing="ij"))
    where = offsets(geometry, (41, 32, 32), (20.0, 16.0, 16.0))
    place = index + where.at(index.astype(float))
    peak = np.array([20.0, 16.0, 16.0]).reshape(3, 1, 1, 1)

    def gaussian(at):
        return 1000 * np.exp(-(((at - peak) / np.array([6.0, 4.0, 4.0]).reshape(3, 1, 1, 1)) ** 2).sum(0) / 2)

    even, measured = straightened(gaussian(place), np.ones((41, 32, 32), bool), where)
    assert measured[3:-3, 1:-1, 1:-1].all()
    error = np.abs(even - gaussian(index))[measured].max()
    assert error < 25
    assert np.abs(gaussian(place) - gaussian(index)).max() > 8 * error


def test_a_voxel_beside_an_unmeasured_one_is_unmeasured_on_the_straight_grid():
    frames = np.arange(41)
    geometry = uneven(17 + 0.01 * (frames + 0.4 * np.sin(frames / 5)))
    where = offsets(geometry, (41, 32, 32), (20.0, 16.0, 16.0))
    mask = np.ones((41, 32, 32), bool)
    mask[:, 10] = False
    counts = np.full(mask.shape, 7.0)
    counts[:, 10] = 1e9
    even, measured = straightened(counts, mask, where)
    assert even.max() == pytest.approx(7.0)
    assert not measured[:, 10].any()


def test_a_motor_that_jumps_is_refused():
    positions = 17 + 0.01 * np.arange(41.0)
    positions[20:] += 0.03
    geometry = uneven(positions)
    where = offsets(geometry, (41, 32, 32), (20.0, 16.0, 16.0))
    assert where.largest > 0.5
    with pytest.raises(GeometryError, match="motor jumped"):
        straightened(np.ones((41, 32, 32)), np.ones((41, 32, 32), bool), where)
