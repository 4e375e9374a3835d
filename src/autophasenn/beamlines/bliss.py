"""Scans as BLISS writes them at the ESRF: one HDF5 file, a group a scan, links into the detectors' own files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from autophasenn.beamlines.recorded import Metadata, of_hdf5
from autophasenn.errors import InputError
from autophasenn.files.tree import MAX_LISTED, Frames, is_stack, node, numbers, text
from autophasenn.files.units import ANGLES, LENGTHS, in_unit

LINE = re.compile(r"^\s*\w*scan\w*((?:\s+[\w.]+\s+[-+\d.eE]+\s+[-+\d.eE]+)+)\s+(\d+)\b")


@dataclass(frozen=True, eq=False)
class BlissScan:
    """One scan of a BLISS file.

    Parameters
    ----------
    group : h5py.Group
        ``{sample}_{number}.1`` or ``{number}.1``.
    number : int
    """

    group: h5py.Group
    number: int

    @property
    def command(self) -> str:
        """As typed."""
        return text(node(self.group, "title"))

    @property
    def is_complete(self) -> bool:
        """Has the scan ended?"""
        return node(self.group, "end_time") is not None

    @property
    def points(self) -> int | None:
        """Of the complete scan, as the command says; None where it does not."""
        match = LINE.match(self.command)
        return None if match is None else int(match[2]) + 1

    def detector(self, asked: str | None) -> tuple[str, Frames]:
        """Name and frames of the detector.

        Raises
        ------
        InputError
            If there is none, none of that name, or several and no name is given.
        """
        measured = node(self.group, "measurement")
        where = f"Scan {self.number} of {self.group.file.filename}"
        if not isinstance(measured, h5py.Group):
            raise InputError(f"{where} has no group 'measurement'; give a scan that BLISS wrote.")
        if asked is not None:
            found = node(measured, asked)
            if not isinstance(found, h5py.Dataset) or not is_stack(found):
                raise InputError(f"{where} has no frames of a detector {asked!r}; {_listing(measured)}.")
            return asked, Frames((found,))
        names = [name for name in measured if _is_detector(measured, name)]
        if len(names) == 1:
            return names[0], Frames((node(measured, names[0]),))
        if not names:
            for name in measured:  # a broken link says more than that there is no detector
                node(measured, name)
            raise InputError(f"{where} has no frames of a detector; {_listing(measured)}.")
        raise InputError(f"{where} has frames of {', '.join(names)}; say which with --detector NAME.")

    def motor(self, name: str, units: Mapping[str, float] = ANGLES, otherwise: float = 1.0) -> np.ndarray | None:
        """Position of a motor, one or one a frame; None where it is not recorded.

        Parameters
        ----------
        name : str
        units : mapping
            Those that may stand beside it (`files.units`).
        otherwise : float
            What its numbers are multiplied by where none does.
        """
        found = node(self.group, f"measurement/{name}")
        is_scanned = isinstance(found, h5py.Dataset) and found.shape and found.shape[0] > 1 and found.ndim == 1
        if not is_scanned:
            found = node(self.group, f"instrument/positioners/{name}")
        return None if found is None else in_unit(found, name, units, otherwise)

    def counter(self, name: str) -> np.ndarray | None:
        """What a counter gave, one number a frame; None where it is not recorded."""
        found = node(self.group, f"measurement/{name}")
        is_counter = isinstance(found, h5py.Dataset) and found.ndim == 1
        return numbers(found, name) if is_counter else None

    @property
    def metadata(self) -> Metadata:
        """Where motors stood, what counters gave on average, and when the scan began."""
        return of_hdf5(self.group, ("instrument/positioners", "measurement"))

    def calibration(self, detector: str, name: str) -> float | None:
        """What the beamline recorded of the detector; None where it did not, which it writes as zero."""
        found = node(self.group, f"instrument/{detector}/{name}")
        if not isinstance(found, h5py.Dataset):
            return None
        value = float(np.ravel(in_unit(found, name, LENGTHS))[0])
        return value if np.isfinite(value) and value != 0 else None


def bliss_scan(file: h5py.File, number: int | None) -> BlissScan:
    """The scan of this number, or the only one.

    Raises
    ------
    InputError
        If the file has no such scan, or several and no number is given.
    """
    scans = {name: int(m[1]) for name in file if (m := re.fullmatch(r"(?:.*_)?(\d+)\.1", name))}
    path = file.filename
    if not scans:
        raise InputError(f"{path} holds no scan as BLISS writes them ('1.1', 'sample_1.1'); give the master file.")
    wanted = [name for name, n in scans.items() if number in (None, n)]
    if not wanted:
        listed = ", ".join(str(n) for n in sorted(set(scans.values()))[:MAX_LISTED])
        raise InputError(f"{path} has no scan {number}; it has {listed}. Choose one with --scan.")
    if len(wanted) > 1:
        listed = ", ".join(wanted[:MAX_LISTED])
        advice = "say which with --scan" if number is None else "give the file of one sample"
        raise InputError(f"{path} holds the scans {listed}; {advice}.")
    group = node(file, wanted[0])
    if not isinstance(group, h5py.Group):
        raise InputError(f"{path} has no group at {wanted[0]}; the file is damaged.")
    return BlissScan(group, scans[wanted[0]])


def bliss_checksum(path: Path, scan: BlissScan, frames: np.ndarray) -> str:
    """SHA-256 of the frames and of where they come from: a master file changes with every further scan."""
    digest = hashlib.sha256(f"{path.name} {scan.group.name} {frames.shape} {frames.dtype}".encode())
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


def _is_detector(group: h5py.Group, name: str) -> bool:
    try:
        found = node(group, name)
    except InputError:
        return False
    return isinstance(found, h5py.Dataset) and is_stack(found)


def _listing(group: h5py.Group) -> str:
    return f"its 'measurement' holds {', '.join(list(group)[:MAX_LISTED]) or 'nothing'}"
