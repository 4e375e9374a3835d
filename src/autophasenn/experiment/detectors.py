"""Pixel detectors of Bragg coherent diffraction: which pixels of a window on them measure.

They are tiled of chips of 256 x 256 pixels. Between chips, and between modules of several chips, lie gaps; the rows and
columns that border a gap are wider than a pixel, count more, and are masked with it where the beamlines do so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from autophasenn.errors import InputError
from autophasenn.randomness import choice, happens, log_uniform
from autophasenn.volumes import PATTERN_VOXELS

CLEAR = 2
"""Voxels about the peak that measure in every window, along the rows and the columns: nobody puts the peak on a gap."""


@dataclass(frozen=True)
class Axis:
    """The rows, or the columns, of a detector.

    Parameters
    ----------
    modules : int
    size : int
        Pixels of a module.
    gap : int
        Pixels between two modules.
    chips : int
        Chips of a module whose seams do not measure; 1 where the detector fills its seams.
    seam : int
        Pixels between two such chips.
    wide : int
        Rows of wider pixels on either side of a gap or seam, which do not measure.
    """

    modules: int
    size: int
    gap: int = 0
    chips: int = 1
    seam: int = 0
    wide: int = 0

    @property
    def length(self) -> int:
        """Pixels in all."""
        return self.modules * self.size + (self.modules - 1) * self.gap

    def measured(self) -> Bool[Tensor, " pixels"]:
        """True where no gap, seam or wide pixel is."""
        measured = torch.ones(self.length, dtype=torch.bool)
        chip = (self.size - (self.chips - 1) * self.seam) // self.chips
        for module in range(self.modules):
            start = module * (self.size + self.gap)
            for seam in range(1, self.chips):
                self._open(measured, start + seam * chip + (seam - 1) * self.seam, self.seam)
            if module:
                self._open(measured, start - self.gap, self.gap)
        return measured

    def _open(self, measured: Tensor, start: int, width: int) -> None:
        measured[start - self.wide : start + width + self.wide] = False


@dataclass(frozen=True)
class Detector:
    """The plane of a detector, axes 1 and 2 of a pattern."""

    rows: Axis
    columns: Axis

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels (rows, columns)."""
        return self.rows.length, self.columns.length


def _square(axis: Axis) -> Detector:
    return Detector(axis, axis)


DETECTORS = {
    # ESRF: 516 x 516 pixels, gap of 4 (pyFAI, detectors/_esrf.py); ID01 masks 255..260 (bcdi, experiment/detector.py)
    "maxipix": _square(Axis(2, 256, 4, wide=1)),
    # one chip, no gap
    "timepix": _square(Axis(1, 256)),
    # APS 34-ID-C, 34idcTIM2: gaps as cohere-ui opens them (beamlines/aps_34idc/detectors.py, insert_seam)
    "timepix-quad": Detector(Axis(2, 256, 5), Axis(2, 256, 4)),
    # Quantum Detectors: 515 x 515 pixels; beamlines mask 255..259 (bcdi)
    "merlin-quad": _square(Axis(2, 256, 3, wide=1)),
    # Dectris: modules of 514 x 1030 pixels, seams between chips filled, gaps of 37 and 10 (pyFAI, detectors/_dectris.py);
    # DESY P10 masks one pixel more on either side (bcdi)
    "eiger-500k": Detector(Axis(1, 514), Axis(1, 1030)),
    "eiger-1m": Detector(Axis(2, 514, 37, wide=1), Axis(1, 1030)),
    "eiger-4m": Detector(Axis(4, 514, 37, wide=1), Axis(2, 1030, 10, wide=1)),
    # ESRF ID01: 2164 x 1030 pixels, seams between chips masked too (bcdi)
    "eiger-2m": Detector(Axis(4, 514, 36, chips=2, seam=2, wide=1), Axis(1, 1030, chips=4, seam=2, wide=1)),
    # Dectris EIGER2: modules of 512 x 1028 pixels, gaps of 38 and 12 (pyFAI, detectors/_dectris.py)
    "eiger2-1m": Detector(Axis(2, 512, 38), Axis(1, 1028)),
    "eiger2-4m": Detector(Axis(4, 512, 38), Axis(2, 1028, 12)),
}
"""What beamlines use, by name."""


@dataclass(frozen=True)
class Window:
    """Where a pattern lies on a detector, and the pixels that are bad there.

    Parameters
    ----------
    detector : str
        One of `DETECTORS`.
    corner : (int, int)
        First row and column of the detector in the window.
    binning : int
        Pixels summed along rows and columns to a voxel; one of them unmeasured leaves the voxel unmeasured.
    bad : tuple of (row, column, rows, columns)
        Rectangles of dead and hot pixels, from the corner of the window.

    Raises
    ------
    InputError
        If the detector is unknown, or the window reaches beyond it.
    """

    detector: str
    corner: tuple[int, int]
    binning: int = 1
    bad: tuple[tuple[int, int, int, int], ...] = ()

    def __post_init__(self) -> None:
        check_detectors((self.detector,), (self.binning,))
        for corner, length in zip(self.corner, DETECTORS[self.detector].shape, strict=True):
            if not 0 <= corner <= length - PATTERN_VOXELS * self.binning:
                raise InputError(
                    f"A window of {PATTERN_VOXELS * self.binning} pixels from pixel {corner} reaches beyond "
                    f"{self.detector}, which has {length}; give 0 to {length - PATTERN_VOXELS * self.binning}."
                )
        for row, column, height, width in self.bad:
            if min(row, column) < 0 or min(height, width) < 1:
                raise InputError(
                    f"The bad pixels {(row, column, height, width)} are no rectangle of the window; give a row and column "
                    "of at least 0, and at least one row and column."
                )

    def mask(self) -> Bool[Tensor, "64 64"]:
        """True = measured, in every frame."""
        detector, size = DETECTORS[self.detector], PATTERN_VOXELS * self.binning
        rows, columns = (
            axis.measured()[start : start + size]
            for axis, start in zip((detector.rows, detector.columns), self.corner, strict=True)
        )
        pixels = rows[:, None] & columns
        for row, column, height, width in self.bad:
            pixels[row : row + height, column : column + width] = False
        voxels = pixels.unflatten(1, (-1, self.binning)).unflatten(0, (-1, self.binning))
        return voxels.all(3).all(1)


def draw_window(
    generator: torch.Generator,
    detectors: tuple[str, ...],
    binnings: tuple[int, ...],
    bad_share: tuple[float, float],
    lines: float,
    *,
    over_gap: bool = False,
) -> Window:
    """A window anywhere on one of the detectors, but with the pixels about its middle measured, or its middle in a gap.

    Parameters
    ----------
    generator : torch.Generator
    detectors : names
        Each as likely as the others.
    binnings : ints
        Likewise.
    bad_share : (float, float)
        Least and most share of dead and hot pixels, uniform in the logarithm. One in ten is a block of 2 x 2.
    lines : float
        Probability of a dead piece of a column.
    over_gap : bool
        Whether a gap lies over the middle, across the rows or the columns, each as likely where both have gaps; along the
        other direction the pixels about the middle measure.

    Raises
    ------
    InputError
        If a gap is wanted on a detector that has none.
    """
    name = detectors[choice(generator, len(detectors))]
    binning = binnings[choice(generator, len(binnings))]
    detector, size = DETECTORS[name], PATTERN_VOXELS * binning
    axes = (detector.rows, detector.columns)
    starts = [_starts(axis, binning) for axis in axes]
    if over_gap:
        crossed = [place for place, axis in enumerate(axes) if len(_over_a_gap(axis, binning))]
        if not crossed:
            raise InputError(
                f"No gap of {name} can lie over a peak; choose a detector with gaps, for instance maxipix."
            )
        place = crossed[choice(generator, len(crossed))]
        starts[place] = _over_a_gap(axes[place], binning)
    row, column = (int(of_axis[choice(generator, len(of_axis))]) for of_axis in starts)
    number = int(torch.poisson(torch.tensor(log_uniform(generator, bad_share) * size**2), generator=generator))
    bad = []
    for _ in range(number):
        edge = 2 if happens(generator, 0.1) else 1
        bad.append((choice(generator, size), choice(generator, size), edge, edge))
    if happens(generator, lines):
        bad.append((choice(generator, size), choice(generator, size), 8 + choice(generator, size - 8), 1))
    return Window(name, (row, column), binning, tuple(b for b in bad if _is_clear(b, binning)))


def check_detectors(names: tuple[str, ...], binnings: tuple[int, ...]) -> None:
    """Raise an `InputError` where there is nothing to choose from, a name is unknown, or a window does not fit."""
    if not names:
        raise InputError(f"There is no detector to choose from; give at least one of {', '.join(DETECTORS)}.")
    if not binnings:
        raise InputError("There is no binning to choose from; give at least one, for instance 1.")
    for name in names:
        if name not in DETECTORS:
            raise InputError(f"The detector {name!r} is unknown; choose from {', '.join(DETECTORS)}.")
        usable = _usable_binnings(DETECTORS[name])
        for binning in binnings:
            if binning not in usable:
                raise InputError(
                    f"Bins of {binning} pixels do not suit {name}: no window of {PATTERN_VOXELS} bins on its "
                    f"{' x '.join(map(str, DETECTORS[name].shape))} pixels has its middle off the gaps; give "
                    f"{', '.join(map(str, usable))}."
                )


@cache
def _usable_binnings(detector: Detector) -> tuple[int, ...]:
    """Bins of which a window fits on the detector, its middle measured."""
    axes = (detector.rows, detector.columns)
    most = min(detector.shape) // PATTERN_VOXELS
    return tuple(b for b in range(1, most + 1) if all(len(_starts(axis, b)) for axis in axes))


@cache
def _starts(axis: Axis, binning: int) -> Int[Tensor, " starts"]:
    """First pixels of the windows whose middle measures."""
    size, middle = PATTERN_VOXELS * binning, PATTERN_VOXELS // 2 * binning
    clear = slice(middle - CLEAR * binning, middle + (CLEAR + 1) * binning)
    windows = axis.measured().unfold(0, size, 1)
    return torch.nonzero(windows[:, clear].all(1))[:, 0]


@cache
def _over_a_gap(axis: Axis, binning: int) -> Int[Tensor, " starts"]:
    """First pixels of the windows whose middle voxel does not measure."""
    middle = PATTERN_VOXELS // 2 * binning
    windows = axis.measured().unfold(0, PATTERN_VOXELS * binning, 1)
    return torch.nonzero(~windows[:, middle : middle + binning].all(1))[:, 0]


def _is_clear(bad: tuple[int, int, int, int], binning: int) -> bool:
    """Whether a rectangle of bad pixels lies off the middle of the window."""
    low = (PATTERN_VOXELS // 2 - CLEAR) * binning
    high = (PATTERN_VOXELS // 2 + CLEAR + 1) * binning
    row, column, height, width = bad
    return row + height <= low or row >= high or column + width <= low or column >= high
