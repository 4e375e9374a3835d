"""A file that places every pixel by a chain of transformations: options act on the chain, or are refused by name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from beamtime import Experiment
from layouts import I16

from autophasenn.beamlines import Setup, read_scan
from autophasenn.errors import AutoPhaseNNError, GeometryError, PlanError
from autophasenn.physics.axes import axes, circles
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector
from autophasenn.physics.scan_geometry import ScanGeometry

E = replace(I16.experiment, shape=(6, 8), peak=(3, 4))
FRAMES = np.random.default_rng(0).poisson(3, (E.frames, 6, 8)).astype(np.uint32)


def geometry(root: Path, **said: object) -> ScanGeometry:
    written = I16.write(root, FRAMES, E)
    found = read_scan("i16", written.path, setup=Setup(**said)).geometry  # type: ignore[arg-type]
    assert isinstance(found, ScanGeometry)
    return found


def check_q(found: ScanGeometry, expected: Experiment) -> None:
    """Q of the corners in the first, middle and last frame, in the crystal's own frame."""
    middle = E.frames // 2
    for frame in (0, middle, E.frames - 1):
        for row, column in ((0, 0), (3, 4), (5, 7)):
            q = expected.q(frame, row, column)
            np.testing.assert_allclose(
                found.q(float(frame), float(row), float(column), float(middle)), q, atol=2e-7 * np.linalg.norm(q)
            )


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ({"distance_m": E.distance}, {}),
        ({"pixel_m": (E.pixel, E.pixel)}, {}),
        ({"direct_beam": E.beam}, {}),
        ({"distance_m": 0.7}, {"distance": 0.7}),
        ({"pixel_m": (100e-6, 100e-6)}, {"pixel": 100e-6}),
        ({"direct_beam": (97.5, 236.0)}, {"beam": (97.5, 236.0)}),
        ({"first_pixel": (20.0, 30.0)}, {"first": (20, 30)}),
        (
            {"distance_m": 0.5, "pixel_m": (150e-6, 150e-6), "direct_beam": (90.0, 220.0)},
            {"distance": 0.5, "pixel": 150e-6, "beam": (90.0, 220.0)},
        ),
    ],
)
def test_distance_pixels_and_direct_beam_act_on_the_chain(said: dict, changed: dict, tmp_path: Path) -> None:
    check_q(geometry(tmp_path, **said), replace(E, **changed))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"columns": "x-"}, "--columns"),
        ({"rows": "y-"}, "--rows"),
        ({"tilt_deg": (0.0, 1.0, 0.0)}, "`tilt_deg`"),
        ({"direct_beam_at": {"delta": 1.0}}, "`direct_beam_at`"),
    ],
)
def test_what_would_contradict_the_chain_is_refused_by_name(said: dict, name: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=f"chain of transformations, and {name} would contradict it; leave it out"):
        geometry(tmp_path, **said)


@pytest.mark.parametrize(
    ("said", "words"), [({"distance_m": 700.0}, "700 m"), ({"pixel_m": (55.0, 55.0)}, "pixel size is 55 m")]
)
def test_units_of_another_order_are_refused_on_a_chain_too(said: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match=words):
        geometry(tmp_path, **said)


def test_a_real_chain_with_its_own_distance_and_pixels_said_once_more_stays_as_it_is(
    shared_data: Path, tmp_path: Path
) -> None:
    from test_beamlines import real_i16

    path = real_i16(shared_data, tmp_path, "1041304", 121)
    recorded = read_scan("i16", path).geometry
    assert isinstance(recorded, ScanGeometry)
    row, column, _ = recorded.diffractometer.beam_on(recorded.detector) or (0.0, 0.0, 0.0)
    setup = Setup(
        distance_m=recorded.detector.distance_m, pixel_m=recorded.detector.pixel_size_m, direct_beam=(row, column)
    )
    said = read_scan("i16", path, setup=setup).geometry
    for pixel in ((0.0, 0.0), (100.0, 240.0), (194.0, 486.0)):
        np.testing.assert_allclose(said.scattering_vector(pixel), recorded.scattering_vector(pixel), rtol=1e-9)


TILTED = FlatDetector((-0.02, 0.015, 0.5), (1e-6, -54.9e-6, 2e-6), (54.8e-6, 0.5e-6, 3e-6))
ARM = Diffractometer("an arm", circles("th y+"), axes("delta y+"))


def test_another_distance_moves_a_tilted_detector_along_the_beam_and_turns_nothing() -> None:
    row, column, along = ARM.beam_on(TILTED) or (0.0, 0.0, 0.0)
    moved = ARM.replaced(TILTED, distance_m=2 * TILTED.distance_m)
    assert moved.distance_m == pytest.approx(2 * TILTED.distance_m)
    assert (moved.row_edge_m, moved.column_edge_m) == (TILTED.row_edge_m, TILTED.column_edge_m)
    np.testing.assert_allclose(ARM.beam_on(moved), (row, column, 2 * along), rtol=1e-9)


def test_a_detector_that_does_not_face_the_beam_has_no_pixel_of_it() -> None:
    aside = FlatDetector((0.5, 0.0, 0.1), (0.0, -55e-6, 0.0), (0.0, 0.0, 55e-6))
    with pytest.raises(GeometryError, match="does not face the direct beam"):
        ARM.replaced(aside, direct_beam=(1.0, 2.0))
    moved = ARM.replaced(aside, distance_m=1.0)
    np.testing.assert_allclose(moved.origin_m, (1.0, 0.0, 0.1), atol=1e-12)


def test_errors_on_a_chain_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AutoPhaseNNError) as caught:
        geometry(tmp_path, columns="x-")
    assert "\n" not in str(caught.value)
