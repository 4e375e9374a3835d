"""From a scan to a pattern: centred, FFT-friendly, binned as its sampling allows, placed in reciprocal space."""

import time
import tracemalloc
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tifffile
import torch
from real_scan import scan_54

from autophasenn.errors import InputError, PlanError
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.preprocess import Preprocessed, preprocess, uniform_background
from autophasenn.preprocessing.window import LONGEST, choose_window, find_peak, friendly_size
from autophasenn.volumes import Scan
from crystals import expected_counts, polyhedron

SHAPE = (72, 64, 60)
QUICK = Preprocessing(find_aliens=False)


class LinearGeometry:
    """Steps and Q that tell at which pixel they were asked for."""

    def reciprocal_steps(self, pixel: tuple[float, float], frame=None) -> torch.Tensor:
        return torch.diag(torch.tensor([1.0, 10.0 + pixel[0], 100.0 + pixel[1]], dtype=torch.float64))

    def scattering_vector(self, pixel: tuple[float, float], frame=None) -> torch.Tensor:
        return torch.tensor([*pixel, 1.0], dtype=torch.float64)


@cache
def pattern(oversampling: tuple[float, float, float]) -> np.ndarray:
    return expected_counts(polyhedron(SHAPE, oversampling, np.random.default_rng(0)), 1)


def scan(shift=(0, 0, 0), oversampling=(3.5, 3.5, 3.5), photons=1e7) -> Scan:
    expected = photons * np.roll(pattern(oversampling), shift, (0, 1, 2))
    return Scan(np.random.default_rng(1).poisson(expected).astype(np.uint32))


def central(result: Preprocessed) -> float:
    return float(result.pattern.counts[tuple(n // 2 for n in result.pattern.shape)])


def test_a_longer_crystal_in_the_frames_hardly_changes_the_oversampling_once_it_is_masked():
    rng, shape = np.random.default_rng(1), (64, 64, 64)
    own, other = (expected_counts(polyhedron(shape, (o,) * 3, rng), n) for o, n in ((5.3, 1e7), (2.9, 1e5)))
    alone, both = (
        preprocess(Scan(np.random.default_rng(2).poisson(light).astype(np.uint32)), Preprocessing(binning=(1, 1, 1)))
        for light in (own, own + np.roll(other, (14, -12, 10), (0, 1, 2)))
    )
    assert (alone.facts["aliens"], both.facts["aliens"]) == (0, 1)
    np.testing.assert_allclose(both.oversampling, alone.oversampling, rtol=0.05)


@pytest.mark.parametrize("shift", [(0, 0, 0), (1, -2, 1), (6, -9, 3), (-20, 0, 12)])
def test_brightest_measured_voxel_comes_to_the_middle(shift):
    raw = scan(shift)
    result = preprocess(raw, QUICK)
    assert central(result) == result.pattern.counts[result.pattern.mask].max()
    assert result.peak == np.unravel_index(int(raw.frames.argmax()), SHAPE)
    assert all(n % 2 == 0 and friendly_size(n) == n for n in result.pattern.shape)


@pytest.mark.parametrize("binning", [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 3, 2)])
@pytest.mark.parametrize("shift", [(0, 0, 0), (1, -1, 2)])
def test_brightest_voxel_is_in_the_middle_after_binning_too(binning, shift):
    result = preprocess(scan(shift, (9, 8, 8)), replace(QUICK, binning=binning))
    assert central(result) == result.pattern.counts[result.pattern.mask].max()
    assert result.binning == binning


def test_binning_keeps_every_photon_of_the_window():
    raw = scan(oversampling=(9, 4, 4))
    result = preprocess(raw, Preprocessing(find_aliens=False, binning=(3, 1, 1)))
    inside = tuple(slice(max(0, w.start), w.stop) for w in result.window)
    assert float(result.pattern.counts.sum(dtype=torch.float64)) == raw.frames[inside].sum()


def test_the_rocking_axis_alone_is_binned_as_its_oversampling_allows():
    result = preprocess(scan(oversampling=(7.5, 7.5, 4)), QUICK)
    assert result.binning == (2, 1, 1)
    np.testing.assert_allclose(result.oversampling, (7.5 / 2, 7.5, 4), rtol=0.15)


def test_a_binned_voxel_is_measured_if_all_of_its_voxels_are():
    raw = scan(oversampling=(9, 4, 4))
    mask = np.ones(SHAPE, bool)
    mask[10, 20, 30] = False
    result = preprocess(replace(raw, mask=mask), replace(QUICK, binning=(3, 1, 1)))
    whole = preprocess(raw, replace(QUICK, binning=(3, 1, 1)))
    lost = torch.nonzero(whole.pattern.mask & ~result.pattern.mask)
    expected = [(p - w.start) // w.binning for p, w in zip((10, 20, 30), result.window, strict=True)]
    assert lost.tolist() == [expected]


@pytest.mark.parametrize("shape", [(64, 64, 64), (48, 80, 60)])
def test_a_shape_asked_for_is_given(shape):
    result = preprocess(scan((5, 3, -4)), replace(QUICK, shape=shape))
    assert result.pattern.shape == shape
    assert central(result) == result.pattern.counts[result.pattern.mask].max()


def test_padding_is_unmeasured():
    result = preprocess(scan(), replace(QUICK, shape=(80, 80, 80)))
    assert not result.pattern.mask[:4].any()
    assert not result.pattern.mask[:, :8].any()
    assert result.pattern.mask[4:76, 8:72, 10:70].all()


def test_a_hot_voxel_is_not_taken_for_the_peak():
    raw = scan()
    peak = preprocess(raw, QUICK).peak
    raw.frames[5, 6, 7] = 20 * raw.frames.max()
    assert preprocess(raw, QUICK).peak == peak


def test_geometry_is_asked_at_the_pixel_of_the_peak_and_steps_grow_with_binning():
    raw = replace(scan((2, 3, -4)), geometry=LinearGeometry())
    result = preprocess(raw, replace(QUICK, binning=(2, 1, 3)))
    row, column = result.peak[1], result.peak[2]
    assert result.pattern.scattering_vector is not None
    assert result.pattern.reciprocal_steps is not None
    np.testing.assert_allclose(result.pattern.scattering_vector, [row, column, 1])
    np.testing.assert_allclose(result.pattern.reciprocal_steps, np.diag([2, 10 + row, 3 * (100 + column)]))


def test_without_geometry_the_pattern_has_none():
    pattern = preprocess(scan(), QUICK).pattern
    assert pattern.reciprocal_steps is None
    assert pattern.scattering_vector is None


def test_counts_below_the_threshold_become_zero_and_stay_measured():
    raw = scan()
    result = preprocess(raw, replace(QUICK, count_threshold=5.0))
    assert not ((result.pattern.counts > 0) & (result.pattern.counts < 5)).any()
    assert torch.equal(result.pattern.mask, preprocess(raw, QUICK).pattern.mask)


@pytest.mark.parametrize("background", [0.05, 2.0])
def test_uniform_background_is_measured(background):
    raw = scan(photons=1e5).frames + np.random.default_rng(1).poisson(background, SHAPE)
    found = uniform_background(raw.astype(np.float32), np.ones(SHAPE, bool))
    assert found == pytest.approx(background, rel=0.2)


def test_undersampling_is_warned_of():
    sentences = preprocess(scan(oversampling=(3, 1.5, 3)), QUICK).warnings
    assert any("axis 1" in sentence and "below 2" in sentence for sentence in sentences)


def test_a_peak_near_the_edge_is_warned_of_and_on_the_edge_refused():
    assert any("near the edge (frame" in sentence for sentence in preprocess(scan((24, 0, 0)), QUICK).warnings)
    with pytest.raises(InputError, match="on the edge of the scan"):
        preprocess(scan((35, 0, 0)), QUICK)


def test_padding_is_bounded_and_what_is_cropped_instead_is_said():
    raw = scan((33, 0, 0))
    result = preprocess(raw, QUICK)
    assert result.peak[0] == 69
    assert result.pattern.shape == (90, 64, 60)
    lost = 69 - 45
    assert any(f"{lost} of 72 frames (33%) are cropped" in sentence for sentence in result.warnings)
    assert central(result) == raw.frames.max()
    asked = preprocess(raw, replace(QUICK, shape=(90, 64, 60)))
    assert not any("cropped on the side" in sentence for sentence in asked.warnings)


def test_a_mask_the_wrong_way_round_is_named():
    frames = scan().frames
    gap = np.zeros(SHAPE, bool)
    gap[:, 10:13] = True
    frames[gap] = 0
    with pytest.raises(InputError, match=r"True \(1\) means measured"):
        preprocess(Scan(frames, mask=gap), QUICK)


def test_large_frames_are_cut_to_the_light_about_the_peak_and_no_farther():
    raw = scan(photons=1e6)
    frames = np.pad(raw.frames, ((0, 0), (60, 60), (80, 80)))
    whole, cut = (preprocess(Scan(frames), replace(QUICK, most_voxels=n)) for n in (8_000_000, 100_000))
    assert all(n > 1.5 * m for n, m in zip(whole.pattern.shape[1:], cut.pattern.shape[1:], strict=True))
    assert cut.peak == whole.peak
    assert cut.facts["photons"] > 0.999 * raw.frames.sum()
    assert cut.oversampling == pytest.approx(whole.oversampling, rel=0.1)


@pytest.mark.parametrize("threshold", [0.0, 2.0])
def test_a_threshold_does_not_hide_the_light(threshold):
    raw = scan(photons=1e6).frames
    frames = np.pad(raw, ((0, 0), (60, 60), (80, 80))) + np.random.default_rng(2).poisson(0.2, (72, 184, 220))
    options = replace(QUICK, most_voxels=100_000, count_threshold=threshold)
    result = preprocess(Scan(frames), options)
    assert min(result.pattern.shape[1:]) >= 60
    assert 0.5 < result.facts["cut_fraction"] < 0.95


def test_a_bright_lobe_without_a_counterpart_stays():
    """It may belong to a strained crystal; a weak one is taken for another crystal's light."""
    raw = scan(photons=1e6).frames
    frames = np.pad(raw, ((0, 0), (60, 60), (80, 80)))
    frames[:, 60:124, 10:70] += raw[:, :, :60] // 8
    result = preprocess(Scan(frames), replace(QUICK, most_voxels=100_000))
    assert result.window[2].start < 45
    assert result.facts["photons"] > 0.97 * frames.sum()


def test_the_cut_leaves_the_networks_box_however_it_is_binned():
    frames = np.pad(scan(photons=1e6).frames, ((0, 0), (100, 100), (100, 100)))
    result = preprocess(Scan(frames), replace(QUICK, most_voxels=100_000, binning=(1, 4, 4)))
    assert result.pattern.shape[1:] == (64, 64)


def test_a_dark_field_that_masks_everything_is_named():
    with pytest.raises(InputError, match="dark_threshold"):
        preprocess(replace(scan(), dark=np.full(SHAPE[1:], 100.0)), QUICK)


def test_no_frame_is_padded_where_there_is_no_light():
    frames = np.pad(scan(photons=1e6).frames, ((0, 0), (0, 0), (0, 60)))
    result = preprocess(Scan(frames), QUICK)
    assert result.pattern.shape[2] <= 90
    assert result.facts["photons"] > 0.99 * frames.sum()


def test_pixels_of_a_pattern_that_is_still_too_large_are_binned_as_their_oversampling_allows():
    result = preprocess(scan(oversampling=(3.5, 7.0, 3.5)), replace(QUICK, most_voxels=50_000))
    assert result.binning == (1, 2, 1)
    assert result.oversampling[1] >= 3


def normalised():
    """Without noise: no count is told apart."""
    expected = expected_counts(polyhedron(SHAPE, (3, 3, 3), np.random.default_rng(0)), 1.0)
    return expected / expected.max()


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros(SHAPE, np.int32), "pattern is empty"),
        (np.random.default_rng(0).poisson(0.02, SHAPE), "the detector saw the peak"),
        (normalised(), r"look normalised \(largest 1\): give counts"),
        (1.5 * np.random.default_rng(0).poisson(0.02, SHAPE), "the detector saw the peak"),
        (np.random.default_rng(0).poisson(50.0, SHAPE), "No Bragg peak stands out"),
    ],
)
def test_a_scan_without_a_peak_is_refused(frames, words):
    with pytest.raises(InputError, match=words):
        preprocess(Scan(frames))


@pytest.mark.parametrize(
    "options",
    [
        {"hot_contrast": 1.0},
        {"dead_response": -0.1},
        {"dead_response": 1.0},
        {"alien_share": 1.5},
        {"dark_threshold": float("inf")},
        {"keep_oversampling": 1.5},
        {"shape": (63, 64, 64)},
        {"binning": (0, 1, 1)},
        {"alien_margin": float("nan")},
    ],
)
def test_an_option_out_of_range_is_refused_by_name(options):
    with pytest.raises(PlanError, match=next(iter(options))):
        Preprocessing(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"binning": (1, 1, 16)}, "at most 15 there"), ({"shape": (64, 640, 64)}, "more than twice as many")],
)
def test_what_the_size_of_the_scan_does_not_allow_is_refused(options, words):
    with pytest.raises(PlanError, match=words):
        preprocess(scan(), replace(QUICK, **options))


def test_the_background_is_summed_without_a_copy_in_double_precision():
    counts, mask = np.zeros((120, 64, 64), np.float32), np.ones((120, 64, 64), bool)
    tracemalloc.start()
    uniform_background(counts, mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < counts.nbytes


@pytest.mark.parametrize("size", [40, 64, 201, 256])
@pytest.mark.parametrize("binning", [1, 2, 3])
def test_window_holds_the_block_of_the_peak_in_its_middle(size, binning):
    for peak in range(size // 4, 3 * size // 4):
        window = choose_window(size, peak, binning)
        start = window.start + (window.size // 2) * binning
        assert start + binning // 2 == peak
        kept = min(size, window.stop) - max(0, window.start)
        assert kept >= 0.75 * size
        assert window.size * binning <= LONGEST * size
        assert window.cropped(size) == size - kept


def test_nearly_centred_axes_keep_their_size():
    assert choose_window(64, 31).size == choose_window(64, 32).size == choose_window(64, 33).size == 64


def test_the_brightest_voxel_wins_inside_the_peak_only():
    rng = np.random.default_rng(3)
    counts = expected_counts(polyhedron(SHAPE, (3, 3, 3), rng), 1e6)
    counts[5, 6, 7] = 2 * counts.max()
    assert find_peak(counts.astype(np.float32), np.ones(SHAPE, bool)) == (36, 32, 30)


def test_scan_54_is_ready_for_phasing_in_seconds(shared_data):
    raw = scan_54(shared_data)
    start = time.process_time()
    result = preprocess(raw)
    assert time.process_time() - start < 12
    (alien,) = result.aliens.clusters
    frame, row, column = (w.middle_of(i) for w, i in zip(result.window, alien.centre, strict=True))
    assert abs(frame - 163) < 8
    assert abs(row - 63) < 5
    assert abs(column - 103) < 5
    assert not result.pattern.mask[alien.centre]
    assert result.pattern.shape == (64, 256, 256)
    assert result.binning == (3, 1, 1)
    # Crystal of 0.30 x 0.24 x 0.32 um, voxels of 15.1, 5.0 and 5.0 nm.
    np.testing.assert_allclose(result.oversampling, (3.06, 4.92, 3.75), rtol=0.05)
    assert result.facts["masked_fraction"] < 0.015


def test_a_real_pattern_that_was_cropped_to_64_stays_64(shared_data):
    result = preprocess(Scan(tifffile.imread(shared_data / "cdi3dnn_34idc" / "ft_crop_64.tif")))
    assert result.pattern.shape == (64, 64, 64)
    assert result.peak == (32, 31, 33)
    assert not result.aliens.clusters
    assert result.warnings == ()
