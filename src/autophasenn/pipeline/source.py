"""Where a scan comes from: one value, its rules checked once, for every command and for Python. Made without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autophasenn.errors import InputError, PlanError

if TYPE_CHECKING:
    from autophasenn.volumes import Scan

OF_A_FOLDER = ("spec", "scan", "dark", "white")
"""What belongs to the scan folder of a beamline."""


@dataclass(frozen=True)
class Source:
    """What is read, and with what belongs to it.

    Parameters
    ----------
    input : str, optional
        Folder of a scan, a file, or ``file.h5:/dataset``; None: the bundled example, or what :meth:`of` will give.
    beamline : str, optional
        Whose scan folder `input` is, a key of `beamlines.BEAMLINES`; None: a plain file.
    spec : Path, optional
        SPEC file of the scan.
    scan : int, optional
        Number in the SPEC file; None: from the folder's name.
    dark, white : Path, optional
        Dark field and white field of the detector.
    mask : Path, optional
        Mask of a plain file, True = measured.

    Raises
    ------
    PlanError
        If the beamline is not known, something is missing for it, or an option belongs to another kind of input.
    """

    input: str | None = None
    beamline: str | None = None
    spec: Path | None = None
    scan: int | None = None
    dark: Path | None = None
    white: Path | None = None
    mask: Path | None = None

    def __post_init__(self) -> None:
        if self.beamline is None:
            for name in OF_A_FOLDER:
                if getattr(self, name) is not None:
                    raise PlanError(
                        f"--{name} belongs to a scan folder; say whose with --beamline, for instance 34idc."
                    )
            return
        from autophasenn.beamlines import BEAMLINES

        if self.beamline not in BEAMLINES:
            raise PlanError(f"The beamline {self.beamline!r} is not known; choose from {', '.join(sorted(BEAMLINES))}.")
        if self.mask is not None:
            raise PlanError("--mask belongs to a plain file; the pixels of a beamline's detector come with its reader.")
        if self.spec is None:
            raise PlanError(f"--beamline {self.beamline} needs the SPEC file of its scans; add --spec FILE.")

    def of(self, input: str | Path) -> Source:
        """The same, of another input."""
        return replace(self, input=str(input))

    @property
    def name(self) -> str:
        """The input in words."""
        return "the bundled example" if self.input is None else self.input

    def read(self) -> Scan:
        """The scan as it was measured.

        Raises
        ------
        InputError
            If a file cannot be read or is not what it should be.
        GeometryError
            If the motors describe no rocking scan of a Bragg peak.
        PlanError
            If a beamline is given, and no folder.
        """
        from autophasenn.beamlines import read_scan
        from autophasenn.files.readers import read_pattern_file
        from autophasenn.pipeline.example import EXAMPLE

        if self.beamline is not None and self.spec is not None:
            if self.input is None:
                raise PlanError("--beamline belongs to a scan folder; give the folder as INPUT.")
            return read_scan(
                self.beamline, self.input, spec=self.spec, scan=self.scan, dark=self.dark, white=self.white
            )
        if self.input is not None and Path(self.input).is_dir():
            raise InputError(
                f"{self.input} is a folder; say whose scan it is with --beamline 34idc --spec FILE, or give a file."
            )
        return read_pattern_file(EXAMPLE if self.input is None else self.input, self.mask)
