"""Named recipes of training and validation data: which crystals, seen how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autophasenn.crystals.atoms import RelaxedCrystals
from autophasenn.crystals.experiment import BEAMLINE, Experiment
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.sampling import Sampling
from autophasenn.crystals.source import Source
from autophasenn.errors import PlanError

SOURCES: dict[str, Callable[..., Source]] = {"polyhedra": Polyhedra, "lammps": RelaxedCrystals}
"""Facets with smooth displacements, made quickly; gold relaxed atom by atom, made faithfully."""
RECIPES = {
    "paper": (Sampling(), Experiment()),
    "beamline": (Sampling(any_orientation=True, least_oversampling=2, most_oversampling=6), BEAMLINE),
}
"""As in Yao et al., npj Comput. Mater. 8, 124 (2022): cubic axes along the voxels, and counting noise alone. And as
measured: any orientation and sampling, background, gaps, partial coherence, aliens."""


def recipe(
    source: str,
    name: str = "paper",
    metal: str | None = None,
    reflection: tuple[int, int, int] | None = None,
) -> tuple[Source, Experiment]:
    """The source of crystals and the experiment of a named recipe.

    Parameters
    ----------
    source : str
        One of `SOURCES`.
    name : str
        One of `RECIPES`.
    metal : str, optional
        Chemical symbol of an fcc metal; None: gold.
    reflection : (int, int, int), optional
        Miller indices of the Bragg peak; None: 111.

    Raises
    ------
    PlanError
        If a name is not known.
    InputError
        If the metal is not known, or the reflection forbidden.
    """
    if source not in SOURCES:
        raise PlanError(f"The source {source!r} is not known; choose from {', '.join(SOURCES)}.")
    if name not in RECIPES:
        raise PlanError(f"The recipe {name!r} is not known; choose from {', '.join(RECIPES)}.")
    sampling, experiment = RECIPES[name]
    options: dict[str, Any] = {"metal": metal, "reflection": reflection}
    given = {key: value for key, value in options.items() if value is not None}
    return SOURCES[source](sampling=sampling, **given), experiment
