"""What an analysis finds of a crystal, as it is drawn on its surface: facets in colours and with names, defect lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from scipy.spatial import KDTree

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.exports import facet_numbers
from autophasenn.analysis.figures import COLOURS
from autophasenn.analysis.figures_facets import ROUND, family_colours, normal_on_image
from autophasenn.image import Floats
from autophasenn.report.scales import strain_scale
from autophasenn.viewer.quantities import Quantity, held_to

FACING = 0.3
"""Least cosine between a facet's normal and the direction to the viewer at which its name is written."""


@dataclass(frozen=True)
class Name:
    """What is written at a place of a crystal.

    Parameters
    ----------
    words : str
    place : tuple of 3 floats
        From the origin, nm (or voxels).
    normal : tuple of 3 floats, optional
        Of the facet, which is written on where it looks at the viewer; None: always.
    colour : str
        Empty: that of the page.
    """

    words: str
    place: tuple[float, float, float]
    normal: tuple[float, float, float] | None = None
    colour: str = ""


@dataclass(frozen=True, eq=False)
class Marks:
    """Facets and lines of one crystal.

    Parameters
    ----------
    triangles : KDTree
        Middles of the triangles of the surface, nm (or voxels).
    numbers : int array (triangles,)
        Facet of each; 0: none.
    families : uint8 array (facets + 1, 3)
        Colour of each by its family, that of no facet first.
    strain : float array (facets + 1,)
        Mean of the layer below each; NaN where it is not known, and for no facet.
    legend : dict of str to str
        Family with its share of the surface -> colour.
    facets : tuple of Name
    lines : tuple of (float array (points, 3), str)
        Each with its colour.
    line_names : tuple of Name
    """

    triangles: KDTree
    numbers: NDArray[np.integer[Any]]
    families: NDArray[np.uint8]
    strain: Floats
    legend: dict[str, str]
    facets: tuple[Name, ...]
    lines: tuple[tuple[Floats, str], ...]
    line_names: tuple[Name, ...]

    @classmethod
    def of(cls, analysis: Analysis) -> Marks:
        """What is drawn of an analysis."""
        colours = family_colours(analysis)
        legend: dict[str, str] = {}
        for family, colour in colours.items():
            share = sum(facet.share for facet in analysis.facets if facet.family == family)
            name = "no index" if family is None else f"{{{' '.join(map(str, family))}}}"
            legend[f"{name} {100 * share:.0f} %"] = colour
        means = [f.strain.mean.value if f.strain is not None else None for f in analysis.facets]
        names = [ROUND, *(colours[facet.family] for facet in analysis.facets)]
        drawn = [(line, COLOURS[(line.number - 1) % len(COLOURS)]) for line in analysis.dislocations.lines]
        return cls(
            KDTree(analysis.surface.centres),
            facet_numbers(analysis),
            np.array([[round(255 * part) for part in to_rgb(name)] for name in names], np.uint8),
            np.array([np.nan, *(np.nan if mean is None else mean for mean in means)]),
            legend | ({"between facets": ROUND} if analysis.facets else {}),
            tuple(
                Name(_minus(each.title.strip("()")) if each.hkl else str(each.number), _three(each.centre),
                     _three(normal_on_image(analysis, each)))
                for each in analysis.facets
            ),
            tuple((np.asarray(line.points, float), colour) for line, colour in drawn),
            tuple(
                Name(_burgers(line.number, line.burgers_along_q.value), _three(line.points[len(line.points) // 2]),
                     colour=colour)
                for line, colour in drawn
            ),
        )  # fmt: skip

    def numbers_at(self, places: Floats) -> NDArray[np.integer[Any]]:
        """Number of the facet that lies nearest to each place (points, 3) in nm (or voxels); 0: none."""
        return np.asarray(self.numbers[self.triangles.query(places)[1]])


def strain_of_facets(marks: Sequence[Marks], before: Quantity | None = None) -> Quantity | None:
    """The facets' mean strain on one scale for all crystals, or on that of before; None where no facet has one."""
    values = np.concatenate([each.strain[np.isfinite(each.strain)] for each in marks]) if marks else np.zeros(0)
    if not values.size:
        return None
    scale = strain_scale(values)
    unit = "%" if scale.factor == 1e2 else "10⁻⁴"
    each = [np.asarray(each.strain * scale.factor, np.float32) for each in marks]
    found = Quantity(
        "strain", unit, scale.colours, -scale.limit, scale.limit, each, called="Mean strain below each facet"
    )
    return found if before is None else held_to({found.key: before}, {found.key: found})[found.key]


def scaled(name: Name, by: float) -> Name:
    """The same on a crystal that is drawn larger."""
    x, y, z = (by * part for part in name.place)
    return replace(name, place=(x, y, z))


def _three(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _minus(words: str) -> str:
    return words.replace("-", "−")


def _burgers(number: int, along_q: float | None) -> str:
    return f"line {number}" if along_q is None else _minus(f"line {number}: b·Q̂ {along_q:+.3f} nm")
