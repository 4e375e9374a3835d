"""What one photon is in the numbers of a file, and whether they are counts at all or a root or a logarithm of them.

Counts are whole numbers. What was multiplied by one factor (a gain, analogue-to-digital units, an average, counts over a
monitor) lies on multiples of that factor; a root or a logarithm lies on no multiples, but its power or exponential does. So
nothing is assumed of the crystal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

SAMPLE = 200_000
"""Voxels that are looked at, evenly spread over those that hold light."""
FEWEST_LIT, FEWEST_STEPS = 100, 3
"""Voxels with light, and different values among them, from which a unit is told."""
LOWEST = 30
"""Different values, the lowest, that are looked at: there a multiple is told from what lies between."""
NEAR, FARTHEST, MOST_BETWEEN = 0.02, 0.1, 0.005
"""How far from a multiple a value may lie, in units, and at most for higher ones (rounding grows); which share of the
voxels may lie farther: chance would have 80 % of them there, and more."""
ALIKE = 1e-5
"""Relative difference of values that are the same but for rounding."""
MOST_MULTIPLES = 1e4
"""Of a unit in the lowest value: beyond, rounding hides multiples."""
FRAMES_ALIKE = 0.8
"""Share of the frames that have units of their own when a monitor was divided by."""
LARGEST_EXPONENT = 60.0
"""Beyond it no logarithm of counts lies."""


@dataclass(frozen=True)
class Scale:
    """A way in which counts are kept.

    Parameters
    ----------
    name : str
        As the option `values` calls it.
    words : str
        What a value is.
    counts_of : callable
        Values (float64) -> counts, up to a unit.
    """

    name: str
    words: str
    counts_of: Callable[[np.ndarray], np.ndarray]


SCALES = (
    Scale("counts", "counts", lambda v: v),
    Scale("amplitudes", "square roots of counts", np.square),
    Scale("cube roots", "cube roots of counts", lambda v: v**3),
    Scale("fourth roots", "fourth roots of counts", lambda v: v**4),
    Scale("log(1+n)", "natural logarithms of one plus the counts", np.expm1),
    Scale("log10(1+n)", "decimal logarithms of one plus the counts", lambda v: np.expm1(v * np.log(10))),
    Scale("log2(1+n)", "binary logarithms of one plus the counts", lambda v: np.expm1(v * np.log(2))),
    Scale("log(n)", "natural logarithms of counts", np.exp),
    Scale("log10(n)", "decimal logarithms of counts", lambda v: np.exp(v * np.log(10))),
)
"""Of which a file may hold one."""
COUNTS = SCALES[0]
WITH_SIGN = ("log(n)", "log10(n)")
"""Which have a value for no count that says so: less than any logarithm of one count, and not 0."""
BY_NAME = {scale.name: scale for scale in SCALES}


def lit_sample(values: Shaped[np.ndarray, "*shape"], mask: Bool[np.ndarray, "*shape"]) -> Float[np.ndarray, " lit"]:
    """At most `SAMPLE` of the values above zero in measured voxels, float64."""
    lit = values[mask & (values > 0)]
    return lit[:: max(1, len(lit) // SAMPLE)].astype(np.float64)


def photon_unit(lit: Float[np.ndarray, " lit"]) -> float | None:
    """The number of which all values are multiples; None where there is none, or too little light to tell.

    Parameters
    ----------
    lit : float64 array
        Values above zero.
    """
    if len(lit) < FEWEST_LIT:
        return None
    lowest = _different(np.sort(lit), LOWEST)
    if len(lowest) < FEWEST_STEPS:
        return None
    unit = float(np.median(np.diff(lowest)))
    if not 0 < lowest[0] < MOST_MULTIPLES * unit:
        return None
    low = lit[lit <= lowest[-1] * (1 + ALIKE)]
    number = np.rint(low / unit)
    between = np.abs(low / unit - number) > np.clip(NEAR * number / 6, NEAR, FARTHEST)
    if number.min() < 1 or between.mean() > MOST_BETWEEN or len(np.unique(number[~between])) < FEWEST_STEPS:
        return None
    unit = float((low * number)[~between].sum() / np.square(number[~between]).sum())
    return float(np.rint(unit)) if abs(unit - np.rint(unit)) < ALIKE * unit else unit


def unit_by_frame(
    values: Shaped[np.ndarray, "frames rows columns"], mask: Bool[np.ndarray, "frames rows columns"]
) -> float | None:
    """The median of the frames' units where nearly each has one of its own, as where counts were divided by a monitor."""
    told = []
    for frame, measured in zip(values, mask, strict=True):
        lit = lit_sample(frame, measured)
        if len(lit) >= FEWEST_LIT and len(np.unique(lit)) > FEWEST_STEPS:
            told.append(photon_unit(lit))
    units = [unit for unit in told if unit is not None]
    if len(units) < 4 or len(units) < FRAMES_ALIKE * len(told):
        return None
    return float(np.median(units))


def scale_of(lit: Float[np.ndarray, " lit"], lowest: float) -> tuple[Scale, float] | None:
    """What values that are no multiples of anything are: the scale whose counts are, and their unit; None: not told.

    Parameters
    ----------
    lit : float64 array
        Values above zero.
    lowest : float
        The lowest of all measured values.
    """
    for scale in SCALES[1:]:
        if "log" in scale.name and lit.size and lit.max() > LARGEST_EXPONENT:
            continue
        if (scale.name in WITH_SIGN) != (lowest < 0):
            continue
        unit = photon_unit(scale.counts_of(lit))
        if unit is not None:
            return scale, unit
    return None


def unit_in_noise(lit: Float[np.ndarray, " lit"], noise: float) -> float | None:
    """The gain of a detector that adds noise: where single photons make a hill of their own, apart from the next one.

    Parameters
    ----------
    lit : float64 array
        Values above the dark level, in the file's units.
    noise : float
        Standard deviation of what no photon met, same units.
    """
    above = lit[lit > 5 * noise]
    if noise <= 0 or len(above) < FEWEST_LIT:
        return None
    candidates = np.geomspace(6 * noise, max(7 * noise, float(np.quantile(above, 0.9))), 300)
    best, unit = 0.5, None
    for candidate in candidates:
        near = above[above < 6.5 * candidate]
        if len(near) < FEWEST_LIT:
            continue
        comb = float(np.cos(2 * np.pi * near / candidate).mean())
        if comb > best and _has_hills(lit / candidate):
            best, unit = comb, float(candidate)
    if unit is None:
        return None
    single = lit[np.abs(lit / unit - 1) < 0.4]
    return float(np.median(single))


def _has_hills(values: np.ndarray) -> bool:
    """Is there more about one and about two than between them, and before one?"""

    def about(place: float) -> int:
        return int(np.count_nonzero(np.abs(values - place) < 0.08))

    return about(1.0) > 50 and about(0.55) < 0.4 * about(1.0) and about(1.5) < 0.5 * min(about(1.0), 2 * about(2.0))


def _different(ordered: np.ndarray, number: int) -> np.ndarray:
    """The first `number` of sorted values that differ by more than rounding."""
    found: list[np.ndarray] = []
    first = 0
    while first < len(ordered) and len(found) < number:
        found.append(ordered[first])
        first = int(np.searchsorted(ordered, ordered[first] * (1 + ALIKE), side="right"))
    return np.array(found)
