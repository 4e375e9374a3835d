"""Laws of voxel grids, and what a pattern refuses to be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autophasenn.errors import InputError
from autophasenn.volumes import Pattern, bin_sum, crop_or_pad, twin, window_around

sizes = st.integers(2, 17)


@given(sizes, sizes)
def test_crop_or_pad_keeps_the_middle_voxel_in_the_middle(old: int, new: int) -> None:
    line = torch.zeros(2, 3, old)
    line[..., old // 2] = 1
    assert bool((crop_or_pad(line, [new])[..., new // 2] == 1).all())


@given(sizes, sizes)
def test_cropping_takes_back_padding(small: int, more: int) -> None:
    volume = torch.rand(small, small, small)
    assert torch.equal(crop_or_pad(crop_or_pad(volume, [small + more] * 3), [small] * 3), volume)


@given(sizes, st.integers(0, 16), sizes)
def test_a_window_has_the_asked_voxel_in_its_middle(size: int, centre: int, new: int) -> None:
    centre %= size
    line = torch.arange(1.0, size + 1).reshape(size, 1, 1)
    window = window_around(line, [centre, 0, 0], [new, 1, 1], fill=-1.0)
    assert float(window[new // 2, 0, 0]) == centre + 1
    assert window.shape == (new, 1, 1)


@given(st.integers(6, 40), st.integers(1, 5))
def test_binning_keeps_the_middle_voxel_in_the_middle_block(size: int, factor: int) -> None:
    line = torch.zeros(size, 1, 1)
    line[size // 2] = 1
    binned = bin_sum(line, (factor, 1, 1))
    assert float(binned[binned.shape[0] // 2, 0, 0]) == 1
    assert size - binned.shape[0] * factor < 2 * factor


def test_binning_sums_counts() -> None:
    counts = torch.rand(12, 8, 6)
    binned = bin_sum(counts, (3, 2, 1))
    assert binned.shape == (4, 4, 6)
    torch.testing.assert_close(binned.sum(), counts.sum())


@given(st.integers(2, 9))
def test_the_twin_of_the_twin_is_the_object(n: int) -> None:
    rho = torch.randn(n, n + 1, n, dtype=torch.complex64)
    assert torch.equal(twin(twin(rho)), rho)


@pytest.mark.parametrize(
    ("counts", "mask", "words"),
    [
        (torch.ones(4, 4), torch.ones(4, 4, dtype=torch.bool), "2 dimensions"),
        (torch.ones(4, 4, 4), torch.ones(4, 4, 3, dtype=torch.bool), "mask has shape"),
        (torch.ones(4, 4, 4), torch.zeros(4, 4, 4, dtype=torch.bool), "no measured voxel"),
        (torch.full((4, 4, 4), torch.nan), torch.ones(4, 4, 4, dtype=torch.bool), "NaN"),
        (torch.full((4, 4, 4), -1.0), torch.ones(4, 4, 4, dtype=torch.bool), "negative"),
        (torch.zeros(4, 4, 4), torch.ones(4, 4, 4, dtype=torch.bool), "empty"),
    ],
)
def test_a_pattern_refuses_what_it_cannot_be(counts: torch.Tensor, mask: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Pattern(counts, mask)


def test_values_of_unmeasured_voxels_mean_nothing() -> None:
    counts = torch.ones(4, 4, 4)
    counts[0] = torch.nan
    mask = torch.isfinite(counts)
    modulus = Pattern(counts, mask).modulus()
    assert float(modulus[0].abs().sum()) == 0
    assert bool((modulus[1:] == 1).all())
