"""The Fourier pair between a wave and an object that fills a part of its volume: nothing else is transformed.

A crystal fills a third to a half of each axis of its pattern's object, and less than a tenth of its volume. Along axis 0 the
columns of the box are multiplied by the Fourier matrix of its rows; the planes that they fill are transformed by the FFT.

Objects are centred. Waves are in corner order, and differ from those of `physics.fourier` by a phase factor of modulus 1,
that of the place of the origin: for their moduli, and for the way there and back, it means nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Complex
from torch import Tensor

from autophasenn.volumes import Support, WaveVolume

PLANE = (-2, -1)
BoxValues = Complex[Tensor, "batch m0 m1 m2"]
"""An object's voxels in a box."""
Columns = Complex[Tensor, "batch n0 m1 m2"]
"""The same, transformed along axis 0."""


@dataclass(frozen=True)
class Box:
    """Voxels ``start`` to ``start + size`` of each axis.

    Parameters
    ----------
    start, size : tuple of 3 ints
    """

    start: tuple[int, int, int]
    size: tuple[int, int, int]

    @classmethod
    def around(cls, inside: Support) -> Box:
        """The least box that holds every True voxel of volumes (..., n0, n1, n2); one voxel where there is none."""
        any_of = inside.flatten(0, -4).any(0) if inside.ndim > 3 else inside
        starts, sizes = [], []
        for axis in range(3):
            filled = any_of.any(dim=axis - 1 if axis == 2 else 2).any(dim=1 if axis == 0 else 0)
            places = torch.nonzero(filled).flatten()
            first, last = (int(places[0]), int(places[-1])) if len(places) else (0, 0)
            starts.append(first)
            sizes.append(last - first + 1)
        return cls((starts[0], starts[1], starts[2]), (sizes[0], sizes[1], sizes[2]))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Of each axis."""
        s0, s1, s2 = (slice(a, a + n) for a, n in zip(self.start, self.size, strict=True))
        return s0, s1, s2

    def cut(self, volume: Tensor) -> Tensor:
        """The box of a volume (..., n0, n1, n2), a new tensor (..., m0, m1, m2)."""
        return volume[(..., *self.slices)].clone(memory_format=torch.contiguous_format)

    def embed(self, values: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """The volume (..., n0, n1, n2) of values (..., m0, m1, m2), 0 outside of the box."""
        volume = values.new_zeros((*values.shape[:-3], *shape))
        volume[(..., *self.slices)] = values
        return volume


class PrunedPair:
    """The orthonormal Fourier pair between a box of the object and the whole wave.

    Parameters
    ----------
    shape : tuple of 3 ints
        Of the wave.
    box : Box
        Within the object, which has the same shape.
    device : torch.device
    """

    def __init__(self, shape: tuple[int, int, int], box: Box, device: torch.device) -> None:
        self.shape, self.box = shape, box
        self._matrix = _fourier_rows(shape[0], box.start[0], box.size[0]).to(device)
        self._adjoint = self._matrix.mH.resolve_conj()
        self._planes = box.slices[1:]

    def columns(self, values: BoxValues) -> Columns:
        """Values of the box (batch, m0, m1, m2), transformed along axis 0: (batch, n0, m1, m2)."""
        return _along_first(self._matrix, values)

    def of_columns(self, columns: Columns) -> BoxValues:
        """The inverse."""
        return _along_first(self._adjoint, columns)

    def to_wave(self, values: BoxValues) -> WaveVolume:
        """Values of the box (batch, m0, m1, m2) -> their wave (batch, n0, n1, n2)."""
        columns = self.columns(values)
        planes = columns.new_zeros((*columns.shape[:2], *self.shape[1:]))
        planes[(..., *self._planes)] = columns
        return torch.fft.fftn(planes, dim=PLANE, norm="ortho")

    def to_box(self, wave: WaveVolume) -> BoxValues:
        """The box (batch, m0, m1, m2) of the object of a wave (batch, n0, n1, n2)."""
        planes = torch.fft.ifftn(wave, dim=PLANE, norm="ortho")
        return self.of_columns(planes[(..., *self._planes)])


class WindowedPair:
    """From a box of an object on voxels finer than its pattern's to the wave inside of the pattern's window, and back.

    A pattern ends at its window, and a crystal's edge does not: on voxels of the pattern's own size what lies beyond would
    fold back. The way back is the adjoint, and no inverse.

    Parameters
    ----------
    shape : tuple of 3 ints
        Of the wave.
    box : Box
        Within the object, which has `finer` times as many voxels along each axis.
    finer : int
        Voxels of the object a voxel of the pattern's own object, along each axis.
    device : torch.device
    """

    def __init__(self, shape: tuple[int, int, int], box: Box, finer: int, device: torch.device) -> None:
        self.matrices = []
        for size, start, rows in zip(shape, box.start, box.size, strict=True):
            inner = torch.fft.fftfreq(size, 1 / size).round().long() % (finer * size)
            self.matrices.append(_fourier_rows(finer * size, start, rows)[inner].to(device))
        self.adjoints = [matrix.mH.resolve_conj().contiguous() for matrix in self.matrices]

    def to_wave(self, values: BoxValues) -> WaveVolume:
        """Values of the box (batch, m0, m1, m2) -> the wave (batch, n0, n1, n2)."""
        m0, m1, m2 = self.matrices
        return _along_first(m0, m1 @ (values @ m2.mT))

    def to_box(self, wave: WaveVolume) -> BoxValues:
        """The adjoint: (batch, n0, n1, n2) -> (batch, m0, m1, m2)."""
        a0, a1, a2 = self.adjoints
        return (a1 @ _along_first(a0, wave)) @ a2.mT


def _along_first(matrix: Tensor, volumes: Tensor) -> Tensor:
    """A matrix (k, n0) applied to axis 0 of volumes (batch, n0, m1, m2)."""
    batch, n0, m1, m2 = volumes.shape
    if batch == 1:
        return torch.mm(matrix, volumes.reshape(n0, m1 * m2)).reshape(1, -1, m1, m2)
    return (matrix @ volumes.reshape(batch, n0, m1 * m2)).reshape(batch, -1, m1, m2)


@lru_cache(32)
def _fourier_rows(size: int, start: int, rows: int) -> Tensor:
    """exp(-2 pi i q r / n) / sqrt(n) of all q (rows of the matrix) and r from `start` on; complex64 (size, rows)."""
    with torch.inference_mode(False):  # kept for later, when gradients may be asked for
        turns = torch.arange(size)[:, None] * torch.arange(start, start + rows) % size  # exact for large products
        return torch.polar(torch.tensor(size**-0.5, dtype=torch.float64), -2 * math.pi * turns.double() / size).to(
            torch.complex64
        )
