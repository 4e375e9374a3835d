"""From the numbers of a file to counts of photons: roots and logarithms undone, dark level subtracted, gain divided."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Shaped

from autophasenn.errors import InputError
from autophasenn.preprocessing.levels import Level, dark_level
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.units import (
    BY_NAME,
    COUNTS,
    Scale,
    lit_sample,
    photon_unit,
    scale_of,
    unit_by_frame,
    unit_in_noise,
)

SURE = 0.3
"""Read noise, in photons, below which single photons are told apart and values are rounded to them."""
AS_COUNTED = 0.3
"""Relative difference from the level of the variance about it, in a background of counts, whose variance is the level."""
SAME = 1e-6
"""Relative difference from 1 of a gain that is none."""
LARGEST_VALUE = 1e60
"""In a file: its fourth power, of which a fourth root would be, is a number of double precision still."""
MOST_PHOTONS = 1e18
"""In a voxel: no source gives so many, and squares of more are no numbers of single precision."""
FEWEST_PHOTONS = 1e-30
"""In the brightest voxel: less is soon no number of single precision."""


@dataclass(frozen=True, eq=False)
class Counted:
    """Counts, and what was made of the file's numbers to have them.

    Parameters
    ----------
    counts : float32 array (frames, rows, columns)
        0 in masked voxels.
    warnings : list of sentences
        One for each thing that changed the numbers.
    facts : dict
        ``values`` (word), ``gain`` (units of the file a photon), ``dark_level``, ``read_noise`` (units of the file).
    """

    counts: np.ndarray
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, float | int | str] = field(default_factory=dict)


def as_counts(
    frames: Shaped[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    options: Preprocessing,
    dark: Shaped[np.ndarray, "rows columns"] | None = None,
) -> Counted:
    """Counts of photons from the numbers of a file, in measured voxels.

    Parameters
    ----------
    frames : array (frames, rows, columns)
        As stored, finite where measured.
    mask : bool array (frames, rows, columns)
        True = measured.
    options : Preprocessing
        Whose `values`, `dark_level` and `gain`, where they are given, take the place of what would be found.
    dark : array (rows, columns), optional
        To be subtracted, in the file's units: of a detector that has a level without light.

    Raises
    ------
    InputError
        If values are negative and neither noise nor logarithms explain that, or are too large or too small for counts.
    """
    known = np.where(mask, frames, 0)
    if dark is not None:
        known = np.where(mask, known - dark.astype(np.float64), 0)
    _check_values(known)
    warnings: list[str] = []
    scale, unit = _scale(known, mask, options)
    level = None
    if scale is not COUNTS:
        with np.errstate(over="ignore"):  # infinity is refused below, in words
            known = np.where(mask, np.maximum(scale.counts_of(known.astype(np.float64)), 0), 0)
        how = f"taken as {scale.words}"
        _check_photons(known, 1.0, how)
        source = "as preprocess.values says" if options.values else "for then they are whole numbers"
        warnings.append(
            f"The values are taken as {scale.words}, {source}, and turned back into counts; give counts, as a root or "
            "logarithm loses some."
        )
        if unit is None:
            unit = photon_unit(lit_sample(known, mask))
        if unit:
            _check_photons(known, unit, how)
        counts = np.rint(known / unit).astype(np.float32) if unit else known.astype(np.float32)
    else:
        level = _level(known, mask, options)
        if dark is not None:
            _check_dark(known, mask, level, float(np.median(dark)))
        lit = lit_sample(known - np.float64(level.height) if level else known, mask)
        noise = level.noise if level else 0.0
        is_noisy = noise > 0 and options.gain is None
        unit = options.gain or (unit_in_noise(lit, noise) if is_noisy else photon_unit(lit))
        by_frame = None
        if unit is None and level is None and frames.dtype.kind == "f":
            unit = by_frame = unit_by_frame(known, mask)
        warnings += _on_level(level, options, noise, unit, dark is not None)
        warnings += _on_gain(unit, options, noise, by_frame is not None)
        if unit is None and is_noisy and level is not None and not _is_of_counting(level):
            warnings.append(
                f"Single photons do not stand out of a read noise of {noise:.3g} units, so how many units one gives is not "
                "known, and one is assumed: chi2 is then relative to another noise than the real one. Give it as "
                "preprocess.gain (--gain)."
            )
        _check_photons(
            known, unit or 1.0, _made_by(options), level, least=FEWEST_PHOTONS if options.gain is None else 1.0
        )
        counts = _photons(known, mask, level, options.noise_cut, unit or 1.0)
        _check_negative(known, mask, level)
    return Counted(
        counts,
        warnings,
        {
            "values": scale.name,
            "gain": unit or 1.0,
            "dark_level": level.height if level else 0.0,
            "read_noise": level.noise if level else 0.0,
        },
    )


def _scale(known: np.ndarray, mask: np.ndarray, options: Preprocessing) -> tuple[Scale, float | None]:
    """What the values are, and the unit of their counts where that was found with it."""
    if options.values is not None:
        return BY_NAME[options.values], None
    lit = lit_sample(known, mask)
    if known.dtype.kind != "f" or photon_unit(lit) is not None:
        return COUNTS, None
    return scale_of(lit, float(known.min(where=mask, initial=np.inf))) or (COUNTS, None)


def _level(known: np.ndarray, mask: np.ndarray, options: Preprocessing) -> Level | None:
    found = dark_level(known, mask)
    if options.dark_level is None:
        return found
    if options.dark_level == 0 and found is not None and not found.is_subtracted:
        return None
    return Level(options.dark_level, found.noise if found else 0.0, is_subtracted=bool((known < 0).any()))


def _is_of_counting(level: Level) -> bool:
    """Is the noise that of a background of counted photons, in which one is one unit?"""
    return abs(level.noise**2 - level.height) <= AS_COUNTED * level.height


def _photons(
    known: np.ndarray, mask: np.ndarray, level: Level | None, cut: float, unit: float
) -> Float[np.ndarray, "frames rows columns"]:
    """Photons, float32: without level and noise, in units of one photon, never below 0."""
    if level is None:
        if abs(unit - 1) <= SAME:
            return known.astype(np.float32)
        counts = np.empty(known.shape, np.float32)
        # In double precision, which holds any unit, and frame by frame, without a copy of the whole.
        for frame, values in zip(counts, known, strict=True):
            frame[...] = values / np.float64(unit)
        return counts
    above = known.astype(np.float64) - level.height
    if 0 < level.noise < SURE * unit:
        return np.where(mask, np.maximum(np.rint(above / unit), 0), 0).astype(np.float32)
    above[above < cut * level.noise] = 0
    return np.where(mask, above / unit, 0).astype(np.float32)


def _on_level(
    level: Level | None, options: Preprocessing, noise: float, unit: float | None, is_dark_given: bool
) -> list[str]:
    if level is None:
        return []
    after = "what is left below 0 is taken as 0"
    if noise > 0 and unit is not None and noise < SURE * unit:
        after = "what is left is rounded to whole photons"
    elif noise > 0:
        after = f"what does not rise {options.noise_cut:g} times its noise above it is taken as 0"
    if options.dark_level is not None:
        return (
            [f"A dark level of {level.height:g} is subtracted, as preprocess.dark_level says; {after}."]
            if (level.height)
            else []
        )
    if level.is_subtracted:
        by = "the dark field" if is_dark_given else "a dark level"
        return [
            f"Values lie on both sides of zero, as read noise of {noise:.3g} units does once {by} is subtracted; {after}."
        ]
    spread = f", give or take {noise:.3g}," if noise else ""
    return [
        f"Voxels without light hold {level.height:.4g} units{spread} as a detector's dark level or an even background: it "
        f"is subtracted, and {after} (preprocess.dark_level decides otherwise)."
    ]


def _on_gain(unit: float | None, options: Preprocessing, noise: float, is_by_frame: bool) -> list[str]:
    if unit is None or abs(unit - 1) <= SAME:
        return []
    if options.gain is not None:
        return [f"The values are divided by {unit:g} units a photon, as preprocess.gain says."]
    if is_by_frame:
        return [
            "The values of each frame are multiples of a unit of its own, as counts over a monitor are: all are divided by "
            f"{unit:.4g}, the unit of the middle frame (preprocess.gain decides otherwise)."
        ]
    if noise > 0:
        return [
            f"One photon gives about {unit:.4g} units, as single ones show that stand out of the read noise: the values are "
            "divided by it (preprocess.gain decides otherwise)."
        ]
    return [
        f"All values are multiples of {unit:.6g}: one photon is so many units, and they are divided by it (preprocess.gain "
        "decides otherwise)."
    ]


def _made_by(options: Preprocessing) -> str:
    """How values become photons by what the options say, in words; empty where they say nothing."""
    said = [f"preprocess.{name} {value:g}" for name in ("dark_level", "gain") if (value := getattr(options, name))]
    return f"by {' and '.join(said)}" if said else ""


def _check_values(known: np.ndarray) -> None:
    """Refuse numbers beyond anything that a file holds counts, roots or logarithms as."""
    for value in (float(known.max()), float(known.min())):
        if abs(value) > LARGEST_VALUE:
            raise InputError(
                f"A value of {value:g} is no count: the voxel at {_place(known, value)} holds it; mask it, or repair the "
                "file."
            )


def _check_photons(
    known: np.ndarray, unit: float, how: str, level: Level | None = None, *, least: float = FEWEST_PHOTONS
) -> None:
    """Refuse values whose brightest voxel has more photons than any, or fewer than `least`; 0 is left to what follows."""
    top = float(known.max())
    photons = (top - (level.height if level else 0.0)) / unit
    where = f"The brightest voxel, at {_place(known, top)}, "
    by = f" ({how})" if how else ""
    if photons > MOST_PHOTONS:
        number = f"{photons:.3g}" if np.isfinite(photons) else "infinitely many"
        remedy = "say otherwise what the values are" if how else "mask it, or give counts"
        raise InputError(
            f"{where}holds {number} photons{by}, and no detector counts more than {MOST_PHOTONS:g}; {remedy}."
        )
    if 0 < photons < least:
        raise InputError(
            f"{where}holds {photons:.3g} photons{by}, and it must have more than one; give counts, or as preprocess.gain "
            "(--gain) how many units of the file one photon is."
        )


def _place(values: np.ndarray, value: float) -> str:
    """``[frame, row, column] = (1, 2, 3)``, the first that holds a value."""
    return f"[frame, row, column] = {tuple(int(i) for i in np.argwhere(values == value)[0])}"


def _check_dark(known: np.ndarray, mask: np.ndarray, level: Level | None, dark: float) -> None:
    if level is None and np.count_nonzero(mask & (known < 0)) > 0.5 * np.count_nonzero(mask):
        raise InputError(
            f"Half of the dark field's pixels hold {dark:g} or more, and the frames hold less: it is of another detector, "
            "or no dark field. Give the right one, or none; pixels above preprocess.dark_threshold are masked where that "
            "leaves most."
        )


def _check_negative(known: np.ndarray, mask: np.ndarray, level: Level | None) -> None:
    if level is not None and (level.is_subtracted or level.height > 0):
        return
    bad = mask & (known < 0)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{np.count_nonzero(bad)} measured voxels are negative, the first {known[where]:g} at [frame, row, column]"
            f" = {where}, and no noise about a dark level explains that; intensities are counts >= 0. Mask those voxels, or "
            "give the frames as the detector wrote them."
        )
