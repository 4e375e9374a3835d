"""The Fourier pair between a wave and an object that fills a part of its volume: nothing else is transformed.

A crystal fills a third to a half of each axis of its pattern's object, and less than a tenth of its volume. One axis is
transformed after the other, of the first only the columns of the box, of the second only the lines that these fill.

Objects are centred. Waves are in corner order, and differ from those of `physics.fourier` by a phase factor of modulus 1,
that of the place of the origin: for their moduli, and for the way there and back, it means nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
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
        across = any_of.any(0).cpu().numpy()  # along the first axis is the quickest way
        rows = any_of.flatten(1)
        first_axis = rows.numpy().any(1) if rows.device.type == "cpu" else rows.any(1).cpu().numpy()
        starts, sizes = [], []
        for filled in (first_axis, across.any(1), across.any(0)):
            places = np.flatnonzero(filled)
            first, last = (int(places[0]), int(places[-1])) if len(places) else (0, 0)
            starts.append(first)
            sizes.append(last - first + 1)
        return cls((starts[0], starts[1], starts[2]), (sizes[0], sizes[1], sizes[2]))

    def widened(self, margin: int, shape: tuple[int, int, int]) -> Box:
        """The same with so many voxels more on every side, as far as a volume has them."""
        starts = [max(0, start - margin) for start in self.start]
        ends = [min(n, s + m + margin) for n, s, m in zip(shape, self.start, self.size, strict=True)]
        m0, m1, m2 = (end - start for start, end in zip(starts, ends, strict=True))
        return Box((starts[0], starts[1], starts[2]), (m0, m1, m2))

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


class Padding(NamedTuple):
    """Zeros, in which what a box holds has its place; what is put there replaces what was."""

    columns: Tensor
    """(batch, n0, m1, m2): of the whole box."""
    lines: Tensor | None
    """(batch, planes, n1, m2): transformed along axis 1 before the other axis. None: both at once."""
    planes: Tensor
    """(batch, planes, n1, n2)."""

    def of(self, number: int) -> Padding:
        """The same with the first planes."""
        lines = None if self.lines is None else self.lines[:, :number]
        return self._replace(lines=lines, planes=self.planes[:, :number])


class PrunedPair:
    """The orthonormal Fourier pair between a box of the object and the whole wave.

    Parameters
    ----------
    shape : tuple of 3 ints
        Of the wave.
    box : Box
        Within the object, which has the same shape.
    """

    def __init__(self, shape: tuple[int, int, int], box: Box) -> None:
        self.shape, self.box = shape, box
        self._rows, self._lines, self._columns = box.slices
        self._is_narrow = 2 * box.size[2] <= shape[2]  # else a transform of both axes at once is as quick

    def columns(self, values: BoxValues, padding: Padding | None = None) -> Columns:
        """Values of the box (batch, m0, m1, m2), transformed along axis 0: (batch, n0, m1, m2)."""
        padded = padding.columns if padding else values.new_zeros((len(values), self.shape[0], *values.shape[2:]))
        padded[:, self._rows] = values
        return torch.fft.fft(padded, dim=1, norm="ortho")

    def of_columns(self, columns: Columns) -> BoxValues:
        """The inverse."""
        return torch.fft.ifft(columns, dim=1, norm="ortho")[:, self._rows]

    def padding(self, batch: int, planes: int, like: Tensor) -> Padding:
        """For `columns`, and so many planes at a time of `to_planes`; numbers like those of `like`, where these are."""
        _, m1, m2 = self.box.size
        return Padding(like.new_zeros((batch, self.shape[0], m1, m2)), *self._padding_of_planes(batch, planes, like))

    def _padding_of_planes(self, batch: int, planes: int, like: Tensor) -> tuple[Tensor | None, Tensor]:
        n1, n2 = self.shape[1:]
        lines = like.new_zeros((batch, planes, n1, self.box.size[2])) if self._is_narrow else None
        return lines, like.new_zeros((batch, planes, n1, n2))

    def to_planes(self, columns: Columns, padding: Padding | None = None) -> WaveVolume:
        """Some planes of columns (batch, planes, m1, m2) -> the same planes of the wave (batch, planes, n1, n2)."""
        lines, planes = padding[1:] if padding else self._padding_of_planes(columns.shape[0], columns.shape[1], columns)
        if lines is None:
            planes[..., self._lines, self._columns] = columns
            return torch.fft.fftn(planes, dim=PLANE, norm="ortho")
        lines[..., self._lines, :] = columns
        planes[..., self._columns] = torch.fft.fft(lines, dim=-2, norm="ortho")
        return torch.fft.fft(planes, dim=-1, norm="ortho")

    def of_planes(self, planes: WaveVolume) -> Columns:
        """The inverse."""
        if not self._is_narrow:
            return torch.fft.ifftn(planes, dim=PLANE, norm="ortho")[..., self._lines, self._columns]
        lines = torch.fft.ifft(planes, dim=-1, norm="ortho")[..., self._columns]
        return torch.fft.ifft(lines, dim=-2, norm="ortho")[..., self._lines, :]

    def to_wave(self, values: BoxValues) -> WaveVolume:
        """Values of the box (batch, m0, m1, m2) -> their wave (batch, n0, n1, n2)."""
        return self.to_planes(self.columns(values))

    def to_box(self, wave: WaveVolume) -> BoxValues:
        """The box (batch, m0, m1, m2) of the object of a wave (batch, n0, n1, n2)."""
        return self.of_columns(self.of_planes(wave))


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
