"""A facet has the same number in every image of a series, in the twin and wherever the crystal lies."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drifting_series import heating, write_series

from autophasenn.analysis.facet_series import SeenFacet, as_placed, matched, seen_facets
from autophasenn.analysis.inside import depth_of
from autophasenn.analysis.series import Placed, moved, place, turned
from autophasenn.analysis.surface import surface_of
from autophasenn.campaign.facets import followed
from autophasenn.campaign.measured import Measured, columns_in, facet_column
from autophasenn.campaign.table import Row, as_csv, column
from autophasenn.image import CrystalImage
from autophasenn.report.surface import ISOVALUE


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[CrystalImage]:
    """The crystal, and the same one as its twin, moved, and with twice the strain inside."""
    steps = heating(1)
    steps += [replace(steps[0], number=2, strength=2 * steps[0].strength)]
    truth = write_series(tmp_path_factory.mktemp("facets") / "s.h5", steps, size=48)
    first, second = (place([truth[step.number]])[0].image for step in steps)
    return [first, turned(moved(second, (2.0, -1.0, 1.0)))]


def seen(image: CrystalImage) -> tuple[SeenFacet, ...]:
    return seen_facets(image, surface_of(image, ISOVALUE), depth_of(image), 1.0, 8.0)


def rows_of(images: list[CrystalImage]) -> tuple[list[Row], dict[str, Placed]]:
    rows = [Row(f"s{n}", f"s {n}", n, "reconstructed", facets=seen(each)) for n, each in enumerate(images, 1)]
    return rows, dict(zip(("s1", "s2"), place(images), strict=True))


def test_a_facet_is_found_again_in_the_twin_wherever_it_lies(images: list[CrystalImage]) -> None:
    rows, placed = rows_of(images)
    assert placed["s2"].is_twin
    known = rows[0].facets
    assert len(known) >= 8
    first, second = followed(rows, placed, "s1")
    areas = [(first.values[f"facet_{n}_area_nm2"], second.values[f"facet_{n}_area_nm2"]) for n in range(1, 9)]
    np.testing.assert_allclose(*np.transpose(areas), rtol=0.25)
    strains = [(first.values[f"facet_{n}_strain"], second.values[f"facet_{n}_strain"]) for n in range(1, 9)]
    ones, others = np.transpose(strains)
    assert np.corrcoef(ones, others)[0, 1] > 0.95
    assert np.polyfit(ones, others, 1)[0] == pytest.approx(2, rel=0.2)  # strain below each facet, twice as much
    assert all(second.errors[f"facet_{n}_strain"] > 0 for n in range(1, 9))


def test_without_its_twin_and_place_it_would_be_another_facet(images: list[CrystalImage]) -> None:
    rows, placed = rows_of(images)
    where = placed["s2"]
    right = matched(rows[0].facets, [as_placed(each, where.shift, is_twin=True) for each in rows[1].facets])
    wrong = matched(rows[0].facets, rows[1].facets)
    assert len(right) > 8
    assert not any(right.get(n) == index for n, index in wrong.items())


def test_a_facet_that_is_not_there_has_no_number_and_other_crystals_none(images: list[CrystalImage]) -> None:
    rows, placed = rows_of(images)
    index = matched(rows[0].facets, [as_placed(each, placed["s2"].shift, is_twin=True) for each in rows[1].facets])[1]
    less = tuple(each for number, each in enumerate(rows[1].facets) if number != index)
    _, second = followed([rows[0], replace(rows[1], facets=less)], placed, "s1")
    assert "facet_2_strain" not in second.values
    assert "facet_1_strain" in second.values
    other = {**placed, "s2": replace(placed["s2"], crystal="B")}
    assert not followed(rows, other, "s1")[1].values
    assert matched((), rows[0].facets) == {}


def test_facets_are_columns_of_the_table(images: list[CrystalImage], tmp_path: Path) -> None:
    rows = followed(*rows_of(images), "s1")
    assert column("facet 2").name == column("Facet 2 strain").name == "facet_2_strain"
    assert column("facet 10 area").name == column("facet_10_area_nm2").name == "facet_10_area_nm2"
    assert facet_column("facet x") is None
    names = [
        each.name for each in columns_in([{"facet_10_strain": 0.0, "facet_2_strain": 0.0, "facet_2_area_nm2": 1.0}])
    ]
    assert names[-3:] == ["facet_2_area_nm2", "facet_2_strain", "facet_10_strain"]
    heads = as_csv(rows).splitlines()[0].split(",")
    assert {"facet_1_strain", "facet_1_strain_error", "facet_1_area_nm2"} <= set(heads)
    stored = Measured("reconstructed", facets=rows[0].facets)
    assert Measured.from_json(stored.to_json()) == stored
