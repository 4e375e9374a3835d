"""Numbers that describe objects, so that two sources of crystals can be compared.

Phases are compared without their linear part, which only moves the peak, and inside the crystal: in voxels that are at least
half full (`FILLED`). Lengths are in voxels of the object, so the sources must see their crystals alike.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import unwrap_phase
from torch import Tensor

from autophasenn.crystals.source import Objects
from autophasenn.physics.strain import phase_ramp, remove_ramp
from autophasenn.volumes import PATTERN_VOXELS

FILLED = 0.5
"""Share of the largest amplitude from which a voxel counts as crystal."""
DEEP = 3
"""Distance in voxels from the surface beyond which a voxel is in the core of the crystal."""
SCALARS = {
    "volume": "volume (voxels)",
    "edge_width": "edge width (voxels)",
    "roughness": "roughness of the core",
    "peak_offset": "peak offset (pattern voxels)",
    "phase_range": "phase range, 1 to 99 % (rad)",
    "phase_rms": "rms phase (rad)",
    "strain_rms": "rms gradient (rad / voxel)",
    "core_strain_rms": "the same, in the core",
}
"""What `describe` gives for every object, in words."""

Numbers = NDArray[np.float64]


def describe(objects: Objects) -> dict[str, Numbers]:
    """Statistics of every object of a batch.

    Parameters
    ----------
    objects : complex64 tensor (batch, 32, 32, 32)
        Largest amplitude 1; one crystal each, without voxels beside it.

    Returns
    -------
    dict of float64 arrays (batch,), and ``spectrum`` (batch, 16)
        ``volume``: sum of the amplitude. ``edge_width``: thickness of the layer in which the amplitude would rise linearly,
        from ``6 sum a (1 - a) / sum |grad a|``. ``roughness``: standard deviation of the amplitude in the core.
        ``peak_offset``: length of the mean phase gradient less the nearest whole voxels of the pattern of 64^3, which
        recentring takes away. ``phase_range``, ``phase_rms``: of the unwrapped phase without its linear part.
        ``strain_rms``, ``core_strain_rms``: of its gradient, the root of the summed variances of the differences along the
        three axes; 0 without a core.
        ``spectrum``: `phase_spectrum`.
    """
    found = [_describe(rho) for rho in objects.cpu()]
    return {name: np.array([each[name] for each in found]) for name in found[0]}


def levelled(rho: Complex[Tensor, "n n n"]) -> tuple[Complex[Tensor, "n n n"], Float[Tensor, " 3"]]:
    """An object without the linear part and the mean of its phase, and that linear part in rad a voxel."""
    inside = rho.abs() >= FILLED
    ramp = phase_ramp(rho, inside)
    level = remove_ramp(rho, ramp)
    return level * torch.exp(-1j * level[inside].sum().angle()), ramp


def phase_spectrum(phase: Numbers, amplitude: Numbers) -> Numbers:
    """Power of the phase at 0, 1, ... 15 periods across the box, rad^2 voxels: ``mean_shell |F(a phi)|^2 / sum a^2``.

    Parameters
    ----------
    phase : float64 array (n, n, n)
        Radians, not wrapped, 0 outside the crystal.
    amplitude : float64 array (n, n, n)
    """
    n = len(phase)
    power = np.abs(np.fft.fftn(amplitude * phase)) ** 2 / np.sum(amplitude**2)
    axis = np.fft.fftfreq(n, 1 / n)
    shells = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).round().astype(int)
    sums = np.bincount(shells.ravel(), power.ravel()) / np.bincount(shells.ravel())
    return sums[: n // 2]


def strain_rms(rho: Complex[Tensor, "n n n"]) -> float:
    """That of `describe` alone, of one object on the CPU: a third of the work."""
    inside = (rho.abs() >= FILLED).numpy()
    return _gradient_rms(_unwrapped(levelled(rho)[0], inside), inside)


def _unwrapped(level: Complex[Tensor, "n n n"], inside: NDArray[np.bool_]) -> Numbers:
    """Phase of a levelled object, its mean 0; 0 outside."""
    phase = unwrap_phase(np.ma.array(level.angle().double().numpy(), mask=~inside), rng=0).filled(0)
    phase[inside] -= phase[inside].mean()
    return phase


def _describe(rho: torch.Tensor) -> dict[str, float | Numbers]:
    amplitude = rho.abs().double().numpy()
    inside = amplitude >= FILLED
    core = ndimage.distance_transform_edt(inside) >= DEEP
    level, ramp = levelled(rho)
    phase = _unwrapped(level, inside)
    offset = ramp.numpy() * PATTERN_VOXELS / (2 * math.pi)
    low, high = np.percentile(phase[inside], (1, 99))
    slopes = np.stack(np.gradient(amplitude))
    return {
        "volume": float(amplitude.sum()),
        "edge_width": float(6 * np.sum(amplitude * (1 - amplitude)) / np.linalg.norm(slopes, axis=0).sum()),
        "roughness": float(amplitude[core].std()) if core.any() else 0.0,
        "peak_offset": float(np.linalg.norm(offset - offset.round())),
        "phase_range": float(high - low),
        "phase_rms": float(phase[inside].std()),
        "strain_rms": _gradient_rms(phase, inside),
        "core_strain_rms": _gradient_rms(phase, core),
        "spectrum": phase_spectrum(phase, amplitude),
    }


def _gradient_rms(phase: Numbers, where: NDArray[np.bool_]) -> float:
    """Root of the variances of the differences between neighbours, both inside, summed over the axes."""
    total = 0.0
    for axis in range(3):
        pairs = np.logical_and(*(np.moveaxis(where, axis, 0)[part] for part in (slice(1, None), slice(-1))))
        differences = np.diff(np.moveaxis(phase, axis, 0), axis=0)[pairs]
        total += float(differences.var()) if differences.size else 0.0
    return math.sqrt(total)
