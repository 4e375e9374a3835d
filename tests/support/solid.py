"""A solid, strained crystal of known size in the laboratory, and its pattern on any diffractometer of `beamtime`.

Independent of the package, as `beamtime` is: the wave of a finely sampled crystal is calculated on a straight grid of q, and
read between its points at the exact q of every pixel of every frame.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from beamtime import Experiment, bilinear
from scipy import ndimage

FINE = 44
"""Points of the crystal along its longest edge; the finest fringe that a pattern here has is 8 of them long."""
DENSE = 5.0
"""Points of the grid in q for a fringe of the longest edge."""
COARSE = 8
"""Pixels from one exactly calculated q to the next, between which it is straight: the detector is flat."""
EDGES = np.array([0.85, 1.0, 0.7])
"""Of the box along x, y, z of the laboratory, of the longest."""
CUT = 0.62
"""The corner towards +x, +y, +z lies beyond the plane on which x + y + z is this share of the longest edge."""
BEND = 2.5
"""Phase at an end of the crystal along Q, rad: that of a strain which grows evenly along Q, from one sign to the other."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A box with one corner cut off, as it stands in the middle frame of a scan of `experiment`.

    Parameters
    ----------
    experiment : Experiment
        Its frames are as many as the rows and columns of each.
    oversampling : float
        Of the fringes, on the axis on which they lie closest. The crystal is made as large as this asks.
    """

    experiment: Experiment
    oversampling: float = 3.0

    @property
    def size(self) -> int:
        return self.experiment.frames

    @cached_property
    def g(self) -> np.ndarray:
        """Of the pixel and frame of the peak, 1/nm."""
        return 1e-9 * self.experiment.q(self.size // 2, *self.experiment.peak)

    @cached_property
    def longest_nm(self) -> float:
        steps = 1e-9 * self.experiment.steps()
        extents = np.ptp(self._corners @ steps.T, axis=0)  # rad a voxel of the pattern, for an edge of 1 nm
        return float(2 * np.pi / self.oversampling / extents.max())

    @property
    def extents_nm(self) -> np.ndarray:
        return self.longest_nm * EDGES

    @property
    def gradient_per_nm(self) -> float:
        """Of the strain along Q, along Q."""
        reach = np.abs(self._corners @ self.g).max() / np.linalg.norm(self.g) * self.longest_nm
        return float(2 * BEND / np.linalg.norm(self.g) / reach**2)

    @property
    def _corners(self) -> np.ndarray:
        signs = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), -1).reshape(-1, 3)
        return signs * EDGES

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions along one edge, nm, and the crystal on the grid of all."""
        spacing = self.longest_nm / FINE
        along = (np.arange(FINE + 4) - (FINE + 3) / 2) * spacing
        r = np.stack(np.meshgrid(along, along, along, indexing="ij"), -1)
        amplitude = np.ones(r.shape[:3])
        for axis, extent in enumerate(self.extents_nm):
            amplitude *= np.clip((extent / 2 - np.abs(r[..., axis])) / spacing + 0.5, 0, 1)
        beyond = (CUT * self.longest_nm - r.sum(-1)) / 3**0.5
        amplitude *= np.clip(beyond / spacing + 0.5, 0, 1)
        length = np.linalg.norm(self.g)
        u = self.gradient_per_nm * (r @ (self.g / length)) ** 2 / 2
        return along, amplitude * np.exp(-1j * length * u)

    def wave(self) -> np.ndarray:
        """At every voxel of the scan, complex (frames, rows, columns); the whole crystal in phase would be 1."""
        q = self._q()
        along, crystal = self._points
        spacing = 2 * np.pi / self.longest_nm / DENSE
        low = q.reshape(-1, 3).min(0) - 4 * spacing
        counts = np.ceil((q.reshape(-1, 3).max(0) - low) / spacing).astype(int) + 4
        dense = crystal.astype(np.complex64)
        for start, count in zip(low, counts, strict=True):  # the first axis is summed over, and comes back as the last
            turned = np.exp(-1j * np.outer(along, start + spacing * np.arange(count))).astype(np.complex64)
            dense = np.tensordot(dense, turned, axes=(0, 0))
        at = np.moveaxis((q - low) / spacing, -1, 0)
        parts = [ndimage.map_coordinates(part, at, order=5) for part in (dense.real, dense.imag)]
        return (parts[0] + 1j * parts[1]) / np.abs(crystal).sum()

    def counts(self, brightest: float = 5e4, seed: int = 4) -> np.ndarray:
        """Frames x rows x columns, uint32; `brightest`: what a crystal without strain would count in the peak."""
        return np.random.default_rng(seed).poisson(brightest * np.abs(self.wave()) ** 2).astype(np.uint32)

    def _q(self) -> np.ndarray:
        """Of every voxel, seen from the peak, in the crystal as it stands in the middle frame, 1/nm."""
        index = COARSE * np.arange(self.size // COARSE)
        frames = []
        for frame in range(self.size):
            coarse = np.array([[self.experiment.q(frame, row, column) for column in index] for row in index])
            planes = [bilinear(plane, COARSE) for plane in np.moveaxis(1e-9 * coarse, -1, 0)]
            frames.append(np.stack(planes, -1) - self.g)
        return np.array(frames)


def scan_of(experiment: Experiment, size: int) -> Experiment:
    """The same with `size` frames of `size` x `size` pixels about the peak, and the step of a pixel from frame to frame."""
    row, column = experiment.peak
    moved = replace(
        experiment,
        shape=(size, size),
        peak=(size // 2, size // 2),
        beam=(experiment.beam[0] - row + size // 2, experiment.beam[1] - column + size // 2),
        frames=size,
    )
    lengths = np.linalg.norm(moved.steps(), axis=1)
    return replace(moved, step=moved.step * float(lengths[1:].mean() / lengths[0]))
