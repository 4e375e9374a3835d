"""Laws of the transform pair."""

import math

import pytest
import torch

from autophasenn.physics.fourier import (
    back_propagate,
    back_propagate_corner,
    back_propagate_cropped,
    diffract,
    diffract_corner,
    diffract_padded,
    to_centre,
    to_corner,
)
from autophasenn.volumes import SPATIAL, crop_or_pad, twin

SHAPES = [(8, 8, 8), (7, 9, 5), (6, 7, 8)]


def complex_noise(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_pair_is_inverse(shape: tuple[int, int, int]) -> None:
    rho = complex_noise((2, *shape))
    torch.testing.assert_close(back_propagate(diffract(rho)), rho)


@pytest.mark.parametrize("shape", SHAPES)
def test_parseval_holds_without_factors(shape: tuple[int, int, int]) -> None:
    rho = complex_noise(shape)
    torch.testing.assert_close(diffract(rho).abs().square().sum(), rho.abs().square().sum())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_point_at_the_origin_scatters_evenly_with_phase_zero(shape: tuple[int, int, int]) -> None:
    rho = torch.zeros(shape, dtype=torch.complex64)
    rho[tuple(n // 2 for n in shape)] = 1
    torch.testing.assert_close(diffract(rho), torch.full(shape, 1 / math.sqrt(math.prod(shape)), dtype=torch.complex64))


def test_the_sign_is_exp_minus_i_q_r() -> None:
    n = 8
    rho = torch.zeros(n, n, n, dtype=torch.complex64)
    rho[n // 2 + 1, n // 2, n // 2] = 1  # r = one voxel along axis 0
    q = 2 * math.pi / n  # of the voxel next to the centre
    wave = diffract(rho)[n // 2 + 1, n // 2, n // 2]
    torch.testing.assert_close(wave * n**1.5, torch.exp(torch.tensor(-1j * q)).to(torch.complex64))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_twin_has_the_conjugate_wave(shape: tuple[int, int, int]) -> None:
    rho = complex_noise(shape)
    torch.testing.assert_close(diffract(twin(rho)), diffract(rho).conj().resolve_conj())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_ramp_on_the_object_moves_the_wave(shape: tuple[int, int, int]) -> None:
    rho, n = complex_noise(shape), shape[0]
    ramp = torch.exp(2j * math.pi * (torch.arange(n) - n // 2) / n)[:, None, None]
    torch.testing.assert_close(diffract(rho * ramp), torch.roll(diffract(rho), 1, 0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_corner_order_is_the_same_transform_without_shifts(shape: tuple[int, int, int]) -> None:
    rho = complex_noise(shape)
    torch.testing.assert_close(to_centre(diffract_corner(to_corner(rho))), diffract(rho))
    torch.testing.assert_close(back_propagate_corner(diffract_corner(rho)), rho)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_padded_transform_is_that_of_the_padded_object(shape: tuple[int, int, int]) -> None:
    for padded in (shape, (16, 9, 11), (20, 15, 8)):
        for batch in ((), (2,), (2, 3)):
            rho = complex_noise((*batch, *shape))
            torch.testing.assert_close(
                diffract_padded(rho, padded), diffract(crop_or_pad(rho, padded)), atol=1e-6, rtol=1e-5
            )


def test_only_this_file_of_the_package_shifts() -> None:
    from pathlib import Path

    import autophasenn

    files = Path(autophasenn.__file__).parent.rglob("*.py")
    shifting = [f.name for f in files if "fftshift" in f.read_text(encoding="utf-8")]
    assert shifting == ["fourier.py"]
    assert SPATIAL == (-3, -2, -1)


@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 6, 5)])
def test_the_cropped_transform_is_the_middle_of_the_whole_one(shape: tuple[int, int, int]) -> None:
    psi = torch.randn(2, 8, 9, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    expected = crop_or_pad(back_propagate(psi), shape)
    torch.testing.assert_close(back_propagate_cropped(psi, shape), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("inner", "outer"), [((8, 8, 8), (16, 16, 16)), ((7, 6, 5), (14, 15, 16)), ((6, 7, 5), (13, 16, 11))]
)
def test_a_wave_that_is_dark_but_for_its_middle_needs_no_more_than_that(
    inner: tuple[int, int, int], outer: tuple[int, int, int]
) -> None:
    middle = torch.randn(2, *inner, dtype=torch.complex64, generator=torch.Generator().manual_seed(4))
    found = back_propagate_cropped(middle, (6, 5, 6), outer)
    assert torch.allclose(found, back_propagate_cropped(crop_or_pad(middle, outer), (6, 5, 6)), atol=1e-6)


def test_cropped_is_the_adjoint_of_padded() -> None:
    generator = torch.Generator().manual_seed(2)
    rho = torch.randn(4, 5, 4, dtype=torch.complex128, generator=generator)
    psi = torch.randn(8, 9, 8, dtype=torch.complex128, generator=generator)
    there = torch.vdot(psi.flatten(), diffract_padded(rho, (8, 9, 8)).flatten())
    back = torch.vdot(back_propagate_cropped(psi, (4, 5, 4)).flatten(), rho.flatten())
    torch.testing.assert_close(there, back)
