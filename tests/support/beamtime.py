"""A strained crystal measured on any diffractometer: an independent forward model, numpy and SciPy rotations only.

Nothing here uses the package's geometry: axes are written as the sources have them, and every pixel is placed and turned by
itself. What comes out is what a beamline would have stored.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
HC_EV_M = 1.239841984332e-06
WINDOW = 24


def vector(word):
    return np.array(AXES[word[0]]) * (1 if word[1] == "+" else -1)


@dataclass
class Experiment:
    """A rocking scan. Axes are ``(motor, 'y-', offset)``, outer to inner; stages ``(motor, 'tx', 0)``, metres.

    `frame` turns the source's axes into the laboratory frame (z along the beam, y up).
    """

    sample: list
    detector: list
    columns: str
    rows: str
    motors: dict
    scanned: str
    step: float
    shape: tuple[int, int]
    peak: tuple[int, int]
    beam: tuple[float, float]
    energy: float = 9000.0
    distance: float = 0.8
    pixel: float = 55e-6
    frames: int = 13
    first: tuple[int, int] = (0, 0)
    frame: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def positions(self):
        """Of the scanned motor, degrees or eV, one a frame."""
        at = self.energy if self.scanned == "energy" else self.motors[self.scanned]
        return at + self.step * (np.arange(self.frames) - self.frames // 2)

    def at(self, frame):
        """Motors and energy in a frame (a fraction is allowed)."""
        moved = self.step * (frame - self.frames // 2)
        motors = dict(self.motors)
        if self.scanned == "energy":
            return motors, self.energy + moved
        motors[self.scanned] += moved
        return motors, self.energy

    def q_lab(self, frame, row, column):
        """k_f - k_i of a pixel, 1/m, laboratory frame."""
        motors, energy = self.at(frame)
        beam = self.frame.T @ np.array([0, 0, 1.0])
        place = self.distance * beam
        place = place + (row + self.first[0] - self.beam[0]) * self.pixel * vector(self.rows)
        place = place + (column + self.first[1] - self.beam[1]) * self.pixel * vector(self.columns)
        for motor, axis, _ in reversed(self.detector):
            if axis.startswith("t"):
                place = place + motors[motor] * vector(axis[1] + "+")
            else:
                place = Rotation.from_rotvec(np.radians(motors[motor]) * vector(axis)).apply(place)
        k = 2 * np.pi * energy / HC_EV_M
        return self.frame @ (k * (place / np.linalg.norm(place) - beam))

    def turn(self, frame):
        """Rotation of the crystal, laboratory frame."""
        motors, _ = self.at(frame)
        turned = Rotation.identity()
        for motor, axis, offset in self.sample:
            turned = turned * Rotation.from_rotvec(np.radians(motors[motor] - offset) * (self.frame @ vector(axis)))
        return turned

    def q(self, frame, row, column):
        """Q in the crystal as it stands in the middle frame, 1/m."""
        middle = self.turn(self.frames // 2)
        return (middle * self.turn(frame).inv()).apply(self.q_lab(frame, row, column))

    def steps(self):
        """Of the next frame, row, column at the peak, 1/m, by central differences."""
        f, (r, c) = self.frames // 2, self.peak
        return np.array(
            [
                (self.q(f + 1, r, c) - self.q(f - 1, r, c)) / 2,
                (self.q(f, r + 1, c) - self.q(f, r - 1, c)) / 2,
                (self.q(f, r, c + 1) - self.q(f, r, c - 1)) / 2,
            ]
        )

    def counts(self, seed=1):
        """What the detector stores: frames x rows x columns, uint32, the peak in the middle frame at `peak`."""
        f, (r, c) = self.frames // 2, self.peak
        g = self.q(f, r, c)
        position, displacement = crystal()
        index = np.arange(WINDOW) - WINDOW // 2
        frames = np.zeros((self.frames, *self.shape), np.uint32)
        rng = np.random.default_rng(seed)
        phase = np.exp(-1j * (displacement @ g))
        # The exact q of every voxel of the window, through second derivatives of it at its middle.
        q = np.array(
            [[self.q(frame, r + i, c + j) for i in index[::4] for j in index[::4]] for frame in range(self.frames)]
        ).reshape(self.frames, WINDOW // 4, WINDOW // 4, 3)
        fine = np.stack([[bilinear(plane, 4) for plane in np.moveaxis(one, -1, 0)] for one in q])
        fine = np.moveaxis(fine, 1, -1) - g
        for frame in range(self.frames):
            wave = np.exp(-1j * (fine[frame].reshape(-1, 3) @ position.T)) @ phase
            intensity = np.abs(wave.reshape(WINDOW, WINDOW)) ** 2 / len(position) ** 2
            frames[frame, r - WINDOW // 2 : r + WINDOW // 2, c - WINDOW // 2 : c + WINDOW // 2] = rng.poisson(
                2e4 * intensity
            )
        return frames


def bilinear(plane, times):
    """Values between and, by the last difference, beyond those of a coarse plane."""
    at = np.arange(plane.shape[0] * times) / times
    low = np.clip(np.floor(at).astype(int), 0, plane.shape[0] - 2)
    share = (at - low)[:, None]
    rows = plane[low] * (1 - share) + plane[low + 1] * share
    return rows[:, low] * (1 - share.T) + rows[:, low + 1] * share.T


def crystal():
    """Points of a box of 180 x 220 x 140 nm whose corner (+x, +y, +z) is cut off, and their displacements, metres."""
    axes = [np.linspace(-w / 2, w / 2, n) for w, n in ((180e-9, 11), (220e-9, 13), (140e-9, 9))]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    points = points[points.sum(1) < 170e-9]
    displacement = np.zeros_like(points)
    displacement[:, 1] = 2e-3 * points[:, 1] ** 2 / 220e-9 * 0.5
    return points, displacement
