"""Domains: parts of the crystal that a wall of jumping phase parts from each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autophasenn.analysis.quantity import Floats, Quantity
from autophasenn.image import CrystalImage
from autophasenn.physics.nearest import nearest_known

JUMP = 1.0
"""rad between neighbours by which the phase jumps more than around it, at a wall."""
AROUND = 5
"""Voxels of the box whose median step is what the phase does around."""
WITHIN = "spread of the phase inside"
LEAST_SHARE = 0.02
"""Smallest domain, as a share of the crystal."""


@dataclass(frozen=True, eq=False)
class Domain:
    """A domain.

    Parameters
    ----------
    number : int
        From 1, the largest first.
    volume : Quantity
    share : float
        Of the crystal.
    phase : Quantity
        Mean (circular), rad, relative to the first domain: of displacement it is known but for a multiple of d.
    shift : Quantity, optional
        The same as a displacement along Q, nm, between -d/2 and d/2; None without geometry.
    strain : Quantity, optional
        Mean.
    tilt_deg : Quantity, optional
        By how much its lattice planes are turned against those of the first domain.
    centre : tuple of 3 floats
        Unit of the image.
    """

    number: int
    volume: Quantity
    share: float
    phase: Quantity
    shift: Quantity | None
    strain: Quantity | None
    tilt_deg: Quantity | None
    centre: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Domains:
    """All domains, and in which of them each voxel lies (uint8, 0 outside)."""

    domains: tuple[Domain, ...]
    labels: NDArray[np.uint8] = field(repr=False)


def find_domains(image: CrystalImage) -> Domains:
    """Parts of the crystal between which the phase jumps; one domain where it does not.

    A step between two neighbours belongs to a wall where it differs, wrapped, by more than `JUMP` from the median of the
    steps around it, so that strong strain makes no wall. Voxels beside a wall are given to the nearest domain at last.
    """
    support = image.support
    wall = np.zeros(image.shape, bool)
    gradient = np.zeros((3, *image.shape), np.float32)
    for axis in range(3):
        low = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        both = support[low] & support[high]
        step = np.where(both, image.phase[high] - image.phase[low], 0)
        step = step - 2 * np.pi * np.round(step / (2 * np.pi))
        jumps = both & (np.abs(step) > JUMP)
        if jumps.any():
            jumps &= np.abs(step - _median_around(step, both, jumps)) > JUMP
        wall[low] |= jumps
        wall[high] |= jumps
        gradient[axis][low] += np.where(both & ~jumps, step, 0)
    labels = _labelled(support, wall)
    return Domains(_described(image, labels, gradient), labels)


def _median_around(step: Floats, both: NDArray[np.bool_], where: NDArray[np.bool_]) -> Floats:
    """Median of the steps inside the box around each place of `where`; 0 elsewhere."""
    half = AROUND // 2
    padded = np.pad(np.where(both, step, np.nan), half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (AROUND,) * 3)
    places = np.nonzero(where)
    result = np.zeros_like(step)
    for start in range(0, len(places[0]), 20_000):
        some = tuple(each[start : start + 20_000] for each in places)
        result[some] = np.nanmedian(windows[some].reshape(len(some[0]), -1), axis=1)
    return result


def _labelled(support: NDArray[np.bool_], wall: NDArray[np.bool_]) -> NDArray[np.uint8]:
    pieces, count = ndimage.label(support & ~wall)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = np.flatnonzero(sizes >= max(LEAST_SHARE * support.sum(), 8))
    large = large[np.argsort(-sizes[large])][:254]
    if len(large) < 2:
        return support.astype(np.uint8)
    names = np.zeros(count + 1, np.uint8)
    names[large] = np.arange(1, len(large) + 1)
    named = names[pieces]
    return np.where(support, named[nearest_known(named != 0)], 0).astype(np.uint8)


def _described(image: CrystalImage, labels: NDArray[np.uint8], gradient: Floats) -> tuple[Domain, ...]:
    found: list[Domain] = []
    spacing = np.array(image.spacing)
    total = int(image.support.sum())
    first_phase, first_slope = 0.0, np.zeros(3)
    q = None if image.scattering_vector is None else np.asarray(image.scattering_vector, float)
    for number in range(1, int(labels.max()) + 1):
        part = labels == number
        count = int(part.sum())
        phasor = np.exp(1j * image.phase[part].astype(np.float64)).mean()
        slope = gradient[:, part].mean(axis=1) / spacing
        if number == 1:
            first_phase, first_slope = float(np.angle(phasor)), slope
        phase = math.remainder(float(np.angle(phasor)) - first_phase, 2 * math.pi)
        spread = math.sqrt(max(-2 * math.log(max(abs(phasor), 1e-9)), 0.0))
        centre = (np.argwhere(part).mean(axis=0) - np.array(image.shape) // 2) * spacing
        shift = strain = tilt = None
        if q is not None and image.strain is not None:
            length = float(np.linalg.norm(q)) * 1e-9
            shift = Quantity(
                -phase / length, "nm", spread / length, "spread of the phase inside; known but for multiples of d"
            )
            strain = Quantity(float(np.nanmean(image.strain[part])), "")
            across: Any = slope - first_slope
            across = across - (across @ q) * q / (q @ q)
            tilt = Quantity(float(np.degrees(np.linalg.norm(across) / length)), "degrees")
        found.append(
            Domain(
                number,
                Quantity(count * math.prod(image.spacing), "nm³" if image.unit == "nm" else "voxels"),
                count / total,
                Quantity(phase, "rad", spread, WITHIN),
                shift, strain, tilt, tuple(centre.tolist()),
            )
        )  # fmt: skip
    return tuple(found)
