"""What a diffractometer is made of: circles that turn and stages that move, each carried by the one before it.

Laboratory frame: z along the beam, y up, x outboard, right-handed. A circle turns right-handed about its axis at positive
motor values; ``y-`` is the axis (0, -1, 0), about which the right hand turns the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

from autophasenn.errors import GeometryError

Direction = tuple[float, float, float]
"""x, y, z in the laboratory frame, length 1."""
Points = Float[np.ndarray, "... 3"]
"""Positions or directions, x, y, z in the last axis."""
Numbers = Real[np.ndarray, "..."] | float
"""One value, or one for each of many voxels."""
Matrices = Float[np.ndarray, "... 3 3"]

BEAM: Direction = (0.0, 0.0, 1.0)
LAB_FRAME = ("x+", "y+", "z+")


@dataclass(frozen=True)
class Circle:
    """A rotation.

    Parameters
    ----------
    name : str
        Of the motor.
    axis : (x, y, z)
        Right-handed about it at positive motor values; with all motors at zero, length 1.
    offset_deg : float
        Motor value, degrees, at which the circle stands at zero: it turns by ``motor - offset_deg``.
    shift_m : (x, y, z)
        Where the axis lies, metres; zero for circles through the sample.
    """

    name: str
    axis: Direction
    offset_deg: float = 0.0
    shift_m: Direction = (0.0, 0.0, 0.0)

    def matrix(self, motor_deg: Numbers) -> Matrices:
        """Rotation matrix at motor values in degrees (Rodrigues' formula)."""
        angle = np.deg2rad(np.asarray(motor_deg, np.float64) - self.offset_deg)[..., None, None]
        x, y, z = self.axis
        cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        matrix: np.ndarray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
        return matrix

    def carry(self, points: Points, velocities: Points, motor: Numbers, rate: Numbers) -> tuple[Points, Points]:
        """Where points that move with `velocities` come to, and how they then move; motor in degrees, rate a frame."""
        matrix = self.matrix(motor)
        turned = _apply(matrix, points)
        turning = np.deg2rad(np.asarray(rate, np.float64))[..., None] * np.cross(np.asarray(self.axis), turned)
        return turned + np.asarray(self.shift_m), _apply(matrix, velocities) + turning


@dataclass(frozen=True)
class Stage:
    """A translation.

    Parameters
    ----------
    name : str
        Of the motor.
    axis : (x, y, z)
        In which it moves at positive motor values, length 1.
    offset_m : float
        Motor value, metres, at which the stage stands at zero.
    shift_m : (x, y, z)
        A fixed displacement that goes with it, metres.
    """

    name: str
    axis: Direction
    offset_m: float = 0.0
    shift_m: Direction = (0.0, 0.0, 0.0)

    def carry(self, points: Points, velocities: Points, motor: Numbers, rate: Numbers) -> tuple[Points, Points]:
        """Where points that move with `velocities` come to, and how they then move; motor in metres, rate a frame."""
        axis = np.asarray(self.axis)
        way = (np.asarray(motor, np.float64) - self.offset_m)[..., None] * axis
        return points + way + np.asarray(self.shift_m), velocities + np.asarray(rate, np.float64)[..., None] * axis


Axis = Circle | Stage


def direction(word: str, frame: Sequence[str] = LAB_FRAME) -> Direction:
    """``'y-'`` -> (0, -1, 0).

    Parameters
    ----------
    word : str
        ``x``, ``y`` or ``z`` with a sign; or three numbers, ``'0 0.643 -0.766'``, which need not have length 1.
    frame : three such words
        The x, y and z of the laboratory frame in the frame in which `word` is meant.

    Raises
    ------
    GeometryError
        If it is neither.
    """
    vector = np.array([_vector(axis) for axis in frame]) @ _vector(word)
    x, y, z = (vector / np.linalg.norm(vector)).tolist()
    return x + 0.0, y + 0.0, z + 0.0


def axes(text: str, frame: Sequence[str] = LAB_FRAME) -> tuple[Axis, ...]:
    """``'th y+, chi z- 90, tz z+'`` -> axes from the outermost to the innermost.

    Parameters
    ----------
    text : str
        Name, axis and, where it is not zero, the motor value (degrees) at which the circle stands at zero. An axis
        ``tx``, ``ty``, ``tz`` is a translation.
    frame : three axes
        As in :func:`direction`.

    Raises
    ------
    GeometryError
        If the text cannot be understood.
    """
    found: list[Axis] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        words = entry.split()
        if len(words) not in (2, 3):
            raise GeometryError(
                f"The axis {entry!r} cannot be understood; write its motor, its axis and, where it has one, its offset "
                "in degrees, as in 'chi z- 90'."
            )
        name, axis = words[:2]
        offset = float(words[2]) if len(words) == 3 else 0.0
        if axis.startswith("t"):
            word = axis[1:] if axis[-1] in "+-" else f"{axis[1:]}+"
            found.append(Stage(name, direction(word, frame), offset))
        else:
            found.append(Circle(name, direction(axis, frame), offset))
    return tuple(found)


def circles(text: str, frame: Sequence[str] = LAB_FRAME) -> tuple[Circle, ...]:
    """As :func:`axes`, where only circles may be: under the sample.

    Raises
    ------
    GeometryError
        If one of them is a translation.
    """
    found = axes(text, frame)
    turning = tuple(axis for axis in found if isinstance(axis, Circle))
    if len(turning) < len(found):
        raise GeometryError(f"The sample axes are {text!r}; only circles change Q, so leave the translations out.")
    return turning


def rotation(chain: Sequence[Circle], motors: Mapping[str, Numbers]) -> Matrices:
    """Rotation matrix of what the innermost of `chain` carries, at motor values in degrees."""
    matrix = np.eye(3)
    for circle in chain:
        matrix = matrix @ circle.matrix(motors[circle.name])
    return matrix


def turning(chain: Sequence[Circle], motors: Mapping[str, Numbers], rates: Mapping[str, Numbers]) -> Points:
    """Angular velocity, radians a frame, laboratory frame, of what the innermost of `chain` carries."""
    matrix, omega = np.eye(3), np.zeros(3)
    for circle in chain:
        rate = np.deg2rad(np.asarray(rates.get(circle.name, 0.0), np.float64))
        omega = omega + rate[..., None] * _apply(matrix, np.asarray(circle.axis))
        matrix = matrix @ circle.matrix(motors[circle.name])
    return omega


def carried(
    chain: Sequence[Axis],
    points: Points,
    motors: Mapping[str, Numbers],
    rates: Mapping[str, Numbers] | None = None,
    velocities: Points | None = None,
) -> tuple[Points, Points]:
    """Where the axes of `chain` bring points that its innermost one carries, and how they move from frame to frame."""
    points = np.asarray(points, np.float64)
    velocities = np.zeros(3) if velocities is None else velocities
    for axis in reversed(chain):
        rate = np.asarray((rates or {}).get(axis.name, 0.0), np.float64)
        points, velocities = axis.carry(points, velocities, np.asarray(motors[axis.name], np.float64), rate)
    return points, velocities


def tilted(vector: Points, tilt_deg: Sequence[float]) -> Points:
    """`vector` turned about x, then y, then z of the laboratory frame, degrees."""
    for axis, angle in zip(("x+", "y+", "z+"), tilt_deg, strict=True):
        vector = _apply(Circle("", direction(axis)).matrix(np.asarray(float(angle))), np.asarray(vector, np.float64))
    return vector


def _apply(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.einsum("...ij,...j->...i", matrix, vectors)
    return result


def _vector(word: str) -> np.ndarray:
    words = word.replace(",", " ").split()
    if len(words) == 1 and len(word) == 2 and word[0] in "xyz" and word[1] in "+-":
        vector = np.zeros(3)
        vector["xyz".index(word[0])] = 1.0 if word[1] == "+" else -1.0
        return vector
    try:
        vector = np.array([float(number) for number in words])
    except ValueError:
        vector = np.zeros(0)
    if vector.shape != (3,) or not 0 < float(np.linalg.norm(vector)) < math.inf:
        raise GeometryError(
            f"The axis {word!r} is unknown; write x, y or z with its sign, as in 'y-', or three numbers."
        )
    return vector
