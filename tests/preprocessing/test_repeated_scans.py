"""Repeated scans are aligned to parts of a voxel, judged each against the others, and summed as counts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autophasenn.errors import InputError
from autophasenn.physics.geometry import FixedGeometry
from autophasenn.preprocessing.repeated import Summing, alikeness, shift_between, sum_scans
from autophasenn.volumes import Scan

N = 48
PHOTONS = 1e6


def intensity(shift: tuple[float, float, float] = (0.0, 0.0, 0.0), other: bool = False) -> np.ndarray:
    """Of a strained crystal with a corner cut off, its pattern moved by parts of a voxel: a phase ramp on the crystal."""
    x, y, z = np.meshgrid(*[np.arange(N) - N // 2] * 3, indexing="ij")
    inside = (abs(x) <= 6) & (abs(y) <= (4 if other else 8)) & (abs(z) <= (9 if other else 5))
    inside &= (x - y + z if other else x + y + z) < 12
    phase = (0.02 * x**2 - 0.1 * y) if other else 0.012 * y**2 + 0.1 * z
    ramp = 2 * np.pi * (shift[0] * x + shift[1] * y + shift[2] * z) / N
    wave = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(inside * np.exp(1j * (phase + ramp)))))
    found = np.abs(wave) ** 2
    return np.asarray(found / found.sum())


def scan(
    seed: int, shift: tuple[float, float, float] = (0.0, 0.0, 0.0), photons: float = PHOTONS, other: bool = False
) -> Scan:
    counts = np.random.default_rng(seed).poisson(photons * intensity(shift, other)).astype(np.uint32)
    return Scan(counts, source={"path": f"scan-{seed}.npy", "sha256": str(seed)})


@pytest.mark.parametrize("shift", [(0.0, 0.4, 0.0), (-0.3, 0.0, 1.6), (0.25, -0.25, 0.1)])
def test_a_shift_is_found_to_parts_of_a_voxel(shift: tuple[float, float, float]) -> None:
    found = shift_between(scan(0).frames.astype(float), scan(1, shift).frames.astype(float))
    np.testing.assert_allclose(found, shift, atol=0.03)


@pytest.mark.parametrize("photons", [3e4, 1e6])
def test_scans_of_one_crystal_differ_by_noise_alone_however_few_the_photons(photons: float) -> None:
    one, two = (scan(seed, photons=photons).frames.astype(float) for seed in (0, 1))
    assert alikeness(one, two) > 0.97
    assert alikeness(one, scan(2, photons=photons, other=True).frames.astype(float)) < 0.85


def test_a_scan_of_another_crystal_is_left_out_and_the_rest_summed_count_by_count() -> None:
    scans = [scan(0), scan(1, other=True), scan(2, (0.0, 3.0, -2.0), photons=0.9 * PHOTONS)]
    found = sum_scans(scans)
    assert [each.is_used for each in found.judged] == [True, False, True]
    # Of two that are alike the one with more photons is the reference.
    assert found.judged[0].shift == (0.0, 0.0, 0.0)
    np.testing.assert_allclose(found.judged[2].shift, (0, 3, -2), atol=0.03)
    assert found.frames.dtype == np.uint32
    expected = scans[0].frames[:, 5:-5, 5:-5] + scans[2].frames[:, 8:-2, 3:-7]
    np.testing.assert_array_equal(found.frames[:, 5:-5, 5:-5], expected)
    assert "2 scans are summed" in found.warnings[0]
    (left_out,) = [sentence for sentence in found.warnings if "left out" in sentence]
    assert left_out.startswith("scan-1.npy is left out of the sum: it correlates with")
    told = found.source["summed"]
    assert [each["left_out"] is None for each in told] == [True, False, True]
    assert told[1]["alike"] < 0.9 < told[2]["alike"]
    # What was moved out of the array was not measured by all.
    assert not found.mask[:, -3:, :].all()
    assert found.mask[:, 4:-4, 4:-4].all()


def misfit(found: Scan, expected: np.ndarray) -> float:
    """Mean of (n - lambda)^2 / lambda, 1 of counting noise, where there are photons."""
    bright = (expected > 3) & np.asarray(found.mask)
    return float((((found.frames - expected) ** 2) / expected)[bright].mean())


def test_the_noise_of_the_sum_is_that_of_counting_its_photons() -> None:
    whole = sum_scans([scan(seed) for seed in range(4)])
    assert misfit(whole, 4 * PHOTONS * intensity()) == pytest.approx(1, abs=0.06)
    # Two scans 0.4 voxel apart meet half-way: counts stay counts.
    near = sum_scans([scan(0), scan(1, (0.0, 0.4, 0.0))])
    assert near.frames.dtype == np.uint32
    expected = PHOTONS * (intensity() + intensity((0.0, 0.4, 0.0)))
    assert misfit(near, expected) == pytest.approx(1, abs=0.06)


def test_what_is_far_off_the_voxels_is_interpolated_and_said() -> None:
    shifts = [(0.0, 0.0, 0.0), (0.0, 0.34, 0.0), (0.0, 0.67, 0.0)]
    scans = [scan(seed, shift) for seed, shift in enumerate(shifts)]
    found = sum_scans(scans, summing=Summing(least_part=0.1))
    assert any("moved by parts of a voxel" in sentence for sentence in found.warnings)
    # All lie where their common place between voxels is.
    places = [shift_between(found.frames.astype(float), one.frames.astype(float)) for one in scans]
    common = np.mean([np.subtract(place, shift) for place, shift in zip(places, shifts, strict=True)], axis=0)
    np.testing.assert_allclose(common - np.rint(common), [0, common[1] - np.rint(common[1]), 0], atol=0.03)
    sharp = 3 * PHOTONS * intensity((0.0, float(-common[1]), 0.0))
    blurred = sum_scans(scans, summing=Summing(least_part=1.0))
    assert misfit(found, sharp) < 1.3
    assert misfit(found, sharp) < misfit(blurred, sharp)


def test_two_scans_of_two_crystals_are_refused_in_one_sentence() -> None:
    with pytest.raises(InputError, match=r"No two of the 2 scans show the same crystal: .* one by one\.") as caught:
        sum_scans([scan(0), scan(1, other=True)])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="There is 1 scan to sum"):
        sum_scans([scan(0)])


def test_a_scan_of_another_geometry_or_size_is_left_out() -> None:
    steps, q = 1e7 * torch.eye(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 3e10], dtype=torch.float64)
    scans = [replace(scan(seed), geometry=FixedGeometry(steps, q)) for seed in range(4)]
    scans[1] = replace(scans[1], geometry=FixedGeometry(1.05 * steps, q))
    scans[2] = replace(scans[2], geometry=FixedGeometry(steps, 1.05 * q))
    scans.append(Scan(scan(9).frames[4:], geometry=FixedGeometry(steps, q), source={"path": "short.npy"}))
    found = sum_scans(scans)
    assert [each.is_used for each in found.judged] == [True, False, False, True, False]
    assert "steps in q" in found.judged[1].why
    assert "its Q" in found.judged[2].why
    assert "44 x 48 x 48" in found.judged[4].why


def test_frames_are_divided_by_their_share_of_the_monitor_and_it_is_said() -> None:
    beam = np.where(np.arange(N) < N // 2 - 3, 1.0, 0.5)
    scans = []
    for seed in range(2):
        counts = np.random.default_rng(seed).poisson(PHOTONS * intensity() * beam[:, None, None]).astype(np.uint32)
        scans.append(Scan(counts, source={"path": str(seed)}, monitor=1000 * beam))
    found = sum_scans(scans)
    assert any("monitor changes by up to" in sentence for sentence in found.warnings)
    per_frame = found.frames.sum((1, 2)) / intensity().sum((1, 2))
    bright = intensity().sum((1, 2)) > 1e-3
    assert np.ptp(per_frame[bright]) < 0.1 * per_frame[bright].mean()
    steady = sum_scans([replace(each, monitor=1000 + np.zeros(N)) for each in scans])
    assert steady.frames.dtype == np.uint32


def test_the_picture_shows_each_scan_and_those_left_out(tmp_path: Path) -> None:
    from autophasenn.pipeline.pictures import draw_repeated

    found = sum_scans([scan(0), scan(1, other=True), scan(2)])
    draw_repeated(tmp_path, found.judged, "made")
    assert (tmp_path / "scans.png").stat().st_size > 10_000
