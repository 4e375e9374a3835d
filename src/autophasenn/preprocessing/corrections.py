"""Raw frames -> counts and mask: gap markers, units, dark, white field, dead and hot pixels, gaps that nobody marked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from autophasenn.errors import InputError
from autophasenn.preprocessing.counters import Full, clipped_voxels, saturated, without_overflow
from autophasenn.preprocessing.fields import apply_white_field, check_fields, is_of_an_integrating_detector
from autophasenn.preprocessing.frame_order import left_of, order_of, told
from autophasenn.preprocessing.gaps import detector_gaps, empty_lines, listing, mask_markers
from autophasenn.preprocessing.hot import Block, hot_blocks, hot_pixels, hot_voxels
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.values import as_counts
from autophasenn.preprocessing.window import find_peak
from autophasenn.volumes import Geometry, Scan


@dataclass(frozen=True, eq=False)
class Corrected:
    """A scan after detector corrections, still on its raw grid.

    Parameters
    ----------
    counts : float32 array (frames, rows, columns)
        Photons; finite and >= 0 everywhere; 0 where the file held a gap marker or NaN.
    mask : bool array (frames, rows, columns)
        True = measured.
    full : bool array (frames, rows, columns)
        Voxels in which the counter was full: not measured, but bright.
    geometry : Geometry, optional
        Of these frames.
    warnings : list of sentences
    facts : dict
        ``gap_pixels``, ``hot_pixels``, ``hot_voxels``, ``dead_pixels``, ``hot_blocks``, ``saturated_voxels``,
        ``repeated_frames``, ``dropped_frames`` (numbers), and those of `values.Counted`.
    """

    counts: np.ndarray
    mask: np.ndarray
    full: np.ndarray
    geometry: Geometry | None = None
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, int | float | str] = field(default_factory=dict)


def correct(scan: Scan, options: Preprocessing | None = None) -> Corrected:
    """Apply every detector correction to a scan.

    The dark field of a photon counter is not subtracted: it marks pixels.

    Parameters
    ----------
    scan : Scan
    options : Preprocessing, optional
        None: the defaults.

    Raises
    ------
    InputError
        Not 3-D, an auxiliary image of another shape or detector, NaN, negative counts or counts that overflowed in measured
        voxels, frames whose order is lost.
    """
    options = options or Preprocessing()
    warnings: list[str] = []
    frames = np.asarray(scan.frames)
    _check_shapes(scan, frames)
    mask = np.ones(frames.shape, bool) if scan.mask is None else np.array(np.broadcast_to(scan.mask, frames.shape))
    frames, mended = without_overflow(frames, mask)
    full = np.zeros(frames.shape, bool)
    if mended:
        warnings.append(mended)
    elif markers := mask_markers(frames, mask):
        clipped = clipped_voxels(frames, markers)
        gaps = sum(markers.values()) - (0 if clipped is None else int(clipped.sum()))
        if gaps:
            warnings.append(
                f"{gaps} voxels hold a detector's gap marker ({listing(markers)}) and are taken as unmeasured."
            )
        if clipped is not None:
            full |= clipped
            warnings.append(
                _on_saturation(
                    Full(clipped, float(np.iinfo(frames.dtype).max), "the largest value of its type"), frames
                )
            )
    _check_measured(frames, mask)
    is_integrating = scan.dark is not None and is_of_an_integrating_detector(scan.dark, options.dark_threshold)
    counted = as_counts(frames, mask, options, scan.dark if is_integrating else None)
    counts, geometry, facts = counted.counts, scan.geometry, dict(counted.facts)
    warnings += counted.warnings
    dead = np.zeros(frames.shape[1:], bool)
    if scan.dark is not None and not is_integrating:
        dead |= ~(scan.dark <= options.dark_threshold)
    if scan.white is not None:
        dead |= apply_white_field(counts, scan.white, options.dead_response)
    warnings += check_fields(counts, mask, dead, scan)
    mask &= ~dead
    threshold = applied_threshold(counts, mask)
    hot = hot_pixels(counts, mask, options.hot_contrast, threshold)
    mask &= ~hot
    lone = hot_voxels(counts, mask, options.hot_contrast, threshold)
    mask[tuple(lone.T)] = False
    in_blocks, blocks = hot_blocks(counts, mask, threshold)
    mask &= ~in_blocks
    warnings += _on_blocks(blocks)
    repeated = dropped = 0
    if options.check_order:
        order = order_of(counts, mask)
        if order.is_lost:  # that there is no peak says more
            find_peak(counts, mask | full, float(facts["read_noise"]) / float(facts["gain"]))
        warnings += told(order)
        mask[order.repeated] = False
        repeated, dropped = int(order.repeated.sum()), len(order.dropped)
        if order.mistake or order.dropped.size:
            geometry = left_of(geometry, order, len(frames))
            frames, counts, mask, full, in_blocks = (
                volume[order.frames] for volume in (frames, counts, mask, full, in_blocks)
            )
    ends = saturated(frames, mask & ~full, options.saturation, of_exposure=scan.saturation)
    if ends is not None:
        warnings.append(_on_saturation(ends, frames))
        full |= ends.where
    mask &= ~full
    measured = np.where(mask, counts, 0)
    # Zeros that a threshold made are no evidence of a gap.
    gaps_found, empty_frames = np.zeros(counts.shape[1:], bool), np.zeros(len(counts), bool)
    if threshold == 0:
        gaps_found = detector_gaps(measured.sum(0, dtype=np.float64), np.asarray(mask.any(0)))
        empty_frames = empty_lines(measured.sum((1, 2), dtype=np.float64)) & mask.any((1, 2))
    mask &= ~(gaps_found | empty_frames[:, None, None])
    if gaps_found.any():
        warnings.append(
            f"{gaps_found.sum()} pixels amid counts are zero in every frame and are taken as a detector gap."
        )
    if empty_frames.any():
        warnings.append(
            f"{empty_frames.sum()} frames are empty beside frames full of counts and are taken as unmeasured."
        )
    facts |= {
        "gap_pixels": int((gaps_found | ~(mask | full | in_blocks).any(0) & ~dead & ~hot).sum()),
        "dead_pixels": int(dead.sum()),
        "hot_pixels": int(hot.sum()),
        "hot_voxels": len(lone),
        "hot_blocks": len(blocks),
        "saturated_voxels": int(full.sum()),
        "repeated_frames": repeated,
        "dropped_frames": dropped,
    }
    return Corrected(counts, mask, full, geometry, warnings, facts)


def applied_threshold(
    counts: Float[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> float:
    """The threshold below which somebody set counts to 0 before; 0 if nobody did.

    Told by no count of 1, though pixels that count in some frames are zero in others.
    """
    smallest = float(counts.min(where=mask & (counts > 0), initial=np.inf))
    if not 1.5 < smallest < np.inf:
        return 0.0
    return smallest if bool(((counts == 0) & mask & (counts > 0).any(0)).any()) else 0.0


def _on_saturation(ends: Full, frames: np.ndarray) -> str:
    number = int(ends.where.sum())
    place = ", ".join(map(str, np.argwhere(ends.where)[0].tolist()))
    whose = f" ({ends.words})" if ends.words else ""
    what = "hold" if number > 1 else "holds"
    return (
        f"Saturation: {number} voxel{'s' if number > 1 else ''} {what} the largest value {ends.limit:g}{whose}, the first "
        f"at [frame, row, column] = {place}, and {'are' if number > 1 else 'is'} taken as unmeasured, as more light may "
        "have been there. Measure with an attenuator or shorter."
    )


def _on_blocks(blocks: list[Block]) -> list[str]:
    """One sentence: where the brightest is, and how many there are."""
    if not blocks:
        return []
    first = blocks[0]
    place = ", ".join(
        f"{name} {a}" if a == b else f"{name}s {a} to {b}"
        for name, a, b in zip(("frame", "row", "column"), first.first, first.last, strict=True)
    )
    more = f"; so {'is' if len(blocks) == 2 else 'are'} {len(blocks) - 1} more" if len(blocks) > 1 else ""
    return [
        f"A hot block ({place}) holds up to {first.largest:.4g} counts and ends like a cliff on all sides, as no light "
        f"does: it is masked{more}."
    ]


def _check_shapes(scan: Scan, frames: np.ndarray) -> None:
    if frames.ndim != 3 or frames.dtype.kind not in "uif":
        raise InputError(
            f"The frames form an array of shape {frames.shape} and type {frames.dtype}; a rocking scan is a 3-D volume "
            "[frame, row, column] of real counts. Give a stack of frames."
        )
    if min(frames.shape) < 4:
        raise InputError(
            f"The scan has shape {frames.shape}; every axis needs at least 4 voxels to hold a Bragg peak. "
            "Give the whole rocking scan."
        )
    for name, image, legal in (
        ("dark", scan.dark, [frames.shape[1:]]),
        ("white field", scan.white, [frames.shape[1:]]),
        ("mask", scan.mask, [frames.shape[1:], frames.shape]),
    ):
        if image is not None and image.shape not in legal:
            raise InputError(
                f"The {name} has shape {image.shape} but the frames have {frames.shape[1:]}; "
                "give the detector region that the frames show."
            )
    if scan.mask is not None and scan.mask.dtype != bool:
        raise InputError(f"The mask has type {scan.mask.dtype}; give booleans, True = measured.")


def _check_measured(frames: np.ndarray, mask: np.ndarray) -> None:
    if not mask.any():
        raise InputError("The mask leaves no measured voxel; True means measured, so the mask may be inverted.")
    if frames.dtype.kind == "f" and (bad := mask & ~np.isfinite(frames)).any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{np.count_nonzero(bad)} measured voxels are NaN or infinite, the first at [frame, row, column] = {where}; "
            "mask them (False = unmeasured) or repair the file."
        )
