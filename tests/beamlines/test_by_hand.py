"""Geometry by hand: a file or options give any array the same geometry as a beamline's own reader does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layouts import Id01Bliss

from autophasenn.beamlines import read_scan
from autophasenn.errors import AutoPhaseNNError, PlanError
from autophasenn.physics.axes import axes, circles
from autophasenn.pipeline.instrument import Instrument
from autophasenn.pipeline.source import Source

EXPERIMENT = replace(Id01Bliss.experiment, shape=(6, 8), peak=(3, 4))
E = EXPERIMENT
START = float(E.positions[0])
YAML = f"""
beamline: id01
motors: {{mu: 0.0, eta: "{START}:{E.step}", phi: 3.0, nu: 4.0, delta: 36.0}}
energy_ev: {E.energy}
distance_m: {E.distance}
pixel_m: [{E.pixel}, {E.pixel}]
direct_beam: [{E.beam[0]}, {E.beam[1]}]
first_pixel: [0.0, 0.0]
"""
AXES = 'sample: "mu y-, eta x-, phi y-"\ndetector: "nu y-, delta x-"\ncolumns: x+\nrows: y-'
OPTIONS = Instrument(
    energy=E.energy,
    distance=E.distance,
    pixel=(E.pixel, E.pixel),
    direct_beam=E.beam,
    first_pixel=(0.0, 0.0),
    motors=("mu=0", f"eta={START}:{E.step}", "phi=3", "nu=4", "delta=36"),
    diffractometer="id01",
)


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).poisson(3, (E.frames, *E.shape)).astype(np.uint32)


@pytest.fixture
def array(tmp_path: Path, frames: np.ndarray) -> str:
    np.save(tmp_path / "p.npy", frames)
    return str(tmp_path / "p.npy")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "geometry.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("way", ["file", "axes", "options"])
def test_an_array_with_geometry_by_hand_is_that_of_the_beamlines_reader(
    way: str, array: str, frames: np.ndarray, tmp_path: Path
) -> None:
    recorded = Id01Bliss.write(tmp_path, frames, EXPERIMENT)
    expected = read_scan("id01", recorded.path, **recorded.arguments()).geometry
    text = YAML if way == "file" else YAML.replace("beamline: id01", AXES)
    instrument = OPTIONS if way == "options" else Instrument(geometry=written(tmp_path, text))
    scan = Source(array, instrument=instrument).read()
    assert scan.warnings == ()
    np.testing.assert_array_equal(scan.frames, frames)
    for frame in (0.0, 6.0, 12.0):
        at = (frame, 2.0, 5.0, 6.0)
        np.testing.assert_allclose(scan.geometry.q(*at), expected.q(*at), rtol=1e-9, atol=1.0)
    np.testing.assert_allclose(
        scan.geometry.reciprocal_steps((3.0, 4.0)), expected.reciprocal_steps((3.0, 4.0)), rtol=1e-7, atol=1.0
    )


def test_options_count_before_the_file(array: str, tmp_path: Path) -> None:
    instrument = Instrument(
        geometry=written(tmp_path, YAML), energy=8500.0, motors=("delta=35",), direct_beam=(1.0, 2.0)
    )
    geometry = Source(array, instrument=instrument).read().geometry
    assert geometry.energy_ev == 8500
    assert geometry.motors["delta"] == 35
    assert geometry.motors["nu"] == 4
    assert geometry.direct_beam == (1.0, 2.0)


def test_three_steps_and_q_are_taken_as_they_are(array: str, tmp_path: Path) -> None:
    text = "reciprocal_steps_per_nm: [[0.0, 0.01, 0.0], [0.0, 0.0, -0.02], [0.03, 0.0, 0.0]]\nq_per_nm: [20.0, 5.0, -7.0]\n"
    geometry = Source(array, instrument=Instrument(geometry=written(tmp_path, text))).read().geometry
    np.testing.assert_allclose(geometry.reciprocal_steps((0.0, 0.0))[1], [0, 0, -2e7])
    np.testing.assert_allclose(geometry.scattering_vector((0.0, 0.0)), [2e10, 5e9, -7e9])


def test_what_a_cxi_file_records_is_used_where_nothing_else_is_given(frames: np.ndarray, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "p.cxi", "w") as file:
        file["cxi_version"] = 150
        file["entry_1/instrument_1/detector_1/data"] = frames
        file["entry_1/instrument_1/detector_1/distance"] = 0.7
        file["entry_1/instrument_1/detector_1/x_pixel_size"] = 75e-6
        file["entry_1/instrument_1/detector_1/y_pixel_size"] = 75e-6
        file["entry_1/instrument_1/source_1/energy"] = 8800 * 1.602176634e-19
    instrument = replace(OPTIONS, energy=None, distance=None, pixel=None)
    geometry = Source(str(tmp_path / "p.cxi"), instrument=instrument).read().geometry
    assert geometry.energy_ev == pytest.approx(8800)
    assert geometry.detector.distance_m == pytest.approx(0.7)
    assert geometry.detector.pixel_size_m == pytest.approx((75e-6, 75e-6))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("beamline: id99", ["'id99' is not known", "id01"]),
        (YAML.replace("energy_ev: 9000.0", ""), ["photon energy", "--energy"]),
        (YAML.replace("distance_m: 0.8", "distance_m: 800.0"), ["distance is 800 m", "unit"]),
        (YAML.replace("delta: 36.0", "detla: 36.0"), ["no motor 'detla'", "delta"]),
        (YAML.replace(", delta: 36.0", ""), ["no motor 'delta'", "--motor delta=VALUE"]),
        (YAML.replace(f'"{START}:{E.step}"', '"far"'), ["stands at 'far'", "START:STEP"]),
        (YAML.replace(f'"{START}:{E.step}"', "18.0"), ["No motor of ESRF ID01 moves"]),
        (YAML + "wavelength: 1.5\n", ["geometry.yaml: the geometry has no parameter `wavelength`"]),
        (YAML + "energi_ev: 9000.0\n", ["geometry.yaml: the geometry has no parameter `energi_ev`", "`energy_ev`"]),
        ("q_per_nm: [20.0, 5.0, -7.0]\n", ["needs both"]),
        ('sample: "eta"\ndetector: "nu y-"\n', ["'eta' cannot be understood"]),
        ("energy_ev: 9000.0\n", ["names no diffractometer", "--diffractometer"]),
        ("[1, 2]", ["geometry.yaml", "mapping"]),
    ],
)
def test_a_geometry_that_does_not_hold_is_one_sentence(text: str, words: list[str], array: str, tmp_path: Path) -> None:
    with pytest.raises(AutoPhaseNNError) as caught:
        Source(array, instrument=Instrument(geometry=written(tmp_path, text))).read()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_that_do_not_go_together_are_refused(array: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="--energy needs a diffractometer"):
        Source(array, instrument=Instrument(energy=9e3))
    with pytest.raises(PlanError, match="--geometry belongs to a plain file"):
        Source(array, "id01", instrument=Instrument(geometry=tmp_path / "geometry.yaml"))
    with pytest.raises(PlanError, match="--detector belongs to a scan"):
        Source(array, instrument=Instrument(detector="merlin", diffractometer="id01"))
    with pytest.raises(PlanError, match="--axes belongs to a plain file"):
        Source(array, "id01", axes="row,column,frame")
    with pytest.raises(PlanError, match="--motor eta cannot be understood"):
        Source(array, instrument=replace(OPTIONS, motors=("eta",))).read()


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("columns: x-", {"columns": (-1.0, 0.0, 0.0)}),
        ("rows: y+", {"rows": (0.0, 1.0, 0.0)}),
        ('sample: "mu y+, eta x-, phi y-"', {"sample": circles("mu y+, eta x-, phi y-")}),
        ('detector: "nu y+, delta x-"', {"detector": axes("nu y+, delta x-")}),
    ],
)
def test_axes_and_directions_of_a_geometry_file_take_the_place_of_its_beamlines(
    line: str, changed: dict, array: str, tmp_path: Path
) -> None:
    usual = Source(array, instrument=Instrument(geometry=written(tmp_path, YAML))).read().geometry
    other = Source(array, instrument=Instrument(geometry=written(tmp_path, YAML + line))).read().geometry
    for name in ("sample", "detector", "columns", "rows"):
        expected = changed.get(name, getattr(usual.diffractometer, name))
        assert getattr(other.diffractometer, name) == expected


def test_two_words_on_which_circles_there_are_are_refused(array: str, tmp_path: Path) -> None:
    instrument = Instrument(geometry=written(tmp_path, YAML + 'sample: "eta x-"\n'), diffractometer="p10")
    with pytest.raises(PlanError, match="--diffractometer p10 and `sample:` of the geometry file both say"):
        Source(array, instrument=instrument).read()


STEPS = (
    "reciprocal_steps_per_nm: [[0.0, 0.01, 0.0], [0.0, 0.0, -0.02], [0.03, 0.0, 0.0]]\nq_per_nm: [20.0, 5.0, -7.0]\n"
)


@pytest.mark.parametrize(
    ("more", "said", "name"),
    [
        ("energy_ev: 9000.0\n", {}, "`energy_ev:`"),
        ("motors: {nonsense: 3}\n", {}, "`motors:`"),
        ("beamline: id01\n", {}, "`beamline:`"),
        ("binning: [2, 2]\n", {}, "`binning:`"),
        ("tilt_deg: [0.0, 0.0, 1.0]\n", {}, "`tilt_deg:`"),
        ("", {"energy": 9e3}, "--energy"),
        ("", {"distance": 0.5}, "--distance"),
        ("", {"pixel": (55e-6, 55e-6)}, "--pixel"),
        ("", {"direct_beam": (1.0, 2.0)}, "--direct-beam"),
        ("", {"first_pixel": (1.0, 2.0)}, "--first-pixel"),
        ("", {"motors": ("nonsense=3",)}, "--motor"),
        ("", {"columns": "x-"}, "--columns"),
        ("", {"rows": "y+"}, "--rows"),
        ("", {"reverse": ("eta",)}, "--reverse"),
        ("", {"diffractometer": "id01"}, "--diffractometer"),
    ],
)
def test_nothing_is_said_beside_three_steps_and_q(more: str, said: dict, name: str, array: str, tmp_path: Path) -> None:
    instrument = Instrument(geometry=written(tmp_path, STEPS + more), **said)
    with pytest.raises(PlanError, match=f"complete with reciprocal_steps_per_nm and q_per_nm, and {name} is given"):
        Source(array, instrument=instrument).read()
