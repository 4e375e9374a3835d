"""How far the light of a crystal reaches on a detector."""

import numpy as np
import pytest

from autophasenn.preprocessing.window import MARGIN, reach_of_light

SHAPE, PEAK = (10, 200, 240), (5, 90, 130)


def photons(widths: tuple[float, float], background: float = 0.0) -> np.ndarray:
    """Light that falls off as a Gaussian of these widths, in pixels, from 1e4 photons in the brightest voxel."""
    rows, columns = (np.arange(n) - p for n, p in zip(SHAPE[1:], PEAK[1:], strict=True))
    light = 1e4 * np.exp(-((rows[:, None] / widths[0]) ** 2 + (columns / widths[1]) ** 2) / 2)
    expected = np.broadcast_to(light + background, SHAPE)
    return np.random.default_rng(0).poisson(expected).astype(np.float32)


def everywhere() -> np.ndarray:
    return np.ones(SHAPE, bool)


@pytest.mark.parametrize("background", [0.0, 0.05, 1.0])
def test_light_ends_where_the_background_hides_it(background: float) -> None:
    """10 frames of 1e4 photons are 5 in the gathering area about 4.6 widths away, and less far in a background."""
    reach = reach_of_light(photons((8.0, 12.0), background), everywhere(), PEAK, background)
    for far, width in zip(reach, (8.0, 12.0), strict=True):
        assert 3.0 * width < far / MARGIN < 5.8 * width


def test_light_of_another_crystal_has_no_counterpart_and_does_not_count() -> None:
    counts = photons((8.0, 8.0))
    alone = reach_of_light(counts, everywhere(), PEAK, 0.0)
    counts[4:6, 20:24, 220:226] += 1000
    assert reach_of_light(counts, everywhere(), PEAK, 0.0) == alone


def test_light_opposite_a_gap_counts() -> None:
    counts, mask = photons((16.0, 8.0)), everywhere()
    mask[:, :80] = False
    assert reach_of_light(counts, mask, PEAK, 0.0)[0] == pytest.approx(
        reach_of_light(counts, everywhere(), PEAK, 0.0)[0], rel=0.1
    )


def test_an_uneven_background_is_no_light() -> None:
    slope = 0.05 * np.linspace(0.75, 1.25, SHAPE[2])
    counts = photons((8.0, 8.0)) + np.random.default_rng(3).poisson(np.broadcast_to(slope, SHAPE))
    even = reach_of_light(photons((8.0, 8.0), 0.05), everywhere(), PEAK, 0.05)
    np.testing.assert_allclose(reach_of_light(counts, everywhere(), PEAK, 0.04), even, rtol=0.2)
