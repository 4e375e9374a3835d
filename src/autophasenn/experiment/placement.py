"""The Bragg peak in the middle of its pattern: whole voxels by which it moves, and what that does to the object."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Complex, Float, Int, Shaped
from torch import Tensor

from autophasenn.volumes import SPATIAL


def shift_to_middle(counts: Float[Tensor, "n0 n1 n2"]) -> Int[Tensor, " 3"]:
    """By how many voxels the brightest one must move to index ``n // 2``; a tensor, so that no device must wait."""
    if counts.device.type == "cpu":
        peak = np.unravel_index(counts.numpy().argmax(), counts.shape)  # ten times faster than torch here
        return torch.tensor([size // 2 - int(index) for size, index in zip(counts.shape, peak, strict=True)])
    places = torch.unravel_index(counts.argmax(), counts.shape)
    return torch.stack([size // 2 - place for size, place in zip(counts.shape, places, strict=True)])


def move(volume: Shaped[Tensor, "n0 n1 n2"], shift: Int[Tensor, " 3"]) -> Shaped[Tensor, "n0 n1 n2"]:
    """Move a volume by whole voxels; what leaves on one side is lost, and 0 (False) comes in on the other."""
    moved = roll(volume, shift)
    for axis, size in enumerate(volume.shape):
        origin = torch.arange(size, device=volume.device) - shift[axis]
        inside = (origin >= 0) & (origin < size)
        moved = moved * inside.reshape([-1 if a == axis else 1 for a in range(3)])
    return moved


def roll(volume: Shaped[Tensor, "n0 n1 n2"], shift: Int[Tensor, " 3"]) -> Shaped[Tensor, "n0 n1 n2"]:
    """Move a volume by whole voxels; what leaves on one side comes back on the other."""
    if volume.device.type == "cpu":
        return torch.roll(volume, shift.tolist(), SPATIAL) if shift.any() else volume
    for axis, size in enumerate(volume.shape):
        places = torch.arange(size, device=volume.device)
        volume = volume.index_select(axis, (places - shift[axis]) % size)
    return volume


def phase_ramp(
    shift: Float[Tensor, " 3"], box: Sequence[int], pattern: Sequence[int]
) -> Complex[Tensor, "box0 box1 box2"]:
    """exp(i q.r) that moves the pattern of an object by `shift` voxels, a fraction included.

    Parameters
    ----------
    shift : float64 tensor (3,)
    box : 3 ints
        Voxels of the object, the middle ones of its field of view.
    pattern : 3 ints
        Voxels of the pattern.

    Returns
    -------
    complex64 tensor of shape `box`
    """
    ramp = torch.ones((), dtype=torch.complex64, device=shift.device)
    for axis, (size, padded) in enumerate(zip(box, pattern, strict=True)):
        angle = (2 * math.pi / padded) * shift[axis] * (torch.arange(size, device=shift.device) - size // 2)
        factor = torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
        ramp = ramp * factor.reshape([-1 if a == axis else 1 for a in range(3)])
    return ramp
