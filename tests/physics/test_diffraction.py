"""Laws of partial coherence."""

import math

import pytest
import torch

from autophasenn.physics import fourier
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel, intensity_of

SIZE = 64


def degree_of_coherence(kernel: torch.Tensor) -> torch.Tensor:
    """As a function of the distance in voxels of the object, 1 at distance 0 (the middle)."""
    return fourier.diffract(kernel.to(torch.complex64)).real * math.sqrt(kernel.numel())


def test_the_degree_of_coherence_of_a_wide_kernel_is_the_gaussian_itself() -> None:
    sigmas = (1.0, 1.3, 2.5)
    kernel = gaussian_kernel((SIZE,) * 3, sigmas)
    assert kernel.min() >= 0
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))
    degree = degree_of_coherence(kernel)
    x = torch.arange(SIZE) - SIZE // 2
    for axis, sigma in enumerate(sigmas):
        line = degree.permute(axis, *(a for a in range(3) if a != axis))[:, SIZE // 2, SIZE // 2]
        law = torch.exp(-0.5 * (x * 2 * math.pi * sigma / SIZE) ** 2)
        torch.testing.assert_close(line, law, atol=8e-3, rtol=0)


@pytest.mark.parametrize(("sigma", "error"), [(0.7, 0.089), (0.34, 0.392)])
def test_the_degree_of_coherence_of_a_narrow_kernel_is_folded_with_the_field_of_view(sigma, error) -> None:
    """Such a kernel is not the beam's: the law comes in twice at the edge, once from each side."""
    degree = degree_of_coherence(gaussian_kernel((SIZE, 1, 1), (sigma, 0.0, 0.0)))[0, 0, 0]
    law = math.exp(-0.5 * (math.pi * sigma) ** 2)
    assert float(degree) - law == pytest.approx(error, abs=0.01)


def test_full_coherence_is_a_point() -> None:
    kernel = gaussian_kernel((5, 6, 7), (0.0, 0.0, 0.0))
    assert kernel[2, 3, 3] == 1
    assert kernel.sum() == 1
    intensity = torch.rand(8, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ForwardModel(kernel=kernel).blur(intensity), intensity)


@pytest.mark.parametrize("shape", [(8, 6, 10), (7, 9, 5)])
def test_the_intensity_is_that_of_the_wave_wherever_its_origin_lies(shape: tuple[int, int, int]) -> None:
    rho = torch.randn(2, *shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ForwardModel()(rho), intensity_of(fourier.diffract(rho)), rtol=1e-4, atol=1e-5)
