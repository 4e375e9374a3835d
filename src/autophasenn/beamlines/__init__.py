"""One module a beamline: a scan on disk becomes raw frames, detector corrections and geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from autophasenn.beamlines import aps34idc
from autophasenn.errors import InputError, reading
from autophasenn.volumes import Scan


class ScanReader(Protocol):
    """What the module of a beamline provides: everything that one scan left on disk becomes a Scan."""

    def __call__(
        self, folder: Path, *, spec: Path, scan: int | None = None, dark: Path | None = None, white: Path | None = None
    ) -> Scan:
        """Read one scan; see :func:`read_scan`."""
        ...


class FrameCounter(Protocol):
    """What the module of a beamline may provide: how many frames a complete scan leaves; see :func:`expected_frames`."""

    def __call__(self, folder: Path, *, spec: Path, scan: int | None = None) -> int | None:
        """Ask what the beamline recorded."""
        ...


BEAMLINES: dict[str, ScanReader] = {"34idc": aps34idc.read_scan}
"""Name on the command line -> reader. A new beamline is a module and a line here."""
COUNTERS: dict[str, FrameCounter] = {"34idc": aps34idc.expected_frames}
"""The same, of those that tell how many frames a scan will have."""


def expected_frames(beamline: str, folder: Path, *, spec: Path, scan: int | None = None) -> int | None:
    """How many frames a scan has once it is complete; None where the beamline does not tell, or not yet.

    Parameters
    ----------
    beamline : str
        A key of `BEAMLINES`.
    folder : Path
        Holds the frames that are there so far.
    spec : Path
        The SPEC file that records the scan.
    scan : int, optional
        Scan number; None: taken from the folder's name.
    """
    return COUNTERS[beamline](folder, spec=spec, scan=scan) if beamline in COUNTERS else None


def read_scan(
    beamline: str,
    folder: Path | str,
    *,
    spec: Path | str,
    scan: int | None = None,
    dark: Path | str | None = None,
    white: Path | str | None = None,
) -> Scan:
    """Read one rocking scan as the beamline wrote it.

    Parameters
    ----------
    beamline : str
        A key of `BEAMLINES`.
    folder : path
        Holds the frames of the scan.
    spec : path
        The SPEC file that recorded the scan.
    scan : int, optional
        Scan number; None: taken from the folder's name.
    dark, white : path, optional
        Images of the detector without beam and under uniform illumination.

    Returns
    -------
    Scan
        Raw frames; nothing is corrected yet.

    Raises
    ------
    InputError
        If the beamline is not known, or a file cannot be read or is not what it should be.
    GeometryError
        If the motors describe no rocking scan of a Bragg peak.
    """
    if beamline not in BEAMLINES:
        raise InputError(f"The beamline {beamline!r} is not known; choose from {', '.join(sorted(BEAMLINES))}.")
    with reading(folder):
        return BEAMLINES[beamline](
            Path(folder),
            spec=Path(spec),
            scan=scan,
            dark=None if dark is None else Path(dark),
            white=None if white is None else Path(white),
        )
