"""Strain and displacement in numbers, surface against bulk; the size of the crystal; where its surface should be drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.analysis.inside import displacement_spread_nm, strain_spread
from autophasenn.analysis.quantity import Floats, Mean, Quantity, mean_of
from autophasenn.analysis.surface import Surface
from autophasenn.image import CrystalImage

Mask = NDArray[np.bool_]
Counts = NDArray[np.integer[Any]]
BINS = 81
LAYERS = 3
"""Of the stated thickness; what lies deeper is the bulk."""
ISOSURFACE_ERROR = 0.2
"""Without a known spread the surface is as uncertain as by a change of the isosurface by so much of it."""


@dataclass(frozen=True)
class Layer:
    """A layer below the surface, `first` to `last` deep.

    Parameters
    ----------
    name : str
    first, last : float
        Depth in the unit of lengths; `last` is None for the bulk.
    strain, displacement : Mean, optional
        None: geometry unknown.
    """

    name: str
    first: float
    last: float | None
    strain: Mean | None
    displacement: Mean | None


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often a strain occurs, in the whole crystal, its outermost layer and its bulk.

    Parameters
    ----------
    edges : float array (bins + 1,)
        Dimensionless.
    all, surface, bulk : int array (bins,)
        Voxels.
    """

    edges: Floats
    all: Counts
    surface: Counts
    bulk: Counts


@dataclass(frozen=True, eq=False)
class StrainNumbers:
    """Strain and displacement of a crystal.

    Parameters
    ----------
    strain, displacement : Mean
    inner_strain : Mean
        Without the outermost voxel, where strain is one-sided.
    layers : tuple of Layer
    histogram : Histogram
    energy : Quantity, optional
        Least elastic energy, eV; None: elastic constants unknown.
    energy_density : Quantity, optional
        kJ/m³.
    """

    strain: Mean
    displacement: Mean
    inner_strain: Mean
    layers: tuple[Layer, ...]
    histogram: Histogram
    energy: Quantity | None = None
    energy_density: Quantity | None = None


@dataclass(frozen=True)
class Size:
    """How large the crystal is.

    Parameters
    ----------
    volume, area : Quantity
        Inside, and of, the isosurface.
    equivalent_radius : Quantity
        Of the sphere of that volume.
    sphericity : float
        Area of that sphere over the area: 1 for a sphere, 0.81 for a cube.
    extents : dict of str to Quantity
        Along axes of frames, and along Q.
    """

    volume: Quantity
    area: Quantity
    equivalent_radius: Quantity
    sphericity: float
    extents: dict[str, Quantity] = field(default_factory=dict)


@dataclass(frozen=True)
class Isosurface:
    """Amplitudes at which the surface may be drawn, and the crystal's volume (voxels of its support) at each.

    Parameters
    ----------
    used : float
    plateau : float
        Amplitude that most of the crystal has: the highest bin of the histogram.
    half : float
        Half of it: where the surface of a blurred, even crystal is.
    otsu : float
        That parts the histogram into two classes of least variance (Otsu, 1979).
    volumes : dict of str to float
        At ``used``, ``half``, ``otsu``.
    """

    used: float
    plateau: float
    half: float
    otsu: float
    volumes: dict[str, float]


def strain_numbers(image: CrystalImage, depth: Floats, layer: float, cells: float) -> StrainNumbers | None:
    """Strain and displacement in numbers; None without geometry.

    Parameters
    ----------
    image : CrystalImage
    depth : float array (nx, ny, nz)
        As `inside.depth_of` gives it.
    layer : float
        Thickness of the layers, unit of the image's lengths.
    cells : float
        Voxels in a cell of the resolution.
    """
    if image.strain is None or image.displacement is None:
        return None
    spread, moved = strain_spread(image), displacement_spread_nm(image)

    def of(volume: Floats, unit: str, errors: Floats | None, factor: float, part: Mask) -> Mean:
        return mean_of(volume[part] * factor, unit, None if errors is None else errors[part], cells)

    def strain_of(part: Mask) -> Mean:
        assert image.strain is not None
        return of(image.strain, "", spread, 1.0, part)

    def displacement_of(part: Mask) -> Mean:
        assert image.displacement is not None
        return of(image.displacement, "nm", moved, 1e9, part)

    layers = []
    for number in range(LAYERS + 1):
        low, high = number * layer, (number + 1) * layer if number < LAYERS else None
        part = image.support & (depth >= low) & (depth < (np.inf if high is None else high))
        name = "bulk" if high is None else "surface" if number == 0 else f"layer {number + 1}"
        if part.any():
            layers.append(Layer(name, low, high, strain_of(part), displacement_of(part)))
    inner = depth > max(image.spacing)
    return StrainNumbers(
        strain_of(image.support),
        displacement_of(image.support),
        strain_of(inner if inner.any() else image.support),
        tuple(layers),
        _histogram(image, depth, layer),
    )


def _histogram(image: CrystalImage, depth: Floats, layer: float) -> Histogram:
    assert image.strain is not None
    strain, depths = image.strain[image.support], depth[image.support]
    known = np.isfinite(strain)
    strain, depths = strain[known], depths[known]
    reach = float(np.quantile(np.abs(strain), 0.995)) * 1.1 if strain.size else 0.0
    edges = np.linspace(-1, 1, BINS + 1) * (reach or 1e-6)
    outer, deep = depths < layer, depths >= LAYERS * layer
    counted = [np.histogram(strain[part], edges)[0] for part in (np.ones_like(outer), outer, deep)]
    return Histogram(edges, *counted)


def size_of(image: CrystalImage, surface: Surface, place: tuple[float, str], axes: dict[str, Floats]) -> Size:
    """Volume, area and extents, each as uncertain as the place of the surface.

    Parameters
    ----------
    image : CrystalImage
    surface : Surface
    place : (float, str)
        How uncertain the place of the surface is, and what that rests on (`surface_error`).
    axes : dict of str to float array (3,)
        Directions on the axes of the image along which the extent is asked for.
    """
    error, basis = place
    unit = image.unit
    cube, square = ("nm³", "nm²") if unit == "nm" else ("voxels³", "voxels²")
    volume, area = surface.volume, surface.area
    radius = (3 * volume / (4 * math.pi)) ** (1 / 3)
    return Size(
        Quantity(volume, cube, area * error, basis),
        Quantity(area, square, 2 * area * error / radius, basis),
        Quantity(radius, unit, area * error / (4 * math.pi * radius**2), basis),
        4 * math.pi * radius**2 / area,
        {
            name: Quantity(surface.along(axis), unit, error * math.sqrt(2), basis)
            for name, axis in {**axes, **_principal(image)}.items()
        },
    )


def surface_error(image: CrystalImage, surface: Surface, depth: Floats, half: float) -> tuple[float, str]:
    """How uncertain the place of the surface is along its normal, and what that rests on.

    The spread of the amplitude over several orientations, or without one a fifth of the isosurface, over the slope of the
    amplitude; with it, in the square, what it makes whether the surface is drawn at the isosurface or at half the plateau.
    """
    slope = max(float(np.median(surface.slope)), 1e-12)
    noise, basis = ISOSURFACE_ERROR * surface.isovalue, "a change of the isosurface by 20 %"
    if image.amplitude_spread is not None:
        rim = image.support & (depth < 1.5 * max(image.spacing))
        spread = image.amplitude_spread[rim]
        spread = spread[np.isfinite(spread)]
        if spread.size:
            noise, basis = float(np.median(spread)), "spread of the amplitude over several orientations"
    return math.hypot(noise, surface.isovalue - half) / slope, f"{basis}; choice of the isosurface"


def _principal(image: CrystalImage) -> dict[str, Floats]:
    places = np.argwhere(image.support) * np.array(image.spacing)
    _, axes = np.linalg.eigh(np.cov(places.T)) if len(places) > 3 else (None, np.eye(3))
    return {name: axes[:, 2 - i] for i, name in enumerate(("longest", "middle", "shortest"))}


def isosurface_of(image: CrystalImage, used: float | None) -> Isosurface:
    """What the histogram of the amplitude says of where the surface is.

    Parameters
    ----------
    image : CrystalImage
    used : float, optional
        None: half of the plateau.
    """
    from skimage.filters import threshold_otsu

    inside = image.amplitude[image.support]
    counts, edges = np.histogram(inside, 64, (0, 1))
    smooth = np.convolve(counts, np.ones(5) / 5, "same")
    bulk = smooth * (edges[1:] > 0.4)  # the rim of a blurred crystal is no plateau
    plateau = float((edges[:-1] + edges[1:])[int(bulk.argmax())] / 2)
    around = image.amplitude[image.box]
    otsu = float(threshold_otsu(around)) if float(np.ptp(around)) > 0 else plateau / 2
    value = plateau / 2 if used is None else used
    volume = math.prod(image.spacing)
    volumes = {
        name: float((around >= level).sum() * volume)
        for name, level in {"used": value, "half": plateau / 2, "otsu": otsu}.items()
    }
    return Isosurface(value, plateau, plateau / 2, otsu, volumes)


def least_energy(image: CrystalImage, modulus_gpa: float, strain: Mean) -> tuple[Quantity, Quantity]:
    """Elastic energy that the crystal has at least, eV, and its density, kJ/m³.

    Only one component of the strain is known. Of all strains with that component, the one of uniaxial stress along Q has
    the least energy, ``E e² / 2`` with Young's modulus E along hkl (Nye, Physical Properties of Crystals, 1957).

    Parameters
    ----------
    image : CrystalImage
        With geometry.
    modulus_gpa : float
    strain : Mean
        Of the same image; how well its standard deviation is known.
    """
    assert image.strain is not None
    known = image.strain[image.support]
    known = known[np.isfinite(known)].astype(np.float64)
    density = 0.5 * modulus_gpa * 1e9 * float((known**2).mean())
    error = 2 * (strain.std.uncertainty or 0.0) / max(strain.std.value or 0.0, 1e-30)
    basis = "sampling; lower bound, other components of the strain add to it"
    energy = density * image.volume * 1e-27 / 1.602176634e-19
    return (
        Quantity(energy, "eV", energy * error, basis),
        Quantity(density / 1e3, "kJ/m³", density / 1e3 * error, basis),
    )
