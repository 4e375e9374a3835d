"""A pattern on fewer voxels: every voxel of a new axis lies `step` voxels of the old one from the next.

Along each axis it is one matrix; both axes have their origin at ``n // 2``, so that no phase ramp arises. The kernel is a
sinc in a Kaiser window. It sums to `step`: the noise of what it gives remains that of counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autophasenn.preprocessing.oversampling import fill_unmeasured

LOBES, SHARPNESS = 4, 5.0
"""Half-width of the kernel in new voxels, and the parameter of its Kaiser window. A long kernel would be exact, but carry
the counting noise of the peak to the faint fringes."""
MEASURED_SHARE = 0.7
"""Of a new voxel that the detector must have measured; the rest is guessed from its neighbours."""


def resampled(
    counts: Float[Tensor, "n0 n1 n2"],
    mask: Bool[Tensor, "n0 n1 n2"],
    shape: Sequence[int],
    steps: Sequence[float],
    lobes: int = LOBES,
    share: float = MEASURED_SHARE,
) -> tuple[Float[Tensor, "m0 m1 m2"], Bool[Tensor, "m0 m1 m2"]]:
    """A pattern on other voxels.

    Parameters
    ----------
    counts : float32 tensor (n0, n1, n2)
    mask : bool tensor (n0, n1, n2)
        True = to be used. Nothing of the other voxels enters.
    shape : 3 ints
        New, (m0, m1, m2).
    steps : 3 floats
        Old voxels a new one, 1 or more.
    lobes : int
        Half-width of the kernel in new voxels.
    share : float
        Of a new voxel that must be measured.

    Returns
    -------
    counts : float32 tensor (m0, m1, m2)
        On the scale of blocks of `steps` voxels summed; 0 where unmeasured.
    mask : bool tensor (m0, m1, m2)
        False beyond the pattern, and where less than 70 % of a voxel has measured (`share`).
    """
    filled = torch.from_numpy(fill_unmeasured(counts.cpu().numpy(), mask.cpu().numpy())).to(counts.device)
    axes = list(zip(counts.shape, shape, steps, strict=True))
    value = on_axes(filled, [low_pass(old, new, step, lobes) for old, new, step in axes]).clamp_min(0)
    inside = on_axes(mask.to(counts.dtype), [overlap(*axis) for axis in axes]) > share
    return torch.where(inside, value, 0), inside


def on_axes(volume: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """A matrix (new size, old size) applied to each axis."""
    for axis, matrix in enumerate(matrices):
        volume = torch.tensordot(matrix.to(volume), volume, dims=([1], [axis])).movedim(0, axis)
    return volume.contiguous()


def low_pass(size: int, voxels: int, step: float, lobes: int = LOBES) -> Tensor:
    """(voxels, size): intensity between voxels, without what is too fine for the new ones; a sinc in a Kaiser window.

    The sum of a row is `step`.
    """
    distance = _distances(size, voxels, step) / step
    window = np.i0(SHARPNESS * np.sqrt(np.clip(1 - (distance / lobes) ** 2, 0, None))) * (np.abs(distance) <= lobes)
    kernel = np.sinc(distance) * window
    total = kernel.sum(1, keepdims=True)
    return torch.from_numpy(kernel * step / np.where(np.abs(total) > 1e-9, total, 1))


def overlap(size: int, voxels: int, step: float) -> Tensor:
    """(voxels, size): share of a new voxel that an old one covers."""
    distance = np.abs(_distances(size, voxels, step))
    return torch.from_numpy(np.clip((step + 1) / 2 - distance, 0, min(1.0, step)) / step)


def _distances(size: int, voxels: int, step: float) -> np.ndarray:
    """From every new voxel (rows) to every old one (columns), in old voxels."""
    places = (np.arange(voxels) - voxels // 2) * step
    return np.arange(size)[None] - size // 2 - places[:, None]
