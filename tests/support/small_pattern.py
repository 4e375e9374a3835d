"""A pattern of 32^3 voxels with an alien beside its peak, quick to phase."""

from __future__ import annotations

import numpy as np

SIDE = 32
ALIEN = (16, 4, 27)
"""Frame, row and column of the alien."""


def small_pattern(seed: int = 5, *, alien: bool = True) -> np.ndarray:
    """Counts (frame, row, column) of an ellipsoid with a smooth phase, with counting noise."""
    axes = np.indices((SIDE,) * 3) - SIDE // 2
    inside = (axes[0] / 4.5) ** 2 + (axes[1] / 5.5) ** 2 + (axes[2] / 5) ** 2 < 1
    rho = inside * np.exp(0.5j * np.sin(axes[1] / 4))
    intensity = np.abs(np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(rho)))) ** 2
    counts = np.random.default_rng(seed).poisson(2e5 * intensity / intensity.max())
    if alien:
        near = sum((np.indices(counts.shape)[axis] - at) ** 2 for axis, at in enumerate(ALIEN))
        counts += np.random.default_rng(seed + 1).poisson(900 * np.exp(-near / 2.0))
    return counts.astype(np.int32)
