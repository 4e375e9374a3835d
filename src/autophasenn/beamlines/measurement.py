"""What a reader is asked for, what the user says of the diffractometer, and what a reader gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.markers import Marks
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector

Positions = float | tuple[float, ...]
"""Of a motor, degrees or metres: one, or one a frame."""


@dataclass(frozen=True)
class Ramp:
    """Positions at even steps: `start` in the first frame, `step` further in each; degrees or metres."""

    start: float
    step: float


Motor = float | Ramp | tuple[float, ...]
"""Where a motor stood, as a user says it: one place, even steps, or a place for each frame."""


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
    binning : (rows, columns)
        Pixels of the whole detector that make one of the frames.
    motors : dict
        Name -> degrees or metres, in place of what was recorded; a `Ramp`, or one for each frame, is scanned.
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
    binning: tuple[int, int] = (1, 1)
    motors: Mapping[str, Motor] = field(default_factory=dict)
    columns: str | None = None
    rows: str | None = None
    reverse: tuple[str, ...] = ()


OPTION = {
    "energy_ev": "--energy",
    "distance_m": "--distance",
    "pixel_m": "--pixel",
    "direct_beam": "--direct-beam",
    "direct_beam_at": "`direct_beam_at`",
    "first_pixel": "--first-pixel",
    "tilt_deg": "`tilt_deg`",
    "binning": "`binning`",
    "motors": "--motor",
    "columns": "--columns",
    "rows": "--rows",
    "reverse": "--reverse",
}
"""What a message calls each field of a `Setup`."""


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
    mask : Path, optional
        File of a mask of the frames or of the whole detector, True = measured.
    mask_marks : "measured" or "bad", optional
        What 1 stands for in it; None: as the values under it say.
    """

    path: Path
    scan: int | None = None
    spec: Path | None = None
    dark: Path | None = None
    white: Path | None = None
    detector: str | None = None
    setup: Setup = Setup()
    mask: Path | None = None
    mask_marks: Marks | None = None


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
        True = measured; as the file says. What the detector's name says is added to it.
    onto_frames : callable, optional
        From a mask of the detector as it is stored, and its file, to one of the frames, where reading changes their shape.
    dark, white : array (rows, columns), optional
    monitor : array (frames,), optional
        What a monitor of the incident beam counted.
    checksum : str
        SHA-256 of what was read.
    source : dict
        Whatever else tells where it came from (JSON-serialisable).
    warnings : tuple of str
        Sentences about what the reader had to assume.
    metadata : dict
        Whatever else was recorded (`beamlines.recorded`): name -> number or text, and ``time``.
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
    onto_frames: Callable[[np.ndarray, Path], np.ndarray] | None = None
    dark: np.ndarray | None = None
    white: np.ndarray | None = None
    monitor: np.ndarray | None = None
    checksum: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metadata: Mapping[str, float | str] = field(default_factory=dict)


def first_points(found: Measurement, points: int, warning: str) -> Measurement:
    """The same with its first so many frames and positions alone, and why."""

    def cut(values: Any) -> Any:
        return values[:points] if isinstance(values, tuple) else values

    return replace(
        found,
        frames=found.frames[:points],
        motors={name: cut(positions) for name, positions in found.motors.items()},
        energy_ev=cut(found.energy_ev),
        monitor=None if found.monitor is None else found.monitor[:points],
        warnings=(*found.warnings, warning),
    )


def plain(values: np.ndarray | float) -> Positions:
    """Positions as a value of a geometry: one number where all are alike, else one a frame."""
    known = np.atleast_1d(np.asarray(values, np.float64)).ravel()
    if known.size == 1 or bool((known == known[0]).all()):
        return float(known[0])
    return tuple(known.tolist())


def millimetres(value: float | None) -> float | None:
    """Millimetres, as most beamlines record them, in metres; None stays None."""
    return None if value is None or not math.isfinite(value) else 1e-3 * float(value)
