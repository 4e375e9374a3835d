"""Scans recorded by SPEC, with frames in EDF files whose numbers a counter of the scan gives."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autophasenn.beamlines.measurement import Asked, Measurement, Positions, plain
from autophasenn.beamlines.recorded import of_spec
from autophasenn.beamlines.spec import SpecScan, read_spec_scan
from autophasenn.errors import InputError, quoted
from autophasenn.machine import check_room
from autophasenn.physics.diffractometer import Diffractometer

SUFFIXES = (".edf", ".edf.gz", ".edf.bz2", ".cbf")


@dataclass(frozen=True)
class SpecLayout:
    """How a beamline names things in its SPEC file.

    Parameters
    ----------
    diffractometer : Diffractometer
    motors : dict
        Motor of the diffractometer -> names in the file, the newest first.
    energy : tuple of str
        Names of the energy, keV.
    counters : dict
        Counter that holds the numbers of the images -> detector (None: not told).
    """

    diffractometer: Diffractometer
    motors: Mapping[str, tuple[str, ...]]
    energy: tuple[str, ...]
    counters: Mapping[str, str | None]


def read_spec_and_edf(asked: Asked, layout: SpecLayout) -> Measurement:
    """Read a scan.

    Raises
    ------
    InputError
        If files are missing, damaged or do not belong together.
    GeometryError
        If the scan moves no circle, or motors are not recorded.
    """
    if asked.spec is None:
        raise InputError(f"The frames in {asked.path} need the SPEC file that recorded them; give it with --spec.")
    if asked.scan is None:
        raise InputError(f"{asked.spec} holds many scans; say which with --scan.")
    record = read_spec_scan(asked.spec, asked.scan)
    aliases = {name: motor for motor, names in layout.motors.items() for name in names}
    aliases |= dict.fromkeys(layout.energy, "energy")
    moved = record.scanned(aliases)
    motors: dict[str, Positions] = {}
    for motor, names in layout.motors.items():
        value = next((record.known(name) for name in names if record.known(name) is not None), None)
        if value is not None:
            motors[motor] = value
    motors |= {name: plain(values) for name, values in moved.items() if name != "energy"}
    energy: Positions | None = None
    if "energy" in moved:
        energy = plain(1e3 * moved["energy"])
    else:
        known = [record.known(name) for name in layout.energy if record.known(name) is not None]
        energy = 1e3 * known[0] if known and known[0] is not None else None
    counter, images = _image_numbers(record, layout)
    frames, checksum = _read_images(asked.path, images)
    calibration = _calibration(record)
    beam = (calibration.get("cen_pix_y"), calibration.get("cen_pix_x"))
    return Measurement(
        diffractometer=layout.diffractometer,
        frames=frames,
        motors=motors,
        energy_ev=energy,
        distance_m=calibration.get("det_distance_com") or calibration.get("det_distance_cc"),
        detector=layout.counters[counter],
        direct_beam=None if beam[0] is None or beam[1] is None else (beam[0], beam[1]),
        monitor=record.columns.get("exp1"),
        checksum=checksum,
        source={"scan": record.number, "command": record.command, "spec": str(asked.spec)},
        warnings=record.warnings,
        metadata=of_spec(record),
    )


def _image_numbers(record: SpecScan, layout: SpecLayout) -> tuple[str, np.ndarray]:
    for counter in layout.counters:
        if counter in record.columns:
            return counter, record.columns[counter].astype(int)
    labels = ", ".join(list(record.columns)[:20])
    raise InputError(
        f"Scan {record.number} of {record.path} has no counter {' or '.join(layout.counters)} with the numbers of images "
        f"(it has {labels}); give a scan with that detector."
    )


def _read_images(folder: Path, images: np.ndarray) -> tuple[np.ndarray, str]:
    """The frames of these numbers, in this order, and the SHA-256 of names and contents."""
    import fabio

    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; give the folder that holds the EDF frames.")
    by_number: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(SUFFIXES) and path.is_file():
            found = re.findall(r"\d+", path.name.split(".")[0])
            if found:
                by_number.setdefault(int(found[-1]), path)
    missing = [int(n) for n in images if int(n) not in by_number]
    if missing:
        raise InputError(
            f"{folder} has no EDF frame number {missing[0]} ({len(missing)} of {len(images)} are missing); give the folder "
            "with all frames of that scan."
        )
    stack: np.ndarray | None = None
    digest = hashlib.sha256()
    for index, number in enumerate(images):
        path = by_number[int(number)]
        digest.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n".encode())
        try:
            with fabio.open(str(path)) as image:
                frame = np.asarray(image.data)
        except Exception as error:  # fabio raises what its decoders do
            raise InputError(
                f"The frame {path} cannot be read ({quoted(error)}); copy it again from the beamline."
            ) from error
        if stack is None:
            check_room(len(images) * frame.size, str(folder))
            stack = np.empty((len(images), *frame.shape), frame.dtype)
        if frame.shape != stack.shape[1:]:
            raise InputError(
                f"The frame {path.name} has {' x '.join(map(str, frame.shape))} pixels, the first one "
                f"{' x '.join(map(str, stack.shape[1:]))}; all frames of a scan are alike."
            )
        stack[index] = frame
    if stack is None:
        raise InputError(f"The scan has no image; give a scan with frames in {folder}.")
    return stack, digest.hexdigest()


def _calibration(record: SpecScan) -> dict[str, float]:
    """What the line ``#UDETCALIB cen_pix_x=..,cen_pix_y=..,det_distance_COM=..`` says, pixels and metres."""
    found: dict[str, float] = {}
    for name, value in re.findall(r"(\w+)=([-+\d.eE]+)", record.header.get("UDETCALIB", "")):
        try:
            found[name.lower()] = float(value)
        except ValueError:
            continue
    return found
