"""Detector corrections: what is masked, what is scaled, what is refused."""

import numpy as np
import pytest

from autophasenn.errors import InputError
from autophasenn.preprocessing.corrections import Corrected, correct
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.volumes import Scan
from crystals import expected_counts, polyhedron

SHAPE = (32, 40, 40)
OPTIONS = Preprocessing()


def corrected(scan: Scan) -> Corrected:
    return correct(scan, OPTIONS)


def frames(photons: float = 1e7, background: float = 0.2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(expected_counts(polyhedron(SHAPE, (3, 3, 3), rng), photons) + background).astype(np.int32)


@pytest.mark.parametrize("photons", [1e4, 1e6, 1e8])
@pytest.mark.parametrize("background", [0.0, 0.2])
def test_a_good_detector_loses_nothing(photons, background):
    raw = frames(photons, background)
    result = corrected(Scan(raw))
    assert result.mask.all()
    assert result.warnings == []
    np.testing.assert_array_equal(result.counts, raw)


def test_white_field_evens_out_the_response_and_marks_dead_pixels():
    rng = np.random.default_rng(1)
    expected = expected_counts(polyhedron(SHAPE, (3, 3, 3), rng), 1e8)
    white = rng.uniform(8000, 24000, SHAPE[1:])
    white[5, 6], white[7, 8] = 0, 30
    counted = (expected * white / np.median(white[white > 0])).astype(np.float32)
    result = corrected(Scan(counted, white=white))
    assert not result.mask[:, 5, 6].any()
    assert not result.mask[:, 7, 8].any()
    assert result.facts["dead_pixels"] == 2
    np.testing.assert_allclose(result.counts[result.mask], expected[result.mask], rtol=1e-4)
    assert np.isfinite(result.counts).all()


def test_pixels_that_count_in_the_dark_are_masked():
    dark = np.zeros(SHAPE[1:], np.float32)
    dark[3, 4], dark[9, 9] = 100, 1
    result = corrected(Scan(frames(), dark=dark))
    assert not result.mask[:, 3, 4].any()
    assert np.count_nonzero(~result.mask) == SHAPE[0]


@pytest.mark.parametrize("level", [8, 100, 60000])
def test_a_pixel_that_always_counts_is_hot(level):
    raw = frames(background=0.02)
    raw[:, 4, 33] = level
    result = corrected(Scan(raw))
    assert not result.mask[:, 4, 33].any()
    assert result.facts["hot_pixels"] == 1
    assert np.count_nonzero(~result.mask) == SHAPE[0]
    assert result.warnings == []


@pytest.mark.parametrize("neighbour", [0, 1], ids=["single", "pair"])
def test_a_cosmic_ray_is_masked(neighbour):
    raw = frames()
    raw[7, 4, 33 : 34 + neighbour] = 5000
    result = corrected(Scan(raw))
    assert not result.mask[7, 4, 33 : 34 + neighbour].any()
    assert np.count_nonzero(~result.mask) == 1 + neighbour


def can_hold(kind: type, value: int) -> bool:
    return np.dtype(kind).kind == "f" or np.iinfo(kind).min <= value <= np.iinfo(kind).max


TYPES = (np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64)
MARKERS = (-1, -2, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 2, 2**32 - 1)


@pytest.mark.parametrize(
    ("kind", "marker"),
    [(k, m) for k in TYPES for m in MARKERS if can_hold(k, m) and (m != 2**15 - 1 or k is np.int16)],
)
@pytest.mark.parametrize("region", [np.s_[:, 18:21, :], np.s_[:, 7, 9]], ids=["gap", "pixel"])
def test_gap_markers_are_known_by_their_value_in_every_type(kind, marker, region):
    raw = frames(3e5).astype(kind)
    raw[region] = marker
    result = corrected(Scan(raw))
    gap = np.zeros(SHAPE, bool)
    gap[region] = True
    np.testing.assert_array_equal(~result.mask, gap)
    assert not result.counts[gap].any()
    # The 24 bits of a float32 do not tell the last two apart.
    named = 2**32 - 1 if kind is np.float32 and marker == 2**32 - 2 else marker
    assert f"{gap.sum()} voxels hold a detector's gap marker ({named})" in result.warnings[0]


def test_several_markers_are_masked_together():
    raw = frames().astype(np.int64)
    raw[:, 18:20], raw[:, 4, 4], raw[:, 30, 30], raw[3, 5, 5] = -1, -2, 65535, 2**32 - 1
    result = corrected(Scan(raw))
    assert np.count_nonzero(~result.mask) == 32 * (2 * 40 + 2) + 1
    assert "(-2, -1, 65535, 4294967295)" in result.warnings[0]


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.float32])
def test_65535_that_comes_and_goes_is_a_count_of_a_wider_type(kind):
    raw = frames(1e8).astype(kind)
    raw[15:18, 19:22, 19:22] = 65535
    result = corrected(Scan(raw))
    assert raw.max() > 65535
    assert result.mask.all()


def test_intensities_beyond_32_bits_are_no_markers():
    bright = frames(1e8).astype(np.float64) * 1e7
    result = corrected(Scan(bright))
    assert bright.max() > 2**32
    assert result.mask.all()


@pytest.mark.parametrize(
    "region", [np.s_[:, 24:27, :], np.s_[:, :, 10:13], np.s_[:, 22:26, 24:29], np.s_[:, 21:22, 21:22]]
)
def test_a_gap_that_nobody_marked_is_found(region):
    raw = frames(1e8)
    raw[region] = 0
    result = corrected(Scan(raw))
    gap = np.zeros(SHAPE, bool)
    gap[region] = True
    np.testing.assert_array_equal(~result.mask, gap)


@pytest.mark.parametrize("photons", [1e3, 1e4, 1e5, 1e6])
def test_the_empty_corners_of_a_weak_pattern_are_no_gap(photons):
    result = corrected(Scan(frames(photons, background=0)))
    assert result.mask.all()


@pytest.mark.parametrize("threshold", [5, 50, 500])
def test_what_a_threshold_emptied_is_no_gap(threshold):
    raw = frames(1e7)
    raw[raw < threshold] = 0
    assert corrected(Scan(raw)).mask.all()


def test_the_extinctions_of_a_box_are_no_gap():
    rng = np.random.default_rng(2)
    raw = rng.poisson(expected_counts(polyhedron(SHAPE, (4, 4, 4), rng, facets=0), 1e7))
    assert corrected(Scan(raw)).mask.all()


def test_frames_lost_in_the_middle_of_a_scan_are_unmeasured():
    raw = frames()
    raw[12:14] = 0
    result = corrected(Scan(raw))
    assert not result.mask[12:14].any()
    assert result.mask[:12].all()
    assert "2 frames" in result.warnings[0]


def test_a_clipped_peak_is_suspected():
    raw = np.minimum(frames(1e8), 20000)
    assert "hold the largest value 20000" in corrected(Scan(raw)).warnings[0]


def test_a_clipped_peak_is_suspected_behind_hot_and_dead_pixels():
    """Hot pixels outshine it, and the white field scales equal counts apart."""
    raw = np.minimum(frames(1e8), 20000)
    raw[:, 4, 33], raw[:, 9, 9] = 60000, 70000
    white = np.random.default_rng(1).uniform(8000, 24000, SHAPE[1:])
    white[9, 9] = 0
    result = corrected(Scan(raw, white=white))
    assert result.facts["hot_pixels"] == 1
    assert result.facts["dead_pixels"] == 1
    assert "hold the largest value 20000" in result.warnings[0]


def damaged(value: float, where: object = np.s_[3, 4, 5]) -> np.ndarray:
    raw = frames().astype(np.float32)
    raw[where] = value
    return raw


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (Scan(damaged(np.nan)), r"1 measured voxels are NaN.*\(3, 4, 5\)"),
        (Scan(damaged(np.inf)), "NaN or infinite"),
        (Scan(damaged(-7)), r"negative, the first -7 .*\(3, 4, 5\)"),
        (Scan(damaged(-1, np.s_[:, :20])), "50% of the voxels hold a gap marker"),
        (Scan(frames()[0]), "3-D volume"),
        (Scan(frames()[:2]), "at least 4"),
        (Scan(frames().astype(complex)), "real counts"),
        (Scan(frames(), dark=np.zeros((3, 3))), r"dark has shape \(3, 3\)"),
        (Scan(frames(), white=np.zeros(SHAPE[1:])), "no pixel above zero"),
        (Scan(frames(), mask=np.ones((9, 9), bool)), r"mask has shape \(9, 9\)"),
        (Scan(frames(), mask=np.ones(SHAPE)), "booleans"),
        (Scan(frames(), mask=np.zeros(SHAPE, bool)), "no measured voxel"),
    ],
)
def test_impossible_input_is_refused_with_its_reason(scan, words):
    with pytest.raises(InputError, match=words):
        corrected(scan)


def test_masked_voxels_may_hold_anything():
    raw = damaged(np.nan)
    raw[3, 4, 6] = -7
    mask = np.ones(SHAPE, bool)
    mask[3, 4, 5:7] = False
    result = corrected(Scan(raw, mask=mask))
    np.testing.assert_array_equal(result.mask, mask)
    assert np.isfinite(result.counts).all()
