"""From frames of the direct beam to a file of direct beam and distance, which `--geometry` reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autophasenn.beamlines.by_hand import INSTRUMENTS, motor
from autophasenn.beamlines.measurement import Ramp
from autophasenn.errors import OutputError, PlanError
from autophasenn.files.readers import read_pattern_file
from autophasenn.files.writing import write_atomically
from autophasenn.physics.detector_calibration import DetectorCalibration, calibrated, spot


def calibrate_detector(
    frames: str | Path, diffractometer: str, motors: tuple[str, ...], pixel_m: float
) -> DetectorCalibration:
    """Direct beam and distance.

    Parameters
    ----------
    frames : path
        A stack of frames that the direct beam is in, of the whole detector.
    diffractometer : str
        A key of `beamlines.by_hand.INSTRUMENTS`.
    motors : tuple of str
        As ``Delta=-1:0.1`` of that which moved.
    pixel_m : float

    Raises
    ------
    InputError, PlanError
        If the frames cannot be read, or a name is not known.
    GeometryError
        If no spot is found, or it does not move as the axes have it.
    """
    if diffractometer not in INSTRUMENTS:
        raise PlanError(
            f"The diffractometer {diffractometer!r} is not known; choose from {', '.join(sorted(INSTRUMENTS))}."
        )
    instrument = INSTRUMENTS[diffractometer]
    stack = read_pattern_file(frames).frames
    count = np.arange(len(stack), dtype=np.float64)
    at: dict[str, np.ndarray] = {}
    for name, value in map(motor, motors):
        if name not in {axis.name for axis in instrument.detector}:
            names = ", ".join(axis.name for axis in instrument.detector)
            raise PlanError(f"{instrument.name} has no detector axis {name!r}; it has {names}.")
        at[name] = value.start + value.step * count if isinstance(value, Ramp) else np.full(len(stack), value)
    spots = np.array([spot(frame) for frame in stack])
    return calibrated(instrument, (pixel_m, pixel_m), spots, at)


def write(path: Path, found: DetectorCalibration, overwrite: bool = False) -> None:
    """Write `direct_beam` and `distance_m` as YAML.

    Raises
    ------
    OutputError
        If the file is there and may not be replaced.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already; give another -o, or --overwrite.")
    text = (
        f"direct_beam: [{found.direct_beam[0]:.3f}, {found.direct_beam[1]:.3f}]\ndistance_m: {found.distance_m:.7f}\n"
    )
    with write_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8")
