"""Scan -> Pattern: corrected, centred, its gaps, hot pixels and aliens masked, its sampling known and not wasted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from autophasenn.errors import InputError, PlanError
from autophasenn.preprocessing.aliens import Aliens, Cluster, alien_warnings, search_for_aliens
from autophasenn.preprocessing.corrections import correct
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.oversampling import Profiles, choose_binning, sampling_warnings
from autophasenn.preprocessing.sampling import Windows, sampled
from autophasenn.preprocessing.window import (
    check_peak_place,
    choose_window,
    crop_warnings,
    find_peak,
    friendly_size,
    reach_of_light,
)
from autophasenn.volumes import Pattern, Scan, bin_sum, window_around

Wanted = tuple[int | None, int | None, int | None]
"""Blocks asked for along each axis; None: as many as there are."""
LEAST_WINDOW = 64
"""Rows and columns that are left of a scan: the network's box."""


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """A pattern and what was found on the way to it.

    Parameters
    ----------
    pattern : Pattern
        Counts stay in its masked voxels, to be drawn.
    oversampling : tuple of 3 floats
        After binning.
    binning : tuple of 3 ints
    peak : tuple of 3 ints
        (frame, row, column) of the Bragg peak's brightest voxel in the raw scan.
    window : tuple of 3 AxisWindow
        Which raw voxels the pattern's came from.
    aliens : Aliens
        On the grid of the pattern.
    warnings : tuple of sentences
    are_aliens_known : bool
        Whether aliens were searched for.
    facts : dict
        Numbers for the report: ``photons``, ``masked_fraction``, ``background_per_voxel`` (counts per raw voxel),
        ``cut_fraction`` (of the scan, as it holds no light), ``aliens``, ``alien_photons``, and those of
        `corrections.Corrected`.
    is_mask_given : bool
        Whether the scan came with a mask.
    """

    pattern: Pattern
    oversampling: tuple[float, float, float]
    binning: tuple[int, int, int]
    peak: tuple[int, int, int]
    window: Windows
    aliens: Aliens
    warnings: tuple[str, ...] = ()
    are_aliens_known: bool = True
    facts: dict[str, int | float | str] = field(default_factory=dict)
    is_mask_given: bool = False


def preprocess(scan: Scan, options: Preprocessing | None = None) -> Preprocessed:
    """Make a scan ready for phase retrieval.

    Detector corrections, Bragg peak to ``n // 2``, aliens masked, rocking axis binned as its oversampling allows.

    Parameters
    ----------
    scan : Scan
    options : Preprocessing, optional
        None: the defaults.

    Raises
    ------
    InputError
        If the scan is no 3-D volume of counts, is empty, has no peak, its peak lies on the edge, or nothing that has light
        is left.
    PlanError
        If the binning or the shape asked for do not suit the scan's size.
    """
    options = options or Preprocessing()
    _check_sizes(options, np.shape(scan.frames))
    corrected = correct(scan, options)
    counts, mask, warnings = corrected.counts, corrected.mask, list(corrected.warnings)
    peak = find_peak(
        counts, mask | corrected.full, float(corrected.facts["read_noise"]) / float(corrected.facts["gain"])
    )
    warnings += check_peak_place(peak, counts.shape)
    background = uniform_background(counts, mask)

    fine = whole = _windows(counts.shape, peak, (1, 1, 1), (None, None, None))
    is_large = math.prod(w.size for w in whole) > 2 * options.most_voxels
    is_padded = any(w.size > n for w, n in zip(whole[1:], counts.shape[1:], strict=True))
    if (is_large or is_padded) and options.shape is None:
        reach = reach_of_light(counts, mask, peak, background, options.alien_share)
        fine = _windows(counts.shape, peak, (1, 1, 1), _limits(whole, reach, options.binning or (1, 1, 1)))
    if options.count_threshold > 0:
        counts[counts < options.count_threshold] = 0
    fine_counts, fine_mask = _cut(counts, fine), _cut(mask, fine)
    _check_light(fine_counts, fine_mask, corrected.full, options)
    profiles = Profiles.of(fine_counts, fine_mask)
    oversampling = profiles.oversampling(with_foot=not options.find_aliens)
    alien = np.zeros(counts.shape, bool)
    clusters: list[Cluster] = []
    lobes: list[Cluster] = []
    if options.find_aliens:
        found = search_for_aliens(fine_counts, fine_mask, oversampling, options)
        _paste(alien, found.mask, fine)
        clusters = [_to_raw(cluster, fine) for cluster in found.clusters]
        lobes = [_to_raw(cluster, fine) for cluster in found.lobes]
        if any(profiles.ends_in_noise):  # now that no alien has part in the foot
            profiles = Profiles.of(fine_counts, fine_mask & ~found.mask) if found.mask.any() else profiles
            oversampling = profiles.oversampling(with_foot=True)

    sizes = [w.size for w in fine]
    binning = options.binning or _automatic_binning(oversampling, sizes, options)
    wanted = options.shape or tuple(
        None if w.size == limit else friendly_size(limit // b)
        for w, limit, b in zip(whole, sizes, binning, strict=True)
    )
    windows, binned, measured = _bin_about_peak(
        counts, mask & ~alien, corrected.full, peak, binning, (wanted[0], wanted[1], wanted[2])
    )
    left = tuple(o / b for o, b in zip(oversampling, binning, strict=True))
    aliens = _on_pattern(alien, clusters, lobes, windows)
    if options.shape is None:
        warnings += crop_warnings(
            windows, counts.shape, is_cut=[w.size != limit for w, limit in zip(whole, sizes, strict=True)]
        )
    warnings += sampling_warnings(left, binning)
    warnings += alien_warnings(clusters, lobes)
    facts: dict[str, float | int | str] = {
        "photons": float(binned[measured].sum(dtype=torch.float64)),
        "masked_fraction": 1 - float(measured.double().mean()),
        "background_per_voxel": background,
        "cut_fraction": 1 - math.prod(sizes) / math.prod(w.size for w in whole),
        **corrected.facts,
        "aliens": len(aliens.clusters),
        "alien_photons": sum(c.counts for c in aliens.clusters),
    }
    pattern, told = sampled(binned, measured, corrected.geometry, windows, options.off_grid)
    warnings += told
    return Preprocessed(
        pattern=pattern,
        oversampling=(left[0], left[1], left[2]),
        binning=binning,
        peak=peak,
        window=windows,
        aliens=aliens,
        warnings=tuple(warnings),
        are_aliens_known=options.find_aliens,
        facts=facts,
        is_mask_given=scan.mask is not None,
    )


def uniform_background(
    counts: Float[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> float:
    """Counts per voxel where the pattern is weakest: the lower quintile of the means over blocks of 1/12 of each axis."""
    edges = [np.linspace(0, n, min(12, n) + 1).astype(int) for n in counts.shape]
    # Slab by slab along the first axis: reduceat would copy the whole volume to sum it in double precision.
    slabs = [slice(start, stop) for start, stop in itertools.pairwise(edges[0])]
    total = np.stack([np.where(mask[s], counts[s], 0).sum(0, dtype=np.float64) for s in slabs])
    measured = np.stack([mask[s].sum(0, dtype=np.float64) for s in slabs])
    for axis in (1, 2):
        total, measured = (np.add.reduceat(volume, edges[axis][:-1], axis) for volume in (total, measured))
    valid = measured > 0
    return float(np.quantile(total[valid] / measured[valid], 0.2))


def _windows(shape: tuple[int, ...], peak: tuple[int, ...], binning: tuple[int, int, int], wanted: Wanted) -> Windows:
    first, second, third = (choose_window(n, p, b, w) for n, p, b, w in zip(shape, peak, binning, wanted, strict=True))
    return first, second, third


def _limits(whole: Windows, reach: tuple[int, int], binning: tuple[int, int, int]) -> Wanted:
    """Sizes of a window that holds the light, and the network's box, no larger than the whole; all frames."""
    rows, columns = (
        None if (size := max(LEAST_WINDOW * b, friendly_size(2 * far))) >= w.size else size
        for w, far, b in zip(whole[1:], reach, binning[1:], strict=True)
    )
    return None, rows, columns


def _automatic_binning(
    oversampling: tuple[float, float, float], sizes: Sequence[int], options: Preprocessing
) -> tuple[int, int, int]:
    """Frames as the oversampling allows, and pixels where the pattern would be too large else."""
    frames, rows, columns = (
        choose_binning(o, size, options.keep_oversampling, options.smallest_axis)
        for o, size in zip(oversampling, sizes, strict=True)
    )
    return (frames, rows, columns) if math.prod(sizes) // frames > options.most_voxels else (frames, 1, 1)


def _cut(volume: np.ndarray, windows: Windows) -> np.ndarray:
    """The unbinned window of a raw volume, zero (False) beyond its edges."""
    size = [w.stop - w.start for w in windows]
    return window_around(torch.from_numpy(volume), [w.centre for w in windows], size).numpy()


def _paste(volume: np.ndarray, part: np.ndarray, windows: Windows) -> None:
    """Write an unbinned window back into its raw volume, in place."""
    inside = [(max(0, w.start), min(n, w.stop)) for w, n in zip(windows, volume.shape, strict=True)]
    source = tuple(slice(a - w.start, b - w.start) for (a, b), w in zip(inside, windows, strict=True))
    volume[tuple(slice(a, b) for a, b in inside)] = part[source]


def _bin_about_peak(
    counts: np.ndarray,
    mask: np.ndarray,
    full: np.ndarray,
    peak: tuple[int, int, int],
    binning: tuple[int, int, int],
    shape: Wanted,
) -> tuple[Windows, torch.Tensor, torch.Tensor]:
    """Cut and bin so that the brightest binned voxel of the peak lies at ``n // 2``: (windows, counts, mask).

    A binned voxel is measured if all of its voxels are: what is missing of it cannot be guessed on a steep peak. Voxels in
    which the counter was full are not measured, and bright.
    """
    whole = int(np.prod(binning))
    bright = mask | full
    lit = np.where(bright, counts, 0)
    for _ in range(3):
        windows = _windows(counts.shape, peak, binning, shape)
        binned = bin_sum(torch.from_numpy(_cut(lit, windows)), binning)
        seen = bin_sum(torch.from_numpy(_cut(bright, windows).astype(np.float32)), binning) == whole
        middle = [n // 2 for n in binned.shape]
        near = tuple(slice(max(0, m - 1), m + 2) for m in middle)
        block = torch.where(seen[near], binned[near], -1)
        brightest = np.unravel_index(int(block.argmax()), block.shape)
        shift = [s.start + int(i) - m for s, i, m in zip(near, brightest, middle, strict=True)]
        if block.max() <= binned[tuple(middle)] or not any(shift):
            break
        # The blocks about the brightest raw voxel need not hold the brightest block: step to the one that does.
        peak = tuple(p + s * b for p, s, b in zip(peak, shift, binning, strict=True))  # type: ignore[assignment]
    measured = bin_sum(torch.from_numpy(_cut(mask, windows).astype(np.float32)), binning) == whole
    total = bin_sum(torch.from_numpy(_cut(counts, windows)), binning)
    return windows, total, measured


def _on_pattern(alien: np.ndarray, clusters: list[Cluster], lobes: list[Cluster], windows: Windows) -> Aliens:
    """Aliens from the raw grid onto that of the pattern; those outside of it are dropped."""
    mask = bin_sum(torch.from_numpy(_cut(alien, windows).astype(np.float32)), [w.binning for w in windows]) > 0

    def inside(found: list[Cluster]) -> tuple[Cluster, ...]:
        moved = [replace(c, centre=_index(c.centre, windows)) for c in found]
        return tuple(c for c in moved if all(0 <= i < w.size for i, w in zip(c.centre, windows, strict=True)))

    return Aliens(mask.numpy(), inside(clusters), inside(lobes))


def _index(raw: tuple[int, int, int], windows: Windows) -> tuple[int, int, int]:
    """Index in the pattern of the voxel that raw voxel `raw` went to; outside of its shape where it did not enter."""
    i, j, k = ((c - w.start) // w.binning for c, w in zip(raw, windows, strict=True))
    return i, j, k


def _to_raw(cluster: Cluster, windows: Windows) -> Cluster:
    frame, row, column = (c + w.start for c, w in zip(cluster.centre, windows, strict=True))
    return replace(cluster, centre=(frame, row, column))


def _check_light(counts: np.ndarray, mask: np.ndarray, full: np.ndarray, options: Preprocessing) -> None:
    """Refuse a pattern of which nothing that is measured has light, though something had."""
    if (mask & (counts > 0)).any():
        return
    if options.count_threshold > 0:
        raise InputError(
            f"preprocess.count_threshold is {options.count_threshold:g} and removes every lit voxel that is measured; give "
            "a lower one, or 0."
        )
    limit = (
        "" if options.saturation is None else f" (preprocess.saturation is {options.saturation:g}, which removes them)"
    )
    raise InputError(
        f"Every lit voxel is taken as full{limit}, {int(full.sum())} in all, and none is left to phase; give as "
        "preprocess.saturation (--saturation) the value in the file from which on a voxel is full."
    )


def _check_sizes(options: Preprocessing, scanned: tuple[int, ...]) -> None:
    """Refuse what no scan of this size can be binned or padded to."""
    for axis, size in enumerate(scanned[:3]):
        binning = 1 if options.binning is None else options.binning[axis]
        if binning > max(1, size // 4):
            raise PlanError(
                f"binning is {options.binning} and the scan has {size} voxels along axis {axis}; at least 4 must be left, "
                f"so give at most {max(1, size // 4)} there."
            )
        if options.shape is not None and options.shape[axis] > 2 * max(4, size // binning):
            raise PlanError(
                f"shape is {options.shape} and the scan has {size // binning} voxels along axis {axis}, binned by "
                f"{binning}; padding to more than twice as many makes no sense."
            )
