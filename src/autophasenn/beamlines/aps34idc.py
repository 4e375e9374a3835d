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

from autophasenn.beamlines.detectors import KnownDetector, known_detector
from autophasenn.beamlines.diffractometers import APS_34IDC
from autophasenn.beamlines.frame_folders import check_count, expected_by_spec, scan_number
from autophasenn.beamlines.measurement import Asked, Measurement, millimetres, plain
from autophasenn.beamlines.recorded import of_spec
from autophasenn.beamlines.spec import SpecScan, read_spec_scan
from autophasenn.errors import GeometryError, InputError
from autophasenn.files.frames import find_frames, read_frames, read_image

NEEDS = "the folder of TIFF frames, and the SPEC file (--spec); dark and white field (--dark, --white) where there are"
SCANNED = {"th": "Theta", "chi": "Chi", "phi": "Phi", "en": "Energy", "energy": "Energy"}
"""What may be scanned, as commands call it, and as the file names it."""


DETECTORS = ("34idcTIM1", "34idcTIM2")
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
        Frames as stored. Where the region crosses the gap between chips, the gap is opened.

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
    stored = frames.shape[1:]
    frames = _with_gap(frames, detector, region)
    images = {what: None if image is None else _with_gap(image, detector, region) for what, image in images.items()}

    def onto_frames(mask: np.ndarray, path: Path) -> np.ndarray:
        """A mask of the stored detector or region, brought onto the frames, in which the gap is open."""
        if mask.shape not in (detector.stored_shape, stored):
            return mask
        return _with_gap(_cut(mask, path, "mask", region, stored), detector, region)

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
        detector=detector.name,
        whole=detector.shape,
        first_pixel=None if region is None else detector.opened(region.row, region.column),
        onto_frames=onto_frames,
        dark=images["dark field"],
        white=images["white field"],
        monitor=record.columns.get("Monitor"),
        checksum=checksum,
        source={
            "scan": record.number,
            "command": record.command,
            "spec": str(asked.spec),
            "dark": None if asked.dark is None else str(asked.dark),
            "white": None if asked.white is None else str(asked.white),
        },
        warnings=tuple(warnings),
        metadata=of_spec(record),
    )


def expected_frames(asked: Asked) -> int | None:
    """How many frames a complete scan leaves; None while the SPEC file does not say, as it records points one by one."""
    return expected_by_spec(asked, SCANNED)


def _detector(record: SpecScan, asked: str | None, warnings: list[str]) -> KnownDetector:
    default = known_detector(DEFAULT_DETECTOR)
    if default is not None and "UIMDET" not in record.header and asked is None:
        warnings.append(
            f"Scan {record.number} of {record.path} records no detector (#UIMDET); {DEFAULT_DETECTOR} is assumed, with "
            f"pixels of {1e6 * default.pixel_size_m:g} um."
        )
    name = asked or record.header.get("UIMDET", DEFAULT_DETECTOR).strip().rstrip(":")
    found = known_detector(name) if name in DETECTORS else None
    if found is None:
        raise GeometryError(
            f"Scan {record.number} of {record.path} was taken with the detector {name!r}, whose pixels are not known; "
            f"the known detectors of 34-ID-C are {', '.join(DETECTORS)}."
        )
    return found


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


def _with_gap(image: np.ndarray, detector: KnownDetector, region: Region | None) -> np.ndarray:
    """An image or a stack of the region, the gap between chips opened where it crosses it: pixels are equidistant then.

    The gap holds zeros, which are masked by the detector's name.
    """
    if detector.gap is None or region is None:
        return image
    spans = ((-2, region.row, region.rows), (-1, region.column, region.columns))
    for (axis, start, size), (first, last) in zip(spans, detector.gap, strict=True):
        if start < first < start + size:
            image = np.insert(image, [first - start] * (last - first + 1), 0, axis)
    return image
