"""Named recipes of training and validation data: which crystals, seen how."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from autophasenn.crystals.atoms import RelaxedCrystals
from autophasenn.crystals.defects import REAL_CRYSTALS, Defects
from autophasenn.crystals.displacement import Displacement
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.sampling import Sampling
from autophasenn.crystals.source import Source
from autophasenn.errors import PlanError
from autophasenn.experiment.experiment import BEAMLINE, Experiment

ANY_VIEW = Sampling(any_orientation=True, least_oversampling=2.0, most_oversampling=6.0)
COARSE = Sampling(any_orientation=True, least_oversampling=2.0, most_oversampling=2.5)
STRONG = 0.2
"""Share of crystals as measured that are strained by many radians."""


def _hard(**drawn: Any) -> dict[str, Callable[..., Source]]:
    """Polyhedra seen from anywhere, which `drawn` makes hard."""
    return {"polyhedra": partial(Polyhedra, **({"sampling": ANY_VIEW} | drawn))}


def _strained(least: float, most: float) -> dict[str, Callable[..., Source]]:
    """Phases that range over `least` to `most` times pi."""
    return _hard(displacement=Displacement(strong=1.0, strong_range=(least * math.pi, most * math.pi)))


SEEN = Experiment(peak_offset=0.5)
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
    "strain-1-2": (SEEN, _strained(1.0, 2.0)),
    "strain-2-4": (SEEN, _strained(2.0, 4.0)),
    "strain-4-8": (SEEN, _strained(4.0, 8.0)),
    "strain-8-12": (SEEN, _strained(8.0, 12.0)),
    "screw": (SEEN, _hard(defects=Defects(dislocation=1.0, most=1, angles=(0.0,)))),
    "edge": (SEEN, _hard(defects=Defects(dislocation=1.0, most=1, angles=(math.pi / 2,)))),
    "domains": (SEEN, _hard(defects=Defects(wall=1.0, most=1))),
    "many-domains": (SEEN, _hard(defects=Defects(wall=1.0, most=3))),
    "dim": (Experiment(photons=(1e5, 1e6), peak_offset=0.5), _hard()),
    "dimmest": (Experiment(photons=(1e4, 1e5), peak_offset=0.5), _hard()),
    "partly-coherent": (Experiment(peak_offset=0.5, partly_coherent=1.0), _hard()),
    "coarse": (SEEN, _hard(sampling=COARSE)),
    "aliens": (Experiment(peak_offset=0.5, with_alien=1.0, alien_masked=0.0), _hard()),
    "gaps": (
        Experiment(
            peak_offset=0.5,
            on_detector=1.0,
            detectors=("maxipix", "timepix-quad", "merlin-quad"),
            binning=(1,),
            gap_over_peak=True,
        ),
        _hard(),
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
        raise PlanError(f"The recipe {name} has no source {source!r}; choose from {', '.join(sources)}.")
    symbol = None if metal is None else metal.strip().capitalize()
    options: dict[str, Any] = {"metal": symbol, "reflection": reflection}
    given = {key: value for key, value in options.items() if value is not None}
    return sources[source](**given), experiment
