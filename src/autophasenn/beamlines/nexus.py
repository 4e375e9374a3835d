"""Any NeXus file whose sample and detector stand on chains of NXtransformations, as those of Diamond I16.

Nothing of the beamline need be known: circles, arm, place and pixels of the detector come from the file. Data sets may be
links into other files.
"""

from __future__ import annotations

import hashlib
import re

import h5py
import numpy as np

from autophasenn.beamlines.measurement import Asked, Measurement, Positions, plain
from autophasenn.beamlines.recorded import of_hdf5
from autophasenn.errors import GeometryError, InputError
from autophasenn.files.transformations import Chain, pixel_edge, read_chain
from autophasenn.files.tree import MAX_LISTED, Frames, is_stack, node, numbers, opened, required, text
from autophasenn.files.units import EV, LENGTHS, known_unit
from autophasenn.physics.axes import Circle
from autophasenn.physics.bragg import HC_EV_M
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector

NEEDS = "the .nxs file of the scan, with the files that it links to beside it"
ENERGIES = ("sample/beam/incident_energy", "instrument/beam/incident_energy", "instrument/monochromator/energy")
WAVELENGTHS = (
    "sample/beam/incident_wavelength",
    "instrument/beam/incident_wavelength",
    "instrument/monochromator/wavelength",
)
GROUPS = ("before_scan", "sample", "measurement", "sample/temperature", "instrument/temperature_controller")
"""Where numbers are that plots are drawn against."""
ANGSTROMS = (0.3, 5.0)
"""Wavelengths that a number without a unit is taken for."""


def read(asked: Asked) -> Measurement:
    """Read a scan.

    Raises
    ------
    InputError
        If the file or one that it links to is missing or damaged, has no chain of transformations, or two detectors and
        none is named.
    GeometryError
        If nothing moves in the scan.
    """
    with opened(asked.path) as file:
        entry = _entry(file, asked)
        name, detector = _detector(entry, asked)
        sample = _sample_chain(entry)
        arm, flat = _placed(detector)
        shared = set(sample.motors) & set(arm.motors)
        if any(sample.motors[motor] != arm.motors[motor] for motor in shared):
            raise InputError(f"{asked.path} has two motors of the name {', '.join(shared)} that stand differently.")
        diffractometer = Diffractometer(
            _title(entry, asked),
            tuple(axis for axis in sample.axes if isinstance(axis, Circle)),
            arm.axes,
            _unit(flat.column_edge_m),
            _unit(flat.row_edge_m),
        )
        motors = {m: v for m, v in {**sample.motors, **arm.motors}.items() if m in diffractometer.motors}
        frames, warnings = _frames(detector)
        return Measurement(
            diffractometer=diffractometer,
            frames=frames,
            motors=motors,
            energy_ev=_energy(entry),
            distance_m=flat.distance_m,
            detector=name,
            placed=flat,
            pixel_m=flat.pixel_size_m,
            checksum=hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest(),
            source={"scan": asked.scan, "command": _command(entry), "detector": name},
            warnings=warnings,
            metadata=of_hdf5(entry, GROUPS),
        )


def _entry(file: h5py.File, asked: Asked) -> h5py.Group:
    """The entry with an instrument; of several with frames the one whose name ends in the scan's number."""
    groups = {name: g for name in file if isinstance(g := node(file, name), h5py.Group)}
    entries = {name: g for name, g in groups.items() if _class(g) == "NXentry"} or groups
    found: dict[str, h5py.Group] = {}
    for name, group in entries.items():
        if (
            isinstance(node(group, "instrument"), h5py.Group) and group not in found.values()
        ):  # a link to one is that one
            found[name] = group
    if not found:
        raise InputError(
            f"{file.filename} has no entry with an instrument (it holds {', '.join(list(file)[:MAX_LISTED]) or 'nothing'}); "
            "give a NeXus file, or the geometry with --geometry."
        )
    if len(found) > 1:
        found = {name: group for name, group in found.items() if _images(group)} or found
    if len(found) > 1 and asked.scan is not None:
        number = re.compile(rf"(?:|.*\D)0*{asked.scan}(?:\.1)?")
        found = {name: group for name, group in found.items() if number.fullmatch(name)} or found
    if len(found) > 1:
        names = ", ".join(list(found)[:MAX_LISTED])
        raise InputError(f"{file.filename} holds several scans, {names}; say which by its number, with --scan.")
    return next(iter(found.values()))


def _placed_detectors(entry: h5py.Group) -> dict[str, h5py.Group]:
    """Those on a chain of transformations."""
    instrument = required(entry, ("instrument",), "instrument")
    found = {}
    for name in instrument:
        link = instrument.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            continue
        group = node(instrument, name)
        if (
            isinstance(group, h5py.Group)
            and (_class(group) == "NXdetector" or "module" in group)
            and "depends_on" in group
        ):
            found[name] = group
    return found


def _images(entry: h5py.Group) -> dict[str, h5py.Group]:
    return {name: group for name, group in _placed_detectors(entry).items() if "data" in group}


def _detector(entry: h5py.Group, asked: Asked) -> tuple[str, h5py.Group]:
    found = _placed_detectors(entry)
    if asked.detector is not None:
        if asked.detector not in found:
            raise InputError(
                f"{asked.path} has no detector {asked.detector!r} on a chain of transformations; it has "
                f"{', '.join(found) or 'none'}."
            )
        return asked.detector, found[asked.detector]
    images = _images(entry)
    if len(images) == 1:
        return next(iter(images.items()))
    if not images:
        raise InputError(
            f"{asked.path} has no detector with data and a chain of transformations (depends_on) in "
            f"{entry.name}/instrument; give the geometry with --geometry and the data as FILE.nxs:/PATH."
        )
    raise InputError(f"{asked.path} holds frames of {', '.join(images)}; say which with --detector NAME.")


def _sample_chain(entry: h5py.Group) -> Chain:
    sample = node(entry, "sample")
    start = "" if not isinstance(sample, h5py.Group) else text(node(sample, "depends_on"))
    if not isinstance(sample, h5py.Group) or not start:
        raise InputError(
            f"{entry.file.filename} has no {entry.name}/sample/depends_on, so how the crystal turns is not known; give the "
            "geometry with --geometry."
        )
    return read_chain(sample, start)


def _placed(detector: h5py.Group) -> tuple[Chain, FlatDetector]:
    """The axes that carry the detector, and its pixels while they stand at zero."""
    edges = {}
    for direction in ("slow", "fast"):
        found = node(detector, f"module/{direction}_pixel_direction")
        if found is None:
            found = node(detector, f"{direction}_pixel_direction")
        if not isinstance(found, h5py.Dataset):
            raise InputError(
                f"{detector.file.filename} has no {detector.name}/module/{direction}_pixel_direction, so where its pixels "
                "are is not known; give the geometry with --geometry."
            )
        edges[direction] = found
    fast = edges["fast"]
    start = fast.attrs.get("depends_on")
    group = fast.parent
    if start is None or _as_text(start) in ("", "."):
        start, group = text(node(detector, "depends_on")), detector
    chain = read_chain(group, _as_text(start))
    return chain, FlatDetector(chain.shift_m, pixel_edge(edges["slow"]), pixel_edge(fast))


def _frames(detector: h5py.Group) -> tuple[np.ndarray, tuple[str, ...]]:
    data = node(detector, "data")
    if not isinstance(data, h5py.Dataset) or not is_stack(data):
        shape = getattr(data, "shape", None)
        raise InputError(
            f"{detector.name}/data of {detector.file.filename} is no stack of images (shape {shape}); give a scan "
            "with frames."
        )
    frames = Frames((data,)).load()
    size = node(detector, "module/data_size")
    if isinstance(size, h5py.Dataset):
        wanted = tuple(int(n) for n in np.ravel(numbers(size, "data size")))
        if sorted(wanted) != sorted(frames.shape[1:]):
            warning = (
                f"The frames of {detector.name} have {frames.shape[1]} x {frames.shape[2]} pixels and its module "
                f"{' x '.join(map(str, wanted))}; they are taken to begin at its first pixel."
            )
            return frames, (warning,)
    return frames, ()


def _energy(entry: h5py.Group) -> Positions | None:
    for place in ENERGIES:
        found = node(entry, place)
        if isinstance(found, h5py.Dataset):
            values = numbers(found, "photon energy")
            unit = _as_text(found.attrs.get("units", "")).strip()
            factor = known_unit(unit, EV)
            if unit and factor is None:
                raise GeometryError(
                    f"{found.name} has the unit {unit!r}; an energy is in eV or keV. Give it with --energy."
                )
            # Without a unit: no diffraction is done with 1,000 keV, nor with 200 eV.
            return plain(values * (factor or (1e3 if float(np.ravel(values)[0]) < 500 else 1.0)))
    for place in WAVELENGTHS:
        found = node(entry, place)
        if isinstance(found, h5py.Dataset):
            return plain(HC_EV_M / _wavelength_m(found))
    return None


def _wavelength_m(found: h5py.Dataset) -> np.ndarray:
    values = numbers(found, "wavelength")
    unit = _as_text(found.attrs.get("units", "")).strip()
    first = float(np.ravel(values)[0])
    if not unit and 0 < first < 1e-8:
        unit = "m"
    elif not unit and ANGSTROMS[0] <= first <= ANGSTROMS[1]:
        unit = "angstrom"
    factor = known_unit(unit, LENGTHS)
    if factor is None:
        raise GeometryError(
            f"{found.name} is {first:g} and has {f'the unit {unit!r}' if unit else 'no unit'}; a wavelength is in nm or "
            "angstrom. Give the energy in eV with --energy."
        )
    if not (values > 0).all():
        raise GeometryError(f"{found.name} is {first:g} {unit}, which is no wavelength; give the energy with --energy.")
    return np.asarray(values * factor)


def _command(entry: h5py.Group) -> str:
    places = ("scan_command", "diamond_scan/scan_command", "title")
    return next((words for place in places if (words := text(node(entry, place)))), "")


def _title(entry: h5py.Group, asked: Asked) -> str:
    return text(node(entry, "instrument/name")) or f"the instrument of {asked.path.name}"


def _class(group: h5py.Group) -> str:
    return _as_text(group.attrs.get("NX_class", ""))


def _as_text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _unit(vector: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = (float(c) for c in np.asarray(vector) / np.linalg.norm(vector))
    return x, y, z
