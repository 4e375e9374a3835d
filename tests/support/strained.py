"""A strongly strained crystal of even density in a small box, and its pattern."""

from __future__ import annotations

import torch
from torch import Tensor

from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract

SIZE = 36
"""Of the box, voxels."""


def crystal(phase_range: float) -> Tensor:
    """A clipped block of 13 x 11 x 15 voxels, its edges rounded, with a smooth phase of that range (rad)."""
    x, y, z = torch.meshgrid(*[torch.arange(SIZE, dtype=torch.float64) - SIZE // 2] * 3, indexing="ij")
    planes = [x - 6, -x - 6, y - 5, -y - 5, z - 7, -z - 7, (x + y + z) / 3**0.5 - 6, (x - y - z) / 3**0.5 - 7]
    amplitude = torch.ones_like(x)
    for plane in planes:
        amplitude *= (0.5 - plane).clamp(0, 1)
    phase = torch.sin(0.35 * x + 0.2 * z) + 0.8 * torch.cos(0.3 * y - 0.25 * z + 0.6) + 0.02 * x * y
    inside = amplitude > 0
    phase = (phase - phase[inside].mean()) * (phase_range / float(phase[inside].max() - phase[inside].min()))
    return torch.polar(amplitude, phase).to(torch.complex64)


def pattern(rho: Tensor, photons: float) -> Tensor:
    expected = intensity_of(diffract(rho))
    return torch.poisson(expected * (photons / expected.sum()), generator=torch.Generator().manual_seed(3))
