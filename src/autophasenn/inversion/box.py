"""The network's box of 64^3 voxels in a pattern of any shape and sampling: the way in for counts, the way back for objects.

Around the Bragg peak the box takes one voxel every `step` voxels of the pattern, axis by axis. A step above 1 serves a
pattern that is larger than the box and sampled more finely than phasing needs: the intensity holds nothing beyond the
autocorrelation of the crystal, so what lies between two voxels of the box is theirs already (Sayre 1952). Along each axis
the way in and the way back are one matrix each, and both grids have their origin at ``n // 2``: no phase ramp arises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.errors import InputError
from autophasenn.inversion.resampling import LOBES, on_axes, resampled
from autophasenn.volumes import PATTERN_VOXELS, crop_or_pad

WANTED = 2.9
"""Oversampling that the box gives a finely sampled pattern: the crystal fills two thirds of the network's object."""
FINEST = 6.0
"""Oversampling above which even a pattern no larger than the box is resampled: networks were trained up to it."""
LEAST_STEP = 1.15
"""Steps nearer to 1 gain less than resampling costs."""
LEAST_VOXELS = 24
"""Of an axis: of fewer, most of the box would be unmeasured."""
BoxCounts = Float[Tensor, "64 64 64"]
BoxMask = Bool[Tensor, "64 64 64"]


@dataclass(frozen=True)
class NetworkBox:
    """Where the box lies in a pattern.

    Parameters
    ----------
    shape : tuple of 3 ints
        Of the pattern.
    steps : tuple of 3 floats
        Voxels of the pattern a voxel of the box, 1 or more.
    """

    shape: tuple[int, int, int]
    steps: tuple[float, float, float]

    @classmethod
    def of(cls, shape: Sequence[int], oversampling: Sequence[float]) -> NetworkBox:
        """The box that suits a pattern.

        Parameters
        ----------
        shape : 3 ints
        oversampling : 3 floats
            Of the pattern along each axis, see `preprocessing.oversampling.estimate_oversampling`.

        Raises
        ------
        InputError
            If an axis has too few voxels.
        """
        for axis, size in enumerate(shape):
            if size < LEAST_VOXELS:
                raise InputError(
                    f"The pattern has {size} voxels along axis {axis}, and the network needs {LEAST_VOXELS} or more of its "
                    f"{PATTERN_VOXELS}; bin that axis less, or use --method iterative."
                )
        n0, n1, n2 = shape
        s0, s1, s2 = (_step(size, value) for size, value in zip(shape, oversampling, strict=True))
        return cls((n0, n1, n2), (s0, s1, s2))

    @property
    def is_whole_pattern(self) -> bool:
        """Does the box hold the pattern, voxel by voxel?"""
        return self.shape == (PATTERN_VOXELS,) * 3 and self.steps == (1.0, 1.0, 1.0)

    def oversampling(self, of_pattern: Sequence[float]) -> tuple[float, float, float]:
        """Oversampling in the box, from that of the pattern."""
        o0, o1, o2 = (value / step for value, step in zip(of_pattern, self.steps, strict=True))
        return o0, o1, o2

    def counts_into(
        self, counts: Float[Tensor, "n0 n1 n2"], mask: Bool[Tensor, "n0 n1 n2"]
    ) -> tuple[BoxCounts, BoxMask]:
        """A pattern in the box.

        Parameters
        ----------
        counts : float32 tensor (n0, n1, n2)
        mask : bool tensor (n0, n1, n2)
            True = to be used. Nothing of the other voxels enters.

        Returns
        -------
        counts : float32 tensor (64, 64, 64)
            On the scale of blocks of `steps` voxels summed, so that its noise remains that of counts; 0 where unmeasured.
        mask : bool tensor (64, 64, 64)
            False beyond the pattern, and where less than 70 % of a voxel has measured.

        Raises
        ------
        InputError
            If nothing is left in the box.
        """
        if max(self.steps) == 1:
            inside = crop_or_pad(mask, (PATTERN_VOXELS,) * 3)
            value = crop_or_pad(counts, (PATTERN_VOXELS,) * 3)
        else:
            cut = self._reached()
            value, inside = resampled(
                crop_or_pad(counts, cut), crop_or_pad(mask, cut), (PATTERN_VOXELS,) * 3, self.steps
            )
        value = torch.where(inside, value, 0)
        if not bool((value > 0).any()):
            raise InputError(
                "No photon was measured in the middle of the pattern, which the network sees; check the mask (True = "
                "measured), or use --method iterative."
            )
        return value, inside

    def object_onto_grid(self, rho: Complex[Tensor, "64 64 64"]) -> Complex[Tensor, "n0 n1 n2"]:
        """An object of the box on the voxels of the pattern's object, exact at any part of a voxel; 0 outside of the box.

        Its wave fills the part of reciprocal space that the box has; nothing is added beyond, and what the box has beyond
        the pattern is left out.
        """
        matrices = [_sinc_series(size, step) for size, step in zip(self.shape, self.steps, strict=True)]
        return on_axes(rho, matrices)

    def values_onto_grid(self, values: Float[Tensor, "64 64 64"]) -> Float[Tensor, "n0 n1 n2"]:
        """Values of the box's object, such as its spread, on the voxels of the pattern's object: linearly between voxels.

        Beyond the box they are those of its edge.
        """
        if self.is_whole_pattern:
            return values
        matrices = [_linear(size, step) for size, step in zip(self.shape, self.steps, strict=True)]
        return on_axes(values, matrices)

    def _reached(self) -> tuple[int, int, int]:
        """Voxels about the middle of the pattern that the kernel reaches, along each axis."""
        n0, n1, n2 = (
            min(size, 2 * math.ceil((PATTERN_VOXELS / 2 + LOBES) * step))
            for size, step in zip(self.shape, self.steps, strict=True)
        )
        return n0, n1, n2


def _step(size: int, oversampling: float) -> float:
    """Voxels of an axis a voxel of the box: so many that the box is well sampled, but no more than the axis can fill."""
    step = max(1.0, min(oversampling / WANTED, max(size / PATTERN_VOXELS, oversampling / FINEST)))
    return 1.0 if step < LEAST_STEP else step


def _linear(size: int, step: float) -> Tensor:
    """(size, 64): the two voxels of the box beside voxel j of the axis, by their nearness."""
    n = PATTERN_VOXELS
    place = np.clip(step * n * (np.arange(size) - size // 2) / size + n // 2, 0, n - 1)
    return torch.from_numpy(np.clip(1 - np.abs(place[:, None] - np.arange(n)), 0, None))


def _sinc_series(size: int, step: float) -> Tensor:
    """(size, 64): ``1/64 sum_k exp(2 pi i k (step j / size - r / 64))`` for voxels j of the axis, r of the box.

    k runs over the waves that both have, the outermost ones halved so that the sum is real; 0 outside of the box.
    """
    n = PATTERN_VOXELS
    place = step * n * (np.arange(size) - size // 2) / size
    k = np.arange(-n // 2, n // 2 + 1)
    edge = min(n / 2, size / (2 * step))
    weight = np.select([np.abs(k) < edge, np.abs(k) == edge], [1.0, 0.5], 0.0)
    phase = 2 * np.pi / n * (place[:, None] - (np.arange(n) - n // 2))
    series = np.cos(phase[..., None] * k) @ weight / n
    return torch.from_numpy(np.where((np.abs(place) <= n // 2)[:, None], series, 0))
