"""Facets: planes on the surface, found where many of its normals agree, then fitted to its points.

1. The surface's normals, weighted by area, make a density on the sphere; its peaks are directions of facets.
2. Triangles near such a direction that hang together are the seed of a facet; a plane is fitted to them (total least
   squares), the facet grows to all neighbours near the plane, and so on until it stays.
3. Planes that are one are joined; every triangle goes to the plane that it fits best; what is too small, or bends as a
   sphere does, is no facet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from autophasenn.analysis.quantity import Floats
from autophasenn.analysis.surface import Surface

DIRECTIONS = 6000
"""Of the grid on the sphere: 2.6 degrees apart."""
BANDWIDTH = 5.0
"""Degrees: standard deviation by which the density of normals is smoothed."""
SEED_ANGLE, GROWN_ANGLE, CORE_ANGLE, SHARED_ANGLE, ROUNDED_ANGLE = 14.0, 24.0, 9.0, 36.0, 50.0
"""Degrees between a triangle's normal and the plane's: of a seed, of a facet, of what the plane is fitted to, of what
belongs to the nearest facet while they are chosen, and of the rounded edges that are given to it at last."""
THICKNESS = 0.5
"""Of a facet, edge widths on either side of its plane."""
BENT, ROUND_SHARE, STILL_FLAT = 13.5, 0.5, 12.0
"""Degrees by which normals turn over a facet along its length (twice its standard deviation): a patch of a sphere has 14 to
20, a facet 5 to 12 unless it is small. Where more than that share of the area of all facets bends so, the crystal is round,
and only what bends less than the last number is a facet."""
LEAST_WIDTH = 0.16
"""Of a facet's core (standard deviation across, scales): a rounded edge between two facets has 0.08 to 0.15."""
SAME_ANGLE = 9.0
"""Degrees between planes that may be one."""
ROUNDS = 8


@dataclass(frozen=True, eq=False)
class Plane:
    """A facet as a plane and the triangles that belong to it.

    Parameters
    ----------
    normal : float array (3,)
        Outward unit vector, on the axes of the image.
    distance : float
        Of the plane from the surface's centroid, in the unit of the surface.
    triangles : int array (n,)
        Which of the surface's.
    area : float
        Of these.
    roughness : float
        Root mean square distance of the facet's inner triangles from the plane.
    normal_error_deg, distance_error : float
        One standard deviation, from the roughness and the number of independent points.
    """

    normal: Floats
    distance: float
    triangles: NDArray[np.integer[Any]]
    area: float
    roughness: float
    normal_error_deg: float
    distance_error: float


def find_facets(surface: Surface, scale: float, least_share: float = 0.01) -> tuple[Plane, ...]:
    """The facets of a surface, the largest first.

    Parameters
    ----------
    surface : Surface
    scale : float
        Length below which the image shows nothing (`feature_scale`), in the unit of the surface.
    least_share : float
        Smallest facet, as a share of the whole area.
    """
    least = least_share * surface.area
    planes: list[_Fit] = []
    taken = np.zeros(len(surface.triangles), bool)
    for rest_only in (False, True):  # small facets between large ones show once these are taken away
        use = ~taken if rest_only else np.ones_like(taken)
        for direction in _peaks(surface, use):
            near = use & (surface.normals @ direction > np.cos(np.deg2rad(SEED_ANGLE)))
            for seed in _pieces(surface, near, least / 4):
                fit = _grown(surface, seed, scale)
                if fit is not None and not any(_is_one(surface, fit, other, scale) for other in planes):
                    planes.append(fit)
        for fit in planes:
            taken[fit.members] = True
    planes.sort(key=lambda fit: -surface.areas[fit.members].sum())
    return _shared_out(surface, planes, scale, least)


def feature_scale(surface: Surface, voxel: float) -> float:
    """How fine the surface shows anything: the width of its edge, at least a voxel and at most four."""
    return float(np.clip(0.8 * surface.edge_width, voxel, 4 * voxel))


@dataclass(eq=False)
class _Fit:
    """A plane through triangles: ``normal . r = offset``."""

    normal: Floats
    offset: float
    members: NDArray[np.integer[Any]]
    core: NDArray[np.integer[Any]]


def _peaks(surface: Surface, use: NDArray[np.bool_]) -> Floats:
    """Directions, (n, 3), where the density of normals has a maximum, the highest first."""
    grid, tree, kernel, neighbours = _sphere(DIRECTIONS)
    weight = np.bincount(tree.query(surface.normals[use])[1], surface.areas[use], minlength=DIRECTIONS)
    density = kernel @ weight
    around = np.maximum.reduceat(density[neighbours.indices], neighbours.indptr[:-1])
    tops = np.flatnonzero((density > 0) & (density >= around)).tolist()
    tops.sort(key=lambda i: -density[i])
    return np.asarray(grid[tops])


@cache
def _sphere(count: int) -> tuple[Floats, Any, Any, Any]:
    """Directions that are evenly spread (Fibonacci lattice), (count, 3); their tree; their smoothing; which are near."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    turn = np.pi * (1 + 5**0.5) * index
    r = np.sqrt(1 - z * z)
    grid = np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=1)
    tree = KDTree(grid)
    pairs = tree.query_pairs(2 * np.sin(np.deg2rad(4 * BANDWIDTH) / 2), output_type="ndarray")
    itself = np.arange(count)
    rows, columns = (np.concatenate([pairs[:, i], pairs[:, 1 - i], itself]) for i in (0, 1))
    cosine = (grid[rows] * grid[columns]).sum(axis=1)
    weight = np.exp((cosine - 1) / np.deg2rad(BANDWIDTH) ** 2)
    close = cosine > np.cos(np.deg2rad(1.5 * BANDWIDTH))
    kernel = sparse.csr_matrix((weight, (rows, columns)), shape=(count, count))
    near = sparse.csr_matrix((np.ones(int(close.sum()), np.int8), (rows[close], columns[close])), shape=(count, count))
    return grid, tree, kernel, near


def _pieces(surface: Surface, mask: NDArray[np.bool_], least: float) -> list[NDArray[np.integer[Any]]]:
    """Triangles of a mask that hang together, each piece with at least so much area."""
    chosen = np.flatnonzero(mask)
    if len(chosen) == 0:
        return []
    count, labels = connected_components(surface.adjacency[chosen][:, chosen], directed=False)
    areas = np.bincount(labels, surface.areas[chosen], minlength=count)
    return [chosen[labels == label] for label in np.flatnonzero(areas >= least)]


def _fitted(surface: Surface, core: NDArray[np.integer[Any]]) -> tuple[Floats, float]:
    """Normal and offset of the plane of least squared distance from triangles, weighted by area."""
    weight, centres = surface.areas[core], surface.centres[core]
    middle = weight @ centres / weight.sum()
    spread = (centres - middle) * np.sqrt(weight)[:, None]
    normal = np.linalg.eigh(spread.T @ spread)[1][:, 0]
    if float((surface.normals[core] @ normal) @ weight) < 0:
        normal = -normal
    return normal, float(normal @ middle)


def _grown(surface: Surface, seed: NDArray[np.integer[Any]], scale: float) -> _Fit | None:
    """The facet that a seed grows to; None if nothing is left of it."""
    members = core = seed
    normal, offset = _fitted(surface, seed)
    for _ in range(ROUNDS):
        away = np.abs(surface.centres @ normal - offset)
        cosine = surface.normals @ normal
        near = (away < THICKNESS * scale) & (cosine > np.cos(np.deg2rad(GROWN_ANGLE)))
        pieces = _pieces(surface, near, 0.0)
        overlaps = [np.isin(piece, members, assume_unique=True).sum() for piece in pieces]
        if not pieces or max(overlaps) == 0:
            return None
        grown = pieces[int(np.argmax(overlaps))]
        inner = grown[cosine[grown] > np.cos(np.deg2rad(CORE_ANGLE))]
        core = inner if len(inner) >= max(8, len(grown) // 8) else grown
        is_settled = len(grown) == len(members) and bool((grown == members).all())
        members = grown
        normal, offset = _fitted(surface, core)
        if is_settled:
            break
    return _Fit(normal, offset, members, core)


def _is_one(surface: Surface, one: _Fit, other: _Fit, scale: float) -> bool:
    """Do both fits describe one plane?"""
    if one.normal @ other.normal < np.cos(np.deg2rad(SAME_ANGLE)):
        return False
    shared = np.isin(one.members, other.members, assume_unique=True).mean()
    away = np.abs(surface.centres[one.core] @ other.normal - other.offset).mean()
    return bool(shared > 0.3 or away < THICKNESS * scale)


def _shared_out(surface: Surface, fits: list[_Fit], scale: float, least: float) -> tuple[Plane, ...]:
    """Every triangle to its best plane, until all that are left are facets."""
    fits = _flat_ones(surface, fits, scale)
    while fits:
        owner = _owners(surface, fits, scale, SHARED_ANGLE)
        areas = [float(surface.areas[owner == i].sum()) for i in range(len(fits))]
        lost = [i for i, fit in enumerate(fits) if areas[i] < least or _is_edge(surface, fit, owner == i, scale)]
        if not lost:
            break
        # the least one goes first: its triangles may make another one whole
        worst = min(lost, key=lambda i: areas[i])
        fits = [fit for i, fit in enumerate(fits) if i != worst]
    owner = _owners(surface, fits, scale, ROUNDED_ANGLE)
    centre = surface.centroid
    planes = [_plane(surface, fit, np.flatnonzero(owner == i), centre, scale) for i, fit in enumerate(fits)]
    return tuple(sorted(planes, key=lambda plane: -plane.area))


def _owners(surface: Surface, fits: list[_Fit], scale: float, angle: float) -> NDArray[np.integer[Any]]:
    """Which plane each triangle fits best, of those near it within `angle` degrees; -1: none."""
    best = np.full(len(surface.triangles), np.inf)
    owner = np.full(len(surface.triangles), -1)
    for i, fit in enumerate(fits):
        away = np.abs(surface.centres @ fit.normal - fit.offset)
        cosine = np.clip(surface.normals @ fit.normal, -1, 1)
        cost = (away / (THICKNESS * scale)) ** 2 + (np.arccos(cosine) / np.deg2rad(GROWN_ANGLE)) ** 2
        closer = (cost < best) & (cosine > np.cos(np.deg2rad(angle))) & (away < 1.5 * scale)
        best[closer], owner[closer] = cost[closer], i
    return owner


def _flat_ones(surface: Surface, fits: list[_Fit], scale: float) -> list[_Fit]:
    """All of them; of a round crystal those that are flat."""
    if not fits:
        return fits
    bends = np.array([_bend(surface, fit) for fit in fits])
    areas = np.array([surface.areas[fit.members].sum() for fit in fits])
    is_round = areas[bends > BENT].sum() > ROUND_SHARE * areas.sum()
    return [fit for fit, bend in zip(fits, bends, strict=True) if not is_round or bend < STILL_FLAT]


def _bend(surface: Surface, fit: _Fit) -> float:
    """Degrees by which the normals of a facet turn along its length: their slope times twice its standard deviation."""
    weight = surface.areas[fit.members][:, None]
    across = np.linalg.svd(fit.normal[None])[2][1:]
    place = (surface.centres[fit.members] - surface.centres[fit.members].mean(axis=0)) @ across.T
    tilt = surface.normals[fit.members] @ across.T
    place, tilt = (each - (each * weight).sum(axis=0) / weight.sum() for each in (place, tilt))
    spread = (place * weight).T @ place / weight.sum()
    extents, axes = np.linalg.eigh(spread)
    if not extents[0] > 0:
        return 0.0
    slope = np.linalg.solve(spread, (place * weight).T @ tilt / weight.sum())
    return float(np.degrees(axes[:, 1] @ slope @ axes[:, 1] * 2 * np.sqrt(extents[1])))


def _is_edge(surface: Surface, fit: _Fit, mine: NDArray[np.bool_], scale: float) -> bool:
    """Is it as narrow as the rounded edge between two facets?"""
    core = mine & (surface.normals @ fit.normal > np.cos(np.deg2rad(CORE_ANGLE)))
    return _width(surface, np.flatnonzero(core)) < LEAST_WIDTH * scale


def _width(surface: Surface, triangles: NDArray[np.integer[Any]]) -> float:
    """Standard deviation of triangles across the direction in which they extend most."""
    if len(triangles) < 4:
        return 0.0
    centres = surface.centres[triangles] - surface.centres[triangles].mean(axis=0)
    return float(np.sqrt(max(np.linalg.eigvalsh(centres.T @ centres / len(centres))[1], 0.0)))


def _plane(surface: Surface, fit: _Fit, triangles: NDArray[np.integer[Any]], centre: Floats, scale: float) -> Plane:
    weight = surface.areas[fit.core]
    away = surface.centres[fit.core] @ fit.normal - fit.offset
    roughness = float(np.sqrt((away**2 @ weight) / weight.sum()))
    independent = max(3.0, float(weight.sum()) / scale**2)
    narrow = max(_width(surface, fit.core), 0.25 * scale)
    return Plane(
        fit.normal,
        float(fit.offset - fit.normal @ centre),
        triangles,
        float(surface.areas[triangles].sum()),
        roughness,
        float(np.degrees(roughness / (np.sqrt(independent) * narrow))),
        roughness / float(np.sqrt(independent)),
    )
