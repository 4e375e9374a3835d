"""A recipe names the same views and the same experiment for every source of crystals."""

import json
import math

import numpy as np
import pytest

from autophasenn.crystals.source import Source
from autophasenn.crystals.statistics import describe
from autophasenn.errors import InputError, PlanError
from autophasenn.experiment.experiment import BEAMLINE, Experiment
from autophasenn.experiment.recipes import RECIPES, recipe


@pytest.mark.parametrize("name", [name for name, (_, sources) in RECIPES.items() if "lammps" in sources])
def test_both_sources_are_seen_alike(name: str) -> None:
    (fast, experiment), (faithful, same) = (recipe(source, name) for source in ("polyhedra", "lammps"))
    assert isinstance(fast, Source)
    assert isinstance(faithful, Source)
    assert experiment == same
    for parameter in ("sampling", "metal", "reflection", "edge"):
        assert fast.provenance()[parameter] == faithful.provenance()[parameter]
    assert [source.provenance()["source"] for source in (fast, faithful)] == ["polyhedra", "lammps"]
    json.dumps([fast.provenance(), faithful.provenance()], allow_nan=False)


@pytest.mark.parametrize(("name", "least", "most"), [("strain-1-2", 1, 2), ("strain-2-4", 2, 4), ("strain-4-8", 4, 8)])
def test_the_recipe_of_a_strain_gives_phases_of_that_range(name: str, least: float, most: float) -> None:
    objects = recipe("polyhedra", name)[0].objects(5, range(6))
    ranges = describe(objects)["phase_range"]
    assert least * math.pi * 0.75 < np.median(ranges) < most * math.pi


def test_a_wall_parts_two_domains_and_takes_their_light() -> None:
    whole, parted = (recipe("polyhedra", name)[0].objects(5, range(4)) for name in ("strain-1-2", "domains"))
    assert (parted.abs().sum((1, 2, 3)) < whole.abs().sum((1, 2, 3))).all()
    assert recipe("polyhedra", "domains")[0].provenance()["defects"]["most"] == 1


def test_atoms_that_cannot_be_strained_at_will_have_no_such_recipe() -> None:
    with pytest.raises(PlanError, match=r"has no source 'lammps'; choose from polyhedra"):
        recipe("lammps", "strain-2-4")


def test_the_paper_has_cubic_axes_and_counting_noise_alone() -> None:
    source, experiment = recipe("lammps")
    assert not source.provenance()["sampling"]["any_orientation"]
    assert source.provenance()["sampling"]["least_oversampling"] is None
    assert experiment == Experiment()


def test_the_beamline_has_any_orientation_and_an_oversampling_of_2_to_6() -> None:
    source, experiment = recipe("polyhedra", "beamline")
    assert source.provenance()["sampling"] == {
        "any_orientation": True,
        "least_oversampling": 2,
        "most_oversampling": 6,
    }
    assert experiment == BEAMLINE


@pytest.mark.parametrize("symbol", ["au", "AU", " Au"])
def test_a_metal_is_known_however_its_symbol_is_typed(symbol: str) -> None:
    assert recipe("polyhedra", metal=symbol) == recipe("polyhedra", metal="Au")


@pytest.mark.parametrize("source", ["polyhedra", "lammps"])
def test_metal_and_reflection_reach_the_source(source: str) -> None:
    provenance = recipe(source, metal="Pt", reflection=(2, 0, 0))[0].provenance()
    assert (provenance["metal"], tuple(provenance["reflection"])) == ("Pt", (2, 0, 0))
    with pytest.raises(InputError, match="forbidden"):
        recipe(source, reflection=(1, 1, 0))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PlanError, match=r"'soup'.*paper, beamline"):
        recipe("polyhedra", "soup")
    with pytest.raises(PlanError, match=r"'dft'.*polyhedra, lammps"):
        recipe("dft")
