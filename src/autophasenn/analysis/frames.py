"""Laboratory, sample and crystal frame: right-handed axes, and the matrix from one to the other.

- *laboratory*: z along the beam, y up, x outboard.
- *sample*: the laboratory frame carried along by the sample's circles; with all circles at 0 both are the same.
- *crystal*: z along Q; x is the part across Q of a second direction that is known (another reflection, or the normal of the
  sample), y completes it. Without one the x of the laboratory (or its y, where Q lies along x) takes its place, and the turn
  about Q means nothing.

A matrix takes components in the laboratory to components in its frame: ``v_frame = matrix @ v_laboratory``; its rows are
the axes of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autophasenn.analysis.quantity import Floats
from autophasenn.errors import InputError

LABORATORY, SAMPLE, CRYSTAL = "laboratory", "sample", "crystal"
FRAMES = (LABORATORY, SAMPLE, CRYSTAL)
LEAST_ANGLE = 1.0
"""Degrees between Q and a second direction below which that says nothing of the turn about Q."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame.

    Parameters
    ----------
    name : str
    matrix : float64 array (3, 3)
        From components in the laboratory to components in this frame.
    meaning : str
        What its axes are.
    """

    name: str
    matrix: Floats
    meaning: str

    def seen(self, vectors: Floats) -> Floats:
        """Vectors of the laboratory, in this frame: (..., 3)."""
        return np.asarray(np.asarray(vectors, float) @ self.matrix.T)


@dataclass(frozen=True)
class SecondDirection:
    """What is known beside Q: in which direction a family of planes has its normal.

    Parameters
    ----------
    hkl : 3 ints
        Miller indices of the planes.
    vector : 3 floats
        Their normal, of any length.
    frame : str
        ``laboratory`` (the Q of another reflection) or ``sample`` (the normal of a substrate).
    """

    hkl: tuple[int, int, int]
    vector: tuple[float, float, float] = (0.0, 1.0, 0.0)
    frame: str = SAMPLE

    def __post_init__(self) -> None:
        if self.hkl == (0, 0, 0) or not 0 < float(np.linalg.norm(self.vector)) < np.inf:
            raise InputError(
                f"The second direction {self.hkl} along {self.vector} is none; give Miller indices and a vector that are "
                "not zero."
            )
        if self.frame not in (LABORATORY, SAMPLE):
            raise InputError(
                f"The second direction is given in the frame {self.frame!r}; give {LABORATORY} or {SAMPLE}."
            )

    def in_laboratory(self, sample_rotation: Floats | None) -> Floats | None:
        """Unit vector in the laboratory; None where the circles of the sample are not known."""
        vector = np.asarray(self.vector, float) / np.linalg.norm(self.vector)
        if self.frame == LABORATORY:
            return vector
        return None if sample_rotation is None else np.asarray(sample_rotation @ vector)


def frames_of(
    scattering_vector: Floats | None, sample_rotation: Floats | None, second: SecondDirection | None = None
) -> tuple[dict[str, Frame], tuple[str, ...]]:
    """The frames that are known, and a sentence for each that is not.

    Parameters
    ----------
    scattering_vector : float array (3,), optional
        Q in the laboratory.
    sample_rotation : float array (3, 3), optional
        What the sample's circles did: ``v_laboratory = sample_rotation @ v_sample``.
    second : SecondDirection, optional

    Returns
    -------
    frames : dict of str to Frame
    notes : tuple of str

    Raises
    ------
    InputError
        If the second direction lies along Q.
    """
    notes: list[str] = []
    if scattering_vector is None:
        return {}, ("The geometry is unknown: the grid is that of the detector, in voxels, and there are no frames.",)
    frames = {LABORATORY: Frame(LABORATORY, np.eye(3), "z along the beam, y up, x outboard")}
    if sample_rotation is None:
        notes.append(
            "The sample frame is unknown: the result does not say where the sample's circles stood (phase the scan again "
            "with its beamline, or with --diffractometer and --motor)."
        )
    else:
        frames[SAMPLE] = Frame(SAMPLE, np.asarray(sample_rotation).T, "the laboratory's axes with all circles at 0")
    direction = None if second is None else second.in_laboratory(sample_rotation)
    if second is not None and direction is None:
        notes.append(
            "The second direction is given in the sample frame, which is unknown, so it was not used; give it in the "
            "laboratory (--second H,K,L:X,Y,Z)."
        )
    frames[CRYSTAL], note = _crystal_frame(np.asarray(scattering_vector, float), direction)
    return frames, (*notes, *note)


def _crystal_frame(q: Floats, direction: Floats | None) -> tuple[Frame, tuple[str, ...]]:
    z = q / np.linalg.norm(q)
    notes: tuple[str, ...] = ()
    if direction is None:
        axis = int(abs(z[0]) > 0.9)
        guide, words = np.eye(3)[axis], f"x towards {'xy'[axis]} of the laboratory, which is arbitrary"
        notes = (
            "The turn of the crystal frame about Q is arbitrary: no second direction is known (--second or --normal gives "
            "one).",
        )
    else:
        angle = np.degrees(np.arccos(np.clip(abs(direction @ z), 0, 1)))
        if angle < LEAST_ANGLE:
            raise InputError(
                f"The second direction lies {angle:.2g} degrees from Q, so it does not say how the crystal is turned about "
                "Q; give one that is not parallel to it."
            )
        guide, words = direction, "x towards the second direction"
    x = guide - (guide @ z) * z
    x = x / np.linalg.norm(x)
    return Frame(CRYSTAL, np.stack([x, np.cross(z, x), z]), f"z along Q, {words}"), notes
