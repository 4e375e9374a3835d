"""Frames that are not one after the other: read out twice, taken while the motor stood still, or in wrong order.

A rocking scan cuts a pattern that changes gradually from frame to frame. So the frames lie on a path on which neighbours are
more alike than others, and the path on which they are most alike is their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

from autophasenn.errors import InputError
from autophasenn.physics.scan_geometry import ScanGeometry
from autophasenn.volumes import Geometry

MOST_CELLS = 4096
"""Cells of the detector by which frames are compared."""
FEWEST_FRAMES = 8
FEWEST_PHOTONS = 50.0
"""In a frame, from which on two frames that agree in every pixel are one: chance has them differ."""
FAR_FEWER = 0.1
"""Share of the photons of both frames beside it below which one was taken without the beam, and belongs nowhere else."""
MUCH_SHORTER = 0.75
"""Length of a path over that of the frames as they are, from which the other order is the right one. Each mistake that is
known lengthens the right path; no right path is shortened by undoing it."""
FAR_SHORTER = 0.6
"""The same for the shortest path that is found by looking for one, which chance favours."""
FEWEST_IN_CELL, FEWEST_CELLS = 20.0, 50
"""Counts of two frames in a cell, and such cells, by which change is told from counting noise."""
IN_ORDER, AS_BY_CHANCE = 0.5, 0.7
"""Length of the path over that of frames in random order, up to which they are in order (crystals whose extinctions empty
frames reach 0.42), and from which on their order says nothing."""
LAGS = (1, 2, 3, 4)
"""Frames apart that are compared with chance: a crystal may extinguish every second frame, or third."""
STANDING, MOVING = 1.5, 5.0
"""Change between two frames over that of counting noise: no more than the first while a motor stands, more than the second
while it moves."""
FEWEST_STANDING = 3
"""Successive changes so small from which on the motor stood: at the top of a rocking curve one may be small."""


@dataclass(frozen=True, eq=False)
class Order:
    """What was found of the order of frames.

    Parameters
    ----------
    frames : int array (kept,)
        Indices of the frames to take, in their order.
    repeated : bool array (frames,)
        Frames that are copies of the one before and stand in the place of another, which was not measured.
    dropped : int array
        Frames that were taken where the one before was.
    mistake : str
        In words, that were undone; empty where the order is right.
    is_lost : bool
        Whether another order is far better, and none that is known.
    """

    frames: Integer[np.ndarray, " kept"]
    repeated: Bool[np.ndarray, " frames"]
    dropped: Integer[np.ndarray, " dropped"]
    mistake: str = ""
    is_lost: bool = False


def order_of(
    frames: Shaped[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"], unit: float = 1.0
) -> Order:
    """In which order the frames belong, and which of them stand for one that is missing, or were taken twice.

    Parameters
    ----------
    frames : array (frames, rows, columns)
    mask : bool array (frames, rows, columns)
        True = measured.
    unit : float
        What one photon is in them.
    """
    number = len(frames)
    every, none = np.arange(number), np.zeros(0, int)
    copies = _copies(frames, mask, FEWEST_PHOTONS * unit)
    if number < FEWEST_FRAMES:
        return Order(every, copies, none)
    cells = _cells(frames, mask) / unit
    path = _Path(cells)
    standing = _standing(cells)
    if copies.any():
        standing |= copies if _stood_still(path, copies) else False
    dropped = np.flatnonzero(standing)
    kept = np.flatnonzero(~standing)
    mistake, best = "", MUCH_SHORTER
    photons, odd = cells.sum(1), path.farthest_off(kept)
    for words, undo in MISTAKES.items():
        order = kept[undo(len(kept))]
        # one frame without the beam says nothing of the order of the others
        left = kept != odd if _is_empty_amid(photons[order], order == odd) else kept >= 0
        length, by_chance = path.length(kept[left]), path.by_chance(kept[left])
        undone = path.length(order[np.isin(order, kept[left])])
        if undone < best * length and undone < IN_ORDER * by_chance:
            mistake, best = words, undone / length
    taken = kept[MISTAKES[mistake](len(kept))] if mistake else kept
    # a background that comes and goes with the beam has an order of its own, whatever goes through the frames
    is_lost = not mistake and path.is_lost(kept) and _Path(_above_background(cells)).is_lost(kept)
    return Order(taken, copies & ~standing, dropped, mistake, is_lost)


def _is_empty_amid(photons: np.ndarray, which: np.ndarray) -> bool:
    """Does a frame hold far fewer photons than both beside it?"""
    place = int(which.argmax())  # 0 where there is none
    if not 0 < place < len(photons) - 1:
        return False
    beside = min(photons[place - 1], photons[place + 1])
    return bool(beside > FEWEST_PHOTONS and photons[place] < FAR_FEWER * beside)


def _by_name(number: int) -> np.ndarray:
    """Where frame i stands when names with numbers are sorted as words: 0, 1, 10, 11, ..., 19, 2, 20, ..."""
    return np.argsort(np.array(sorted(range(number), key=str)))


def _by_name_from_one(number: int) -> np.ndarray:
    return np.argsort(np.array(sorted(range(1, number + 1), key=str)))


def _pairs(number: int) -> np.ndarray:
    swapped = np.arange(number)
    even = number - number % 2
    swapped[:even] = swapped[:even].reshape(-1, 2)[:, ::-1].ravel()
    return swapped


def _interleaved(number: int) -> np.ndarray:
    """All even frames and then all odd ones, put together again."""
    order = np.empty(number, int)
    order[0::2], order[1::2] = np.arange((number + 1) // 2), np.arange((number + 1) // 2, number)
    return order


MISTAKES: dict[str, Callable[[int], np.ndarray]] = {
    "each second one comes before the first of its pair": _pairs,
    "they are sorted by the letters of their numbers (1, 10, 11, ..., 2)": _by_name,
    "they are sorted by the letters of their numbers (1, 10, 11, ..., 2), from 1 on": _by_name_from_one,
    "all even ones come before all odd ones": _interleaved,
}
"""What may have become of frames, in words -> the order that undoes it, for a number of frames."""


def told(order: Order) -> list[str]:
    """Sentences on what was found.

    Raises
    ------
    InputError
        If the order of the frames is lost.
    """
    if order.is_lost:
        raise InputError(
            "The frames are not in the order of the rocking scan: frames beside each other are less alike than others far "
            "apart. Give them in the order in which they were taken, or take them as they are with "
            "preprocess.check_order: false."
        )
    warnings = []
    if order.mistake:
        warnings.append(
            f"The frames were in wrong order ({order.mistake}): frames beside each other are far more alike once that is "
            "undone, and so it is (preprocess.check_order: false takes them as they are)."
        )
    if order.dropped.size:
        warnings.append(
            f"The motor stood still: {_places(order.dropped)} the same as the one before, and the scan goes on from there; "
            "they are left out (preprocess.check_order: false keeps them)."
        )
    copies = np.flatnonzero(order.repeated)
    if copies.size:
        warnings.append(
            f"The detector gave a frame twice: {_places(copies)} in every pixel the same as the one before, though the scan "
            "went on; they are taken as unmeasured (preprocess.check_order: false keeps them)."
        )
    return warnings


def left_of(geometry: Geometry | None, order: Order, frames: int) -> Geometry | None:
    """The geometry of the frames that are left: as many positions, without those at which a recorded motor stood."""
    if not isinstance(geometry, ScanGeometry) or geometry.frames != frames or not order.dropped.size:
        return geometry
    kept = np.setdiff1d(np.arange(frames), order.dropped)

    def positions(values: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if not isinstance(values, tuple):
            return values
        steps = np.abs(np.diff(values))
        stood = steps[order.dropped - 1].max() < 0.1 * float(np.median(steps))
        return tuple(np.array(values)[kept].tolist()) if stood else values[: len(kept)]

    motors = {name: positions(values) for name, values in geometry.motors.items()}
    return replace(geometry, motors=motors, energy_ev=positions(geometry.energy_ev))


def _places(frames: np.ndarray) -> str:
    """``frames 31 to 40 are``, ``frame 5 is``, ``12 frames, the first 31, are``."""
    first, last = int(frames[0]), int(frames[-1])
    if len(frames) == 1:
        return f"frame {first} is"
    return (
        f"frames {first} to {last} are"
        if last - first + 1 == len(frames)
        else f"{len(frames)} frames, the first {first}, are"
    )


class _Path:
    """Distances between frames, sums of squared differences of the roots of their counts."""

    def __init__(self, cells: Float[np.ndarray, "frames cells"]) -> None:
        roots = np.sqrt(cells)
        squared = np.square(roots).sum(1)
        self.distance = np.maximum(squared[:, None] + squared[None] - 2 * roots @ roots.T, 0)

    def length(self, order: np.ndarray, lag: int = 1) -> float:
        """Of the way over all frames; with a lag, from each to the one so many further, on the scale of the whole way."""
        steps = self.distance[order[:-lag], order[lag:]]
        return float(steps.mean()) * (len(order) - 1) if steps.size else 0.0

    def farthest_off(self, order: np.ndarray) -> int:
        """The frame that lengthens the way most."""
        there, here, on = order[:-2], order[1:-1], order[2:]
        detours = self.distance[there, here] + self.distance[here, on] - self.distance[there, on]
        return int(here[detours.argmax()]) if detours.size else -1

    def by_chance(self, kept: np.ndarray) -> float:
        """The mean over all orders."""
        number = len(kept)
        return float(self.distance[np.ix_(kept, kept)].sum()) / number if number else 0.0

    def is_lost(self, kept: np.ndarray) -> bool:
        """Whether frames beside each other are no more alike than any two, and those of another order far more."""
        is_random = min(self.length(kept, lag) for lag in LAGS) > AS_BY_CHANCE * self.by_chance(kept) > 0
        return is_random and self.shortest(kept) < FAR_SHORTER * self.length(kept)

    def shortest(self, kept: np.ndarray) -> float:
        """Of the paths that go on to the nearest frame that is left, from each end, the shortest."""
        distance = self.distance[np.ix_(kept, kept)]
        lengths = []
        for start in range(len(kept)):
            left = np.ones(len(kept), bool)
            here, total = start, 0.0
            left[here] = False
            for _ in range(len(kept) - 1):
                there = int(np.where(left, distance[here], np.inf).argmin())
                total += float(distance[here, there])
                here = there
                left[here] = False
            lengths.append(total)
        return min(lengths)


def _cells(frames: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Counts of each frame in blocks of pixels, float64 (frames, cells)."""
    size = max(1, int(np.ceil(np.sqrt(frames[0].size / MOST_CELLS))))
    edges = [np.arange(0, n, size) for n in frames.shape[1:]]
    cells = []
    for frame, measured in zip(frames, mask, strict=True):
        known = np.where(measured, frame, 0).astype(np.float64).clip(0)
        cells.append(np.add.reduceat(np.add.reduceat(known, edges[0], 0), edges[1], 1).ravel())
    return np.array(cells)


def _above_background(cells: np.ndarray) -> np.ndarray:
    """What each frame holds above its own even background, the median of its cells."""
    above: np.ndarray = np.maximum(cells - np.median(cells, axis=1, keepdims=True), 0)
    return above


def _copies(frames: np.ndarray, mask: np.ndarray, photons: float) -> np.ndarray:
    """Frames that agree with the one before in every pixel, and hold enough photons for that to be no chance."""
    same = np.zeros(len(frames), bool)
    for i in range(1, len(frames)):
        if np.array_equal(frames[i], frames[i - 1]) and frames[i].sum(where=mask[i], dtype=np.float64) > photons:
            same[i] = True
    return same


def _standing(cells: np.ndarray) -> np.ndarray:
    """Frames that differ from the one before by counting noise alone, several in a row, where those about them do not."""
    former, latter = cells[:-1], cells[1:]
    both = former + latter
    lit = both >= FEWEST_IN_CELL
    number = lit.sum(1)
    change = np.where(lit, np.square(latter - former) / np.maximum(both, 1), 0).sum(1) / np.maximum(number, 1)
    still = (change < STANDING) & (number >= FEWEST_CELLS) & (change > 0)
    standing = np.zeros(len(cells), bool)
    edges = np.flatnonzero(np.diff(np.r_[0, still.astype(int), 0]))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        beside = [change[i] for i in (start - 1, stop) if 0 <= i < len(change)]
        if stop - start >= FEWEST_STANDING and beside and min(beside) > MOVING:
            standing[start + 1 : stop + 1] = True
    return standing


def _stood_still(path: _Path, copies: np.ndarray) -> bool:
    """Whether the frame after a run of copies goes on from it as neighbours do, and not from farther away."""
    edges = np.flatnonzero(np.diff(np.r_[0, copies.astype(int), 0]))
    near, far = [], []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if start < 2 or stop >= len(copies):
            continue
        run = int(stop - start)
        after = path.distance[start - 1, stop]
        near.append(abs(after - path.distance[start - 2, start - 1]))
        if start - 2 - run >= 0:
            far.append(abs(after - path.distance[start - 2 - run, start - 1]))
    return not near or not far or bool(sum(near) <= sum(far))
