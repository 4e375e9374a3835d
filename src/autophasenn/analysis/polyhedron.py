"""The polyhedron that a crystal's facets bound: its edges, its corners, and the angles between facets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.spatial import HalfspaceIntersection, KDTree, QhullError

from autophasenn.analysis.facets import Plane
from autophasenn.analysis.quantity import Floats
from autophasenn.analysis.surface import Surface

REACH = 2.5
"""Scales from the surface to an edge or a corner, at most; else the crystal is not convex there, or no facet closes it."""
LEAST_EDGE = 0.5
"""Scales: shorter edges are corners."""


@dataclass(frozen=True, eq=False)
class Edge:
    """Where two facets meet.

    Parameters
    ----------
    facets : (int, int)
        Numbers of the facets, from 1.
    ends : float array (2, 3)
        Positions, unit of the surface.
    angle_deg : float
        Between the outward normals.
    """

    facets: tuple[int, int]
    ends: Floats
    angle_deg: float

    @property
    def length(self) -> float:
        """From end to end."""
        return float(np.linalg.norm(self.ends[1] - self.ends[0]))


@dataclass(frozen=True, eq=False)
class Corner:
    """Where three facets or more meet: their numbers, from 1, and the position (3,)."""

    facets: tuple[int, ...]
    position: Floats


def edges_and_corners(
    planes: Sequence[Plane], surface: Surface, scale: float
) -> tuple[tuple[Edge, ...], tuple[Corner, ...]]:
    """Of the convex body inside of all planes, as far as it follows the surface.

    Parameters
    ----------
    planes : sequence of Plane
    surface : Surface
    scale : float
        As of `find_facets`.
    """
    if len(planes) < 2:
        return (), ()
    centre = surface.centroid
    reach = surface.vertices - centre
    normals = np.concatenate([[plane.normal for plane in planes], np.eye(3), -np.eye(3)])
    walls = np.concatenate([reach.max(axis=0), -reach.min(axis=0)]) + 10 * scale
    distances = np.concatenate([[plane.distance for plane in planes], walls])
    if (distances <= 0).any():  # a facet that looks away from the centre: not convex
        return (), ()
    try:
        found = HalfspaceIntersection(np.concatenate([normals, -distances[:, None]], axis=1), np.zeros(3))
    except QhullError:
        return (), ()
    points = np.unique(np.round(found.intersections / (1e-4 * scale)), axis=0) * (1e-4 * scale)
    on = np.abs(points @ normals.T - distances) < 1e-3 * scale + 1e-6 * np.abs(distances).max()
    tree = KDTree(reach)
    is_near = tree.query(points)[0] < REACH * scale
    corners = [
        Corner(tuple(int(i) + 1 for i in np.flatnonzero(touching[: len(planes)])), point + centre)
        for point, touching, near in zip(points, on, is_near, strict=True)
        if near and touching[: len(planes)].sum() >= 3
    ]
    edges = []
    for one, other in combinations(range(len(planes)), 2):
        shared = points[on[:, one] & on[:, other]]
        if len(shared) < 2:
            continue
        along = np.cross(normals[one], normals[other])
        order = np.argsort(shared @ along)
        ends = shared[order[[0, -1]]]
        middle_off = float(tree.query(ends.mean(axis=0))[0])
        if np.linalg.norm(ends[1] - ends[0]) < LEAST_EDGE * scale or middle_off > REACH * scale:
            continue
        angle = float(np.degrees(np.arccos(np.clip(normals[one] @ normals[other], -1, 1))))
        edges.append(Edge((one + 1, other + 1), ends + centre, angle))
    return tuple(edges), tuple(corners)
