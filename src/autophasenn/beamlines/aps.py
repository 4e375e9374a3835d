"""Further beamlines of the APS: 28-ID-B, 7-ID-D, 1-ID-E (SPEC files) and 20-ID-E (HDF5).

Motors are in degrees and mm, energies in keV. `aps34idc` is 34-ID-C.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from autophasenn.beamlines.diffractometers import APS_1IDE, APS_7IDD, APS_20IDE, APS_28IDB
from autophasenn.beamlines.frame_folders import check_count, expected_by_spec, scan_number
from autophasenn.beamlines.measurement import Asked, Measurement, Positions, millimetres, plain
from autophasenn.beamlines.recorded import of_spec
from autophasenn.beamlines.spec import SpecScan, read_spec_scan
from autophasenn.errors import InputError
from autophasenn.files.frames import find_frames, read_frames, read_image
from autophasenn.files.tree import Frames, is_stack, node, opened, required
from autophasenn.files.units import ANGLES, EV, LENGTHS, in_unit
from autophasenn.physics.diffractometer import Diffractometer

NEEDS_28IDB = "the file *_S{scan}_00000.h5, and the SPEC file (--spec)"
NEEDS_7IDD = "the folder of TIFF frames, and the SPEC file (--spec)"
NEEDS_1IDE = "the folder of TIFF frames ..._Sdddd, the SPEC file (--spec); --energy and --distance where it lacks them"
NEEDS_20IDE = "the file *_{scan}.{detector}.h5"
WEDGE_DEG = 10.0
"""Of the wedge under the goniometer of 7-ID-D, which no file records."""


@dataclass(frozen=True)
class SpecNames:
    """How a beamline names things in its SPEC file.

    Parameters
    ----------
    diffractometer : Diffractometer
    names : dict
        Mnemonic of a circle that may be scanned, as commands use it -> name.
    distance : str
        Name of the distance, mm.
    detector : str
        Where the file names none.
    fixed : dict
        Motors that no file records.
    files : dict
        Name in the file -> motor, where they differ.
    """

    diffractometer: Diffractometer
    names: Mapping[str, str]
    distance: str
    detector: str
    fixed: Mapping[str, float]
    files: Mapping[str, str]


LAYOUT_28IDB = SpecNames(
    APS_28IDB, {"mu": "Mu", "eta": "Eta", "chi": "Chi", "phi": "Phi"}, "camdist", "s28eiger2-si", {}, {}
)
LAYOUT_7IDD = SpecNames(
    APS_7IDD, {"chi": "Chi", "th": "ThetaN", "phi": "Phi"}, "Radius", "7iddrobot", {"wedge": WEDGE_DEG}, {}
)
LAYOUT_1IDE = SpecNames(
    APS_1IDE, {"aero": "aero", "AeroTech": "aero"}, "detdist", "ASI", {"vff_eta_offset": 0.0}, {"AeroTech": "aero"}
)


def read_28idb(asked: Asked) -> Measurement:
    """Read a scan of 28-ID-B.

    Raises
    ------
    InputError
        If a file is missing, damaged or does not belong to the others.
    GeometryError
        If the scan moves no circle, or what the geometry needs is not recorded.
    """
    match = re.search(r"_S(\d+)_\d+$", asked.path.stem)
    number = asked.scan if asked.scan is not None else int(match[1]) if match else scan_number(asked.path)
    record = _record(asked, number)
    with opened(asked.path) as file:
        found = required(file, ("entry/data/data",), "frames of an Eiger")
        if not isinstance(found, h5py.Dataset) or not is_stack(found):
            raise InputError(f"{asked.path} has no stack of images at entry/data/data; give the file of the scan.")
        frames = Frames((found,)).load()
    return _from_spec(asked, record, LAYOUT_28IDB, frames, hashlib.sha256(frames.data).hexdigest())


def read_7idd(asked: Asked) -> Measurement:
    """Read a scan of 7-ID-D; raises as :func:`read_28idb`."""
    return _folder(asked, LAYOUT_7IDD)


def read_1ide(asked: Asked) -> Measurement:
    """Read a scan of 1-ID-E, whose detector turns about the beam and moves on stages; raises as :func:`read_28idb`."""
    return _folder(asked, LAYOUT_1IDE)


def expected_7idd(asked: Asked) -> int | None:
    """How many frames a complete scan of 7-ID-D leaves; None while the SPEC file does not say."""
    return expected_by_spec(asked, LAYOUT_7IDD.names)


def expected_1ide(asked: Asked) -> int | None:
    """How many frames a complete scan of 1-ID-E leaves; None while the SPEC file does not say."""
    return expected_by_spec(asked, LAYOUT_1IDE.names)


def read_20ide(asked: Asked) -> Measurement:
    """Read a scan of 20-ID-E, whose detector stands behind the sample on stages; raises as :func:`read_28idb`."""
    with opened(asked.path) as file:
        stack = required(file, ("exchange/data",), "frames")
        if not isinstance(stack, h5py.Dataset) or not is_stack(stack):
            raise InputError(f"{asked.path} has no stack of images at exchange/data; give the file of the scan.")
        frames = Frames((stack,)).load()
        turned = required(file, ("SMS/E/HR/samRy",), "angles")
        motors: dict[str, Positions] = {"samRy": plain(in_unit(turned, "samRy", ANGLES))}
        for stage in ("DetX", "DetY"):
            found = node(file, f"DMS/{stage}")
            if found is not None:
                motors[stage] = float(np.ravel(in_unit(found, stage, LENGTHS, 1e-3))[0])
        z = node(file, "DMS/DetZ")
        distance = None if z is None else float(np.ravel(in_unit(z, "DetZ", LENGTHS, 1e-3))[0])
        energy = node(file, "HEM/Energy")
        value = None if energy is None else float(np.ravel(in_unit(energy, "energy", EV))[0])
        images = {name: _image(file, f"exchange/data_{name}", frames.shape[1:]) for name in ("dark", "white")}
    for name, path in (("dark", asked.dark), ("white", asked.white)):
        images[name] = images[name] if path is None else read_image(path, f"{name} field")
    detector = asked.path.name.split(".")[-2] if asked.path.name.count(".") > 1 else None
    return Measurement(
        diffractometer=APS_20IDE,
        frames=frames,
        motors=motors,
        energy_ev=None if value is None else value * (1e3 if value < 1e3 else 1.0),
        distance_m=distance,
        detector=asked.detector or detector,
        dark=images["dark"],
        white=images["white"],
        checksum=hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest(),
        source={"scan": asked.scan, "detector": detector},
    )


def _image(file: h5py.File, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The mean of one or several images; None where they are absent, empty or of another size."""
    found = node(file, name)
    if not isinstance(found, h5py.Dataset) or found.shape is None or found.shape[-2:] != shape:
        return None
    image: np.ndarray = np.asarray(found[()], np.float64).reshape(-1, *shape).mean(axis=0)
    return image if image.any() else None


def _folder(asked: Asked, layout: SpecNames) -> Measurement:
    number = asked.scan if asked.scan is not None else scan_number(asked.path)
    paths = find_frames(asked.path)
    record = _record(asked, number)
    points = len(next(iter(record.scanned(layout.names).values())))
    warnings = list(record.warnings)
    paths = check_count(asked.path, paths, points, f"scan {number} of {record.path}", warnings)
    frames, checksum = read_frames(paths)
    return replace(_from_spec(asked, record, layout, frames, checksum), warnings=tuple(warnings))


def _record(asked: Asked, number: int) -> SpecScan:
    if asked.spec is None:
        raise InputError(f"The scan in {asked.path} needs the SPEC file that recorded it; give it with --spec.")
    return read_spec_scan(asked.spec, number)


def _from_spec(asked: Asked, record: SpecScan, layout: SpecNames, frames: np.ndarray, checksum: str) -> Measurement:
    moved = record.scanned(layout.names)
    motors: dict[str, Positions] = dict(layout.fixed)
    for name in layout.diffractometer.motors:
        in_file = next(
            (key for key, motor in layout.files.items() if motor == name and record.known(key) is not None), name
        )
        value = record.known(in_file)
        if value is not None:
            motors[name] = value * (1e-3 if layout.diffractometer.is_stage(name) else 1.0)
    motors |= {name: plain(positions) for name, positions in moved.items()}
    energy = record.known("Energy")
    setup, shape = asked.setup, frames.shape[1:]
    if energy is None and "Energy" in record.doubtful and setup.energy_ev is None:
        record.motor("Energy", "give it in eV with --energy")
    first = _region(record, shape)
    return Measurement(
        diffractometer=layout.diffractometer,
        frames=frames,
        motors=motors,
        energy_ev=None if energy is None else 1e3 * energy,
        distance_m=millimetres(record.known(layout.distance)),
        detector=asked.detector or record.header.get("UIMDET", layout.detector).strip().rstrip(":"),
        first_pixel=first,
        dark=_detector_image(asked.dark, "dark field", shape),
        white=_detector_image(asked.white, "white field", shape),
        monitor=record.columns.get("Monitor"),
        checksum=checksum,
        source={"scan": record.number, "command": record.command, "spec": str(asked.spec)},
        warnings=record.warnings,
        metadata=of_spec(record),
    )


def _region(record: SpecScan, shape: tuple[int, ...]) -> tuple[float, float] | None:
    """Where the frames begin on the whole detector, as ``#UIMR5 minX sizeX minY sizeY`` says."""
    words = record.header.get("UIMR5", "").split()[:4]
    if len(words) < 4 or not all(re.fullmatch(r"\d+", word) for word in words):
        return None
    column, columns, row, rows = (int(word) for word in words)
    return (float(row), float(column)) if (rows, columns) == shape else None


def _detector_image(path: Path | None, what: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if path is None:
        return None
    image = read_image(path, what)
    if image.shape != shape:
        raise InputError(
            f"The {what} {path} has {' x '.join(map(str, image.shape))} pixels and the frames "
            f"{' x '.join(map(str, shape))}; give a {what} of the frames' region."
        )
    return image
