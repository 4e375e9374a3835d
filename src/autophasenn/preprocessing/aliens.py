"""Aliens: light of other crystals on the detector, told from the crystal's own by what it cannot have.

Whatever belongs to a crystal's pattern is connected to its Bragg peak: along a truncation rod, or through diffuse light,
the intensity (its speckles smoothed away) never rises far on the way out. And its symmetric counterpart is there too:
strain makes a pattern lopsided, but not one-sided. An alien fails both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import ndimage
from skimage.morphology import reconstruction

from autophasenn.physics.nearest import nearest_known
from autophasenn.preprocessing.options import Preprocessing

CORE_RADIUS = 1.5
"""Speckles (voxels of one oversampling) about the peak that are the peak."""
SPECKLE_SMOOTHING = 0.35
"""Standard deviation of the smoothing, in speckles: fringes of one speckle's period are damped to a tenth, and an alien
of the size of a speckle still stands out."""
FEWEST_COUNTS = 3.0
"""Counts added before the logarithm, so that lone photons are no hills."""

MOST_TOLD = 3
"""Aliens of which each is told; of more, the brightest and how many there are."""


@dataclass(frozen=True)
class Cluster:
    """One alien.

    Parameters
    ----------
    centre : tuple of 3 ints
        Its brightest place, as an index of the volume that was searched.
    voxels : int
        How many voxels it covers, margin included.
    counts : float
        Photons in it.
    counterpart_ratio : float
        Its photons divided by those of its point reflection through the peak.
    """

    centre: tuple[int, int, int]
    voxels: int
    counts: float
    counterpart_ratio: float


@dataclass(frozen=True, eq=False)
class Aliens:
    """All aliens of a pattern.

    Parameters
    ----------
    mask : bool array (n0, n1, n2)
        True inside an alien (which are the voxels to take as unmeasured).
    clusters : tuple of Cluster
        Most photons first.
    lobes : tuple of Cluster
        What looks like an alien but holds too large a share of the photons to be told from a lobe of a strongly strained
        crystal; not in `mask`.
    """

    mask: np.ndarray
    clusters: tuple[Cluster, ...] = ()
    lobes: tuple[Cluster, ...] = ()


def find_aliens(
    counts: Float[np.ndarray, "n0 n1 n2"],
    mask: Bool[np.ndarray, "n0 n1 n2"],
    oversampling: tuple[float, float, float],
    *,
    contrast: float,
    significance: float,
    asymmetry: float,
    margin: float,
    largest_share: float,
) -> Aliens:
    """Clusters of counts that are not connected to the Bragg peak and have no symmetric counterpart.

    Parameters
    ----------
    counts : float array (n0, n1, n2)
        Peak at ``n // 2``.
    mask : bool array (n0, n1, n2)
        True = measured.
    oversampling : tuple of 3 floats
        Size of a speckle in voxels.
    contrast : float
        How many times an alien rises above the highest pass between it and the peak.
    significance : float
        The same rise, and the excess over the counterpart, in standard deviations of the counting noise.
    asymmetry : float
        How many times more photons than its counterpart an alien has.
    margin : float
        How far around an alien voxels are masked too, in speckles.
    largest_share : float
        Share of all photons above which a cluster is left alone.
    """
    grid = _Cells.of(counts.shape, oversampling)
    cells, measured = grid.sum(np.where(mask, counts, 0)), grid.sum(mask.astype(np.float32))
    expected = _smoothed_counts(cells, measured, grid)
    height = np.log(expected + FEWEST_COUNTS)
    core = grid.distance(oversampling) <= CORE_RADIUS
    passes = highest_pass(height, core, np.log(contrast))
    # Hills: what rises above every way to the peak; a hundredth is the rounding of the smoothing.
    hills, number = ndimage.label(height - passes > 0.01)
    found = np.zeros(cells.shape, bool)
    kept, lobes = [], []
    for label, region in enumerate(ndimage.find_objects(hills, number), start=1):
        hill = hills[region] == label
        rise = np.where(hill, height[region] - passes[region], 0)
        top = np.unravel_index(int(rise.argmax()), rise.shape)
        peak, base = expected[region][top], np.exp(passes[region][top]) - FEWEST_COUNTS
        if rise[top] < np.log(contrast) or peak - base < significance * np.sqrt(base + FEWEST_COUNTS):
            continue
        places = np.argwhere(hill) + [s.start for s in region]
        ratio = _counterpart_ratio(cells, measured, places, grid.peak, significance)
        if ratio < asymmetry:
            continue
        widened = _widen(places, cells.shape, [margin * o / f for o, f in zip(oversampling, grid.factors, strict=True)])
        widened &= ~core
        where = [int(t) + s.start for t, s in zip(top, region, strict=True)]
        photons = float(cells[widened].sum())
        cluster = Cluster(grid.voxel(where), int(measured[widened].sum()), photons, ratio)
        if photons > largest_share * cells.sum():
            lobes.append(cluster)
        else:
            kept.append(cluster)
            found |= widened
    kept.sort(key=lambda cluster: -cluster.counts)
    return Aliens(grid.expand(found), tuple(kept), tuple(lobes))


def search_for_aliens(
    counts: Float[np.ndarray, "n0 n1 n2"],
    mask: Bool[np.ndarray, "n0 n1 n2"],
    oversampling: tuple[float, float, float],
    options: Preprocessing,
) -> Aliens:
    """:func:`find_aliens` as `options` have it."""
    return find_aliens(
        counts,
        mask,
        oversampling,
        contrast=options.alien_contrast,
        significance=options.alien_significance,
        asymmetry=options.alien_asymmetry,
        margin=options.alien_margin,
        largest_share=options.alien_share,
    )


def highest_pass(
    height: Float[np.ndarray, "m0 m1 m2"], core: Bool[np.ndarray, "m0 m1 m2"], rise: float
) -> Float[np.ndarray, "m0 m1 m2"]:
    """For each cell the lowest height on the best way from it to the core: grey reconstruction of `height` from `core`.

    The ways may leave through one face and enter through the opposite one, as the rods of a pattern do that is wider
    than its window (aliasing of a sampled Fourier transform); such ways are sought while any hill of `rise` is left.

    Notes
    -----
    L. Vincent, IEEE Trans. Image Process. 2, 176 (1993).
    """
    neighbours = np.ones((3, 3, 3), bool)
    level = reconstruction(np.where(core, height, height.min()), height, footprint=neighbours)
    for _ in range(2):
        if (height - level).max() < rise:
            break
        seed = level.copy()
        for axis in range(3):
            known, entry, roof = (np.moveaxis(volume, axis, 0) for volume in (level, seed, height))
            for here, there in ((0, -1), (-1, 0)):
                entry[here] = np.maximum(entry[here], np.minimum(roof[here], ndimage.maximum_filter(known[there], 3)))
        level = reconstruction(seed, height, footprint=neighbours)
    return np.asarray(level)


@dataclass(frozen=True)
class _Cells:
    """Blocks of voxels, the peak's block with the peak in its middle; voxels that fill no block belong to none."""

    shape: tuple[int, ...]
    factors: tuple[int, ...]
    starts: tuple[int, ...]
    numbers: tuple[int, ...]
    smoothing: tuple[float, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], oversampling: tuple[float, float, float]) -> _Cells:
        widths = [SPECKLE_SMOOTHING * o for o in oversampling]
        factors = tuple(max(1, int(w), n // 64) for w, n in zip(widths, shape, strict=True))
        starts = tuple((n // 2 - f // 2) % f for n, f in zip(shape, factors, strict=True))
        numbers = tuple((n - s) // f for n, s, f in zip(shape, starts, factors, strict=True))
        smoothing = tuple(max(1.0, w / f) for w, f in zip(widths, factors, strict=True))
        return cls(shape, factors, starts, numbers, smoothing)

    @property
    def peak(self) -> np.ndarray:
        return np.array([(n // 2 - s) // f for n, s, f in zip(self.shape, self.starts, self.factors, strict=True)])

    def voxel(self, cell: list[int]) -> tuple[int, int, int]:
        i, j, k = (s + c * f + f // 2 for c, s, f in zip(cell, self.starts, self.factors, strict=True))
        return i, j, k

    def sum(self, volume: np.ndarray) -> np.ndarray:
        for axis, (start, number, factor) in enumerate(zip(self.starts, self.numbers, self.factors, strict=True)):
            blocks = np.moveaxis(volume, axis, 0)[start : start + number * factor]
            blocks = blocks.reshape(number, factor, *blocks.shape[1:]).sum(1, dtype=np.float64)
            volume = np.moveaxis(blocks, 0, axis)
        return volume

    def expand(self, cells: np.ndarray) -> np.ndarray:
        """The voxels of the chosen cells; those of cut blocks at the edges go with the cell beside them."""
        for axis, (size, start, factor) in enumerate(zip(self.shape, self.starts, self.factors, strict=True)):
            cell = np.clip((np.arange(size) - start) // factor, 0, cells.shape[axis] - 1)
            cells = cells.take(cell, axis)
        return cells

    def distance(self, oversampling: tuple[float, float, float]) -> np.ndarray:
        """Distance of each cell from the peak, in speckles."""
        offsets = [
            (np.arange(m) - p) * f / o
            for m, p, f, o in zip(self.numbers, self.peak, self.factors, oversampling, strict=True)
        ]
        d0, d1, d2 = np.meshgrid(*offsets, indexing="ij", sparse=True)
        return np.sqrt(d0**2 + d1**2 + d2**2)


def _smoothed_counts(cells: np.ndarray, measured: np.ndarray, grid: _Cells) -> np.ndarray:
    """Expected counts in one smoothing volume about each cell; unmeasured places take those of the nearest measured."""
    smooth = ndimage.gaussian_filter(cells, grid.smoothing, mode="constant")
    weight = ndimage.gaussian_filter(measured, grid.smoothing, mode="constant")
    # A Gaussian of standard deviation s averages over 2 sqrt(pi) s cells as far as noise is concerned.
    voxels = np.prod([2 * np.sqrt(np.pi) * s * f for s, f in zip(grid.smoothing, grid.factors, strict=True)])
    known = weight > 0.1 * np.prod(grid.factors)
    expected = np.where(known, smooth, 0) / np.where(known, weight, 1) * voxels
    if not known.all():
        expected = expected[nearest_known(known)]
    return np.maximum(expected, 0)


def _counterpart_ratio(
    cells: np.ndarray, measured: np.ndarray, places: Integer[np.ndarray, "p 3"], peak: np.ndarray, significance: float
) -> float:
    """Photons at `places` over photons at their reflections, 0 where the comparison is impossible or insignificant."""
    reflected = 2 * peak - places
    inside = ((reflected >= 0) & (reflected < cells.shape)).all(1)
    here, there = tuple(places[inside].T), tuple(reflected[inside].T)
    weight_here, weight_there = measured[here].sum(), measured[there].sum()
    if np.count_nonzero(inside) < len(places) / 2 or weight_there < 0.3 * weight_here or weight_here == 0:
        return 0.0
    photons, counterpart = float(cells[here].sum()), float(cells[there].sum() * weight_here / weight_there)
    if photons - counterpart < significance * np.sqrt(photons + counterpart):
        return 0.0
    return photons / max(counterpart, 1.0)


def _widen(places: Integer[np.ndarray, "p 3"], shape: tuple[int, ...], radii: list[float]) -> np.ndarray:
    """The cells within an ellipsoid of `radii` cells of any of `places`."""
    widened = np.zeros(shape, bool)
    widened[tuple(places.T)] = True
    low = np.maximum(places.min(0) - np.ceil(radii).astype(int), 0)
    high = places.max(0) + np.ceil(radii).astype(int) + 1
    region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    sampling = [1 / max(r, 1e-9) for r in radii]
    widened[region] = ndimage.distance_transform_edt(~widened[region], sampling=sampling) <= 1
    return widened


def alien_warnings(clusters: list[Cluster], lobes: list[Cluster]) -> list[str]:
    """A sentence for each alien that was masked, or one for all where they are many, and for each lobe that was not.

    Their places are raw voxels.
    """

    def place(cluster: Cluster) -> str:
        return "about frame {}, row {}, column {}".format(*cluster.centre)

    if len(clusters) > MOST_TOLD:
        first, photons = max(clusters, key=lambda c: c.counts), sum(c.counts for c in clusters)
        masked = [
            f"{len(clusters)} aliens (light of other crystals) of {photons:.4g} photons together were masked, the "
            f"brightest, of {first.counts:.4g}, {place(first)}."
        ]
    else:
        masked = [
            f"An alien (light of another crystal) of {c.counts:.0f} photons {place(c)} was masked "
            f"({c.counterpart_ratio:.1f} times its symmetric counterpart)."
            for c in clusters
        ]
    kept = [
        f"A second peak {place(c)} has {c.counts:.0f} photons and no symmetric counterpart. It is kept as part of a "
        "strongly strained crystal; if it is another crystal, mask it."
        for c in lobes
    ]
    return masked + kept
