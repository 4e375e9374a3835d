"""Aliens are found; rods, speckles and the lobes of strained crystals are not taken for them."""

from functools import cache

import numpy as np
import pytest
import tifffile

from autophasenn.preprocessing.aliens import Aliens, find_aliens
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.oversampling import estimate_oversampling
from crystals import expected_counts, polyhedron, smooth_phase

SHAPE = (48, 48, 48)
BACKGROUND = 0.01
OPTIONS = Preprocessing()


def search(counts: np.ndarray, mask: np.ndarray | None = None) -> Aliens:
    measured = np.ones(counts.shape, bool) if mask is None else mask
    return find_aliens(
        counts.astype(np.float32),
        measured,
        estimate_oversampling(counts.astype(np.float32), measured),
        contrast=OPTIONS.alien_contrast,
        significance=OPTIONS.alien_significance,
        asymmetry=OPTIONS.alien_asymmetry,
        margin=OPTIONS.alien_margin,
        largest_share=OPTIONS.alien_share,
    )


@cache
def strained_pattern(seed: int) -> np.ndarray:
    """Intensity, sum 1, of a faceted crystal with a smooth phase of up to +-pi, brightest voxel in the middle."""
    rng = np.random.default_rng(seed)
    oversampling = rng.uniform(2.2, 5, 3)
    crystal = polyhedron(SHAPE, oversampling, rng) * np.exp(1j * np.pi * smooth_phase(SHAPE, oversampling, rng))
    expected = expected_counts(crystal, 1)
    peak = np.unravel_index(int(expected.argmax()), SHAPE)
    return np.roll(expected, [24 - int(p) for p in peak], (0, 1, 2))


def expected_pattern(seed: int, photons: float) -> np.ndarray:
    return photons * strained_pattern(seed) + BACKGROUND


def blob(centre: np.ndarray, widths: np.ndarray, photons: float) -> np.ndarray:
    """Expected counts of a small Gaussian alien."""
    axes = np.meshgrid(*[(np.arange(n) - c) / w for n, c, w in zip(SHAPE, centre, widths, strict=True)], indexing="ij")
    shape = np.exp(-0.5 * sum(axis**2 for axis in axes))
    return shape * photons / shape.sum()


def place_outshining_the_crystal(expected: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """An alien off-centre where it holds ten times the crystal's own photons."""
    while True:
        centre = rng.integers(5, 43, 3)
        alien = blob(centre, rng.uniform(1.5, 3.0, 3), photons)
        if np.linalg.norm(centre - 24) > 14 and expected[alien > 0.1 * alien.max()].sum() < 0.1 * photons:
            return alien


@pytest.mark.parametrize(("seed", "photons"), [(0, 1e6), (1, 1e6), (2, 1e7), (0, 1e8), (1, 1e8), (3, 1e8)])
def test_strain_without_aliens_loses_less_than_a_thousandth_of_the_photons(seed, photons):
    counts = np.random.default_rng(seed).poisson(expected_pattern(seed, photons))
    assert counts[search(counts).mask].sum() < 1e-3 * photons


def test_at_least_9_of_10_aliens_are_found_and_masked():
    rng = np.random.default_rng(1)
    found = []
    for seed, (photons, alien_photons) in enumerate(
        [
            (1e6, 1e3),
            (1e6, 1e3),
            (1e6, 1e4),
            (1e6, 1e4),
            (1e7, 1e3),
            (1e7, 1e4),
            (1e7, 1e4),
            (1e7, 1e4),
            (1e8, 1e4),
            (1e8, 1e4),
        ]
    ):
        expected = expected_pattern(seed % 4, photons)
        alien = place_outshining_the_crystal(expected, alien_photons, rng)
        aliens = search(rng.poisson(expected + alien))
        found.append(alien[aliens.mask].sum() > 0.8 * alien_photons)
    assert np.mean(found) >= 0.9


def test_an_alien_is_described_by_its_place_and_photons():
    rng = np.random.default_rng(3)
    expected = expected_pattern(1, 1e6)
    alien = blob(np.array([10, 38, 34]), np.array([2, 2, 2]), 5e3)
    aliens = search(rng.poisson(expected + alien))
    (cluster,) = aliens.clusters
    assert np.abs(np.array(cluster.centre) - [10, 38, 34]).max() <= 3
    assert cluster.counts == pytest.approx((expected + alien)[aliens.mask].sum(), rel=0.05)
    assert cluster.voxels == np.count_nonzero(aliens.mask)
    assert cluster.counterpart_ratio > OPTIONS.alien_asymmetry


def test_a_pair_of_symmetric_satellites_is_the_crystals_own():
    rng = np.random.default_rng(4)
    expected = expected_pattern(1, 1e6)
    first, second = (blob(24 + sign * np.array([-14, 14, 10]), np.array([2, 2, 2]), 5e3) for sign in (1, -1))
    assert search(rng.poisson(expected + first)).clusters
    assert not search(rng.poisson(expected + first + second)).clusters


def test_a_gap_between_rod_and_peak_makes_no_alien():
    rng = np.random.default_rng(5)
    expected = expected_pattern(2, 1e8)
    mask = np.ones(SHAPE, bool)
    mask[:, 30:34, :] = False
    counts = rng.poisson(np.where(mask, expected, 0))
    assert counts[search(counts, mask).mask].sum() < 1e-3 * counts.sum()


def test_a_second_peak_of_many_photons_is_left_alone_and_reported():
    rng = np.random.default_rng(6)
    expected = expected_pattern(1, 1e6)
    aliens = search(rng.poisson(expected + blob(np.array([10, 38, 34]), np.array([2, 2, 2]), 1e5)))
    assert not aliens.mask.any()
    assert not aliens.clusters
    assert len(aliens.lobes) == 1


def test_a_real_pattern_with_rods_has_no_aliens(shared_data):
    counts = tifffile.imread(shared_data / "cdi3dnn_34idc" / "ft_crop_64.tif")
    centred = np.roll(counts, (0, 1, -1), (0, 1, 2))
    assert not search(centred).clusters
