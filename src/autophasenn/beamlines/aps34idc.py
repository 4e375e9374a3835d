"""APS 34-ID-C: a folder of TIFF frames, and the SPEC file that recorded the scan.

The detector region is the header line ``#UIMR5 minX sizeX minY sizeY``, X along columns and Y along rows. Dark and
white field are images of the whole detector and are cut to that region. Motors are in degrees, keV and mm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autophasenn.beamlines.spec import SpecScan, read_spec_scan
from autophasenn.errors import GeometryError, InputError
from autophasenn.files.frames import find_frames, frame_number, read_frames, read_image
from autophasenn.physics.geometry import RockingGeometry
from autophasenn.volumes import Scan

ROCKING_MOTOR = "th"


@dataclass(frozen=True)
class Detector:
    """A detector of the beamline.

    Parameters
    ----------
    pixel_size_m : float
        Edge of the square pixels, metres.
    seam : int, optional
        First row and first column behind the gap between the chips, on the whole detector.
    gap_rows, gap_columns : int
        Width of the gap in pixels; the stored frames leave it out.
    """

    pixel_size_m: float
    seam: int | None = None
    gap_rows: int = 0
    gap_columns: int = 0


# Gap sizes as the beamline's own software opens them: cohere-ui, beamlines/aps_34idc/detectors.py, insert_seam.
DETECTORS = {
    "34idcTIM1": Detector(55e-6),
    "34idcTIM2": Detector(55e-6, seam=256, gap_rows=5, gap_columns=4),
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


def read_scan(
    folder: Path, *, spec: Path, scan: int | None = None, dark: Path | None = None, white: Path | None = None
) -> Scan:
    """Read a rocking scan of theta.

    Parameters
    ----------
    folder : Path
        Holds the frames; its name ends in the scan number (``Staff20-1a_S0054``) unless `scan` is given.
    spec : Path
        The SPEC file that recorded the scan.
    scan : int, optional
        Scan number.
    dark, white : Path, optional
        TIFF images of the whole detector, or of the frames' region.

    Returns
    -------
    Scan
        Frames as stored. Where the region crosses the gap between chips, the gap is opened and masked.

    Raises
    ------
    InputError
        If a file is missing, truncated, or does not belong to the others.
    GeometryError
        If the scan is no rocking scan of theta, or motors or detector are unknown.
    """
    paths = find_frames(folder)
    number = _scan_number(folder) if scan is None else scan
    record = read_spec_scan(spec, number)
    step, points = record.rocking_step(ROCKING_MOTOR)
    _check_count(folder, paths, record, points)
    warnings = list(record.warnings)
    detector = _detector(record, warnings)
    frames, checksum = read_frames(paths)
    region = _region(record, frames.shape[1:], warnings)
    images = {
        what: None if path is None else _cut(read_image(path, what), path, what, region, frames.shape[1:])
        for what, path in (("dark field", dark), ("white field", white))
    }
    frames, mask, images = _open_gap(detector, region, frames, images)
    rows, columns = frames.shape[1:]
    geometry = RockingGeometry(
        energy_ev=1e3 * record.motor("Energy"),
        distance_m=1e-3 * record.motor("camdist"),
        pixel_size_m=(detector.pixel_size_m, detector.pixel_size_m),
        delta_deg=record.motor("Delta"),
        gamma_deg=record.motor("Gamma"),
        theta_step_deg=step,
        centre_pixel=(float(rows // 2), float(columns // 2)),
    )
    source = {
        "path": str(folder),
        "sha256": checksum,
        "beamline": "34idc",
        "scan": number,
        "command": record.command,
        "spec": str(spec),
        "dark": None if dark is None else str(dark),
        "white": None if white is None else str(white),
    }
    return Scan(frames, images["dark field"], images["white field"], mask, geometry, source, tuple(warnings))


def expected_frames(folder: Path, *, spec: Path, scan: int | None = None) -> int | None:
    """How many frames a complete scan leaves; None while the SPEC file does not say, as it records points one by one."""
    try:
        record = read_spec_scan(spec, _scan_number(folder) if scan is None else scan)
        _, points = record.rocking_step(ROCKING_MOTOR)
    except (InputError, GeometryError):
        return None
    commanded = int(record.command.split()[4]) + 1
    return commanded if points == commanded else None


def _scan_number(folder: Path) -> int:
    match = re.search(r"(?:S|scan_?)(\d+)$", folder.resolve().name, re.IGNORECASE)
    if match is None:
        raise InputError(
            f"The name of the folder {folder} does not end in a scan number as in 'Staff20-1a_S0054'; give the number "
            "with --scan."
        )
    return int(match[1])


def _check_count(folder: Path, paths: list[Path], record: SpecScan, points: int) -> None:
    if len(paths) == points:
        return
    numbers = {n for n in map(frame_number, paths) if n is not None}
    missing = sorted(set(range(min(numbers, default=0), max(numbers, default=0))) - numbers)
    hint = f" (number {missing[0]} is the first one missing)" if missing else ""
    raise InputError(
        f"{folder} holds {len(paths)} frames{hint}, but scan {record.number} of {record.path} has {points} points; "
        "give the complete folder of that scan, or the number of the scan with --scan."
    )


def _detector(record: SpecScan, warnings: list[str]) -> Detector:
    if "UIMDET" not in record.header:
        warnings.append(
            f"Scan {record.number} of {record.path} records no detector (#UIMDET); {DEFAULT_DETECTOR} is assumed, with "
            f"pixels of {1e6 * DETECTORS[DEFAULT_DETECTOR].pixel_size_m:g} um."
        )
    name = record.header.get("UIMDET", DEFAULT_DETECTOR).strip().rstrip(":")
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
