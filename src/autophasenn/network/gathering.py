"""Cubes of voxels turned into channels and back: the same numbers on a coarser grid, where convolutions cost less."""

from __future__ import annotations

import torch
from torch import Tensor


def gathered(x: Tensor, edge: int = 2) -> Tensor:
    """Cubes of ``edge^3`` voxels become channels.

    Parameters
    ----------
    x : tensor (batch, channels, n, n, n)
    edge : int
        Divides n.

    Returns
    -------
    tensor (batch, edge^3 channels, n / edge, n / edge, n / edge)
        Laid out channels-last.
    """
    b, c, n = x.shape[0], x.shape[1], x.shape[2] // edge
    x = x.reshape(b, c, n, edge, n, edge, n, edge).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(b, edge**3 * c, n, n, n).contiguous(memory_format=torch.channels_last_3d)


def scattered(x: Tensor, edge: int = 2) -> Tensor:
    """The inverse of `gathered`: (batch, edge^3 channels, n, n, n) -> (batch, channels, edge n, edge n, edge n)."""
    b, c, n = x.shape[0], x.shape[1] // edge**3, x.shape[2]
    x = x.reshape(b, c, edge, edge, edge, n, n, n).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, c, edge * n, edge * n, edge * n).contiguous(memory_format=torch.channels_last_3d)
