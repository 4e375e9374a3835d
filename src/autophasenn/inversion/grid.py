"""The grid that the data need: as many voxels as phasing takes, at the full resolution of the pattern.

The intensity is the transform of the crystal's autocorrelation, and holds nothing beyond it. Where a pattern is sampled more
finely than that, most of its voxels repeat what their neighbours say, and most of its object is empty. The grid spans the
same part of reciprocal space with fewer voxels: its object has voxels of the same size in a smaller field of view, so
that the way back is zeros around it, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.fft import fftn, ifftn

from autophasenn.errors import InputError
from autophasenn.inversion.resampling import resampled
from autophasenn.physics.fourier import to_centre, to_corner
from autophasenn.volumes import crop_or_pad

LEAST_OVERSAMPLING = 2.5
"""That the grid keeps: with 2 the autocorrelation would touch itself, and the kernel that resamples needs a margin."""
LEAST_GAIN = 1.15
"""Voxels of an axis over those of the grid below which the axis stays as it is: resampling costs more than it gains."""
KERNEL_LOBES = 8
"""Twice those of the network's box: what is judged by chi2 must keep the outer part of the autocorrelation."""


@dataclass(frozen=True)
class WorkingGrid:
    """Where a pattern is refined.

    Parameters
    ----------
    pattern : tuple of 3 ints
        Shape of the pattern.
    shape : tuple of 3 ints
        Of the grid, none larger.
    """

    pattern: tuple[int, int, int]
    shape: tuple[int, int, int]

    @classmethod
    def of(
        cls, pattern: Sequence[int], oversampling: Sequence[float], least: float = LEAST_OVERSAMPLING
    ) -> WorkingGrid:
        """The smallest grid that keeps an oversampling.

        Parameters
        ----------
        pattern : 3 ints
        oversampling : 3 floats
            Of the pattern along each axis.
        least : float
            Of the grid, above 2.

        Raises
        ------
        InputError
            If `least` is not above 2.
        """
        if not least > 2:
            raise InputError(
                f"The oversampling to keep is {least:g}; phase retrieval takes more than 2 (Sayre 1952), and "
                f"{LEAST_OVERSAMPLING:g} is usual."
            )
        n0, n1, n2 = pattern
        m0, m1, m2 = (_voxels(size, value, least) for size, value in zip(pattern, oversampling, strict=True))
        return cls((n0, n1, n2), (m0, m1, m2))

    @property
    def is_pattern(self) -> bool:
        """Does every voxel of the pattern have its own?"""
        return self.shape == self.pattern

    @property
    def steps(self) -> tuple[float, float, float]:
        """Voxels of the pattern a voxel of the grid."""
        s0, s1, s2 = (n / m for n, m in zip(self.pattern, self.shape, strict=True))
        return s0, s1, s2

    def counts_onto(
        self, counts: Float[Tensor, "n0 n1 n2"], mask: Bool[Tensor, "n0 n1 n2"]
    ) -> tuple[Float[Tensor, "m0 m1 m2"], Bool[Tensor, "m0 m1 m2"]]:
        """A pattern on the grid.

        Parameters
        ----------
        counts : float32 tensor (n0, n1, n2)
        mask : bool tensor (n0, n1, n2)
            True = to be used. Nothing of the other voxels enters.

        Returns
        -------
        counts : float32 tensor (m0, m1, m2)
            On the scale of blocks of `steps` voxels summed, with the noise of counts; 0 where unmeasured.
        mask : bool tensor (m0, m1, m2)
        """
        if self.is_pattern:
            return torch.where(mask, counts, 0), mask
        return resampled(counts, mask, self.shape, self.steps, KERNEL_LOBES)

    def object_onto(self, rho: Shaped[Tensor, "*batch n0 n1 n2"]) -> Shaped[Tensor, "*batch m0 m1 m2"]:
        """An object of the pattern on the grid, or its support: the middle."""
        return crop_or_pad(rho, self.shape)

    def object_from(self, rho: Shaped[Tensor, "*batch m0 m1 m2"]) -> Shaped[Tensor, "*batch n0 n1 n2"]:
        """An object of the grid as one of the pattern, on the same scale, or its support: zeros around it."""
        return crop_or_pad(rho, self.pattern)

    def kernel_from(self, kernel: Float[Tensor, "1 k0 k1 k2"]) -> Float[Tensor, "1 w0 w1 w2"]:
        """A coherence kernel of the grid as one of the pattern.

        Its transform, the degree of coherence of two points, is the same function of their distance; beyond the grid's field
        of view, where the autocorrelation is empty, it is taken as 0.

        Parameters
        ----------
        kernel : float32 tensor (1, k0, k1, k2)
            With odd edges, centred, of sum 1.

        Returns
        -------
        float32 tensor (1, w0, w1, w2), `steps` times as wide, with odd edges, none negative, of sum 1.
        """
        whole = crop_or_pad(kernel[0], self.shape)
        degree = to_centre(fftn(to_corner(whole)).real)
        wide = to_centre(ifftn(to_corner(crop_or_pad(degree, self.pattern))).real)
        edges = [
            min(2 * round((size - 1) * step / 2) + 1, n - 1 + n % 2)
            for size, step, n in zip(kernel.shape[1:], self.steps, self.pattern, strict=True)
        ]
        middle = crop_or_pad(wide, edges).clamp_min(0)
        return (middle / middle.sum())[None]


def _voxels(size: int, oversampling: float, least: float) -> int:
    """Of an axis: the next even number without a prime factor above 7, which transforms are quick for."""
    voxels = 2 * math.ceil(size * least / oversampling / 2)
    while not _is_smooth(voxels):
        voxels += 2
    return voxels if size >= LEAST_GAIN * voxels else size


def _is_smooth(number: int) -> bool:
    for factor in (2, 3, 5, 7):
        while number % factor == 0:
            number //= factor
    return number == 1
