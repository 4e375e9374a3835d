"""Where a scan comes from: one value, its rules checked once, for every command and for Python. Made without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autophasenn.errors import InputError, PlanError, quoted
from autophasenn.markers import Marks
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument

if TYPE_CHECKING:
    from autophasenn.volumes import Scan

OF_A_FOLDER = ("spec", "scan", "dark", "white")
"""What belongs to the scan folder of a beamline."""
EMPTY = {
    "input": "the name of a file or folder",
    "beamline": "its name, as 34idc, or leave it out",
    "axes": "them as row,column,frame, or leave them out",
}
"""What is to be given in place of an empty word."""


FILES = ("spec", "dark", "white", "mask")
"""Of a source, besides its input: the fields that name a file."""


@dataclass(frozen=True)
class Source:
    """What is read, and with what belongs to it.

    Parameters
    ----------
    input : str, optional
        Folder of a scan, a file, ``file.h5:/dataset``, or ``tiled://host:port/path``; None: the bundled example, or what
        :meth:`of` will give.
    beamline : str, optional
        Whose scan folder `input` is, a key of `beamlines.BEAMLINES`; None: a plain file.
    spec : Path, optional
        SPEC file of the scan.
    scan : int, optional
        Number in the SPEC file; None: from the folder's name.
    dark, white : Path, optional
        Dark field and white field of the detector.
    mask : Path, optional
        Mask of the frames, of one of them, or of a beamline's whole detector, True = measured; pixels that a
        beamline's reader masks stay so.
    instrument : Instrument
        What is said of the diffractometer, in place of what was recorded.
    axes : str, optional
        What the axes of a plain file are, as ``row,column,frame``; None: frame, row, column.
    mask_marks : "measured" or "bad", optional
        What 1 stands for in the mask; None: as the values under it say.

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
    instrument: Instrument = AS_RECORDED
    axes: str | None = None
    mask_marks: Marks | None = None

    def __post_init__(self) -> None:
        self._check_types()
        self.instrument.check(self.beamline)
        if self.beamline is None:
            for name in OF_A_FOLDER:
                if getattr(self, name) is not None:
                    raise PlanError(
                        f"--{name} belongs to a scan folder; say whose with --beamline, for instance 34idc."
                    )
            return
        from autophasenn.beamlines import BEAMLINES
        from autophasenn.files.tiled_server import is_address

        if self.beamline.lower() not in BEAMLINES:
            raise PlanError(f"The beamline {self.beamline!r} is not known; choose from {', '.join(sorted(BEAMLINES))}.")
        if self.input is not None and is_address(self.input):
            raise PlanError(
                "--beamline reads files, and the input is an entry of a Tiled server; say its geometry with "
                f"--diffractometer {self.beamline} or --geometry FILE."
            )
        if self.axes is not None:
            raise PlanError("--axes belongs to a plain file; the order of a beamline's files is known.")
        if self.mask_marks is not None and self.mask is None:
            raise PlanError("--mask-marks says what a mask means; give the mask too, with --mask.")
        if self.spec is None and BEAMLINES[self.beamline.lower()].needs_log:
            raise PlanError(f"--beamline {self.beamline} needs the SPEC file of its scans; add --spec FILE.")

    def _check_types(self) -> None:
        """Refuse what no command can give, but Python can."""
        instrument: object = self.instrument
        number: object = self.scan
        if not isinstance(instrument, Instrument):
            raise PlanError(
                f"The instrument is {quoted(repr(instrument), 80)}; give an Instrument, as Instrument(energy=9000.0)."
            )
        for name in ("input", "beamline", "axes"):
            if not isinstance(getattr(self, name), str | None):
                raise PlanError(f"{name} is {quoted(repr(getattr(self, name)), 80)}; give a word, or leave it out.")
            if getattr(self, name) == "":
                raise PlanError(f"{'The input' if name == 'input' else name} is empty; give {EMPTY[name]}.")
        if isinstance(number, bool) or not isinstance(number, int | np.integer | None):
            raise PlanError(f"scan is {quoted(repr(number), 80)}; give the number of the scan, or leave it out.")

    def of(self, input: str | Path) -> Source:
        """The same, of another input."""
        return replace(self, input=str(input))

    def files(self) -> list[Path]:
        """What is read, as far as it is named here."""
        named = (self.input, *(getattr(self, name) for name in FILES), self.instrument.geometry)
        # A dataset is named behind its file, as file.h5:/dataset.
        within = [Path(str(each).partition(":/")[0]) for each in named if each]
        return [*(Path(each) for each in named if each), *within]

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
        from autophasenn.beamlines.by_hand import placed
        from autophasenn.files.boundary import reading
        from autophasenn.files.readers import read_pattern_file
        from autophasenn.pipeline.example import EXAMPLE

        if self.beamline is not None:
            if self.input is None:
                raise PlanError("--beamline belongs to a scan; give its folder or file as INPUT.")
            return read_scan(
                self.beamline,
                self.input,
                spec=self.spec,
                scan=self.scan,
                dark=self.dark,
                white=self.white,
                detector=self.instrument.detector,
                setup=self.instrument.setup(),
                mask=self.mask,
                mask_marks=self.mask_marks,
            )
        with reading(self.input or EXAMPLE):
            is_folder = self.input is not None and Path(self.input).is_dir()
        if is_folder:
            raise InputError(
                f"{self.input} is a folder; say whose scan it is with --beamline 34idc --spec FILE, or give a file."
            )
        axes = None if self.axes is None else tuple(word.strip() for word in self.axes.split(","))
        scan = read_pattern_file(EXAMPLE if self.input is None else self.input, self.mask, axes, self.mask_marks)
        if not self.instrument.given:
            return scan
        instrument = self.instrument
        return placed(scan, instrument.geometry_file(), instrument.setup(), instrument.diffractometer)
