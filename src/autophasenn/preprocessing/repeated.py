"""Repeated scans of one reflection: brought onto one another, judged each against the others, and summed.

What a weak crystal gives in one scan is little, and a long scan drifts; so the same scan is measured several times. The
patterns are aligned to parts of a voxel by their cross-correlation (Guizar-Sicairos et al., Opt. Lett. 33, 156, 2008), and
summed if they show the same crystal. Two patterns are compared by the correlation of their moduli sqrt(n), of which
counting noise has the variance 1/4 whatever n: what that noise takes from the correlation is given back, so that 1 means
the same but for noise, however few the photons.

The sum is one of counts, and its noise that of counting, as long as voxels are moved by whole voxels and no frame is divided
by its monitor. So the whole shifts are chosen with a common offset that leaves the least for parts of a voxel, and only what
is then further off than `Summing.least_part` is interpolated.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from autophasenn.errors import InputError
from autophasenn.machine import check_room
from autophasenn.options import Positive, Share, options
from autophasenn.preprocessing.corrections import Corrected, correct
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.window import find_peak
from autophasenn.volumes import Scan, window_around

Shift = tuple[float, float, float]
WINDOW = 64
"""Voxels along each axis about the peak in which scans are compared."""
FINENESS = 100
"""Parts of a voxel to which shifts are found."""
ENOUGH = 4.0
"""Counts a voxel has in the mean of two scans to be compared: there sqrt(n) has the variance 1/4, to some percent."""
SAME_STEPS = 0.01
"""Relative difference between the geometries of scans of one reflection."""


@options
class Summing:
    """How repeated scans are judged and summed.

    Parameters
    ----------
    alike : float
        Least correlation of the moduli, counting noise allowed for, of scans that show the same crystal.
    least_part : float
        Parts of a voxel from which on a pattern is interpolated; below it, voxels stay where they are and counts whole.
    monitor : float
        Relative change of the monitor over the frames of the sum from which on each frame is divided by its share.
    """

    alike: Share = 0.9
    least_part: Positive = 0.25
    monitor: Positive = 0.02


@dataclass(frozen=True, eq=False)
class Judged:
    """One of several scans, and what became of it.

    Parameters
    ----------
    name : str
    photons : float
    shift : 3 floats
        Voxels (frame, row, column) by which its pattern lies further than that of the reference.
    alike : float
        Correlation with the reference, 1 = the same but for noise.
    why : str
        Why it is left out; empty: it is summed.
    section : array (rows, columns)
        Counts of the frame through its peak, about it.
    """

    name: str
    photons: float
    shift: Shift
    alike: float
    why: str
    section: np.ndarray

    @property
    def is_used(self) -> bool:
        """Is it part of the sum?"""
        return not self.why


@dataclass(frozen=True, eq=False)
class SummedScan(Scan):
    """The sum of repeated scans, corrected and masked.

    Parameters
    ----------
    judged : tuple of Judged
        Every scan that was given, in their order.
    """

    judged: tuple[Judged, ...] = ()


def sum_scans(scans: Sequence[Scan], how: Preprocessing | None = None, summing: Summing | None = None) -> SummedScan:
    """Sum the scans that show the same crystal.

    Parameters
    ----------
    scans : sequence of Scan
        Two or more of one reflection, as they were read.
    how : Preprocessing, optional
        Detector corrections, which come before pixels are moved; None: the defaults.
    summing : Summing, optional
        None: the defaults.

    Returns
    -------
    SummedScan
        On the grid, and with the geometry, of the reference: the scan to which most others are alike. A voxel is measured
        if it is in all scans that are summed.

    Raises
    ------
    InputError
        If there are fewer than two, or no two of them show the same crystal.
    """
    how, summing = how or Preprocessing(), summing or Summing()
    if len(scans) < 2:
        raise InputError(f"There is {len(scans)} scan to sum; give two or more of one reflection.")
    names = _names(scans)
    check_room(2 * sum(np.size(scan.frames) for scan in scans), "the sum of the scans")
    corrected = [correct(scan, how) for scan in scans]
    peaks = [find_peak(each.counts, each.mask) for each in corrected]
    windows = [_window(each, peak) for each, peak in zip(corrected, peaks, strict=True)]
    pairs = _pairs(scans, peaks, windows)
    reference = _reference(scans, pairs, corrected, names, summing)
    judged = []
    for index, scan in enumerate(scans):
        shift, alike = pairs[reference, index]
        why = _other_measurement(scan, scans[reference], names[reference])
        if not why and alike < summing.alike:
            why = (
                f"it correlates with {names[reference]} by {alike:.2f}, and {summing.alike:g} is asked for: it shows "
                "another crystal, or one that changed"
            )
        section = windows[index][WINDOW // 2]
        judged.append(
            Judged(names[index], float(corrected[index].counts.sum(dtype=np.float64)), shift, alike, why, section)
        )
    return _summed(scans, corrected, tuple(judged), reference, summing)


def of_the_sum(how: Preprocessing) -> Preprocessing:
    """The same for the sum of scans, whose values are counts already: neither gain nor dark level is taken out twice."""
    return replace(how, values="counts", gain=1.0, dark_level=0.0, saturation=None)


def shift_between(reference: Float[np.ndarray, "n n n"], moved: Float[np.ndarray, "n n n"]) -> Shift:
    """Voxels by which the pattern in `moved` lies further along each axis than the same in `reference`."""
    from skimage.registration import phase_cross_correlation

    back, _, _ = phase_cross_correlation(reference, moved, upsample_factor=FINENESS, normalization=None)
    first, second, third = (-float(part) for part in back)
    return first, second, third


def alikeness(one: Float[np.ndarray, "n n n"], other: Float[np.ndarray, "n n n"]) -> float:
    """Correlation of the moduli of two aligned patterns, counting noise allowed for; 1 where they differ by noise alone.

    Parameters
    ----------
    one, other : arrays of the same shape
        Counts.
    """
    scale = np.sqrt(one.sum() / max(float(other.sum()), 1e-30))
    bright = (one / scale + other * scale) / 2 >= ENOUGH
    if np.count_nonzero(bright) < 30:  # a weak pattern: its brightest voxels
        bright = one + other >= np.partition((one + other).ravel(), -30)[-30]
    a, b = np.sqrt(one[bright]), np.sqrt(other[bright])
    spread = [max(float(x.var()), 1e-30) for x in (a, b)]
    # Of the variance of sqrt(n), 1/4 is noise.
    signal = [max(1 - 0.25 / variance, 0.05) for variance in spread]
    covariance = float(((a - a.mean()) * (b - b.mean())).mean())
    return float(np.clip(covariance / np.sqrt(spread[0] * spread[1] * signal[0] * signal[1]), -1, 1))


def _names(scans: Sequence[Scan]) -> list[str]:
    names = []
    for number, scan in enumerate(scans, 1):
        name = str(scan.source.get("path") or f"scan {number}")
        which = scan.source.get("scan")
        names.append(name if which is None else f"{name} ({which})")
    return names if len(set(names)) == len(names) else [f"{number}: {name}" for number, name in enumerate(names, 1)]


def _window(corrected: Corrected, peak: tuple[int, int, int]) -> np.ndarray:
    counts = torch.from_numpy(np.where(corrected.mask, corrected.counts, 0))
    return window_around(counts, peak, (WINDOW,) * 3).numpy()


def _pairs(
    scans: Sequence[Scan], peaks: Sequence[tuple[int, int, int]], windows: Sequence[np.ndarray]
) -> dict[tuple[int, int], tuple[Shift, float]]:
    """Shift and alikeness of every pair, from the first to the second."""
    pairs: dict[tuple[int, int], tuple[Shift, float]] = {(i, i): ((0.0, 0.0, 0.0), 1.0) for i in range(len(scans))}
    for i, j in itertools.combinations(range(len(scans)), 2):
        part = shift_between(windows[i], windows[j])
        apart = [b - a + p for a, b, p in zip(peaks[i], peaks[j], part, strict=True)]
        spectrum = ndimage.fourier_shift(np.fft.fftn(windows[j]), [-p for p in part])
        alike = alikeness(windows[i], np.fft.ifftn(spectrum).real.clip(min=0))
        pairs[i, j] = ((apart[0], apart[1], apart[2]), alike)
        pairs[j, i] = ((-apart[0], -apart[1], -apart[2]), alike)
    return pairs


def _reference(
    scans: Sequence[Scan],
    pairs: dict[tuple[int, int], tuple[Shift, float]],
    corrected: Sequence[Corrected],
    names: Sequence[str],
    summing: Summing,
) -> int:
    """The scan to which most others are alike; of several, that with the most photons in its group."""
    photons = [float(each.counts.sum(dtype=np.float64)) for each in corrected]

    def weight(i: int) -> tuple[int, float, float]:
        alike = [j for j in range(len(corrected)) if pairs[i, j][1] >= summing.alike]
        group = [j for j in alike if not _other_measurement(scans[i], scans[j], "")]
        return len(group), sum(photons[j] for j in group), photons[i]

    best = max(range(len(corrected)), key=weight)
    if weight(best)[0] < 2:
        (i, j), (_, alike) = max(
            ((pair, found) for pair, found in pairs.items() if pair[0] != pair[1]), key=lambda item: item[1][1]
        )
        raise InputError(
            f"No two of the {len(corrected)} scans show the same crystal: the most alike, {names[i]} and {names[j]}, "
            f"correlate by {alike:.2f}, and {summing.alike:g} is asked for; reconstruct them one by one."
        )
    return best


def _other_measurement(scan: Scan, reference: Scan, name: str) -> str:
    """Why a scan cannot be summed with the reference, whatever it shows; empty: it can."""
    if np.shape(scan.frames) != np.shape(reference.frames):
        size, wanted = (" x ".join(map(str, np.shape(each.frames))) for each in (scan, reference))
        return f"it has {size} voxels and {name} {wanted}"
    if (scan.geometry is None) != (reference.geometry is None):
        return f"the geometry is known of only one of it and {name}"
    if scan.geometry is not None and reference.geometry is not None:
        pixel = (np.shape(scan.frames)[1] / 2, np.shape(scan.frames)[2] / 2)
        steps, expected = (each.geometry.reciprocal_steps(pixel) for each in (scan, reference))  # type: ignore[union-attr]
        if float((steps - expected).norm()) > SAME_STEPS * float(expected.norm()):
            return f"its steps in q are others than those of {name}"
        q, wished = (each.geometry.scattering_vector(pixel) for each in (scan, reference))  # type: ignore[union-attr]
        if float((q - wished).norm()) > SAME_STEPS * float(wished.norm()):
            return f"its Q is another than that of {name}"
    return ""


def _summed(
    scans: Sequence[Scan],
    corrected: Sequence[Corrected],
    judged: tuple[Judged, ...],
    reference: int,
    summing: Summing,
) -> SummedScan:
    used = [index for index, each in enumerate(judged) if each.is_used]
    warnings = [f"{each.name} is left out of the sum: {each.why}." for each in judged if not each.is_used]
    if len(used) < 2:
        raise InputError(f"No two of the {len(scans)} scans can be summed. {warnings[0]}")
    whole, parts = _whole_shifts(judged, used)
    shape = corrected[reference].counts.shape
    total, mask = np.zeros(shape, np.float32), np.ones(shape, bool)
    monitors = []
    interpolated = 0
    for index in used:
        counts, measured = corrected[index].counts, corrected[index].mask
        if max(map(abs, parts[index])) > summing.least_part:
            counts, measured = _moved_by_parts(counts, measured, parts[index])
            interpolated += 1
        middle = [n // 2 + by for n, by in zip(shape, whole[index], strict=True)]
        total += window_around(torch.from_numpy(counts), middle, shape).numpy()
        mask &= window_around(torch.from_numpy(measured), middle, shape).numpy()
        if scans[index].monitor is not None:
            frames = np.arange(shape[0]) + whole[index][0]
            monitors.append(np.asarray(scans[index].monitor, np.float64)[np.clip(frames, 0, shape[0] - 1)])
    furthest = max(max(map(abs, judged[index].shift)) for index in used)
    warnings.insert(
        0,
        f"{len(used)} scans are summed, {judged[reference].name} and {len(used) - 1} more, moved by up to {furthest:.2f} "
        "voxels onto it.",
    )
    are_counts = interpolated == 0
    if interpolated:
        warnings.append(
            f"{interpolated} of the scans were moved by parts of a voxel, so that their values are interpolated and no "
            "whole counts; their noise is taken for that of counting."
        )
    if len(monitors) == len(used):
        share = np.sum(monitors, axis=0)
        share = share / share.mean()
        change = float(np.abs(share - 1).max())
        if change > summing.monitor:
            total /= share[:, None, None].astype(np.float32)
            are_counts = False
            warnings.append(
                f"The monitor changes by up to {100 * change:.0f} % over the frames; each is divided by its share, so that "
                "values are no whole counts, and their noise is that of counting to as many percent."
            )
    warnings += [sentence for index in used for sentence in (*scans[index].warnings, *corrected[index].warnings)]
    frames = np.rint(total).astype(np.uint32) if are_counts else total.clip(min=0)
    source = {
        **scans[reference].source,
        "sha256": hashlib.sha256("".join(str(scans[i].source.get("sha256")) for i in used).encode()).hexdigest(),
        "summed": [
            {
                "path": str(scan.source.get("path")),
                "scan": scan.source.get("scan"),
                "sha256": scan.source.get("sha256"),
                "photons": each.photons,
                "shift": list(each.shift),
                "alike": each.alike,
                "left_out": each.why or None,
            }
            for scan, each in zip(scans, judged, strict=True)
        ],
    }
    return SummedScan(
        frames,
        mask=mask,
        geometry=scans[reference].geometry,
        source=source,
        warnings=tuple(dict.fromkeys(warnings)),
        judged=judged,
    )


def _whole_shifts(
    judged: Sequence[Judged], used: Sequence[int]
) -> tuple[dict[int, tuple[int, int, int]], dict[int, Shift]]:
    """By how many whole voxels each scan is moved, and by what parts of one it then still lies further than the mean.

    The place of the sum is free by less than a voxel: it is the mean, weighted by photons, of where the scans lie between
    voxels, so that the parts that are left are the least.
    """
    shifts = np.array([judged[index].shift for index in used])
    weights = np.array([judged[index].photons for index in used])
    turns = (weights[:, None] * np.exp(2j * np.pi * shifts)).sum(0)
    common = np.angle(turns) / (2 * np.pi)
    whole = np.rint(shifts - common).astype(int)
    parts = shifts - common - whole
    return (
        {index: (int(w[0]), int(w[1]), int(w[2])) for index, w in zip(used, whole, strict=True)},
        {index: (float(p[0]), float(p[1]), float(p[2])) for index, p in zip(used, parts, strict=True)},
    )


def _moved_by_parts(
    counts: Float[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"], parts: Shift
) -> tuple[np.ndarray, np.ndarray]:
    """Counts by splines of order 5, which keep what a pattern sampled twice as finely as needed has; without gaps' edges."""
    moved = ndimage.shift(np.where(mask, counts, 0), [-p for p in parts], order=5, mode="nearest")
    measured = ~ndimage.binary_dilation(~mask, iterations=2) if not mask.all() else mask
    return moved.clip(min=0), measured
