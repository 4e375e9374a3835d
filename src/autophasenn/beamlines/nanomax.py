"""MAX IV NanoMAX: one HDF5 file a scan. Angles in degrees, `radius` (the distance) in mm, energy in eV."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import h5py
import numpy as np

from autophasenn.beamlines.diffractometers import NANOMAX_EIGER, NANOMAX_MERLIN
from autophasenn.beamlines.measurement import Asked, Measurement, Positions, plain
from autophasenn.beamlines.recorded import of_hdf5
from autophasenn.errors import InputError
from autophasenn.files.tree import Frames, is_stack, node, opened, required, text
from autophasenn.files.units import ANGLES, EV, LENGTHS, in_unit

NEEDS = "the file of the scan (NNNNNN.h5)"
DETECTORS = ("merlin", "eiger500k")
SNAPSHOTS = ("snapshots/post_scan", "snapshots/pre_scan", "snapshot")


def read(asked: Asked) -> Measurement:
    """Read a scan of gonphi or gontheta.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another layout, or holds two detectors and none is named.
    """
    with opened(asked.path) as file:
        entry = required(file, ("entry",), "scan of NanoMAX")
        measured = required(entry, ("measurement",), "measurement")
        found = {
            name: frames
            for name in measured
            if isinstance(frames := node(measured, f"{name}/frames"), h5py.Dataset) and is_stack(frames)
        }
        name = _detector(found, asked)
        frames = Frames((found[name],)).load()
        diffractometer = NANOMAX_EIGER if "eiger" in name.lower() else NANOMAX_MERLIN

        def fixed(motor: str, units: Mapping[str, float] = ANGLES, otherwise: float = 1.0) -> np.ndarray | None:
            value = next((v for s in SNAPSHOTS if (v := node(entry, f"{s}/{motor}")) is not None), None)
            return None if value is None else in_unit(value, motor, units, otherwise)

        motors: dict[str, Positions] = {}
        for motor in diffractometer.motors:
            scanned = node(measured, motor)
            is_scanned = isinstance(scanned, h5py.Dataset) and scanned.size > 1
            values = in_unit(scanned, motor, ANGLES) if is_scanned else fixed(motor)
            if values is not None:
                motors[motor] = plain(values)
        energy, radius = fixed("energy", EV), fixed("radius", LENGTHS, 1e-3)
        digest = hashlib.sha256(np.ascontiguousarray(frames).data)
        return Measurement(
            diffractometer=diffractometer,
            frames=frames,
            motors=motors,
            energy_ev=None if energy is None else plain(energy),
            distance_m=None if radius is None else float(np.ravel(radius)[0]),
            detector=name,
            checksum=digest.hexdigest(),
            source={"scan": asked.scan, "command": text(node(entry, "description")), "detector": name},
            metadata=of_hdf5(entry, SNAPSHOTS),
        )


def _detector(found: dict[str, h5py.Dataset], asked: Asked) -> str:
    if asked.detector is not None:
        if asked.detector not in found:
            raise InputError(
                f"{asked.path} has no frames of {asked.detector!r}; its detectors are {', '.join(found) or 'none'}."
            )
        return asked.detector
    if not found:
        raise InputError(f"{asked.path} has no frames at entry/measurement/{{{', '.join(DETECTORS)}}}/frames.")
    if len(found) > 1:
        raise InputError(f"{asked.path} holds frames of {', '.join(found)}; say which with --detector NAME.")
    return next(iter(found))
