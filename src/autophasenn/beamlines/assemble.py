"""From what a reader found to a Scan: what the user says counts first, gaps are masked, and what is missing is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from autophasenn.beamlines.detectors import KnownDetector, known_detector
from autophasenn.beamlines.diffractometers import adjusted
from autophasenn.beamlines.measurement import Asked, Measurement, Positions, Ramp, Setup, plain
from autophasenn.errors import GeometryError, InputError
from autophasenn.physics.axes import BEAM, Circle, carried
from autophasenn.physics.bragg import d_spacing
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector
from autophasenn.physics.scan_geometry import ScanGeometry
from autophasenn.volumes import Scan


def as_scan(found: Measurement, asked: Asked, beamline: str) -> Scan:
    """A Scan with its diffractometer, in which what the user says takes the place of what was recorded.

    Raises
    ------
    InputError
        If the frames are no stack, or fewer than the positions.
    GeometryError
        If what the geometry needs is neither recorded nor given, or describes no scan of a Bragg peak.
    """
    found = _as_many_frames_as_positions(_with_given_motors(_one_stack(found), asked.setup))
    setup = asked.setup
    detector = known_detector(asked.detector or found.detector)
    first, whole = _region(found, setup, detector)
    diffractometer = adjusted(found.diffractometer, columns=setup.columns, rows=setup.rows, reverse=setup.reverse)
    energy = setup.energy_ev if setup.energy_ev is not None else found.energy_ev
    if energy is None:
        raise GeometryError(f"{asked.path} does not record the photon energy; give it in eV with --energy.")
    warnings = list(found.warnings)
    placed, beam, is_assumed = _placed(found, setup, detector, diffractometer, first, asked.path)
    diffractometer = _without_unknown_circles(diffractometer, found.motors)
    motors = _motors(found, diffractometer, asked.path)
    geometry = ScanGeometry(diffractometer, placed, _plain(energy), motors, beam, is_assumed)
    if is_assumed:
        warnings.append(_on_the_direct_beam(geometry, found.frames.shape[1:], first, whole))
    _check(geometry, found.frames.shape[1:])
    source = {"path": str(asked.path), "sha256": found.checksum, "beamline": beamline, **found.source}
    mask = _mask(found, detector, first, warnings)
    return Scan(found.frames, found.dark, found.white, mask, geometry, source, tuple(dict.fromkeys(warnings)))


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
    path: Path,
) -> tuple[FlatDetector, tuple[float, float] | None, bool]:
    """The detector, the pixel of the direct beam, and whether that is assumed."""
    if found.placed is not None and setup.direct_beam is None and setup.distance_m is None:
        return found.placed.of(first or (0.0, 0.0), setup.binning), found.direct_beam, False
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
    at: Mapping[str, float] = setup.direct_beam_at or found.direct_beam_at
    beam, is_assumed = setup.direct_beam, False
    if beam is None:
        beam, at = found.direct_beam, found.direct_beam_at
    if beam is None:
        at = {}
        rows, columns = (float(n // 2 * b) for n, b in zip(found.frames.shape[1:], setup.binning, strict=True))
        corner = (0.0, 0.0) if first is None else first
        beam, is_assumed = (corner[0] + rows, corner[1] + columns), True
    placed = diffractometer.detector_facing_the_beam(distance, pixel, beam, direct_beam_at=at, tilt_deg=setup.tilt_deg)
    return placed.of(first or (0.0, 0.0), setup.binning), beam, is_assumed


def _without_unknown_circles(diffractometer: Diffractometer, motors: Mapping[str, Positions]) -> Diffractometer:
    """The same without circles of unknown position that no scanned one sits on: how they stand changes no Q of the scan."""
    moving = [i for i, c in enumerate(diffractometer.sample) if np.unique(motors.get(c.name, 0.0)).size > 1]
    last = max(moving, default=-1)
    kept = tuple(c for i, c in enumerate(diffractometer.sample) if i <= last or c.name in motors)
    return replace(diffractometer, sample=kept)


def _with_given_motors(found: Measurement, setup: Setup) -> Measurement:
    """With what the user says of motors in place of what was recorded."""
    unknown = [name for name in setup.motors if name not in found.diffractometer.motors]
    if unknown:
        raise GeometryError(
            f"{found.diffractometer.name} has no motor {unknown[0]!r}; its motors are "
            f"{', '.join(found.diffractometer.motors)}."
        )
    number = np.arange(len(found.frames))
    given = {
        name: plain(value.start + value.step * number) if isinstance(value, Ramp) else value
        for name, value in setup.motors.items()
    }
    return replace(found, motors={**found.motors, **given})


def _on_the_direct_beam(
    geometry: ScanGeometry, shape: tuple[int, ...], first: tuple[float, float] | None, whole: tuple[int, int] | None
) -> str:
    """That its pixel is assumed, and what d would be were it the middle of the whole detector."""
    row, column = geometry.direct_beam or (0.0, 0.0)
    sentence = (
        "Where the direct beam meets the detector is not known, and the middle of the frames, row "
        f"{row:g}, column {column:g}, is assumed, so that d is good to about 1 %"
    )
    if first is not None and whole is not None and whole != shape:
        middle = (whole[0] / 2, whole[1] / 2)
        pixel = (float(shape[0] // 2), float(shape[1] // 2))
        moved = (pixel[0] + row - middle[0], pixel[1] + column - middle[1])
        here, there = (1e9 * d_spacing(geometry.scattering_vector(p)) for p in (pixel, moved))
        sentence += (
            f" (there d is {here:.4f} nm; were it the middle of the whole detector, row {middle[0]:g}, column "
            f"{middle[1]:g}, d would be {there:.4f} nm)"
        )
    return f"{sentence}; give it with --direct-beam ROW,COLUMN."


def _motors(found: Measurement, diffractometer: Diffractometer, path: Path) -> dict[str, Positions]:
    missing = [name for name in diffractometer.motors if name not in found.motors]
    if missing:
        raise GeometryError(
            f"{path} records no motor {missing[0]!r}, which the geometry of {diffractometer.name} needs; give its position "
            f"with --motor {missing[0]}=VALUE."
        )
    return {name: _plain(found.motors[name]) for name in diffractometer.motors}


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
