"""One module a beamline: a scan on disk becomes raw frames, detector corrections and geometry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autophasenn.beamlines.assemble import as_scan
from autophasenn.beamlines.measurement import Asked, Ramp, Setup
from autophasenn.beamlines.registry import BEAMLINES, Beamline
from autophasenn.errors import InputError
from autophasenn.files.boundary import reading
from autophasenn.markers import Marks
from autophasenn.volumes import Scan

__all__ = ["BEAMLINES", "Asked", "Beamline", "Ramp", "Setup", "beamline", "expected_frames", "read_scan"]


def beamline(name: str) -> Beamline:
    """The beamline of this name, in capitals or not.

    Raises
    ------
    InputError
        If it is not known.
    """
    if name.lower() not in BEAMLINES:
        raise InputError(f"The beamline {name!r} is not known; choose from {', '.join(sorted(BEAMLINES))}.")
    return BEAMLINES[name.lower()]


def expected_frames(name: str, path: Path, *, spec: Path | None = None, scan: int | None = None) -> int | None:
    """How many frames a scan has once it is complete; None where the beamline does not tell, or not yet.

    Parameters
    ----------
    name : str
        A key of `BEAMLINES`.
    path : Path
        File or folder of the frames that are there so far.
    spec : Path, optional
        The log that records the scan, where the beamline keeps one beside the frames.
    scan : int, optional
        Scan number; None: taken from the name.
    """
    ask = beamline(name).expected
    return None if ask is None else ask(Asked(path, scan, spec))


def read_scan(
    name: str,
    path: Path | str,
    *,
    spec: Path | str | None = None,
    scan: int | None = None,
    dark: Path | str | None = None,
    white: Path | str | None = None,
    detector: str | None = None,
    setup: Setup | None = None,
    mask: Path | str | None = None,
    mask_marks: Marks | None = None,
) -> Scan:
    """Read one scan as the beamline wrote it.

    Parameters
    ----------
    name : str
        A key of `BEAMLINES`.
    path : path
        The file or the folder of the scan; `Beamline.needs` says which.
    spec : path, optional
        The log that recorded the scan (a SPEC file, P10's ``.fio``), where the beamline keeps one beside the frames.
    scan : int, optional
        Scan number; None: taken from the name, or the only one in the file.
    dark, white : path, optional
        Images of the detector without beam and under uniform illumination.
    detector : str, optional
        Which detector, where a scan has several.
    setup : Setup, optional
        What the user says of the diffractometer, in place of what was recorded: direct beam, distance, energy, ...
    mask : path, optional
        Of the frames, of one of them, or of the whole detector, True = measured. Gaps that are known stay masked.
    mask_marks : "measured" or "bad", optional
        What 1 stands for in `mask`; None: as the values under it say.

    Returns
    -------
    Scan
        Raw frames; nothing is corrected yet. Its geometry is a `physics.scan_geometry.ScanGeometry`.

    Raises
    ------
    InputError
        If the beamline is not known, or a file cannot be read or is not what it should be.
    GeometryError
        If the motors describe no scan of a Bragg peak, or what the geometry needs is not recorded.
    """
    where = beamline(name)

    def as_path(given: Path | str | None) -> Path | None:
        return None if given is None else Path(given)

    with reading(path):
        asked = Asked(
            Path(path),
            scan,
            as_path(spec),
            as_path(dark),
            as_path(white),
            detector,
            setup or Setup(),
            as_path(mask),
            mask_marks,
        )
        found = where.read(asked)
    return as_scan(found, asked, where.name)


def listed(names: Sequence[str] = ()) -> list[Beamline]:
    """The beamlines of `names`, or all, in alphabetical order."""
    return [BEAMLINES[name] for name in sorted(names or BEAMLINES)]
