"""Named recipes of training and validation data: which crystals, seen how."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from autophasenn.crystals.atoms import RelaxedCrystals
from autophasenn.crystals.defects import REAL_CRYSTALS
from autophasenn.crystals.displacement import Displacement
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.sampling import Sampling
from autophasenn.crystals.source import Source
from autophasenn.errors import PlanError
from autophasenn.experiment.experiment import BEAMLINE, Experiment

ANY_VIEW = Sampling(any_orientation=True, least_oversampling=2.0, most_oversampling=6.0)
STRONG = 0.2
"""Share of crystals as measured that are strained by many radians."""
RECIPES: dict[str, tuple[Experiment, dict[str, Callable[..., Source]]]] = {
    "paper": (Experiment(), {"polyhedra": Polyhedra, "lammps": RelaxedCrystals}),
    "beamline": (
        BEAMLINE,
        {
            "polyhedra": partial(
                Polyhedra, sampling=ANY_VIEW, defects=REAL_CRYSTALS, displacement=Displacement(strong=STRONG)
            ),
            "lammps": partial(RelaxedCrystals, sampling=ANY_VIEW),
        },
    ),
}
"""Name -> experiment and sources. As in Yao et al., npj Comput. Mater. 8, 124 (2022): cubic axes along the voxels, counting
noise alone. And as measured: any orientation and sampling, background, gaps, partial coherence, aliens; polyhedra also with
defects and strong strain."""


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
        "polyhedra": facets with smooth displacements, made quickly. "lammps": metal relaxed atom by atom.
    name : str
        One of `RECIPES`.
    metal : str, optional
        Chemical symbol of an fcc metal, in capitals or not; None: gold.
    reflection : (int, int, int), optional
        Miller indices of the Bragg peak; None: 111.

    Raises
    ------
    PlanError
        If a name is not known.
    InputError
        If the metal is not known, or the reflection forbidden.
    """
    if name not in RECIPES:
        raise PlanError(f"The recipe {name!r} is not known; choose from {', '.join(RECIPES)}.")
    experiment, sources = RECIPES[name]
    if source not in sources:
        raise PlanError(f"The source {source!r} is not known; choose from {', '.join(sources)}.")
    symbol = None if metal is None else metal.strip().capitalize()
    options: dict[str, Any] = {"metal": symbol, "reflection": reflection}
    given = {key: value for key, value in options.items() if value is not None}
    return sources[source](**given), experiment
