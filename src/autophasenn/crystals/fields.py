"""Smooth fields on the voxels of a batch of objects, built from what varies along one direction only.

A plane, a wave and the relaxation beneath a facet each vary along one direction. On a voxel grid ``exp(kappa . i)`` is
then a product of three functions of one index each, and a sum of such terms is one matrix product: the cost of a field
does not depend on how it is turned against the voxels.

Positions are voxel indices counted from voxel ``n // 2``, so that one code serves voxels of any size along each axis.
Every sample of a batch is computed by itself: the same numbers come out in whatever batch it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor

from autophasenn.volumes import OBJECT_VOXELS

Along = Callable[[Float[Tensor, " 3"]], Tensor]
"""Takes a vector in the crystal's cubic axes to ``vector . r`` of every voxel r (metres), (n, n, n)."""
LARGEST_EXPONENT = 25.0
"""Along one axis. Terms that decay inwards from a facet grow outwards; three such factors still fit into float32."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of an object lie in a crystal: ``R r = centre + voxel i`` for voxel i at r in the cubic axes.

    Parameters
    ----------
    rotation : float64 array (3, 3)
        R, from the cubic axes to those of the voxels.
    voxel : float64 array (3,)
        Edges of a voxel, metres.
    centre : float64 array (3,)
        Of voxel ``n // 2``, in the axes of the voxels, metres.
    """

    rotation: NDArray[np.float64]
    voxel: NDArray[np.float64]
    centre: NDArray[np.float64]

    def steps(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """By how much ``vector . r`` grows from one voxel to the next along each axis; (..., 3) like `vectors`."""
        return (vectors @ self.rotation.T) * self.voxel

    def origin(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """``vector . r`` of voxel ``n // 2``; (...)."""
        return np.asarray((vectors @ self.rotation.T) @ self.centre)

    def along(self, vector: Float[Tensor, " 3"], device: torch.device | str = "cpu") -> Float[Tensor, "n n n"]:
        """``vector . r`` of every voxel, float32, computed on `device`."""
        array = vector.numpy()
        step = torch.from_numpy(self.steps(array)).to(device, torch.float32)
        return linear(step[None], step.new_tensor([float(self.origin(array))]))[0]


def squared_distance(along: Along, point: Float[Tensor, " 3"], axes: Sequence[Tensor]) -> Tensor:
    """Of every voxel from the point, along these axes only, square metres."""
    x, *others = ((along(axis) - float(point @ axis)).square() for axis in axes)
    return sum(others, x)


def indices(device: torch.device) -> Float[Tensor, " n"]:
    """Voxel indices along an axis of an object, 0 at voxel ``n // 2``, float32."""
    return torch.arange(OBJECT_VOXELS, dtype=torch.float32, device=device) - OBJECT_VOXELS // 2


def linear(gradient: Float[Tensor, "batch 3"], offset: Float[Tensor, " batch"]) -> Float[Tensor, "batch n n n"]:
    """``offset + gradient . i`` for voxel indices i."""
    along = gradient[:, :, None] * indices(gradient.device)
    plane = (along[:, 0] + offset[:, None])[:, :, None] + along[:, 1, None, :]
    return plane[..., None] + along[:, 2, None, None, :]


def polyhedra(
    normals: Float[Tensor, "batch facets 3"], distances: Float[Tensor, "batch facets"]
) -> Float[Tensor, "batch n n n"]:
    """Amplitudes of convex crystals: 1 inside, 0 outside, linear over a layer about each facet.

    Parameters
    ----------
    normals : float32 tensor (batch, facets, 3)
        Outward normals a voxel, divided by the thickness of the layer.
    distances : float32 tensor (batch, facets)
        Of the planes from voxel ``n // 2``, in units of that thickness. A crystal with fewer facets than others has some of
        normal 0 far away.

    Returns
    -------
    float32 tensor (batch, n, n, n)
    """
    inside = torch.ones((len(normals), *[OBJECT_VOXELS] * 3), device=normals.device)
    for normal, distance in zip(normals.unbind(1), distances.unbind(1), strict=True):
        inside *= linear(-normal, distance + 0.5).clamp_(0, 1)
    return inside


def exponentials(
    exponents: Complex[Tensor, "batch terms 3"], coefficients: Complex[Tensor, "batch terms"]
) -> Float[Tensor, "batch n n n"]:
    """``Re sum_m c_m exp(kappa_m . i)`` for voxel indices i: waves (imaginary kappa) and decaying layers (real kappa).

    Parameters
    ----------
    exponents : complex64 tensor (batch, terms, 3)
        kappa_m, a voxel.
    coefficients : complex64 tensor (batch, terms)
        c_m, in the unit of the result; 0 for terms that a sample has not.

    Returns
    -------
    float32 tensor (batch, n, n, n)
    """
    grid = indices(exponents.device)
    growth = (exponents.real[..., None] * grid).clamp_max(LARGEST_EXPONENT)
    along = torch.polar(growth.exp(), exponents.imag[..., None] * grid)
    plane = along[:, :, 0, :, None] * along[:, :, 1, None, :]
    last = coefficients[..., None] * along[:, :, 2]
    left = torch.cat([plane.real, -plane.imag], dim=1).flatten(2)
    right = torch.cat([last.real, last.imag], dim=1)
    products = [a.T @ b for a, b in zip(left, right, strict=True)]  # a batched product may sum in another order
    return torch.stack(products).unflatten(1, (OBJECT_VOXELS, OBJECT_VOXELS))
