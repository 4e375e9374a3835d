"""Where the Bragg peak is, how far its light reaches, and the window about it that a fast Fourier transform likes."""

from __future__ import annotations

from collections.abc import Sequence
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
SIGMA = 2.0
"""Of the Gaussian that gathers photons for `reach_of_light`, pixels."""
SIGNIFICANCE = 5.0
"""Standard deviations of the background, and photons besides, that tell light from it."""
UNEVEN = 2.0
"""How many times the weakest background the strongest may be: more at the border is light."""
MARGIN = 1.2
"""How much farther than the light a window reaches: fringes go on below the noise, and bound the resolution."""
AXES = ("frame", "row", "column")
OUT_OF_NOISE = 8.0
"""Standard deviations of a dark voxel: of 10^9 voxels none is that bright by noise alone."""


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
    counts: Float[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    noise: float = 0.0,
) -> tuple[int, int, int]:
    """The brightest measured voxel of the Bragg peak.

    The peak is where the counts of a box (about 1/32 of each axis, at least 3 voxels) are highest, so that a lone hot
    voxel is not mistaken for it.

    Parameters
    ----------
    counts : float32 array (frames, rows, columns)
    mask : bool array (frames, rows, columns)
        True = measured.
    noise : float
        Standard deviation of a dark voxel, counts: the brightest voxel stands `OUT_OF_NOISE` times as high.

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
    if top <= max(1, OUT_OF_NOISE * noise) or highest < 3 * background + 10 * np.sqrt(background) + 10:
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


def check_peak_place(peak: tuple[int, int, int], shape: tuple[int, ...]) -> list[str]:
    """Sentences on a peak near the edge of the scan.

    Raises
    ------
    InputError
        If it lies on the edge.
    """
    warnings = []
    for name, place, size in zip(AXES, peak, shape, strict=True):
        reach = min(place, size - 1 - place)
        if reach < 2:
            raise InputError(
                f"The Bragg peak lies on the edge of the scan ({name} {place} of {size}), so that one half of it was not "
                "measured; centre the peak and measure again."
            )
        if reach < 0.25 * size:
            warnings.append(
                f"The Bragg peak lies near the edge ({name} {place} of {size}): voxels whose symmetric side was not "
                "measured float freely, or are cropped."
            )
    return warnings


def crop_warnings(windows: Sequence[AxisWindow], shape: tuple[int, ...], is_cut: Sequence[bool]) -> list[str]:
    """Sentences on axes of a scan of `shape` that lose more than a centred peak would cost them, and were not cut."""
    return [
        f"{lost} of {size} {name}s ({lost / size:.0%}) are cropped on the side far from the Bragg peak, to have it in the "
        "middle; centre the peak on the detector and in the scan to keep them."
        for name, window, size, cut in zip(AXES, windows, shape, is_cut, strict=True)
        if not cut and (lost := window.cropped(size)) > MOST_CROPPED * size
    ]


def reach_of_light(
    counts: Float[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    peak: tuple[int, int, int],
    background: float,
    largest_alien: float = 0.02,
) -> tuple[int, int]:
    """Pixels from the Bragg peak to the farthest light of its crystal, along rows and along columns, with a margin.

    Light is where all frames together hold more photons than the background explains, and where the point opposite the
    peak does, too, if it was measured: light of another crystal has no counterpart (Friedel's law holds roughly for a
    strained crystal, and well for how far its light reaches). A lobe too bright to be taken for an alien counts, too.

    Parameters
    ----------
    counts : float array (frames, rows, columns)
    mask : bool array (frames, rows, columns)
    peak : (frame, row, column)
    background : float
        Counts per voxel where the pattern is weakest.
    largest_alien : float
        Share of all photons from which light without a counterpart belongs to the crystal.
    """
    area = 4 * np.pi * SIGMA**2
    image = np.where(mask, counts, 0).sum(0, dtype=np.float64)
    photons = area * ndimage.gaussian_filter(image, SIGMA, mode="constant")
    frames = ndimage.gaussian_filter(mask.sum(0, dtype=np.float64), SIGMA, mode="constant")
    known = frames > frames.max() / 2
    dark = min(_rate_at_the_border(photons, frames, known), UNEVEN * background * area) * frames
    light = photons > dark + SIGNIFICANCE * (np.sqrt(dark) + 1)
    paired = light & (_opposite(light, peak[1:]) | ~_opposite(known, peak[1:]))
    labels, number = ndimage.label(light & ~paired)
    shares = ndimage.sum_labels(image, labels, range(number + 1)) / max(float(image.sum()), 1.0)
    shares[0] = 0
    light = paired | (shares > largest_alien)[labels]
    rows, columns = (np.flatnonzero(light.any(other)) for other in (1, 0))
    farthest = [int(np.abs(found - p).max(initial=0)) for found, p in zip((rows, columns), peak[1:], strict=True)]
    return int(MARGIN * farthest[0]) + 1, int(MARGIN * farthest[1]) + 1


def _rate_at_the_border(
    photons: Float[np.ndarray, "rows columns"],
    frames: Float[np.ndarray, "rows columns"],
    known: Bool[np.ndarray, "rows columns"],
) -> float:
    """Median of the photons per frame in the outer eighth of the detector: what a background that is not even has."""
    inner = np.zeros_like(known)
    inner[tuple(slice(n // 8, n - n // 8) for n in known.shape)] = True
    border = known & ~inner
    return float(np.median(photons[border] / frames[border])) if border.any() else np.inf


def _opposite(image: Bool[np.ndarray, "rows columns"], centre: tuple[int, ...]) -> Bool[np.ndarray, "rows columns"]:
    """The image turned by half a circle about a pixel; True where its counterpart lies beyond the edge."""
    turned = np.ones_like(image)
    counterparts = [2 * c - np.arange(n) for c, n in zip(centre, image.shape, strict=True)]
    inside = [(i >= 0) & (i < n) for i, n in zip(counterparts, image.shape, strict=True)]
    turned[np.ix_(*inside)] = image[np.ix_(*[i[known] for i, known in zip(counterparts, inside, strict=True)])]
    return turned
