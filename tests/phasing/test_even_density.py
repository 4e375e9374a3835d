"""A crystal is even: that finds it where its phase ranges so far that hybrid input-output and shrink-wrap do not."""

import math
from typing import Any

import pytest
import torch
from strained import SIZE, crystal, pattern

from autophasenn.errors import PlanError
from autophasenn.phasing.autocorrelation import few_voxels
from autophasenn.phasing.engine import retrieve
from autophasenn.phasing.even_density import EvenDensity, find_even
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.schedule import Schedule
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract, to_centre
from autophasenn.physics.metrics import correlation, support_of
from autophasenn.volumes import Pattern, crop_or_pad

QUICK = EvenDensity(volumes=(0.7, 1.0), starts=3, restarts=0)


STRAINED = crystal(6 * math.pi)
COUNTS = pattern(STRAINED, 3e6)
EVERYWHERE = torch.ones_like(COUNTS, dtype=torch.bool)


def test_a_strongly_strained_crystal_is_found_where_shrink_wrap_fails() -> None:
    usual = retrieve(COUNTS[None], EVERYWHERE[None], Schedule(), seeds=range(3))
    assert max(correlation(STRAINED, rho) for rho in usual.object) < 0.85
    found = find_even(COUNTS, EVERYWHERE, QUICK, seed=1)
    assert correlation(STRAINED, found.object[0]) > 0.88
    assert float(found.errors) < 0.06


def test_what_a_gap_holds_changes_nothing() -> None:
    measured = EVERYWHERE.clone()
    measured[:, SIZE // 2 + 5 : SIZE // 2 + 7] = False
    least = EvenDensity(volumes=(0.8,), starts=1, first=10, rounds=1, iterations=10, survivors=1, restarts=1, good=1e-6)
    hidden = torch.where(measured, COUNTS, 1e6)
    first, second = (find_even(counts, measured, least, seed=2) for counts in (COUNTS, hidden))
    assert torch.equal(first.object, second.object)
    assert torch.isfinite(torch.view_as_real(first.object)).all()


def test_every_iteration_that_was_announced_is_told_or_fewer() -> None:
    told: list[tuple[int, int]] = []
    how = EvenDensity(volumes=(0.8,), starts=2, first=10, rounds=1, iterations=10, survivors=1, restarts=1, good=1e-6)
    find_even(COUNTS, EVERYWHERE, how, seed=2, on_iteration=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {how.total}
    assert told[-1][0] <= how.total


def test_the_small_grid_has_the_pattern_of_the_crystal_alone() -> None:
    """A field of view cut to a little over twice the crystal loses nothing: the transform of the same object there."""
    wide = torch.nn.functional.pad(torch.view_as_real(STRAINED), (0, 0, *(14,) * 6))
    rho = torch.view_as_complex(wide)
    counts = pattern(rho, 1e9)
    few = few_voxels(counts, torch.ones_like(counts, dtype=torch.bool))
    assert few.modulus.numel() < counts.numel() / 2
    shape = few.modulus.shape
    cut = tuple(slice(n // 2 - m // 2, n // 2 - m // 2 + m) for n, m in zip(rho.shape, shape, strict=True))
    expected = intensity_of(diffract(rho[cut].contiguous())).sqrt()
    found = to_centre(few.modulus)
    cosine = (expected * found).sum() / (expected.norm() * found.norm())
    assert float(cosine) > 0.9999


def test_the_autocorrelation_tells_the_volume_within_a_factor_of_two() -> None:
    assert 0.5 < few_voxels(COUNTS, EVERYWHERE).volume / float(support_of(STRAINED).sum()) < 2


def test_the_volume_is_told_as_well_where_voxels_are_held_out_or_missing() -> None:
    """In a box as wide as the network's. Interpolation from the neighbours alone makes it 1.1 and 1.6 times too large."""
    counts = pattern(crop_or_pad(STRAINED, (64, 64, 64)), 3e6)
    everywhere = torch.ones_like(counts, dtype=torch.bool)
    gap = everywhere.clone()
    gap[:, :, 36:38] = False
    everything = few_voxels(counts, everywhere).volume
    for measured in (HeldOut.of(Pattern(counts, everywhere), 0.02, 0).used[0], gap):
        assert few_voxels(counts, measured).volume == pytest.approx(everything, rel=0.06)


@pytest.mark.parametrize("wrong", [{"starts": 0}, {"loose": 0.9}, {"beta": 1.5}, {"volumes": (0.0,)}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=next(iter(wrong))):
        EvenDensity(**wrong)


def test_without_its_foot_the_autocorrelation_tells_the_volume_of_a_bright_crystal_better() -> None:
    """And the same of a faint one, whose foot is lost in the noise."""
    volume = float(STRAINED.abs().sum() / STRAINED.abs().max())
    for photons in (1e7, 1e8):
        few = few_voxels(pattern(STRAINED, photons), EVERYWHERE)
        assert few.volume > 1.3 * volume
        assert few.volume_within_foot == pytest.approx(volume, rel=0.25)
    faint = few_voxels(pattern(STRAINED, 1e5), EVERYWHERE)
    assert faint.volume_within_foot == pytest.approx(faint.volume)
