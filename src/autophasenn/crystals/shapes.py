"""Shapes of crystals: convex polyhedra bounded by lattice planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import HalfspaceIntersection
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


_family = cache(facet_normals)
"""Random crystals ask for the same families again and again."""


@dataclass(frozen=True, eq=False)
class Facets:
    """The planes that bound a convex crystal, around its centre.

    Parameters
    ----------
    normals : float64 tensor (facets, 3)
        Outward unit normals in the crystal's cubic axes.
    distances : float64 tensor (facets,)
        Of the planes from the origin, metres.
    """

    normals: Float[Tensor, "facets 3"]
    distances: Float[Tensor, " facets"]


HIGH_SYMMETRY = ((1, 1, 1), (1, 0, 0), (1, 1, 0))
"""The planes that bound fcc nanocrystals."""


def clipped_block(
    generator: torch.Generator,
    edge: float = 20e-9,
    facets: tuple[int, int] = (4, 20),
    families: Sequence[tuple[int, int, int]] = HIGH_SYMMETRY,
    nearest: float = 0.35,
) -> Facets:
    """A cube clipped by random planes, as the training crystals of Yao et al., npj Comput. Mater. 8, 124 (2022).

    Parameters
    ----------
    generator : torch.Generator
        The only source of randomness.
    edge : float
        Of the cube, metres; its faces are {100}.
    facets : (int, int)
        Least and most planes that clip it; each is one plane of a random family.
    families : sequence of Miller indices
    nearest : float
        Least distance of a plane from the centre, as a share of half the edge; distances are uniform up to the point
        where the plane would leave the cube whole.

    Returns
    -------
    Facets
        The six faces of the cube first.
    """
    half = edge / 2
    count = int(torch.randint(facets[0], facets[1] + 1, (1,), generator=generator))
    normals = [_family(family) for family in families]
    chosen = []
    for _ in range(count):
        family = normals[int(torch.randint(len(normals), (1,), generator=generator))]
        chosen.append(family[int(torch.randint(len(family), (1,), generator=generator))])
    clipping = torch.stack(chosen)
    farthest = half * clipping.abs().sum(1)  # where the plane touches a corner of the cube
    shares = torch.rand(count, generator=generator, dtype=torch.float64)
    distances = nearest * half + shares * (farthest - nearest * half)
    cube = _family((1, 0, 0))
    return Facets(torch.cat([cube, clipping]), torch.cat([torch.full((len(cube),), half).double(), distances]))


def vertices(facets: Facets) -> Float[Tensor, "vertices 3"]:
    """Corners of the crystal around its origin, metres, float64 (Barber et al., ACM Trans. Math. Softw. 22, 469 (1996))."""
    unit = float(facets.distances.max())  # Qhull's tolerances are absolute
    halfspaces = torch.cat([facets.normals, -facets.distances[:, None] / unit], dim=1).numpy()
    return torch.from_numpy(HalfspaceIntersection(halfspaces, np.zeros(3)).intersections * unit)


def point_inside(generator: torch.Generator, corners: Float[Tensor, "corners 3"]) -> Float[Tensor, " 3"]:
    """A point inside the crystal: a random mean of its corners, each with an exponential weight."""
    weights = -torch.log1p(-torch.rand(len(corners), generator=generator, dtype=torch.float64))
    weights = weights**3  # the plain mean of many corners would always lie near the centre
    return weights @ corners / weights.sum()


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
