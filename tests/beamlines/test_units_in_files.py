"""Numbers with a unit beside them, chains in other conventions, and files reached through symbolic links."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from layouts import I16, P10, Aps20ide, Cristal, Id01Bliss, Nanomax, Sixs2019, Sixs2022
from test_beamlines import check_geometry

from autophasenn.beamlines import read_scan
from autophasenn.errors import GeometryError, InputError
from autophasenn.physics.bragg import HC_EV_M, JOULE

SAMPLE, ARM, PIXELS = "entry1/sample/transformations", "entry1/instrument/transformations", "entry1/instrument/pil3"
ORIGIN = f"{PIXELS}/transformations/origin_offset"
LIGHT = "entry1/sample/beam"


def small(layout: Any) -> Any:
    return replace(layout.experiment, shape=(6, 8), first=(0, 0), peak=(3, 4))


def written(layout: Any, root: Path) -> tuple[Any, Any]:
    experiment = small(layout)
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    return layout.write(root, frames, experiment), experiment


def put(file: h5py.File, name: str, value: Any, unit: str | None = None) -> None:
    """A data set in place of another of its attributes, with another value and unit."""
    kept = dict(file[name].attrs) if name in file else {}
    if name in file:
        del file[name]
    file[name] = value
    file[name].attrs.update(kept if unit is None else {**kept, "units": unit})


def angles_in(unit: str, factor: float) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        for place in (f"{SAMPLE}/mu", f"{SAMPLE}/theta", f"{SAMPLE}/phi", f"{ARM}/gamma", f"{ARM}/delta"):
            put(file, place, factor * file[place][()], unit)

    return change


def lengths_in_other_units(file: h5py.File) -> None:
    """A unit vector with the length as its value, cm; pixels in microns."""
    vector = np.asarray(file[ORIGIN].attrs["vector"])
    length = float(np.linalg.norm(vector))
    put(file, ORIGIN, length / 10, "cm")
    file[ORIGIN].attrs["vector"] = vector / length
    for name in ("fast", "slow"):
        place = f"{PIXELS}/module/{name}_pixel_direction"
        put(file, place, 1e3 * file[place][()], "Microns")


def place_as_offset(with_unit: bool) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        node = file[ORIGIN]
        node.attrs["offset"], node.attrs["vector"] = node.attrs["vector"], [0.0, 0.0, 1.0]
        node[...] = 0.0
        if with_unit:
            node.attrs["offset_units"] = "mm"

    return change


def opposite_axes(file: h5py.File) -> None:
    """Axes of length 2 the other way round, their angles of the other sign, words in capitals."""
    for name in ("mu", "theta"):
        node = file[f"{SAMPLE}/{name}"]
        node[...] = -node[()]
        node.attrs["vector"] = -2 * np.asarray(node.attrs["vector"])
        node.attrs["transformation_type"] = np.bytes_(b"Rotation")


def relative_paths(file: h5py.File) -> None:
    file[f"{SAMPLE}/theta"].attrs["depends_on"], file[f"{SAMPLE}/phi"].attrs["depends_on"] = "mu", "./theta"
    del file["entry1/sample/depends_on"]
    file["entry1/sample/depends_on"] = "transformations/phi"


CHAINS = {
    "radians": angles_in("Rad", np.pi / 180),
    "milliradians": angles_in("mrad", np.pi / 0.18),
    "cm and microns": lengths_in_other_units,
    "an offset": place_as_offset(True),
    "an offset in the unit of its axis": place_as_offset(False),
    "axes the other way round": opposite_axes,
    "paths from the group": relative_paths,
}


@pytest.mark.parametrize("change", CHAINS.values(), ids=CHAINS)
def test_a_chain_in_other_units_and_conventions_is_the_same_chain(
    change: Callable[[h5py.File], None], tmp_path: Path
) -> None:
    scan, experiment = written(I16, tmp_path)
    with h5py.File(scan.path, "r+") as file:
        change(file)
    check_geometry(read_scan("i16", scan.path).geometry, experiment)


EV = small(I16).energy
WAVELENGTH = HC_EV_M / EV


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("incident_energy", EV * JOULE, "J"),
        ("incident_energy", 1e-6 * EV, "MeV"),
        ("incident_energy", 1e3 * EV, "meV"),
        ("incident_energy", 1e-3 * EV, "KEV"),
        ("incident_energy", EV, "electronvolts"),
        ("incident_energy", EV, ""),
        ("incident_wavelength", 1e10 * WAVELENGTH, "Ångström"),
        ("incident_wavelength", 1e9 * WAVELENGTH, "nm"),
        ("incident_wavelength", 1e6 * WAVELENGTH, "µm"),
        ("incident_wavelength", 1e10 * WAVELENGTH, ""),
        ("incident_wavelength", WAVELENGTH, ""),
    ],
)
def test_the_energy_is_that_of_its_unit(name: str, value: float, unit: str, tmp_path: Path) -> None:
    scan, _ = written(I16, tmp_path)
    with h5py.File(scan.path, "r+") as file:
        del file[LIGHT]
        put(file, f"{LIGHT}/{name}", [value], unit)
    assert read_scan("i16", scan.path).geometry.energy_ev == pytest.approx(EV, rel=1e-9)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (1e9 * WAVELENGTH, "", "has no unit; a wavelength is in nm or angstrom"),
        (1.4, "bar", "has the unit 'bar'"),
        (-1.4, "angstrom", "is no wavelength"),
    ],
)
def test_a_wavelength_that_may_be_several_is_asked_for(value: float, unit: str, words: str, tmp_path: Path) -> None:
    scan, _ = written(I16, tmp_path)
    with h5py.File(scan.path, "r+") as file:
        del file[LIGHT]
        put(file, f"{LIGHT}/incident_wavelength", value, unit)
    with pytest.raises(GeometryError, match=f"{words}.*--energy"):
        read_scan("i16", scan.path)


def test_of_several_entries_the_number_says_which(tmp_path: Path) -> None:
    scan, experiment = written(I16, tmp_path)
    with h5py.File(scan.path, "r+") as file:
        file["entry"] = h5py.SoftLink("/entry1")  # another name of the same
    check_geometry(read_scan("nexus", scan.path).geometry, experiment)
    with h5py.File(scan.path, "r+") as file:
        del file["entry"]
        file.copy("entry1", "entry12")
        file["entry12/sample/beam/incident_energy"][...] = 7.0
    with pytest.raises(InputError, match="holds several scans, entry1, entry12; say which by its number, with --scan"):
        read_scan("nexus", scan.path)
    assert read_scan("nexus", scan.path, scan=12).geometry.energy_ev == 7000.0
    assert read_scan("nexus", scan.path, scan=1).geometry.energy_ev == pytest.approx(EV)


def test_units_beside_the_numbers_of_a_bliss_file_count(tmp_path: Path) -> None:
    scan, experiment = written(Id01Bliss, tmp_path)
    with h5py.File(tmp_path / "raw" / "sample.h5", "r+") as file:
        for motor in ("mu", "phi", "nu", "delta"):
            place = f"12.1/instrument/positioners/{motor}"
            put(file, place, np.deg2rad(file[place][()]), "rad")
        put(file, "12.1/measurement/eta", np.deg2rad(experiment.positions), "rad")
        put(file, "12.1/instrument/positioners/mononrj", experiment.energy, "eV")
        put(file, "12.1/instrument/mpx1x4/distance", 1e3 * experiment.distance, "mm")
    check_geometry(read_scan("id01", scan.path, scan=12).geometry, experiment)


def test_units_beside_the_numbers_of_nanomax_count(tmp_path: Path) -> None:
    scan, experiment = written(Nanomax, tmp_path)
    with h5py.File(scan.path, "r+") as file:
        snapshot = "entry/snapshots/post_scan"
        put(file, f"{snapshot}/energy", [1e-3 * experiment.energy], "keV")
        put(file, f"{snapshot}/radius", [experiment.distance], "m")
        put(file, f"{snapshot}/delta", [1e3 * np.deg2rad(experiment.motors["delta"])], "mrad")
    check_geometry(read_scan("nanomax", scan.path, **scan.arguments()).geometry, experiment)


@pytest.mark.parametrize("layout", [Sixs2019, Sixs2022], ids=["2019", "2022"])
def test_units_beside_the_numbers_of_sixs_count(layout: type[Sixs2019], tmp_path: Path) -> None:
    scan, experiment = written(layout, tmp_path)
    with h5py.File(scan.path, "r+") as file:
        for motor in experiment.motors:
            put(file, layout.places.format(motor), np.deg2rad([experiment.motors[motor]]), "rad")
        put(file, f"com/scan_data/{layout.rocking}", 1e3 * np.deg2rad(experiment.positions), "mrad")
        put(file, "com/SIXS/i14-c-c02-op-mono/energy", [experiment.energy], "eV")
    check_geometry(read_scan("sixs", scan.path, **scan.arguments()).geometry, experiment)


@pytest.mark.parametrize("scanned", ["omega", "energy"])
def test_units_beside_the_numbers_of_cristal_count(scanned: str, tmp_path: Path) -> None:
    experiment = replace(small(Cristal), scanned=scanned, step=3.0 if scanned == "energy" else 0.01)
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    scan = Cristal.write(tmp_path, frames, experiment)
    with h5py.File(scan.path, "r+") as file:
        group = file["exp_0042"]
        places: list[str] = []
        group.visit(lambda name: places.append(name) if name.endswith("/position") else None)
        assert len(places) == len(experiment.motors)
        for place in places:
            put(group, place, np.deg2rad(group[place][()]), "radians")
        if scanned == "energy":
            put(group, "scan_data/actuator_1_3", experiment.positions, "eV")
        else:
            put(group, "scan_data/actuator_1_1", np.deg2rad(experiment.positions), "rad")
            put(group, "CRISTAL/Monochromator/energy", [experiment.energy * JOULE], "J")
    check_geometry(read_scan("cristal", scan.path, **scan.arguments()).geometry, experiment)


def test_units_beside_the_numbers_of_20ide_count(tmp_path: Path) -> None:
    scan, experiment = written(Aps20ide, tmp_path)
    with h5py.File(scan.path, "r+") as file:
        put(file, "SMS/E/HR/samRy", np.deg2rad(experiment.positions), "rad")
        put(file, "DMS/DetX", [experiment.motors["DetX"]], "m")
        put(file, "DMS/DetY", [1e6 * experiment.motors["DetY"]], "um")
        put(file, "DMS/DetZ", [1e2 * experiment.distance], "cm")
        put(file, "HEM/Energy", [experiment.energy], "eV")
    check_geometry(read_scan("20ide", scan.path, **scan.arguments()).geometry, experiment)


def test_the_log_of_p10_lies_beside_the_file_that_a_symbolic_link_names(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    scan, experiment = written(P10, tmp_path / "there")
    link = tmp_path / "here" / "sample_00007_master.h5"
    link.parent.mkdir()
    link.symlink_to(scan.path / "e2500" / link.name)
    found = read_scan("p10", link, **scan.arguments())
    check_geometry(found.geometry, experiment)
    assert found.frames.shape == (experiment.frames, 6, 8)
