"""From what a reader found to a Scan: what the user says counts first, gaps are masked, and what is missing is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from autophasenn.beamlines.detectors import KnownDetector, known_detector
from autophasenn.beamlines.diffractometers import adjusted
from autophasenn.beamlines.given_mask import given_mask
from autophasenn.beamlines.measurement import (
    OPTION,
    Asked,
    Measurement,
    Positions,
    Ramp,
    Setup,
    first_points,
    plain,
)
from autophasenn.errors import GeometryError, InputError, PlanError
from autophasenn.physics.axes import Circle
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector
from autophasenn.physics.scan_geometry import ScanGeometry
from autophasenn.volumes import Scan

AS_IS = Setup()
"""Nothing is said."""


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
    geometry = ScanGeometry(
        diffractometer, placed, _plain(energy), motors, beam, is_assumed, None if first is None else whole
    )
    _check(geometry, found.frames.shape[1:])
    source = {"path": str(asked.path), "sha256": found.checksum, "beamline": beamline, **found.source}
    if found.metadata:
        source["metadata"] = dict(found.metadata)
    mask = _mask(found, detector, first, warnings, is_given=asked.mask is not None)
    if asked.mask is not None:
        given, told = given_mask(asked.mask, found, first, whole, asked.mask_marks)
        mask = given if mask is None else mask & given
        warnings += told
        source |= {"mask_path": str(asked.mask)}
    return Scan(
        found.frames,
        found.dark,
        found.white,
        mask,
        geometry,
        source,
        tuple(dict.fromkeys(warnings)),
        None if detector is None else detector.saturation,
        _monitor(found),
    )


def _monitor(found: Measurement) -> np.ndarray | None:
    """The monitor's counts, where there is one a frame and none is zero, negative or no number."""
    counts = None if found.monitor is None else np.asarray(found.monitor, np.float64).ravel()
    is_good = (
        counts is not None and counts.size == len(found.frames) and bool((np.isfinite(counts) & (counts > 0)).all())
    )
    return counts if is_good else None


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
    return first_points(found, kept, warning)


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
    if found.placed is not None:
        return _on_its_chain(found.placed, found, setup, diffractometer, first, path)
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


def _on_its_chain(
    placed: FlatDetector,
    found: Measurement,
    setup: Setup,
    diffractometer: Diffractometer,
    first: tuple[float, float] | None,
    path: Path,
) -> tuple[FlatDetector, tuple[float, float] | None, bool]:
    """The detector where the file places every pixel of it, with what the user says of distance, pixels and direct beam."""
    refused = [
        key for key in ("columns", "rows", "tilt_deg", "direct_beam_at") if getattr(setup, key) != getattr(AS_IS, key)
    ]
    if refused:
        raise PlanError(
            f"{path} gives the place of every pixel by a chain of transformations, and {OPTION[refused[0]]} would "
            "contradict it; leave it out, or give the data as FILE:/PATH with the whole geometry by --geometry."
        )
    placed = diffractometer.replaced(
        placed, distance_m=setup.distance_m, pixel_size_m=setup.pixel_m, direct_beam=setup.direct_beam
    )
    beam = setup.direct_beam if setup.direct_beam is not None else found.direct_beam
    return placed.of(first or (0.0, 0.0), setup.binning), beam, False


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
        name: plain(value.start + value.step * number) if isinstance(value, Ramp) else plain(np.asarray(value))
        for name, value in setup.motors.items()
    }
    return replace(found, motors={**found.motors, **given})


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
    met = diffractometer.beam_on(geometry.detector, motors)
    if met is None:
        return
    row, column, distance = met
    if distance > 0 and 0 <= row <= shape[0] - 1 and 0 <= column <= shape[1] - 1:
        arm = ", ".join(f"{axis.name} {motors[axis.name]:g}" for axis in diffractometer.detector)
        raise GeometryError(
            f"With the detector at {arm} degrees the direct beam meets row {row:.0f}, column {column:.0f} of the frames, "
            "where there is no Bragg peak; check these angles, or give them with --motor NAME=DEGREES."
        )


def _mask(
    found: Measurement,
    detector: KnownDetector | None,
    first: tuple[float, float] | None,
    warnings: list[str],
    *,
    is_given: bool,
) -> np.ndarray | None:
    """The reader's mask and that of the known detector, cut to the frames."""
    shape = found.frames.shape[1:]
    known = None if detector is None else detector.mask()
    if known is not None and first is not None:
        row, column = (int(corner) for corner in first)
        known = known[row : row + shape[0], column : column + shape[1]]
    if known is not None and known.shape != shape and not is_given:
        whole = "" if detector is None else f"{detector.name} has {detector.shape[0]} x {detector.shape[1]}"
        warnings.append(
            f"The frames have {shape[0]} x {shape[1]} pixels and the detector {whole}, so its gaps cannot be placed and are "
            "not masked; give a mask with --mask, or the frames' first pixel."
        )
    if known is not None and (known.shape != shape or known.all()):
        known = None
    if found.mask is None or known is None:
        return known if found.mask is None else found.mask
    return found.mask & known
