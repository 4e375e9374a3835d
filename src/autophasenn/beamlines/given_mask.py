"""A mask that the user gives for a beamline's scan: of the frames, of one of them, or of the whole detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autophasenn.beamlines.measurement import Measurement
from autophasenn.errors import InputError
from autophasenn.files.readers import read_mask_file, scan_of_arrays
from autophasenn.files.stored import StoredPattern
from autophasenn.markers import Marks


def given_mask(
    path: Path,
    found: Measurement,
    first: tuple[float, float] | None,
    whole: tuple[int, int] | None,
    marks: Marks | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The mask of a file, of the shape of the frames or of one of them, and warnings.

    Parameters
    ----------
    path : Path
        Of a mask as `files.readers` reads it, True or 1 = measured.
    found : Measurement
    first : (row, column), optional
        Where the frames begin on the whole detector; None: not known.
    whole : (rows, columns), optional
        Of the whole detector.
    marks : "measured" or "bad", optional
        What 1 stands for; None: as the values under it say.

    Raises
    ------
    InputError
        If it cannot be read, or has another shape.
    """
    mask = read_mask_file(path)
    shape = found.frames.shape
    if found.onto_frames is not None and mask.ndim == 2:
        mask = found.onto_frames(mask, path)
    if mask.shape == whole != shape[1:] and first is not None:
        row, column = (int(corner) for corner in first)
        mask = mask[row : row + shape[1], column : column + shape[2]]
    if mask.shape not in (shape, shape[1:]):
        legal = [" x ".join(map(str, shape[1:])), " x ".join(map(str, shape))]
        legal += [" x ".join(map(str, whole))] if whole is not None and first is not None and whole != shape[1:] else []
        raise InputError(
            f"The mask in {path} has {' x '.join(map(str, mask.shape))} pixels; give one of {' or '.join(legal)} (one "
            f"frame, all frames{', the whole detector' if len(legal) > 2 else ''})."
        )
    checked = scan_of_arrays(StoredPattern(found.frames, np.ascontiguousarray(mask)), str(path), marks)
    return np.asarray(checked.mask), checked.warnings
