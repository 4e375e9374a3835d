"""Where the Bragg peak is, and the window about it that a fast Fourier transform likes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from autophasenn.errors import InputError

SMALL_PADDING = 0.04
"""Share of an axis that is padded with unmeasured voxels rather than losing as much on the other side."""
MOST_CROPPED = 0.15
"""Share of an axis beyond which it is padded instead of cropped."""
LONGEST = 1.25
"""Length that padding may give to an axis, relative to what was measured. A longer one holds little but unmeasured voxels:
it costs time and memory, and phases the less surely."""


@dataclass(frozen=True)
class AxisWindow:
    """The voxels of one raw axis that enter the pattern: ``size`` blocks of ``binning`` voxels from ``start`` on.

    The block ``size // 2`` holds the peak in its middle. `start` may be negative and `stop` beyond the axis: those
    voxels are unmeasured.
    """

    start: int
    size: int
    binning: int

    @property
    def stop(self) -> int:
        """The raw voxel behind the last one."""
        return self.start + self.size * self.binning

    @property
    def centre(self) -> int:
        """The raw voxel that lies at index ``n // 2`` of the unbinned window."""
        return self.start + self.size * self.binning // 2

    def cropped(self, size: int) -> int:
        """How many voxels of the raw axis, `size` long, do not enter the pattern."""
        return size - max(0, min(size, self.stop) - max(0, self.start))

    def middle_of(self, index: int) -> float:
        """Raw coordinate of the middle of binned voxel `index`."""
        return self.start + index * self.binning + (self.binning - 1) / 2


def find_peak(
    counts: Float[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> tuple[int, int, int]:
    """The brightest measured voxel of the Bragg peak.

    The peak is where the counts of a box (about 1/32 of each axis, at least 3 voxels) are highest, so that a lone hot
    voxel is not mistaken for it.

    Raises
    ------
    InputError
        If there are no counts, no box stands out of the background, or no value exceeds 1 (normalised data).
    """
    measured = np.where(mask, counts, 0)
    if not measured.any():
        hint = ""
        if mask.mean() < 0.5:
            hint = (
                f" The mask and the fields leave {mask.mean():.1%} of the voxels: in a mask True (1) means measured, and "
                "pixels above preprocess.dark_threshold in the dark field are masked."
            )
        raise InputError(
            f"The pattern is empty: no measured voxel has a count, so there is no Bragg peak to phase.{hint}"
        )
    box = [2 * (n // 64) + 1 if n >= 64 else 3 for n in counts.shape]
    volume = int(np.prod(box))
    smooth = ndimage.uniform_filter(measured, box, mode="constant") * volume
    share = max(float(mask.mean()), 1e-6)
    background = float(measured.mean(dtype=np.float64)) / share * volume
    highest, top = float(smooth.max()), float(measured.max())
    if top <= 1 or highest < 3 * background + 10 * np.sqrt(background) + 10:
        remedy = "Check that the scan is the right one and that the detector saw the peak."
        if (measured != np.floor(measured)).any():
            remedy = f"The values look normalised (largest {top:g}): give counts. If they are counts, c{remedy[1:]}"
        raise InputError(
            f"No Bragg peak stands out: the brightest {'x'.join(map(str, box))} voxels hold {highest:.3g} counts where "
            f"the average is {background:.2g}. {remedy}"
        )
    middle = np.unravel_index(int(smooth.argmax()), counts.shape)
    around = tuple(slice(max(0, int(m) - b), int(m) + b + 1) for m, b in zip(middle, box, strict=True))
    brightest = np.unravel_index(int(measured[around].argmax()), measured[around].shape)
    frame, row, column = (int(s.start + i) for s, i in zip(around, brightest, strict=True))
    return frame, row, column


def choose_window(size: int, peak: int, binning: int = 1, wanted: int | None = None) -> AxisWindow:
    """The window of one axis with the peak's block at ``n // 2`` and an even number of blocks with factors 2, 3, 5, 7.

    Keeps the axis whole if no more than 4 % of it must be padded for that; else crops it symmetrically about the peak;
    pads it where cropping would lose more than 15 %, up to 1.25 times its length, and crops it there.

    Parameters
    ----------
    size : int
        Voxels of the raw axis.
    peak : int
        Index of the peak on it.
    binning : int
        Voxels a block.
    wanted : int, optional
        Blocks asked for by the user, instead of all this.
    """
    first = peak - binning // 2
    before, after = max(0, first // binning), max(0, (size - first) // binning)
    if wanted is not None:
        blocks = wanted
    else:
        whole = friendly_size(size // binning)
        missing = max(0, whole // 2 - before) + max(0, whole - whole // 2 - after)
        cropped = friendly_size(2 * min(before, after))
        if missing <= SMALL_PADDING * whole:
            blocks = whole
        elif 2 * min(before, after) * binning >= (1 - MOST_CROPPED) * size:
            blocks = cropped
        else:
            blocks = friendly_size(min(2 * max(before, after), int(LONGEST * size) // binning))
    return AxisWindow(first - (blocks // 2) * binning, blocks, binning)


def friendly_size(size: int) -> int:
    """The largest even number <= `size` (at least 2) whose prime factors are 2, 3, 5 and 7: fast in every FFT."""
    for candidate in range(size - size % 2, 2, -2):
        rest = candidate
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return candidate
    return 2
