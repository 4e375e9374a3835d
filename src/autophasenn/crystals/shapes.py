"""Shapes of crystals: convex polyhedra bounded by lattice planes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.errors import InputError


def facet_normals(hkl: tuple[int, int, int]) -> Float[Tensor, "facets 3"]:
    """Unit normals of the family {hkl} of a cubic crystal, in its own axes: all permutations and signs, float64."""
    if hkl == (0, 0, 0):
        raise InputError("The family {000} has no planes; give Miller indices such as (1, 1, 1).")
    order = torch.tensor(hkl, dtype=torch.float64)
    permutations = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    signs = torch.cartesian_prod(*[torch.tensor([1.0, -1.0], dtype=torch.float64)] * 3)
    family = (order[permutations][:, None] * signs[None]).reshape(-1, 3)
    unique = torch.unique(family + 0.0, dim=0)  # + 0.0 makes -0 equal to 0
    return unique / torch.linalg.vector_norm(unique, dim=1, keepdim=True)


def polyhedron(
    positions: Float[Tensor, "*grid 3"],
    normals: Float[Tensor, "facets 3"],
    distances: Float[Tensor, " facets"],
    edge: float,
) -> Float[Tensor, "*grid"]:
    """Amplitude of a crystal bounded by planes: 1 inside, 0 outside, linear over a layer of thickness `edge`.

    Parameters
    ----------
    positions : tensor (..., 3)
        Where the amplitude is wanted, metres.
    normals : tensor (facets, 3)
        Outward unit normals.
    distances : tensor (facets,)
        Of the planes from the origin, metres.
    edge : float
        Metres; about a voxel, so that the voxels on the surface are partly filled.

    Returns
    -------
    tensor (...)
    """
    amplitude = torch.ones(positions.shape[:-1], dtype=positions.dtype)
    for normal, distance in zip(normals, distances, strict=True):
        amplitude = amplitude * ((distance - positions @ normal) / edge + 0.5).clamp(0, 1)
    return amplitude
