"""Images of a series brought onto one grid and one scale: the twins alike, aligned on each other, other crystals told apart.

A pattern tells neither the twin nor the place of a crystal, and phase retrieval picks either; so each image is compared with
one that is placed already, by the correlation of the complex objects, which does not depend on the global phase. That
decides the twin and the shift. Whether it is the same crystal, the overlap of both bodies says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from autophasenn.errors import InputError
from autophasenn.image import CrystalImage, Floats

MOST_VOXELS = 1_000_000
"""Of the common grid; finer images are brought onto coarser voxels, as many of them are held in memory."""
MARGIN = 2
"""Voxels around the largest crystal."""
SAME_CRYSTAL, SURELY = 0.85, 0.92
"""Intersection over union of two bodies from which on they are one crystal, and surely so; how much simulated
ones of like size overlap is told by ``python benchmarks/series.py --overlaps``."""
SAME_D = 0.02
"""Relative difference of d beyond which two images are of different reflections or materials."""
CLEAR_TWIN = 0.003
"""By how much the better twin must correlate more, else the choice is a guess."""
NEAREST = 3
"""Images placed before, in the order of the series, with which one is compared."""
FINENESS = 10
"""Parts of a voxel to which images are shifted."""

Complexes = NDArray[np.complexfloating[Any, Any]]
Shift = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Placed:
    """An image of a series on the common grid.

    Parameters
    ----------
    image : CrystalImage
        Turned into its twin where that is the one of the others, and shifted onto them.
    crystal : str
        "A" is the crystal of the reference, "B" the next other one.
    is_twin : bool
        Is it the twin of the image that was given?
    is_guess : bool
        Do both twins correlate as well?
    shift : 3 floats
        By which it was moved, nm (voxels without geometry).
    alike : float
        Overlap of its body with that of the image that it was compared with, 0 to 1.
    correlation : float
        Of the complex objects, 0 to 1.
    """

    image: CrystalImage
    crystal: str
    is_twin: bool = False
    is_guess: bool = False
    shift: Shift = (0.0, 0.0, 0.0)
    alike: float = 1.0
    correlation: float = 1.0


@dataclass(frozen=True, eq=False)
class Match:
    """How an image lies on another: as it is or as its twin, and moved by so many voxels."""

    is_twin: bool
    shift: Shift
    correlation: float
    other: float
    overlap: float


def place(images: Sequence[CrystalImage], reference: int = 0) -> list[Placed]:
    """Bring images onto one grid, each onto the crystal that it shows.

    Parameters
    ----------
    images : sequence of CrystalImage
        In the order of the series, all with geometry or all without.
    reference : int
        The image that stays as it is.

    Raises
    ------
    InputError
        If some have a geometry and others none.
    """
    if not images:
        return []
    grid = [on_grid(image, *common_grid(images)) for image in images]
    order = sorted(range(len(images)), key=lambda i: (abs(i - reference), i))
    found: dict[int, Placed] = {order[0]: Placed(grid[order[0]], "A")}
    for index in order[1:]:
        found[index] = _placed(index, grid[index], found)
    return [found[index] for index in range(len(images))]


def match(image: CrystalImage, onto: CrystalImage) -> Match:
    """How `image` lies best on another one of the same grid, as it is or as its twin."""
    fixed, moving = _object(onto), _object(image)
    wave = fft.fftn(fixed)
    norm = float(np.linalg.norm(fixed) * np.linalg.norm(moving)) or 1.0
    tried = []
    for is_twin, rho in ((False, moving), (True, np.conj(moving[::-1, ::-1, ::-1]))):
        cross = np.abs(fft.ifftn(wave * np.conj(fft.fftn(rho))))
        tried.append((float(cross.max()) / norm, is_twin, rho))
    tried.sort(key=lambda each: each[0], reverse=True)
    correlation, is_twin, rho = tried[0]
    shift = _shift(fixed, rho)
    support = image.support[::-1, ::-1, ::-1] if is_twin else image.support
    return Match(is_twin, shift, min(1.0, correlation), tried[1][0], overlap(support, onto.support, shift))


def turned(image: CrystalImage) -> CrystalImage:
    """The twin, ``conj(rho(-r))``: phase and displacement change their sign, strain does not. For odd numbers of voxels.

    Raises
    ------
    InputError
        If an axis has an even number of voxels: ``-r`` of its first one lies outside.
    """
    if any(size % 2 == 0 for size in image.shape):
        raise InputError(f"An image of {image.shape} voxels has no twin on its own grid; give odd numbers of voxels.")

    def back(volume: Floats | None, sign: float = 1.0) -> Floats | None:
        return None if volume is None else np.asarray(sign * volume[::-1, ::-1, ::-1], volume.dtype)

    return replace(
        image,
        amplitude=image.amplitude[::-1, ::-1, ::-1].copy(),
        phase=np.asarray(back(image.phase, -1.0)),
        support=image.support[::-1, ::-1, ::-1].copy(),
        displacement=back(image.displacement, -1.0),
        strain=back(image.strain),
        phase_spread=back(image.phase_spread),
        amplitude_spread=back(image.amplitude_spread),
    )


def moved(image: CrystalImage, shift: Shift) -> CrystalImage:
    """The image moved by a vector in voxels, a fraction included (linear interpolation, inside of the crystal alone)."""
    back = tuple(-part for part in shift)
    return _sampled(image, np.eye(3), np.array(back), image.shape, image.voxel_size)


def _placed(index: int, image: CrystalImage, found: dict[int, Placed]) -> Placed:
    """Compared with the nearest placed ones of the series, and with the first image of every crystal."""
    near = sorted(found, key=lambda i: (abs(i - index), i))[:NEAREST]
    firsts = {each.crystal: i for i, each in reversed(list(found.items()))}
    candidates = [i for i in dict.fromkeys([*near, *firsts.values()]) if _same_planes(image, found[i].image)]
    matches = [(match(image, found[i].image), i) for i in candidates]
    if matches:
        best, onto = max(matches, key=lambda each: (each[0].overlap >= SAME_CRYSTAL, each[0].correlation))
        if best.overlap >= SAME_CRYSTAL:
            step = image.spacing
            x, y, z = (part * edge for part, edge in zip(best.shift, step, strict=True))
            return Placed(
                moved(turned(image) if best.is_twin else image, best.shift),
                found[onto].crystal,
                best.is_twin,
                best.correlation - best.other < CLEAR_TWIN,
                (x, y, z),
                best.overlap,
                best.correlation,
            )
    alike, correlation = max(((each.overlap, each.correlation) for each, _ in matches), default=(0.0, 0.0))
    names = {each.crystal for each in found.values()}
    return Placed(image, _name(len(names)), alike=alike, correlation=correlation)


def _same_planes(image: CrystalImage, other: CrystalImage) -> bool:
    if image.scattering_vector is None or other.scattering_vector is None:
        return True
    lengths = [float(np.linalg.norm(each.scattering_vector)) for each in (image, other)]  # type: ignore[arg-type]
    return abs(lengths[0] / lengths[1] - 1) <= SAME_D


def _name(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    word = ""
    while number >= 0:
        word, number = chr(ord("A") + number % 26) + word, number // 26 - 1
    return word


def common_grid(images: Sequence[CrystalImage], most: int = MOST_VOXELS) -> tuple[float | None, tuple[int, int, int]]:
    """Edge of the voxels, metres (None without geometry), and their numbers, odd, so that every crystal fits."""
    with_geometry = [image.voxel_size is not None for image in images]
    if any(with_geometry) and not all(with_geometry):
        raise InputError(
            "Some images of the series have a geometry and others none, so they cannot be brought onto one grid; give all "
            "scans the same --beamline or --geometry."
        )
    step = max(max(image.spacing) for image in images)
    reach = [0.0, 0.0, 0.0]
    for image in images:
        for axis, (part, size, edge) in enumerate(zip(image.box, image.shape, image.spacing, strict=True)):
            reach[axis] = max(reach[axis], max(part.stop - size // 2, size // 2 - part.start) * edge)
    step *= max(1.0, (8 * math.prod(reach) / step**3 / most) ** (1 / 3))
    nx, ny, nz = (2 * (math.ceil(each / step) + MARGIN) + 1 for each in reach)
    return (step * 1e-9 if all(with_geometry) else None), (nx, ny, nz)


def on_grid(
    image: CrystalImage, voxel: float | None, shape: tuple[int, int, int], shift: Shift = (0.0, 0.0, 0.0)
) -> CrystalImage:
    """The image on the common grid, voxel ``n // 2`` staying where it is but for a shift in voxels of that grid."""
    sizes = np.ones(3) if image.voxel_size is None or voxel is None else voxel / np.array(image.voxel_size)
    offset = np.array(image.shape) // 2 - sizes * (np.array(shape) // 2 + np.array(shift))
    return _sampled(image, np.diag(sizes), offset, shape, None if voxel is None else (voxel, voxel, voxel))


def _sampled(
    image: CrystalImage,
    matrix: Floats,
    offset: Floats,
    shape: tuple[int, int, int],
    voxel_size: tuple[float, float, float] | None,
) -> CrystalImage:
    """The image at other places: output voxel i is where ``matrix @ i + offset`` is in the image."""

    def at(volume: Floats) -> Floats:
        # An axis of its own each: SciPy then takes the quick way.
        sampled: Floats = ndimage.affine_transform(
            volume, np.diag(matrix), offset, shape, np.float32, order=1, mode="constant", cval=0.0
        )
        return sampled

    inside = at(image.support.astype(np.float32))
    support = inside >= 0.5

    def of_the_crystal(volume: Floats | None) -> Floats | None:
        """Mean of the neighbours that belong to the crystal; NaN outside."""
        if volume is None:
            return None
        known = image.support & np.isfinite(volume)
        weight = at(known.astype(np.float32))
        values = at(np.where(known, volume, 0).astype(np.float32))
        return np.where(support & (weight > 0.1), values / np.maximum(weight, 0.1), np.float32(np.nan)).astype(
            np.float32
        )

    return replace(
        image,
        amplitude=at(image.amplitude.astype(np.float32)),
        phase=np.asarray(of_the_crystal(image.phase)),
        support=support,
        displacement=of_the_crystal(image.displacement),
        strain=of_the_crystal(image.strain),
        phase_spread=of_the_crystal(image.phase_spread),
        amplitude_spread=of_the_crystal(image.amplitude_spread),
        voxel_size=voxel_size,
    )


def _object(image: CrystalImage) -> Complexes:
    phase = np.where(image.support, np.nan_to_num(image.phase), 0)
    rho: Complexes = np.where(image.support, image.amplitude, 0) * np.exp(1j * phase)
    return rho.astype(np.complex64)


def _shift(fixed: Complexes, moving: Complexes) -> Shift:
    from skimage.registration import phase_cross_correlation

    found, _, _ = phase_cross_correlation(fixed, moving, upsample_factor=FINENESS, normalization=None)
    x, y, z = (float(part) for part in found)
    return x, y, z


def overlap(support: NDArray[np.bool_], onto: NDArray[np.bool_], shift: Shift = (0.0, 0.0, 0.0)) -> float:
    """Intersection over union of two bodies, the first one moved."""
    body = support
    if any(shift):
        body = ndimage.shift(support.astype(np.float32), shift, order=1, mode="constant") >= 0.5
    union = int((body | onto).sum())
    return float((body & onto).sum() / union) if union else 0.0
