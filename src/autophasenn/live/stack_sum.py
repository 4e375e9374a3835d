"""The sum of frames that arrive in an HDF5 file, for the small picture of the table."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from autophasenn.errors import InputError
from autophasenn.files.tree import is_stack, node, opened
from autophasenn.live.peeking import Peeker
from autophasenn.live.pictures import draw_sum

AT_ONCE = 8
"""Frames that are added in one step."""


@dataclass
class StackSum:
    """The sum of frames in an HDF5 file that grows, which another process looks into.

    Parameters
    ----------
    peeker : Peeker
    stack : (file, dataset), optional
        Where the frames are; a detector may go on in another file.
    sum : float64 array (rows, columns), optional
        None as long as there was no frame.
    """

    peeker: Peeker
    stack: tuple[Path, str] | None = None
    sum: NDArray[np.float64] | None = None
    _counted: dict[tuple[Path, str], int] = field(default_factory=dict)

    def update(self, seconds: float) -> bool:
        """Add frames that are new, for about so long; were there any?"""
        if self.stack is None:
            return False
        until, grown = time.monotonic() + seconds, False
        while time.monotonic() < until:
            first = self._counted.get(self.stack, 0)
            try:
                added, number = self.peeker.ask(sum_of_frames, *self.stack, first, AT_ONCE)
            except InputError:  # whoever reconstructs the scan says what is wrong with it
                return grown
            if number == 0:
                return grown
            self._counted[self.stack] = first + number
            if self.sum is None or self.sum.shape == added.shape:
                self.sum, grown = added if self.sum is None else self.sum + added, True
        return grown

    def draw(self, picture: Path) -> bool:
        """The sum so far; is there one that can be drawn?"""
        return draw_sum(self.sum, picture)


def sum_of_frames(file: Path, dataset: str, first: int, most: int) -> tuple[NDArray[np.float64], int]:
    """The sum of at most so many frames from a stack, and how many they are; the newest may not be complete and is left.

    Raises
    ------
    InputError
        If they cannot be read.
    """
    with opened(file) as content:
        stack = node(content, dataset)
        if not isinstance(stack, h5py.Dataset) or not is_stack(stack):
            raise InputError(f"{file} has no frames at {dataset}.")
        last = min(first + most, stack.shape[-3] - 1)
        frames = np.asarray(stack[..., first:last, :, :] if last > first else np.zeros((0, *stack.shape[-2:])))
        frames = frames.reshape(-1, *stack.shape[-2:])
        if frames.dtype.kind == "u":  # pixels that are not measured hold the largest number
            frames = np.where(frames == np.iinfo(frames.dtype).max, 0, frames)
        return frames.astype(np.float64).sum(axis=0), len(frames)
