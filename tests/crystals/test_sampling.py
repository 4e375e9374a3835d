"""Oversampling read from the intensity alone, against crystals whose extent is known."""

import numpy as np
import pytest

from autophasenn.inversion.novelty import TrainedRange, separate_lobe
from autophasenn.preprocessing import oversampling
from autophasenn.preprocessing.oversampling import choose_binning, estimate_oversampling, fill_unmeasured
from crystals import expected_counts, polyhedron, smooth_phase

SHAPE = (64, 60, 54)


def extents(amplitude: np.ndarray) -> np.ndarray:
    """Length of the crystal along each axis in voxels, parts of voxels counted."""
    return np.array([amplitude.max(tuple(b for b in range(3) if b != a)).sum() for a in range(3)])


@pytest.mark.parametrize("facets", [0, 14], ids=["box", "polyhedron"])
@pytest.mark.parametrize("oversampling", [(2.1, 3, 4), (3, 5, 2.5), (6, 4, 7), (8, 8, 3)])
@pytest.mark.parametrize("photons", [1e5, 1e7])
def test_oversampling_of_a_known_crystal_is_found_within_15_percent(facets, oversampling, photons):
    rng = np.random.default_rng(11)
    crystal = polyhedron(SHAPE, oversampling, rng, facets)
    counts = rng.poisson(expected_counts(crystal, photons)).astype(np.float32)
    found = estimate_oversampling(counts, np.ones(SHAPE, bool))
    np.testing.assert_allclose(found, np.array(SHAPE) / extents(crystal), rtol=0.15)


def test_smooth_strain_hardly_changes_the_oversampling():
    rng = np.random.default_rng(5)
    oversampling = (3.0, 4.0, 3.5)
    crystal = polyhedron(SHAPE, oversampling, rng)
    strained = crystal * np.exp(2j * smooth_phase(SHAPE, oversampling, rng))
    found = estimate_oversampling(rng.poisson(expected_counts(strained, 1e6)).astype(np.float32), np.ones(SHAPE, bool))
    np.testing.assert_allclose(found, np.array(SHAPE) / extents(crystal), rtol=0.2)


@pytest.mark.parametrize("seed", range(6))
def test_strong_strain_does_not_hide_how_long_a_crystal_is(seed):
    rng = np.random.default_rng(seed)
    oversampling = rng.uniform(2.5, 5.5, 3)
    crystal = polyhedron(SHAPE, oversampling, rng)
    phase = smooth_phase(SHAPE, oversampling, rng)
    phase *= 4 * np.pi / np.ptp(phase[np.abs(crystal) > 0.5])
    counts = rng.poisson(expected_counts(crystal * np.exp(1j * phase), 1e7)).astype(np.float32)
    found = np.array(estimate_oversampling(counts, np.ones(SHAPE, bool))) * extents(np.abs(crystal)) / SHAPE
    assert found.min() > 0.85
    assert found.max() < 1.15  # 2.3 without the foot


def test_a_pedestal_of_the_autocorrelation_is_not_taken_for_the_foot_of_a_crystal():
    rng = np.random.default_rng(3)
    expected = expected_counts(polyhedron(SHAPE, (3, 4, 5), rng), 1e7)
    steady = estimate_oversampling(rng.poisson(expected).astype(np.float32), np.ones(SHAPE, bool))
    beam = np.cumsum(rng.normal(0, 0.05, SHAPE[0]))[:, None, None]  # of each frame, wanders
    found = estimate_oversampling(rng.poisson(expected * np.exp(beam)).astype(np.float32), np.ones(SHAPE, bool))
    np.testing.assert_allclose(found, steady, rtol=0.15)


def test_place_of_the_peak_does_not_matter():
    rng = np.random.default_rng(6)
    counts = rng.poisson(expected_counts(polyhedron(SHAPE, (3, 4, 5), rng), 1e6)).astype(np.float32)
    measured = np.ones(SHAPE, bool)
    rolled = np.roll(counts, (5, -9, 7), (0, 1, 2))
    np.testing.assert_allclose(
        estimate_oversampling(rolled, measured), estimate_oversampling(counts, measured), rtol=1e-4
    )


@pytest.mark.parametrize("gap", [np.s_[:, 25:28, :], np.s_[:, :, 36:40], np.s_[:, 20:22, 10:12]])
def test_a_detector_gap_hardly_changes_the_oversampling(gap):
    rng = np.random.default_rng(7)
    counts = rng.poisson(expected_counts(polyhedron(SHAPE, (3, 4, 5), rng), 1e6)).astype(np.float32)
    measured = np.ones(SHAPE, bool)
    whole = estimate_oversampling(counts, measured)
    measured[gap] = False
    counts[gap] = 12345
    np.testing.assert_allclose(estimate_oversampling(counts, measured), whole, rtol=0.12)


@pytest.mark.parametrize("rows", [slice(31, 34), slice(30, 35), slice(29, 36), slice(33, 36)])
def test_a_gap_over_the_peak_is_no_sign_of_coarse_sampling_nor_of_two_particles(rows):
    """The peak that is left lies beside the gap, and comes to the middle."""
    rng = np.random.default_rng(7)
    counts = rng.poisson(expected_counts(polyhedron((64, 64, 64), (3.3, 3.4, 3.2), rng), 1e8)).astype(np.float32)
    measured = np.ones(counts.shape, bool)
    whole = estimate_oversampling(counts, measured)
    measured[:, rows] = False
    peak = np.unravel_index(int(np.where(measured, counts, 0).argmax()), counts.shape)
    shift = [n // 2 - int(p) for n, p in zip(counts.shape, peak, strict=True)]
    counts, measured = (np.roll(volume, shift, (0, 1, 2)) for volume in (counts, measured))
    np.testing.assert_array_less(0.65 * np.array(whole), estimate_oversampling(counts, measured))
    assert separate_lobe(counts, measured) < TrainedRange().highest_lobe


def test_a_crystal_longer_than_half_the_field_of_view_reads_below_2():
    rng = np.random.default_rng(8)
    counts = rng.poisson(expected_counts(polyhedron(SHAPE, (1.5, 3, 3), rng), 1e6)).astype(np.float32)
    found = estimate_oversampling(counts, np.ones(SHAPE, bool))
    assert found[0] < 2 < min(found[1:])


def test_filling_keeps_what_was_measured_and_mirrors_what_was_not():
    rng = np.random.default_rng(9)
    counts = rng.poisson(expected_counts(polyhedron(SHAPE, (3, 4, 5), rng), 1e7)).astype(np.float32)
    measured = np.ones(SHAPE, bool)
    measured[:, 20:26, :] = False
    filled = fill_unmeasured(counts, measured)
    np.testing.assert_array_equal(filled[measured], counts[measured])
    # Row 22 of 60 is reflected to row 38; far from the edge of the gap the reflection is taken as it is.
    np.testing.assert_array_equal(
        filled[20:40, 22, 20:40], counts[64 - 39 : 64 - 19, 38, 54 - 39 : 54 - 19][::-1, ::-1]
    )


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_few_unmeasured_voxels_are_filled_one_by_one_as_all_are_by_a_filter(share, monkeypatch):
    rng = np.random.default_rng(10)
    counts = rng.poisson(5.0, SHAPE).astype(np.float32)
    measured = rng.random(SHAPE) > share
    measured[:, :4, 10:20] = False  # a gap at the edge
    found = []
    for few in (0.0, np.inf):
        monkeypatch.setattr(oversampling, "FEW", few)
        found.append(fill_unmeasured(counts, measured))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("oversampling", "size", "expected"), [(2.5, 200, 1), (9.2, 200, 3), (9.2, 64, 2), (40, 64, 2)]
)
def test_binning_leaves_the_oversampling_and_the_voxels_asked_for(oversampling, size, expected):
    assert choose_binning(float(oversampling), size, keep=3.0, smallest_axis=32) == expected
