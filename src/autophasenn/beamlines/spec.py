"""SPEC files: find a scan, its motors, and the step of a rocking scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autophasenn.errors import GeometryError, InputError

LINE_SCANS = ("ascan", "dscan", "lup")
"""Commands ``NAME motor start stop intervals seconds``; dscan and lup count from where the motor stands."""
STEP_TOLERANCE = 0.05
"""Largest relative difference between the commanded and the recorded step."""


@dataclass(frozen=True)
class SpecScan:
    """One scan of a SPEC file.

    Parameters
    ----------
    path : Path
        The SPEC file.
    number : int
    command : str
        As typed, without the scan number.
    motors : dict
        Position of each motor before the scan, in the beamline's units.
    header : dict
        Header lines of the scan by their key, without ``#``.
    positions : float array (points,)
        Recorded positions of the scanned motor; empty where nothing was recorded.
    warnings : tuple of str
        Sentences.
    """

    path: Path
    number: int
    command: str
    motors: dict[str, float]
    header: dict[str, str]
    positions: np.ndarray
    warnings: tuple[str, ...] = ()

    def motor(self, name: str) -> float:
        """Position of motor `name` before the scan.

        Raises
        ------
        GeometryError
            If the file does not record this motor.
        """
        if name not in self.motors:
            raise GeometryError(
                f"Scan {self.number} of {self.path} records no motor {name!r}, which the geometry needs; give the SPEC "
                "file that the beamline wrote, with its #O and #P lines."
            )
        return self.motors[name]

    def rocking_step(self, motor: str) -> tuple[float, int]:
        """Step between points, in the motor's units, and number of points of a line scan of `motor`.

        The step is the commanded one, checked against the recorded positions.

        Raises
        ------
        GeometryError
            If the command is no line scan of this motor, or the recorded positions belie it.
        """
        words = self.command.split()
        if len(words) < 5 or words[0] not in LINE_SCANS or words[1] != motor:
            raise GeometryError(
                f"Scan {self.number} of {self.path} is {self.command!r}, not a rocking scan; give a scan "
                f"'{LINE_SCANS[0]} {motor} START STOP INTERVALS SECONDS' (or {', '.join(LINE_SCANS[1:])})."
            )
        try:
            start, stop, intervals = float(words[2]), float(words[3]), int(words[4])
        except ValueError as error:
            raise GeometryError(
                f"Scan {self.number} of {self.path} has an unreadable command {self.command!r}."
            ) from error
        if intervals < 1 or start == stop:
            raise GeometryError(
                f"Scan {self.number} of {self.path} ({self.command!r}) does not move {motor}; a rocking scan needs "
                "different START and STOP and at least one interval."
            )
        step = (stop - start) / intervals
        if len(self.positions) > 1:
            recorded = float(self.positions[-1] - self.positions[0]) / (len(self.positions) - 1)
            if abs(recorded - step) > STEP_TOLERANCE * abs(step):
                raise GeometryError(
                    f"Scan {self.number} of {self.path} commands steps of {step:g} ({self.command!r}) and records "
                    f"steps of {recorded:g}; the motor did not move as told, so repeat the scan or mend the SPEC file."
                )
        return step, len(self.positions) or intervals + 1


def read_spec_scan(path: Path, number: int) -> SpecScan:
    """Read scan `number` of a SPEC file; of several with this number, the last.

    Raises
    ------
    InputError
        If the file is missing, no SPEC file, or has no such scan.
    """
    from silx.io.specfile import SfErrColNotFound, SfErrFileOpen, SpecFile

    if not path.is_file():
        raise InputError(f"There is no SPEC file {path}; give the file that recorded the scan.")
    try:
        file = SpecFile(str(path))
    except SfErrFileOpen as error:
        raise InputError(
            f"{path} is no SPEC file: it has no #S line that opens a scan. Give the beamline's SPEC file."
        ) from error
    if not file.list():
        raise InputError(f"{path} is no SPEC file of a scan: it has none. Give the beamline's SPEC file.")
    keys = [key for key, scan_number in zip(file.keys(), file.list(), strict=True) if scan_number == number]
    if not keys:
        raise InputError(
            f"{path} has no scan {number}; it has {_ranges(sorted(set(file.list())))}. Choose one with --scan."
        )
    warnings = (f"{path} has {len(keys)} scans with the number {number}; the last one is used.",)
    scan = file[keys[-1]]
    try:
        motors = {name: float(scan.motor_position_by_name(name)) for name in scan.motor_names}
    except SfErrColNotFound as error:
        raise InputError(
            f"Scan {number} of {path} records fewer motor positions (#P lines) than the file has motors (#O lines); "
            "the file is damaged. Copy it again from the beamline."
        ) from error
    header = {key: str(value) for key, value in scan.scan_header_dict.items()}
    command = header["S"].split(maxsplit=1)[1] if " " in header["S"] else ""
    data = scan.data
    return SpecScan(
        path=path,
        number=number,
        command=" ".join(command.split()),
        motors=motors,
        header=header,
        positions=np.asarray(data[0]) if len(data) else np.empty(0),
        warnings=warnings if len(keys) > 1 else (),
    )


def _ranges(numbers: list[int]) -> str:
    """``[1, 2, 3, 7]`` -> ``scans 1-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return "scans " + ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
