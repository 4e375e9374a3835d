"""SPEC files: find a scan, its motors, and the positions of what it scanned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autophasenn.errors import GeometryError, InputError
from autophasenn.files.spec_text import legible

LINE_SCANS = ("ascan", "dscan", "lup", "a2scan", "d2scan", "a3scan", "d3scan", "fscan", "scan", "loopscan")
"""Commands ``NAME [motor start stop]... intervals seconds``; those with d, and lup, count from where the motors stand."""
RELATIVE = ("dscan", "lup", "d2scan", "d3scan")
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
        First recorded column, that of the scanned motor; empty where nothing was recorded.
    columns : dict
        All recorded columns by their label.
    names : dict
        Mnemonic of a motor, as commands use it -> its name.
    doubtful : dict
        Motors whose line of positions does not have as many values as names -> why, for a message.
    warnings : tuple of str
        Sentences.
    """

    path: Path
    number: int
    command: str
    motors: dict[str, float]
    header: dict[str, str]
    positions: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    doubtful: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def motor(self, name: str, remedy: str = "") -> float:
        """Position of motor `name` before the scan.

        Raises
        ------
        GeometryError
            If the file does not record this motor, or not so that its value can be told from its neighbours'.
        """
        if name in self.doubtful:
            raise GeometryError(
                f"The position of {name} in scan {self.number} of {self.path} is not certain: {self.doubtful[name]}; "
                f"{remedy or f'give it with --motor {name}=VALUE'}."
            )
        if name not in self.motors:
            raise GeometryError(
                f"Scan {self.number} of {self.path} records no motor {name!r}, which the geometry needs; give the SPEC "
                f"file that the beamline wrote, with its #O and #P lines{f', or {remedy}' if remedy else ''}."
            )
        return self.motors[name]

    def known(self, name: str) -> float | None:
        """Position of motor `name`; None where it is not recorded or not certain."""
        return None if name in self.doubtful else self.motors.get(name)

    def scanned(self, aliases: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Positions of the motors that the command moves, one a point, in the beamline's units.

        They are the recorded ones, checked against the command; where nothing was recorded, the commanded ones.

        Parameters
        ----------
        aliases : dict
            Mnemonic or label -> name of the motors that make a scan here.

        Raises
        ------
        GeometryError
            If the command is no line scan of them, or the recorded positions belie it.
        """
        words = self.command.split()
        names = {**self.names, **aliases}
        moved, span = [], list[tuple[float, float]]()
        at = 1
        try:
            while len(words) - at >= 3 and not _is_number(words[at]):
                moved.append(words[at])
                span.append((float(words[at + 1]), float(words[at + 2])))
                at += 3
            intervals = int(words[at]) if moved else 0
        except (ValueError, IndexError) as error:
            if words and words[0] in LINE_SCANS:
                raise GeometryError(
                    f"Scan {self.number} of {self.path} has an unreadable command {self.command!r}."
                ) from error
            moved = []
        wanted = [names.get(m, m) for m in moved if names.get(m, m) in aliases.values()]
        if not words or words[0] not in LINE_SCANS or not wanted:
            raise GeometryError(
                f"Scan {self.number} of {self.path} is {self.command!r}, not a rocking scan; give a scan "
                f"'{LINE_SCANS[0]} {next(iter(aliases))} START STOP INTERVALS SECONDS' (or {', '.join(LINE_SCANS[1:4])}) of "
                f"{', '.join(dict.fromkeys(aliases.values()))}."
            )
        found = {}
        for motor, (start, stop) in zip(moved, span, strict=True):
            name = names.get(motor, motor)
            if name in wanted:
                found[name] = self._positions_of(motor, name, start, stop, intervals)
        return found

    def _positions_of(self, motor: str, name: str, start: float, stop: float, intervals: int) -> np.ndarray:
        if intervals < 1 or start == stop:
            raise GeometryError(
                f"Scan {self.number} of {self.path} ({self.command!r}) does not move {motor}; a rocking scan needs "
                "different START and STOP and at least one interval."
            )
        step = (stop - start) / intervals
        recorded = next((self.columns[label] for label in (name, motor) if label in self.columns), self.positions)
        if len(recorded) < 2:
            origin = self.known(name) if self.command.split()[0] in RELATIVE else 0.0
            return (origin or 0.0) + start + step * np.arange(intervals + 1)
        if not np.isfinite(recorded).all():
            raise GeometryError(
                f"Scan {self.number} of {self.path} records positions of {motor} that are no numbers; mend the SPEC file."
            )
        mean = float(recorded[-1] - recorded[0]) / (len(recorded) - 1)
        if abs(mean - step) > STEP_TOLERANCE * abs(step):
            raise GeometryError(
                f"Scan {self.number} of {self.path} commands steps of {step:g} ({self.command!r}) and records "
                f"steps of {mean:g}; the motor did not move as told, so repeat the scan or mend the SPEC file."
            )
        return recorded

    @property
    def intervals(self) -> int | None:
        """How many intervals the command asked for; None where it does not say."""
        words = self.command.split()
        numbers = [word for word in words[1:] if _is_number(word)]
        return int(words[-2]) if len(numbers) >= 4 and re.fullmatch(r"\d+", words[-2]) else None


def read_spec_scan(path: Path, number: int) -> SpecScan:
    """Read scan `number` of a SPEC file; of several with this number, the last.

    Raises
    ------
    InputError
        If the file is missing, no SPEC file, or has no such scan.
    """
    from silx.io.specfile import SfErrFileOpen, SpecFile

    with legible(path) as text:
        try:
            file = SpecFile(str(text))
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
        warnings = (
            [f"{path} has {len(keys)} scans with the number {number}; the last one is used."] if len(keys) > 1 else []
        )
        scan = file[keys[-1]]
        lines = [*scan.file_header, *scan.scan_header]
        motors, doubtful = _motors(lines)
        if doubtful:
            first, why = next(iter(doubtful.items()))
            warnings.append(
                f"Scan {number} of {path}: {why}; motors from there on ({first}, ...) are not used, {len(motors)} "
                "before it are."
            )
        header = {key: str(value) for key, value in scan.scan_header_dict.items()}
        command = header["S"].split(maxsplit=1)[1] if " " in header["S"] else ""
        data = np.asarray(scan.data)
        columns = {label: data[i] for i, label in enumerate(scan.labels) if i < len(data)} if data.ndim == 2 else {}
        positions = np.asarray(data[0]) if len(data) else np.empty(0)
        if len(positions) < 2 and command.split()[:1] and command.split()[0] in LINE_SCANS:
            warnings.append(
                f"Scan {number} of {path} ({command!r}) records {len(positions)} points, as a file does that was cut or "
                "copied too early; the positions are those that the command asked for, not measured ones."
            )
        return SpecScan(
            path,
            number,
            " ".join(command.split()),
            motors,
            header,
            positions,
            columns,
            _mnemonics(lines),
            doubtful,
            tuple(warnings),
        )


def _motors(lines: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Positions by name, and the names whose positions cannot be told: from the first line on that does not match."""
    names, values = _numbered(lines, "O"), _numbered(lines, "P")
    motors: dict[str, float] = {}
    doubtful: dict[str, str] = {}
    why = ""
    for line in sorted(names):
        here = re.split(r"\s{2,}", names[line].strip()) if names[line].strip() else []
        positions = values.get(line, "").split()
        if not why and line not in values:
            why = f"the file has a line #O{line} of motors and the scan no line #P{line} of positions"
        elif not why and len(positions) != len(here):
            why = f"its line #P{line} has {len(positions)} positions and #O{line} {len(here)} motors"
        if why:
            doubtful |= dict.fromkeys(here, why)
            continue
        try:
            motors |= {name: float(value) for name, value in zip(here, positions, strict=True)}
        except ValueError:
            why = f"its line #P{line} holds what is no number"
            doubtful |= dict.fromkeys(here, why)
    return motors, doubtful


def _numbered(lines: list[str], letter: str) -> dict[int, str]:
    found = {}
    for line in lines:
        match = re.match(rf"#{letter}(\d+) ?(.*)", line)
        if match:
            found[int(match[1])] = match[2]
    return found


def _mnemonics(lines: list[str]) -> dict[str, str]:
    names, short = _numbered(lines, "O"), _numbered(lines, "o")
    found: dict[str, str] = {}
    for line, text in names.items():
        full, mnemonics = re.split(r"\s{2,}", text.strip()), short.get(line, "").split()
        if len(full) == len(mnemonics):
            found |= dict(zip(mnemonics, full, strict=True))
    return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _ranges(numbers: list[int]) -> str:
    """``[1, 2, 3, 7]`` -> ``scans 1-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return "scans " + ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
