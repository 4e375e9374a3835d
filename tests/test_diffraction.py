"""Laws of partial coherence."""

import math

import pytest
import torch

from autophasenn.physics import fourier
from autophasenn.physics.diffraction import ForwardModel, exponential_kernel, gaussian_kernel

SIZE, LENGTHS = 64, (12.0, 30.0, 7.0)


def degree_of_coherence(kernel: torch.Tensor) -> torch.Tensor:
    """As a function of the distance in voxels of the object, 1 at distance 0 (the middle)."""
    return fourier.diffract(kernel.to(torch.complex64)).real * math.sqrt(kernel.numel())


@pytest.mark.parametrize(
    ("kernel_of", "law"),
    [
        (gaussian_kernel, lambda x, length: torch.exp(-0.5 * (x / length) ** 2)),
        (exponential_kernel, lambda x, length: torch.exp(-x.abs() / length)),
    ],
)
def test_the_degree_of_coherence_falls_as_stated(kernel_of, law) -> None:
    kernel = kernel_of((SIZE,) * 3, [SIZE / (2 * math.pi * length) for length in LENGTHS])
    assert kernel.min() >= 0
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))
    degree = degree_of_coherence(kernel)
    x = torch.arange(SIZE) - SIZE // 2
    for axis, length in enumerate(LENGTHS):
        line = degree.permute(axis, *(a for a in range(3) if a != axis))[:, SIZE // 2, SIZE // 2]
        images = sum(law(x + SIZE * period, length) for period in range(-8, 9))  # the axis is periodic
        torch.testing.assert_close(line, images / images[SIZE // 2], atol=2e-3, rtol=0)


@pytest.mark.parametrize("kernel_of", [gaussian_kernel, exponential_kernel])
def test_full_coherence_is_a_point(kernel_of) -> None:
    kernel = kernel_of((5, 6, 7), (0.0, 0.0, 0.0))
    assert kernel[2, 3, 3] == 1
    assert kernel.sum() == 1
    intensity = torch.rand(8, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ForwardModel(kernel=kernel).blur(intensity), intensity)
