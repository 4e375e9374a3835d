"""How finely a pattern is sampled: oversampling from its autocorrelation, and the binning that leaves enough of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from autophasenn.volumes import twin

LEVELS = (0.03, 0.045, 0.07, 0.1, 0.14)
"""Heights of the autocorrelation, relative to its maximum, at which its extent is read off, lowest first. Fixed
detector pattern and beam fluctuations leave 0.01 to 0.1 outside of the crystal's own autocorrelation in real scans."""
AGREEMENT = 0.05
"""Relative difference of the extents at two neighbouring levels that says that both are above that floor."""
TAPER = 1.6
"""The autocorrelation of a crystal of length L falls to zero about as (1 - x/L)**TAPER: 1 for a box along its edge, 3 for
a sharp tip, 1.6 on average over faceted crystals."""
NOISE = 5.0
"""Standard deviations of counting noise that a level must be above."""
FOOT = 0.003
"""Height to which the foot of the autocorrelation is followed where it ends in counting noise."""
CLEAN, RIM = 1.5, 10
"""That it does: in the outermost tenth of its half-width it is below so many times what a level must be above."""
NEAR_PEAK = 6
"""Voxels from the peak, along each axis, within which gaps are filled from their rims."""
LEAST_OF_WINDOW = 0.1
"""Share of a window about an unmeasured voxel that must be measured for its mean to mean anything."""
FEW = 0.5
"""Neighbours of unmeasured voxels over all voxels, up to which each is looked up: of more it is quicker to filter all."""


def estimate_oversampling(
    counts: Float[np.ndarray, "n0 n1 n2"], mask: Bool[np.ndarray, "n0 n1 n2"]
) -> tuple[float, float, float]:
    """Voxels of the grid per voxel of the crystal's extent, along each axis, from the intensity alone.

    The inverse transform of the intensity is the autocorrelation of the object, twice as long as the object. Its
    extent along an axis is where its largest value on a plane falls below a level, corrected for what lies
    below the level; the lowest level counts at which the extent hardly depends on the level. Good to about 15 % for
    compact crystals from 1e4 photons on. Strain makes the ends of a crystal interfere destructively: the autocorrelation
    falls early and has a long faint foot. So where nothing but counting noise is left at the rim, that foot counts, too;
    phases of 2 to 8 pi make the number up to 60 % too high then, now and then 2 times, and up to 5 times without it.
    Below 2 the autocorrelation wraps around, and the number only says "2 or less". A hundredth of the light, of a longer
    crystal that is not masked, makes the foot as long as that one, and the number too low.

    Parameters
    ----------
    counts : float array (n0, n1, n2)
        Peak at ``n // 2``: unmeasured voxels are filled from their neighbours or their symmetric counterpart.
    mask : bool array (n0, n1, n2)
        True = measured.

    Returns
    -------
    tuple of 3 floats
        n_i / (extent of the crystal in direct-space voxels along axis i).

    Notes
    -----
    J. Miao, D. Sayre and H. N. Chapman, J. Opt. Soc. Am. A 15, 1662 (1998).
    """
    return Profiles.of(counts, mask).oversampling(with_foot=True)


@dataclass(frozen=True, eq=False)
class Profiles:
    """The autocorrelation along each axis.

    Parameters
    ----------
    sizes : tuple of 3 ints
        Voxels of each axis.
    heights : tuple of 3 float64 arrays (n // 2 + 1,)
        The largest value on each plane, 1 in the middle of the autocorrelation, which comes first.
    noise : float
        What a level must be above.
    """

    sizes: tuple[int, ...]
    heights: tuple[Float[np.ndarray, " _"], ...]
    noise: float

    @classmethod
    def of(cls, counts: Float[np.ndarray, "n0 n1 n2"], mask: Bool[np.ndarray, "n0 n1 n2"]) -> Profiles:
        """Of a pattern."""
        filled = torch.from_numpy(fill_unmeasured(counts, mask))
        # Half of the last axis suffices: the autocorrelation of a real intensity at -r is the conjugate of that at r.
        half = torch.fft.rfftn(filled).abs()
        noise = NOISE / float(filled.sum(dtype=torch.float64)) ** 0.5
        half /= half.max()
        heights = []
        for axis, size in enumerate(counts.shape):
            planes = half.amax([other for other in range(3) if other != axis]).double().numpy()
            forward = planes[: size // 2 + 1]
            backward = planes[-np.arange(len(forward))] if axis < 2 else forward
            heights.append(np.maximum(forward, backward))
        return cls(counts.shape, tuple(heights), noise)

    @property
    def foot(self) -> float:
        """How far down the autocorrelation is followed where nothing but counting noise is left at the rim."""
        return max(FOOT, 2 * self.noise)

    @property
    def ends_in_noise(self) -> tuple[bool, ...]:
        """Whether that is so along each axis."""
        is_seen = self.foot < LEVELS[0]
        return tuple(
            is_seen and bool(each[-max(2, len(each) // RIM) :].max() < CLEAN * self.noise) for each in self.heights
        )

    def oversampling(self, *, with_foot: bool) -> tuple[float, float, float]:
        """As `estimate_oversampling` says."""
        result = []
        for size, profile, is_clean in zip(self.sizes, self.heights, self.ends_in_noise, strict=True):
            extent = _settled([_extent(profile, max(level, self.noise)) for level in LEVELS])
            if with_foot and is_clean:
                extent = max(extent, _extent(profile, self.foot))
            result.append(size / extent)
        return result[0], result[1], result[2]


def fill_unmeasured(
    counts: Float[np.ndarray, "n0 n1 n2"], mask: Bool[np.ndarray, "n0 n1 n2"]
) -> Float[np.ndarray, "n0 n1 n2"]:
    """A guess for unmeasured voxels: mean of near neighbours, else symmetric counterpart, else mean of far neighbours.

    Near the peak even a gap of several pixels is filled from its rims inwards: a counterpart that is a voxel or two off, as
    the peak itself may lie in the gap, would leave a notch there.
    """
    filled, known = np.where(mask, counts, 0).astype(np.float32), mask.copy()
    if known.all():
        return filled
    _fill_from_neighbours(filled, known, 3)
    middle = tuple(slice(max(0, n // 2 - NEAR_PEAK), n // 2 + NEAR_PEAK + 1) for n in counts.shape)
    for _ in range(NEAR_PEAK):
        _fill_from_neighbours(filled[middle], known[middle], 3)
    mirrored, mirrored_known = (twin(torch.from_numpy(x)).numpy() for x in (filled, known))
    take = ~known & mirrored_known
    filled[take] = mirrored[take]
    known |= take
    _fill_from_neighbours(filled, known, 9)
    return filled


def choose_binning(oversampling: float, size: int, keep: float, smallest_axis: int) -> int:
    """The largest binning of an axis that leaves an oversampling of `keep` and at least `smallest_axis` voxels."""
    return max(1, min(int(oversampling / keep), size // smallest_axis))


def _extent(profile: np.ndarray, level: float) -> float:
    """Where a profile that starts at 1 falls below `level` (interpolated in the logarithm), corrected for its taper."""
    below = np.flatnonzero(profile < level)
    if len(below) == 0:
        crossing = float(len(profile) - 1)
    else:
        last = int(below[0]) - 1
        drop = np.log(profile[last] / max(profile[last + 1], 1e-30))
        crossing = last + float(np.log(profile[last] / level) / drop)
    return crossing / (1 - level ** (1 / TAPER))


def _settled(extents: list[float]) -> float:
    """The extent at the lowest pair of levels that agree; the median of the lowest three where none do."""
    for lower, higher in itertools.pairwise(extents):
        if abs(np.log(higher / lower)) < AGREEMENT:
            return (lower + higher) / 2
    return float(np.median(extents[:3]))


def _fill_from_neighbours(filled: np.ndarray, known: np.ndarray, width: int) -> None:
    """Fill unknown voxels in place with the mean of known ones within `width` x `width` pixels of their frame.

    Unknown ones are 0. Less than a tenth of the window is a corner of it: no basis for a mean.
    """
    places = np.nonzero(~known)
    if len(places[0]) * width**2 < FEW * known.size:
        _fill_places(filled, known, places, width)
        return
    size = (1, width, width)
    weight = ndimage.uniform_filter(known.astype(np.float32), size, mode="constant")
    total = ndimage.uniform_filter(filled, size, mode="constant")
    take = ~known & (weight > LEAST_OF_WINDOW)
    filled[take] = total[take] / weight[take]
    known |= take


def _fill_places(filled: np.ndarray, known: np.ndarray, places: tuple[np.ndarray, ...], width: int) -> None:
    """The same for few places, which are all unknown ones, without a look at the others."""
    frames, rows, columns = places
    number, total = np.zeros(len(frames)), np.zeros(len(frames))
    reach = range(-(width // 2), width // 2 + 1)
    for row, column in itertools.product(reach, reach):
        r, c = rows + row, columns + column
        inside = (r >= 0) & (r < known.shape[1]) & (c >= 0) & (c < known.shape[2])
        beside = frames[inside], r[inside], c[inside]
        number[inside] += known[beside]
        total[inside] += filled[beside]
    take = number > LEAST_OF_WINDOW * width**2
    chosen = tuple(axis[take] for axis in places)
    filled[chosen] = total[take] / number[take]
    known[chosen] = True


def sampling_warnings(oversampling: tuple[float, ...], binning: tuple[int, int, int]) -> list[str]:
    """Sentences on axes sampled too coarsely; `oversampling` is that after binning."""
    warnings = []
    for axis, (value, factor) in enumerate(zip(oversampling, binning, strict=True)):
        if value < 2.0:
            remedy = "bin it less" if factor > 1 else "the crystal is too long for this detector distance or step"
            warnings.append(
                f"Oversampling along axis {axis} is about {value:.1f}, below 2: its phases are not determined; {remedy}."
            )
    return warnings
