"""The facets of an image in few numbers, by which they are found again in another image of the same crystal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from autophasenn.analysis.facet_table import facets_of
from autophasenn.analysis.facets import feature_scale, find_facets
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.quantity import Floats
from autophasenn.analysis.surface import Surface
from autophasenn.image import CrystalImage

TURNED = 12.0
"""Degrees between the normals of a facet in two images, at most: normals of small facets are known to 5 degrees."""

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class SeenFacet:
    """A facet of one image.

    Parameters
    ----------
    normal : 3 floats
        Outward unit vector on the axes of the image.
    centre : 3 floats
        From voxel ``n // 2``, nm.
    area, area_error : float
        nm².
    strain, strain_error : float, optional
        Mean of the layer below it, and its uncertainty; None: not known.
    """

    normal: Vector
    centre: Vector
    area: float
    area_error: float | None = None
    strain: float | None = None
    strain_error: float | None = None


def seen_facets(
    image: CrystalImage, surface: Surface, depth: Floats, error: float, cells: float, photons: float | None = None
) -> tuple[SeenFacet, ...]:
    """The facets of an image, the largest first, as `autophasenn analyse` finds them.

    Parameters
    ----------
    image : CrystalImage
        With geometry.
    surface : Surface
    depth : float array (nx, ny, nz)
        Of each voxel below the surface, nm.
    error : float
        How uncertain the place of the surface is, nm.
    cells : float
        Voxels in a cell of the resolution.
    photons : float, optional
        Of the pattern.
    """
    scale = feature_scale(surface, math.prod(image.spacing) ** (1 / 3))
    planes = find_facets(surface, scale, AnalysisOptions().least_facet)
    thickness = max(2 * max(image.spacing), scale)
    found = facets_of(image, depth, surface, planes, None, {}, np.eye(3), thickness, error, cells, photons)
    return tuple(
        SeenFacet(
            _vector(facet.normal),
            _vector(facet.centre),
            float(facet.area.value or 0.0),
            facet.area.uncertainty,
            None if facet.strain is None else facet.strain.mean.value,
            None if facet.strain is None else facet.strain.mean.uncertainty,
        )
        for facet in found
    )


def matched(known: Sequence[SeenFacet], others: Sequence[SeenFacet]) -> dict[int, int]:
    """Which facet of another image is which: those together whose normals and places differ least, each once.

    Returns
    -------
    dict of int to int
        Index in `known` -> index in `others`; those that are not found again are left out.
    """
    if not known or not others:
        return {}
    turned = np.clip(np.array([a.normal for a in known]) @ np.array([b.normal for b in others]).T, -1, 1)
    angle = np.degrees(np.arccos(turned)) / TURNED
    away = np.array([[math.dist(a.centre, b.centre) / math.sqrt(a.area) for b in others] for a in known])
    is_likely = (angle <= 1) & (away <= 1)
    cost = np.where(is_likely, angle + away, 1e3)  # far more than any number of likely pairs together would gain
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return {int(a): int(b) for a, b in pairs if is_likely[a, b]}


def as_placed(facet: SeenFacet, shift: Vector, *, is_twin: bool) -> SeenFacet:
    """The facet of an image that was turned into its twin, which inverts it through the origin, and moved by `shift` nm."""
    sign = -1.0 if is_twin else 1.0
    x, y, z = (sign * part + by for part, by in zip(facet.centre, shift, strict=True))
    return replace(facet, normal=_vector([sign * part for part in facet.normal]), centre=(x, y, z))


def _vector(parts: Sequence[float]) -> Vector:
    x, y, z = (float(part) for part in parts)
    return x, y, z
