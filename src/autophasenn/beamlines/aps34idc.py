"""APS 34-ID-C: a folder of TIFF frames, and the SPEC file that recorded the scan.

Scans of theta, chi, phi or the energy. The detector region is the header line ``#UIMR5 minX sizeX minY sizeY``, X along
columns and Y along rows, and may be any part of the detector. Dark and white field are images of the whole detector and are
cut to that region. Motors are in degrees, keV and mm. Pixels of the whole detector, as those of the direct beam, are
counted with the gap between its chips opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autophasenn.beamlines.diffractometers import APS_34IDC
from autophasenn.beamlines.frame_folders import check_count, scan_number
from autophasenn.beamlines.measurement import Asked, Measurement, millimetres, plain
from autophasenn.beamlines.spec import SpecScan, read_spec_scan
from autophasenn.errors import GeometryError, InputError
from autophasenn.files.frames import find_frames, read_frames, read_image

NEEDS = "the folder of TIFF frames, and the SPEC file (--spec); dark and white field (--dark, --white) where there are"
SCANNED = {"th": "Theta", "chi": "Chi", "phi": "Phi", "en": "Energy", "energy": "Energy"}
"""What may be scanned, as commands call it, and as the file names it."""


@dataclass(frozen=True)
class Detector:
    """A detector of the beamline.

    Parameters
    ----------
    pixel_size_m : float
        Edge of the square pixels, metres.
    shape : (rows, columns)
        As it is stored, without the gap.
    seam : int, optional
        First row and first column behind the gap between the chips, on the stored image.
    gap_rows, gap_columns : int
        Width of the gap in pixels; the stored frames leave it out.
    """

    pixel_size_m: float
    shape: tuple[int, int]
    seam: int | None = None
    gap_rows: int = 0
    gap_columns: int = 0

    def opened(self, row: int, column: int) -> tuple[float, float]:
        """A pixel of the stored image, counted with the gap opened."""
        if self.seam is None:
            return float(row), float(column)
        below, beside = row >= self.seam, column >= self.seam
        return float(row + below * self.gap_rows), float(column + beside * self.gap_columns)

    @property
    def whole(self) -> tuple[int, int]:
        """Rows and columns with the gap opened."""
        return self.shape[0] + self.gap_rows, self.shape[1] + self.gap_columns


# Gap sizes as the beamline's own software opens them: cohere-ui, beamlines/aps_34idc/detectors.py, insert_seam.
DETECTORS = {
    "34idcTIM1": Detector(55e-6, (256, 256)),
    "34idcTIM2": Detector(55e-6, (512, 512), seam=256, gap_rows=5, gap_columns=4),
}
DEFAULT_DETECTOR = "34idcTIM2"


@dataclass(frozen=True)
class Region:
    """A rectangle of the detector, in pixels of the stored images."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    def __str__(self) -> str:
        return f"rows {self.row}-{self.row + self.rows - 1}, columns {self.column}-{self.column + self.columns - 1}"


def read(asked: Asked) -> Measurement:
    """Read a scan.

    Parameters
    ----------
    asked : Asked
        `path` is the folder of frames, whose name ends in the scan number (``Staff20-1a_S0054``) unless `scan` is given.

    Returns
    -------
    Measurement
        Frames as stored. Where the region crosses the gap between chips, the gap is opened and masked.

    Raises
    ------
    InputError
        If a file is missing, truncated, or does not belong to the others.
    GeometryError
        If the scan is none of theta, chi, phi or the energy, or motors or detector are unknown.
    """
    folder = asked.path
    if asked.spec is None:
        raise InputError(f"The scan in {folder} needs the SPEC file that recorded it; give it with --spec.")
    paths = find_frames(folder)
    record = read_spec_scan(asked.spec, scan_number(folder) if asked.scan is None else asked.scan)
    warnings = list(record.warnings)
    moved = record.scanned(SCANNED)
    points = len(next(iter(moved.values())))
    paths = check_count(folder, paths, points, f"scan {record.number} of {record.path}", warnings)
    detector = _detector(record, asked.detector, warnings)
    frames, checksum = read_frames(paths)
    region = _region(record, frames.shape[1:], warnings)
    images = {
        what: None if path is None else _cut(read_image(path, what), path, what, region, frames.shape[1:])
        for what, path in (("dark field", asked.dark), ("white field", asked.white))
    }
    frames, mask, images = _open_gap(detector, region, frames, images)
    setup = asked.setup
    motors = {name: record.known(name) for name in ("Theta", "Chi", "Phi")}
    arm = {name: record.motor(name) for name in ("Delta", "Gamma") if name not in setup.motors}
    energy = moved.pop("Energy", None)
    if energy is None and setup.energy_ev is None:
        energy = np.array([record.motor("Energy", "give it in eV with --energy")])
    distance = None
    if setup.distance_m is None:
        distance = millimetres(record.motor("camdist", "give the distance in metres with --distance"))
    return Measurement(
        diffractometer=APS_34IDC,
        frames=frames,
        motors={
            **{name: value for name, value in motors.items() if value is not None},
            **arm,
            **{name: plain(positions) for name, positions in moved.items()},
        },
        energy_ev=None if energy is None else plain(1e3 * energy),
        distance_m=distance,
        pixel_m=(detector.pixel_size_m, detector.pixel_size_m),
        whole=detector.whole,
        first_pixel=None if region is None else detector.opened(region.row, region.column),
        mask=mask,
        dark=images["dark field"],
        white=images["white field"],
        checksum=checksum,
        source={
            "scan": record.number,
            "command": record.command,
            "spec": str(asked.spec),
            "dark": None if asked.dark is None else str(asked.dark),
            "white": None if asked.white is None else str(asked.white),
        },
        warnings=tuple(warnings),
    )


def expected_frames(asked: Asked) -> int | None:
    """How many frames a complete scan leaves; None while the SPEC file does not say, as it records points one by one."""
    if asked.spec is None:
        return None
    try:
        record = read_spec_scan(asked.spec, scan_number(asked.path) if asked.scan is None else asked.scan)
        points = len(record.positions)
        record.scanned(SCANNED)
    except (InputError, GeometryError):
        return None
    commanded = None if record.intervals is None else record.intervals + 1
    return commanded if points == commanded else None


def _detector(record: SpecScan, asked: str | None, warnings: list[str]) -> Detector:
    if "UIMDET" not in record.header and asked is None:
        warnings.append(
            f"Scan {record.number} of {record.path} records no detector (#UIMDET); {DEFAULT_DETECTOR} is assumed, with "
            f"pixels of {1e6 * DETECTORS[DEFAULT_DETECTOR].pixel_size_m:g} um."
        )
    name = asked or record.header.get("UIMDET", DEFAULT_DETECTOR).strip().rstrip(":")
    if name not in DETECTORS:
        raise GeometryError(
            f"Scan {record.number} of {record.path} was taken with the detector {name!r}, whose pixels are not known; "
            f"the known detectors of 34-ID-C are {', '.join(DETECTORS)}."
        )
    return DETECTORS[name]


def _region(record: SpecScan, shape: tuple[int, ...], warnings: list[str]) -> Region | None:
    """The recorded detector region; None where nothing is recorded or it is not the region of the frames."""
    try:
        column, columns, row, rows = (int(word) for word in record.header["UIMR5"].split()[:4])
    except (KeyError, ValueError):
        warnings.append(f"Scan {record.number} of {record.path} records no detector region (#UIMR5).")
        return None
    if (rows, columns) != shape:
        warnings.append(
            f"Scan {record.number} of {record.path} records a detector region of {rows} x {columns} pixels, but its "
            f"frames have {shape[0]} x {shape[1]}."
        )
        return None
    return Region(row, column, rows, columns)


def _cut(image: np.ndarray, path: Path, what: str, region: Region | None, shape: tuple[int, ...]) -> np.ndarray:
    """The part of a whole-detector image that the frames show."""
    if image.shape == shape:
        return image
    size = " x ".join(map(str, image.shape))
    if region is None:
        raise InputError(
            f"The {what} {path} has {size} pixels and the frames {shape[0]} x {shape[1]}, and the SPEC file does not "
            f"say which region they show; give a {what} of the frames' region."
        )
    cut = image[region.row : region.row + region.rows, region.column : region.column + region.columns]
    if min(region.row, region.column) < 0 or cut.shape != region.shape:
        raise InputError(
            f"The {what} {path} has {size} pixels, which do not contain the frames' region ({region}); give a {what} "
            "of the whole detector."
        )
    return cut.copy()


def _open_gap(
    detector: Detector, region: Region | None, frames: np.ndarray, images: dict[str, np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray | None]]:
    """Insert the unmeasured gap between the chips where the frames cross it, so that pixels are equidistant."""
    if detector.seam is None or region is None:
        return frames, None, images
    mask = np.ones(region.shape, bool)
    spans = (
        (-2, region.row, region.rows, detector.gap_rows),
        (-1, region.column, region.columns, detector.gap_columns),
    )
    for axis, start, size, gap in spans:
        if start < detector.seam < start + size:
            places = [detector.seam - start] * gap
            frames = np.insert(frames, places, 0, axis)
            mask = np.insert(mask, places, False, axis)
            images = {
                what: None if image is None else np.insert(image, places, 0, axis) for what, image in images.items()
            }
    return frames, None if mask.all() else mask, images
