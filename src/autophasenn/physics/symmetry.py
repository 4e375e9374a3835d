"""The 48 ways to permute and flip the axes of a volume: the symmetries of the cube.

They are exact on the voxels, and the pattern of the transformed object is the transformed pattern. A flip keeps voxel
``n // 2`` in place: index i goes to ``(n - i) mod n``, so that on an even axis index 0 stays too. An object in its box must
therefore leave index 0 of even axes empty (what lies there has no counterpart in the box).
"""

from __future__ import annotations

from itertools import permutations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from autophasenn.errors import InputError
from autophasenn.volumes import SPATIAL

_ORDERS = tuple(permutations(range(3)))
ELEMENTS = 8 * len(_ORDERS)
"""How many there are; element 0 changes nothing."""
INVERSION = 7
"""All three axes flipped. Of a pattern it makes its Friedel mate, the pattern of rho(-r) and of conj(rho(r))."""


def symmetry(volume: Shaped[Tensor, "*batch n0 n1 n2"], element: int) -> Shaped[Tensor, "*batch p0 p1 p2"]:
    """Permute, then flip the last three axes of a volume, of an object as of a pattern or mask.

    Parameters
    ----------
    volume : tensor (..., n0, n1, n2)
    element : int
        0 to 47.

    Returns
    -------
    tensor (..., p0, p1, p2)
        Its sizes are permuted too. ``symmetry(symmetry(v, e), inverse(e))`` is v.
    """
    order, flips = _parts(element)
    batch = volume.ndim - 3
    volume = volume.permute(*range(batch), *(batch + axis for axis in order))
    flipped = [axis for axis, flip in zip(SPATIAL, flips, strict=True) if flip]
    if not flipped:
        return volume.contiguous()
    return torch.roll(volume.flip(flipped), [1 - volume.shape[axis] % 2 for axis in flipped], flipped)


def matrix(element: int) -> Float[Tensor, "3 3"]:
    """Signed permutation S that takes a voxel at k (from the middle) to S k, float64."""
    order, flips = _parts(element)
    result = torch.zeros(3, 3, dtype=torch.float64)
    for row, (axis, flip) in enumerate(zip(order, flips, strict=True)):
        result[row, axis] = -1 if flip else 1
    return result


def inverse(element: int) -> int:
    """The element that undoes this one."""
    undone = matrix(element).T
    return next(other for other in range(ELEMENTS) if torch.equal(matrix(other), undone))


def _parts(element: int) -> tuple[tuple[int, ...], tuple[bool, bool, bool]]:
    """Which old axis becomes each new one, and whether that is flipped."""
    if not 0 <= element < ELEMENTS:
        raise InputError(f"The symmetry element is {element}; there are {ELEMENTS}: give 0 to {ELEMENTS - 1}.")
    flips = element % 8
    return _ORDERS[element // 8], (bool(flips & 4), bool(flips & 2), bool(flips & 1))
