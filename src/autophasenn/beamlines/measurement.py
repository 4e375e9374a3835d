"""From what a beamline left on disk to a Scan: what a reader is asked for, what it gives, and what is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.beamlines.detectors import KnownDetector, known_detector
from autophasenn.beamlines.diffractometers import adjusted
from autophasenn.errors import GeometryError, InputError
from autophasenn.physics.axes import BEAM, Circle, carried
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector
from autophasenn.physics.scan_geometry import ScanGeometry
from autophasenn.volumes import Scan

Positions = float | tuple[float, ...]
"""Of a motor, degrees or metres: one, or one a frame."""


@dataclass(frozen=True)
class Setup:
    """What the user says of the diffractometer; None: as recorded.

    Parameters
    ----------
    energy_ev, distance_m : float, optional
        Photon energy, eV; from the sample to the detector, metres.
    pixel_m : (row, column), optional
        Edge of a pixel, metres.
    direct_beam : (row, column), optional
        Pixel of the whole detector that the direct beam meets.
    direct_beam_at : dict
        Where the detector's motors stood then, degrees or metres; absent: at zero.
    first_pixel : (row, column), optional
        Of the whole detector, where the frames begin.
    tilt_deg : (x, y, z)
        By which the detector is turned in its mount.
    motors : dict
        Name -> degrees or metres, in place of what was recorded.
    columns, rows : str, optional
        In which they grow, as ``x-``.
    reverse : tuple of str
        Motors that count the other way round than in the table.
    """

    energy_ev: float | None = None
    distance_m: float | None = None
    pixel_m: tuple[float, float] | None = None
    direct_beam: tuple[float, float] | None = None
    direct_beam_at: Mapping[str, float] = field(default_factory=dict)
    first_pixel: tuple[float, float] | None = None
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    motors: Mapping[str, float] = field(default_factory=dict)
    columns: str | None = None
    rows: str | None = None
    reverse: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """Which scan, and what the user says of it.

    Parameters
    ----------
    path : Path
        File or folder of the frames.
    scan : int, optional
        Number of the scan; None: as the name or the file says.
    spec : Path, optional
        The log that recorded it: a SPEC file, or P10's ``.fio``.
    dark, white : Path, optional
        Images of the detector without beam and under uniform illumination.
    detector : str, optional
        Name of the detector; None: the only one.
    setup : Setup
    """

    path: Path
    scan: int | None = None
    spec: Path | None = None
    dark: Path | None = None
    white: Path | None = None
    detector: str | None = None
    setup: Setup = Setup()


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a reader found.

    Parameters
    ----------
    diffractometer : Diffractometer
    frames : array (frames, rows, columns)
        As stored.
    motors : dict
        Name -> degrees or metres, one or one a frame; those that are not there are asked for.
    energy_ev, distance_m : optional
        None: not recorded.
    detector : str, optional
        Name in the file.
    placed : FlatDetector, optional
        Where a file gives the place of every pixel itself.
    pixel_m : (row, column), optional
    direct_beam : (row, column), optional
        As the beamline recorded it, of the whole detector.
    direct_beam_at : dict
        Where the detector's motors stood then.
    whole : (rows, columns), optional
        Size of the whole detector; None: as its name says.
    first_pixel : (row, column), optional
        Of the whole detector; None: unknown unless the frames are as large as it.
    mask : bool array (rows, columns), optional
        True = measured; as the file or the gap between chips says.
    dark, white : array (rows, columns), optional
    checksum : str
        SHA-256 of what was read.
    source : dict
        Whatever else tells where it came from (JSON-serialisable).
    warnings : tuple of str
        Sentences about what the reader had to assume.
    """

    diffractometer: Diffractometer
    frames: np.ndarray
    motors: Mapping[str, Positions]
    energy_ev: Positions | None
    distance_m: float | None
    detector: str | None = None
    placed: FlatDetector | None = None
    pixel_m: tuple[float, float] | None = None
    direct_beam: tuple[float, float] | None = None
    direct_beam_at: Mapping[str, float] = field(default_factory=dict)
    whole: tuple[int, int] | None = None
    first_pixel: tuple[float, float] | None = None
    mask: np.ndarray | None = None
    dark: np.ndarray | None = None
    white: np.ndarray | None = None
    checksum: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def as_scan(found: Measurement, asked: Asked, beamline: str) -> Scan:
    """A Scan with its diffractometer, in which what the user says takes the place of what was recorded.

    Raises
    ------
    InputError
        If the frames are no stack, or fewer than the positions.
    GeometryError
        If what the geometry needs is neither recorded nor given, or describes no scan of a Bragg peak.
    """
    found = _as_many_frames_as_positions(_one_stack(found))
    setup = asked.setup
    detector = known_detector(asked.detector or found.detector)
    first, whole = _region(found, setup, detector)
    diffractometer = adjusted(found.diffractometer, columns=setup.columns, rows=setup.rows, reverse=setup.reverse)
    energy = setup.energy_ev if setup.energy_ev is not None else found.energy_ev
    if energy is None:
        raise GeometryError(f"{asked.path} does not record the photon energy; give it in eV with --energy.")
    warnings = list(found.warnings)
    placed, beam, is_assumed = _placed(found, setup, detector, diffractometer, first, whole, asked.path, warnings)
    diffractometer = _without_unknown_circles(diffractometer, {**found.motors, **setup.motors})
    motors = _motors(found, setup, diffractometer, asked.path)
    geometry = ScanGeometry(diffractometer, placed, _plain(energy), motors, beam, is_assumed)
    _check(geometry, found.frames.shape[1:])
    source = {"path": str(asked.path), "sha256": found.checksum, "beamline": beamline, **found.source}
    mask = _mask(found, detector, first, warnings)
    return Scan(found.frames, found.dark, found.white, mask, geometry, source, tuple(dict.fromkeys(warnings)))


def plain(values: np.ndarray | float) -> Positions:
    """Positions as a value of a geometry: one number where all are alike, else one a frame."""
    known = np.atleast_1d(np.asarray(values, np.float64)).ravel()
    if known.size == 1 or bool((known == known[0]).all()):
        return float(known[0])
    return tuple(known.tolist())


def _plain(values: Positions) -> Positions:
    return plain(np.asarray(values))


def _one_stack(found: Measurement) -> Measurement:
    frames = found.frames
    if frames.ndim == 4 and 1 in frames.shape[:2]:
        frames = frames.reshape(-1, *frames.shape[2:])
    if frames.ndim != 3 or frames.dtype.kind not in "uif" or frames.size == 0:
        raise InputError(
            f"The frames of {found.source.get('file', 'the scan')} are {' x '.join(map(str, frames.shape))} "
            f"{frames.dtype}; they must be a stack of images of counts, frame by row by column."
        )
    return replace(found, frames=frames)


def _as_many_frames_as_positions(found: Measurement) -> Measurement:
    """A scan that was stopped leaves a frame more than positions; one that is written, a position more than frames."""
    sizes = {name: len(p) for name, p in found.motors.items() if isinstance(p, tuple)}
    if isinstance(found.energy_ev, tuple):
        sizes["energy"] = len(found.energy_ev)
    frames = len(found.frames)
    different = {name: size for name, size in sizes.items() if size != frames}
    if not different:
        return found
    name, positions = next(iter(different.items()))
    if abs(frames - positions) > 1 or len(set(sizes.values())) > 1:
        raise InputError(
            f"The scan has {frames} frames and {positions} positions of {name}; there must be one a frame. Give the "
            "complete scan, or leave out the files that do not belong to it."
        )
    kept = min(frames, positions)
    warning = (
        f"The scan has {frames} frames and {positions} positions of {name}, as a scan has that was stopped; the "
        f"first {kept} are used."
    )
    motors = {n: p[:kept] if isinstance(p, tuple) else p for n, p in found.motors.items()}
    energy = found.energy_ev[:kept] if isinstance(found.energy_ev, tuple) else found.energy_ev
    return replace(
        found, frames=found.frames[:kept], motors=motors, energy_ev=energy, warnings=(*found.warnings, warning)
    )


def _region(
    found: Measurement, setup: Setup, detector: KnownDetector | None
) -> tuple[tuple[float, float] | None, tuple[int, int] | None]:
    """Where the frames begin on the whole detector and how large that is; None where it is not known."""
    whole = found.whole or (None if detector is None else detector.shape)
    shape = found.frames.shape[1:]
    first = setup.first_pixel if setup.first_pixel is not None else found.first_pixel
    if first is None and whole == shape:
        first = (0.0, 0.0)
    return first, whole


def _placed(
    found: Measurement,
    setup: Setup,
    detector: KnownDetector | None,
    diffractometer: Diffractometer,
    first: tuple[float, float] | None,
    whole: tuple[int, int] | None,
    path: Path,
    warnings: list[str],
) -> tuple[FlatDetector, tuple[float, float] | None, bool]:
    """The detector, the pixel of the direct beam, and whether that is assumed."""
    if found.placed is not None and setup.direct_beam is None and setup.distance_m is None:
        return found.placed.of(first or (0.0, 0.0)), found.direct_beam, False
    distance = setup.distance_m if setup.distance_m is not None else found.distance_m
    if distance is None:
        raise GeometryError(f"{path} does not record the distance of the detector; give it in metres with --distance.")
    pixel = setup.pixel_m or found.pixel_m
    if pixel is None and detector is not None:
        pixel = (detector.pixel_size_m, detector.pixel_size_m)
    if pixel is None:
        raise GeometryError(
            f"{path} does not record the pixels of its detector{f' {found.detector}' if found.detector else ''}; give "
            "their edge in metres with --pixel."
        )
    at: Mapping[str, float] = setup.direct_beam_at
    beam, is_assumed = setup.direct_beam, False
    if beam is None:
        beam, at = found.direct_beam, found.direct_beam_at
    if beam is None:
        shape = found.frames.shape[1:]
        is_whole = first is not None and whole is not None
        rows, columns = whole if is_whole and whole is not None else shape
        corner = (0.0, 0.0) if is_whole or first is None else first
        # The middle of an even number of frames' pixels is counted as their voxel n // 2, of a detector's as its half.
        middle = (rows / 2, columns / 2) if is_whole else (float(rows // 2), float(columns // 2))
        beam, at, is_assumed = (corner[0] + middle[0], corner[1] + middle[1]), {}, True
        warnings.append(
            f"Where the direct beam meets the detector is not known, and its pixel is assumed at row {beam[0]:g}, column "
            f"{beam[1]:g}, the middle of the {'whole detector' if is_whole else 'frames'}, so that d is good to about 1 %; "
            "give it with --direct-beam ROW,COLUMN."
        )
    placed = diffractometer.detector_facing_the_beam(distance, pixel, beam, direct_beam_at=at, tilt_deg=setup.tilt_deg)
    return placed.of(first or (0.0, 0.0)), beam, is_assumed


def _without_unknown_circles(diffractometer: Diffractometer, motors: Mapping[str, Positions]) -> Diffractometer:
    """The same without circles of unknown position that no scanned one sits on: how they stand changes no Q of the scan."""
    moving = [i for i, c in enumerate(diffractometer.sample) if np.unique(motors.get(c.name, 0.0)).size > 1]
    last = max(moving, default=-1)
    kept = tuple(c for i, c in enumerate(diffractometer.sample) if i <= last or c.name in motors)
    return replace(diffractometer, sample=kept)


def _motors(found: Measurement, setup: Setup, diffractometer: Diffractometer, path: Path) -> dict[str, Positions]:
    unknown = [name for name in setup.motors if name not in diffractometer.motors]
    if unknown:
        raise GeometryError(
            f"{diffractometer.name} has no motor {unknown[0]!r}; its motors are {', '.join(diffractometer.motors)}."
        )
    motors: dict[str, Positions] = {**found.motors, **setup.motors}
    missing = [name for name in diffractometer.motors if name not in motors]
    if missing:
        raise GeometryError(
            f"{path} records no motor {missing[0]!r}, which the geometry of {diffractometer.name} needs; give its position "
            f"with --motor {missing[0]}=VALUE."
        )
    return {name: _plain(motors[name]) for name in diffractometer.motors}


def _check(geometry: ScanGeometry, shape: tuple[int, ...]) -> None:
    """Refuse a detector that stands in the direct beam, and a scan of nothing."""
    middle = (float(shape[0] // 2), float(shape[1] // 2))
    geometry.check(middle)
    diffractometer = geometry.diffractometer
    if diffractometer.forward or not any(isinstance(axis, Circle) for axis in diffractometer.detector):
        return
    # Does the direct beam meet the frames, the arm being where it was?
    motors = {name: float(np.mean(values)) for name, values in geometry.motors.items()}
    place = geometry.detector.positions(np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    corner, down, across = carried(diffractometer.detector, place, motors)[0]
    edges = np.stack([down - corner, across - corner, -np.asarray(BEAM)], axis=1)
    if abs(np.linalg.det(edges)) < 1e-12 * np.prod(geometry.detector.pixel_size_m):
        return
    row, column, distance = np.linalg.solve(edges, -corner)
    if distance > 0 and 0 <= row <= shape[0] - 1 and 0 <= column <= shape[1] - 1:
        arm = ", ".join(f"{axis.name} {motors[axis.name]:g}" for axis in diffractometer.detector)
        raise GeometryError(
            f"With the detector at {arm} degrees the direct beam meets row {row:.0f}, column {column:.0f} of the frames, "
            "where there is no Bragg peak; check these angles, or give them with --motor NAME=DEGREES."
        )


def _mask(
    found: Measurement, detector: KnownDetector | None, first: tuple[float, float] | None, warnings: list[str]
) -> np.ndarray | None:
    """The reader's mask and that of the known detector, cut to the frames."""
    shape = found.frames.shape[1:]
    known = None if detector is None else detector.mask()
    if known is not None and first is not None:
        row, column = (int(corner) for corner in first)
        known = known[row : row + shape[0], column : column + shape[1]]
    if known is not None and known.shape != shape:
        whole = "" if detector is None else f"{detector.name} has {detector.shape[0]} x {detector.shape[1]}"
        warnings.append(
            f"The frames have {shape[0]} x {shape[1]} pixels and the detector {whole}, so its gaps cannot be placed and are "
            "not masked; give a mask with --mask, or the frames' first pixel."
        )
        known = None
    if found.mask is None or known is None:
        return known if found.mask is None else found.mask
    return found.mask & known


def millimetres(value: float | None) -> float | None:
    """Millimetres, as most beamlines record them, in metres; None stays None."""
    return None if value is None or not math.isfinite(value) else 1e-3 * float(value)
