"""A scan whose voxels lie off a straight grid: told, brought onto one, or refused."""

import math

import numpy as np
import pytest

from autophasenn.beamlines.diffractometers import ID01
from autophasenn.errors import GeometryError
from autophasenn.physics.scan_geometry import ScanGeometry
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.preprocess import preprocess
from autophasenn.volumes import Scan

FRAMES = 49


def measured(wave):
    """A round peak, seen by a motor that is `wave` steps away from where even steps would have it."""
    frames = np.arange(FRAMES)
    detector = ID01.detector_facing_the_beam(0.8, (55e-6, 55e-6), (24.0, 24.0))
    eta = tuple((17 + 0.01 * (frames + wave)).tolist())
    motors = {"mu": 0.0, "eta": eta, "phi": 33.0, "nu": 4.0, "delta": 36.0}
    index = np.stack(np.meshgrid(frames + wave, np.arange(48), np.arange(48), indexing="ij"))
    distance = (index - np.array([24.0, 24.0, 24.0]).reshape(3, 1, 1, 1)) / np.array([5.0, 4.0, 4.0]).reshape(
        3, 1, 1, 1
    )
    counts = np.random.default_rng(0).poisson(2e4 * np.exp(-(distance**2).sum(0) / 2))
    return Scan(counts.astype(np.uint32), geometry=ScanGeometry(ID01, detector, 8e3, motors))


OPTIONS = Preprocessing(shape=(48, 48, 48), binning=(1, 1, 1), find_aliens=False)


def sine(size):
    frames = np.arange(FRAMES)
    wave = size * np.sin(2 * math.pi * frames / (FRAMES - 1))
    return wave - np.polyval(np.polyfit(frames, wave, 1), frames)


def width(counts):
    """Standard deviation of the peak along the frames."""
    profile = counts.sum((1, 2))
    place = np.arange(len(profile))
    mean = (profile * place).sum() / profile.sum()
    return math.sqrt((profile * (place - mean) ** 2).sum() / profile.sum())


def test_counts_of_uneven_steps_are_brought_onto_an_even_grid_and_it_is_said():
    found = preprocess(measured(sine(4.0)), OPTIONS)
    assert any("frames off a straight grid" in sentence and "interpolated" in sentence for sentence in found.warnings)
    even = width(np.where(found.pattern.mask, found.pattern.counts, 0))
    assert even == pytest.approx(5.0, abs=0.25)
    uneven = preprocess(measured(sine(4.0)), Preprocessing(**{**vars(OPTIONS), "off_grid": 100.0}))
    assert abs(width(uneven.pattern.counts.numpy()) - 5.0) > 0.4


def test_even_steps_are_left_alone():
    found = preprocess(measured(np.zeros(FRAMES)), OPTIONS)
    assert not any("straight grid" in sentence for sentence in found.warnings)
    counts = found.pattern.counts.numpy()
    np.testing.assert_array_equal(counts, np.round(counts))


def test_a_small_unevenness_is_told_and_the_counts_stay_counts():
    found = preprocess(measured(sine(1.2)), OPTIONS)
    assert any("straight grid" in sentence and "blurred" in sentence for sentence in found.warnings)
    counts = found.pattern.counts.numpy()
    np.testing.assert_array_equal(counts, np.round(counts))


def test_a_motor_that_jumped_is_refused_with_the_voxels_that_it_is_off():
    wave = np.where(np.arange(FRAMES) < 25, 0.0, 6.0)
    with pytest.raises(GeometryError, match=r"Light lies up to \d\.\d frames off a straight grid.*jumped"):
        preprocess(measured(wave), OPTIONS)
