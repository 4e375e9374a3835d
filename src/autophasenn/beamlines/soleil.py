"""SOLEIL SIXS and CRISTAL: NeXus files of data loggers. Angles in degrees, energies in keV; no distance is recorded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import h5py
import numpy as np

from autophasenn.beamlines.diffractometers import CRISTAL, SIXS_2019, SIXS_2022
from autophasenn.beamlines.measurement import Asked, Measurement, Positions, plain
from autophasenn.beamlines.recorded import of_hdf5
from autophasenn.errors import GeometryError, InputError
from autophasenn.files.tree import Frames, is_stack, node, opened, required, text
from autophasenn.files.units import ANGLES, EV, in_unit

NEEDS_SIXS = "the .nxs file of the scan; --distance, which it does not have"
NEEDS_CRISTAL = "the .nxs file of the scan (--scan where it holds several); --distance, which it does not have"
SIXS_GROUP = "SIXS/i14-c-cx1-ex-med-v-dif-group.1"


def read_sixs(asked: Asked) -> Measurement:
    """Read a scan of SIXS, of the layout of 2022 (vertical geometry) or of 2019.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another layout.
    GeometryError
        If the scanned motor cannot be told.
    """
    with opened(asked.path) as file:
        com = _only_group(file, asked)
        data = required(com, ("scan_data",), "scan_data")
        name, frames = _frames(data, asked)
        is_2022 = node(com, SIXS_GROUP) is not None
        diffractometer = SIXS_2022 if is_2022 else SIXS_2019
        place = required(com, (SIXS_GROUP, "SIXS"), "motors of SIXS")
        motors: dict[str, Positions] = {}
        for motor in diffractometer.motors:
            if motor in asked.setup.motors:
                continue
            key = _named(place, motor)
            if key is None:
                continue
            value = node(place, f"{key}/position" if is_2022 else f"{key}/position_pre")
            value = value if value is not None else node(place, f"{key}/position")
            if value is not None:
                motors[motor] = float(np.ravel(in_unit(value, motor, ANGLES))[0])
        scanned = _scanned(data, ("actuator_1_1", "data_07"), len(frames))
        motors[_which(scanned, motors, [c.name for c in diffractometer.sample], asked)] = plain(scanned)
        energy = node(com, "SIXS/i14-c-c02-op-mono/energy")
        return Measurement(
            diffractometer=diffractometer,
            frames=frames,
            motors=motors,
            energy_ev=None if energy is None else float(np.ravel(in_unit(energy, "energy", EV, 1e3))[0]),
            distance_m=None,
            detector=asked.detector or ("merlinSixS" if frames.shape[1:] == (512, 512) else None),
            checksum=hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest(),
            source={"scan": asked.scan, "command": text(node(com, "title")), "frames": f"{data.name}/{name}"},
            metadata=of_hdf5(com, (SIXS_GROUP, "SIXS", "scan_data")),
        )


def _named(place: h5py.Group, motor: str) -> str | None:
    """The entry of a motor: the one whose name is, or ends in, the motor's as a whole word (``...-tpp-mu``); None: none.

    Raises
    ------
    InputError
        If there are several.
    """
    words = {key: [word for word in re.split(r"[-_.]", key.lower()) if not word.isdigit()] for key in place}
    found = [key for key, parts in words.items() if parts and parts[-1] == motor]
    if len(found) > 1:
        raise InputError(
            f"{place.file.filename} has several motors named {motor} in {place.name} ({', '.join(found)}); give its "
            f"position with --motor {motor}=DEGREES."
        )
    return found[0] if found else None


def read_cristal(asked: Asked) -> Measurement:
    """Read a scan of CRISTAL: of omega, phi, or the energy.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another layout.
    GeometryError
        If the scanned motor cannot be told.
    """
    with opened(asked.path) as file:
        scan = _only_group(file, asked)
        data = required(scan, ("scan_data",), "scan_data")
        name, frames = _frames(data, asked)
        motors: dict[str, Positions] = {}
        for motor, places in {
            "delta": ("CRISTAL/Diffractometer/{}delta/position", "CRISTAL/Diffractometer/{}DELTA/position"),
            "gamma": ("CRISTAL/Diffractometer/{}gamma/position", "CRISTAL/Diffractometer/{}GAMMA/position"),
            "omega": ("CRISTAL/{}omega/position", "CRISTAL/Diffractometer/{}omega/position"),
            "phi": ("CRISTAL/{}phi/position", "CRISTAL/Diffractometer/{}phi/position"),
        }.items():
            prefix = "i06-c-c07-ex-dif-" if motor in ("delta", "gamma") else "i06-c-c07-ex-mg_"
            spellings = [p.format(x) for p in places for x in (prefix, prefix.upper())]
            value = next((v for p in spellings if (v := node(scan, p)) is not None), None)
            if value is not None:
                motors[motor] = float(np.ravel(in_unit(value, motor, ANGLES))[0])
        energy_node = node(scan, "CRISTAL/Monochromator/energy")
        energy: Positions | None = (
            None if energy_node is None else float(np.ravel(in_unit(energy_node, "energy", EV, 1e3))[0])
        )
        what = text(node(scan, "scan_config/name")).lower()
        if "energy" in what:
            energy = plain(_scanned(data, ("actuator_1_3", "actuator_1_1"), len(frames), EV, 1e3))
            arm = node(data, "actuator_1_2")
            if arm is not None:
                motors["delta"] = plain(in_unit(arm, "delta", ANGLES))
        else:
            scanned = _scanned(data, ("actuator_1_1",), len(frames))
            named = [m for m in ("omega", "phi") if m in what]
            motor = named[0] if len(named) == 1 else _which(scanned, motors, ["omega", "phi"], asked)
            motors[motor] = plain(scanned)
        return Measurement(
            diffractometer=CRISTAL,
            frames=frames,
            motors=motors,
            energy_ev=energy,
            distance_m=None,
            detector=asked.detector or ("maxipix" if frames.shape[1:] == (516, 516) else None),
            checksum=hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest(),
            source={"scan": asked.scan, "command": what, "frames": f"{data.name}/{name}"},
            metadata=of_hdf5(scan, ("CRISTAL", "scan_data")),
        )


def _only_group(file: h5py.File, asked: Asked) -> h5py.Group:
    """The scan's own group: the only one, or that whose name ends in the scan's number."""
    groups = [name for name in file if isinstance(node(file, name), h5py.Group) and "scan_data" in file[name]]
    if asked.scan is not None and len(groups) > 1:
        groups = [g for g in groups if (m := re.search(r"(\d+)$", g)) and int(m[1]) == asked.scan]
    if len(groups) == 1:
        group: h5py.Group = file[groups[0]]
        return group
    there = ", ".join(list(file)[:8]) or "nothing"
    if not groups:
        which = "" if asked.scan is None else f" {asked.scan}"
        raise InputError(
            f"{asked.path} has no scan{which} with a group scan_data (it holds {there}); give a scan of SOLEIL."
        )
    raise InputError(f"{asked.path} holds the scans {', '.join(groups[:8])}; say which with --scan.")


def _frames(data: h5py.Group, asked: Asked) -> tuple[str, np.ndarray]:
    """The only stack of images of scan_data."""
    found = {k: d for k in data if isinstance(d := node(data, k), h5py.Dataset) and is_stack(d)}
    if asked.detector in found:
        return str(asked.detector), Frames((found[str(asked.detector)],)).load()
    if len(found) == 1:
        name, dataset = next(iter(found.items()))
        return name, Frames((dataset,)).load()
    if not found:
        raise InputError(
            f"{asked.path} has no images in {data.name} (it holds {', '.join(list(data)[:8])}); give a scan with frames."
        )
    raise InputError(f"{asked.path} holds images at {', '.join(found)}; say which with --detector NAME.")


def _scanned(
    data: h5py.Group, names: tuple[str, ...], frames: int, units: Mapping[str, float] = ANGLES, otherwise: float = 1.0
) -> np.ndarray:
    """Positions of what was scanned, degrees or eV, in the unit that stands beside them; without one as `in_unit` has it."""
    found = required(data, names, "positions of the scanned motor")
    values = in_unit(found, "scanned motor", units, otherwise).ravel()
    if values.size < 2:
        raise InputError(
            f"{found.file.filename} has one position at {found.name} and {frames} frames; give a whole scan."
        )
    return values


def _which(scanned: np.ndarray, motors: dict[str, Positions], names: list[str], asked: Asked) -> str:
    """The motor of `names` that stands within what was scanned; the file does not say."""
    names = [name for name in names if name not in asked.setup.motors]
    if len(names) == 1:
        return names[0]
    span = float(np.ptp(scanned))
    near = [
        name
        for name in names
        if isinstance(value := motors.get(name), float) and scanned.min() - span <= value <= scanned.max() + span
    ]
    unknown = [name for name in names if name not in motors]
    if len(near) == 1:
        return near[0]
    if not near and len(unknown) == 1:
        return unknown[0]
    raise GeometryError(
        f"{asked.path} does not say which of {', '.join(names)} was scanned from {scanned[0]:g} to {scanned[-1]:g} degrees; "
        f"give the position of those that were not with --motor NAME=DEGREES."
    )
