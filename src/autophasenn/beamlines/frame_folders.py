"""Scans that are a folder of numbered frames: which scan it is, and whether all of its frames are there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from autophasenn.beamlines.measurement import Asked
from autophasenn.beamlines.spec import read_spec_scan
from autophasenn.errors import GeometryError, InputError
from autophasenn.files.frames import frame_number


def scan_number(path: Path) -> int:
    """The number in a name as ``Staff20-1a_S0054``, ``scan_54`` or ``sample_00054``.

    Raises
    ------
    InputError
        If the name does not end in one.
    """
    name = path.resolve().name.split(".")[0]
    match = re.search(r"(?:S|scan_?|_)(\d+)$", name, re.IGNORECASE)
    if match is None:
        kind = "file" if path.is_file() else "folder"
        raise InputError(
            f"The name of the {kind} {path} does not end in a scan number as in 'Staff20-1a_S0054'; give the number "
            "with --scan."
        )
    return int(match[1])


def expected_by_spec(asked: Asked, names: Mapping[str, str]) -> int | None:
    """How many frames a complete scan leaves; None while its SPEC file has fewer points than commanded.

    A scan that was stopped keeps fewer points for ever: the caller waits until no frame has come for long.

    Parameters
    ----------
    asked : Asked
    names : dict
        Mnemonic or label -> name of the motors that make a scan at the beamline.
    """
    if asked.spec is None:
        return None
    try:
        record = read_spec_scan(asked.spec, scan_number(asked.path) if asked.scan is None else asked.scan)
        points = len(record.positions)
        record.scanned(names)
    except (InputError, GeometryError):
        return None
    commanded = None if record.intervals is None else record.intervals + 1
    return commanded if points == commanded else None


def check_count(folder: Path, paths: list[Path], points: int, record: str, warnings: list[str]) -> list[Path]:
    """The frames that belong to `points` recorded points: all, or all but the last of a scan that was stopped.

    Raises
    ------
    InputError
        If there are fewer, naming the first that is missing, or more.
    """
    numbers = [n for n in map(frame_number, paths) if n is not None]
    missing = sorted(set(range(min(numbers, default=0), max(numbers, default=0))) - set(numbers))
    if len(set(numbers)) < len(numbers):
        twice = next(n for n in numbers if numbers.count(n) > 1)
        raise InputError(f"{folder} holds two frames with the number {twice}; take one of them out of the folder.")
    if len(paths) == points and not missing:
        return paths
    if len(paths) == points + 1 and not missing:
        warnings.append(
            f"{folder} holds {len(paths)} frames and {record} records {points} points, as a scan does that was stopped; the "
            f"first {points} frames are used."
        )
        return paths[:points]
    hint = f" (number {missing[0]} is the first one missing)" if missing else ""
    raise InputError(
        f"{folder} holds {len(paths)} frames{hint}, but {record} has {points} points; "
        "give the complete folder of that scan, or the number of the scan with --scan."
    )
