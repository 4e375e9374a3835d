"""What a diffraction pattern cannot tell apart: a global phase, a translation, and the twin ``conj(rho(-r))``.

Everything that compares two objects comes through :func:`align`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autophasenn.physics import fourier
from autophasenn.physics.diffraction import modulus_of
from autophasenn.volumes import SPATIAL, ObjectVolume


@dataclass(frozen=True, eq=False)
class Alignment:
    """One object brought onto another.

    Parameters
    ----------
    aligned : complex tensor (n0, n1, n2)
        The moving object, its twin taken, shift and phase removed.
    shift : tuple of 3 floats
        Voxels by which the moving object (or its twin) was displaced from the reference.
    twinned : bool
        Whether the twin matched better.
    phase : float
        Global phase that was removed, rad.
    correlation : float
        ``|<rho_1, rho_2>| / (|rho_1| |rho_2|)``, 0 to 1; 0 where an object is 0 or not finite.
    """

    aligned: Tensor
    shift: tuple[float, float, float]
    twinned: bool
    phase: float
    correlation: float


def align(reference: ObjectVolume, moving: ObjectVolume, *, twins: bool = True) -> Alignment:
    """Bring `moving` onto `reference`, modulo translation (sub-voxel), twin and global phase.

    The translation is where the cross-correlation peaks: first to a voxel by FFT, then by a Fourier sum on ever finer
    grids about that peak (Guizar-Sicairos, Thurman & Fienup, Optics Letters 33, 156 (2008)).

    Parameters
    ----------
    reference, moving : complex tensor (n0, n1, n2)
    twins : bool
        Whether the twin of `moving` may match.

    Returns
    -------
    Alignment
        ``aligned`` keeps the scale of `moving`.
    """
    reference_wave = torch.fft.fftn(fourier.to_corner(reference))
    moving_wave = torch.fft.fftn(fourier.to_corner(moving))
    norm = _norm(reference_wave) * _norm(moving_wave)
    candidates = [(False, moving_wave)] + ([(True, moving_wave.conj().resolve_conj())] if twins else [])
    best: tuple[float, bool, Tensor, Tensor, complex] | None = None
    for twinned, wave in candidates:
        cross = reference_wave * wave.conj()
        shift, overlap = _peak_shift(cross)
        if best is None or abs(overlap) > best[0]:
            best = (abs(overlap), twinned, wave, shift, overlap)
    assert best is not None
    value, twinned, wave, shift, overlap = best
    phase = -math.atan2(overlap.imag, overlap.real)
    aligned = torch.fft.ifftn(wave * _ramp(wave, shift) * complex(math.cos(phase), -math.sin(phase)))
    d0, d1, d2 = (float(s) for s in shift)
    correlation = value / norm if norm else 0.0
    correlation = min(1.0, correlation) if math.isfinite(correlation) else 0.0
    return Alignment(fourier.to_centre(aligned), (d0, d1, d2), twinned, phase, correlation)


def translate(rho: ObjectVolume, shift: tuple[float, float, float]) -> ObjectVolume:
    """Move an object by a vector in voxels, a fraction included: a phase ramp on its wave."""
    wave = torch.fft.fftn(fourier.to_corner(rho), dim=SPATIAL)
    ramp = _ramp(wave, -torch.tensor(shift, dtype=torch.float64))
    return fourier.to_centre(torch.fft.ifftn(wave * ramp, dim=SPATIAL))


def _norm(wave: Tensor) -> float:
    """Line by line, of real and imaginary parts, which PyTorch squares many times as fast as complex numbers.

    In one go, single precision loses what is small beside a peak: up to 5e-4 of a norm.
    """
    lines = torch.linalg.vector_norm(torch.view_as_real(wave.resolve_conj()), dim=(-2, -1))
    return float(torch.linalg.vector_norm(lines, dtype=torch.float64))


def _frequencies(wave: Tensor) -> list[Tensor]:
    """Angular frequency of every index on each axis, rad a voxel; float64 on the CPU, as not every device has it."""
    return [2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in wave.shape[-3:]]


def _ramp(wave: Tensor, shift: Tensor) -> Tensor:
    """exp(+i q.shift), which takes back a displacement by `shift`."""
    ramp = torch.ones((), dtype=wave.dtype, device=wave.device)
    for axis, (frequency, step) in enumerate(zip(_frequencies(wave), shift, strict=True)):
        factor = torch.exp(1j * frequency * step).to(wave)
        ramp = ramp * factor.reshape([-1 if a == axis else 1 for a in range(3)])
    return ramp


def _fourier_sum(cross: Tensor, shifts: list[Tensor]) -> Tensor:
    """sum_q C(q) exp(-i q.s) on the grid of the given shifts (m0, m1, m2), normalised as an inner product."""
    k0, k1, k2 = (
        torch.exp(-1j * steps[:, None] * frequency[None]).to(cross)
        for frequency, steps in zip(_frequencies(cross), shifts, strict=True)
    )
    lines = k1 @ (cross @ k2.mT)  # the last axis first: nothing is copied
    return (k0 @ lines.flatten(1)).reshape(len(k0), len(k1), len(k2))


def _highest(values: Tensor) -> list[int]:
    """Index of the largest modulus."""
    modulus = modulus_of(values)
    # NumPy's, as the first call of torch's imports SymPy: a second of every run.
    return [int(i) for i in np.unravel_index(int(modulus.argmax()), modulus.shape)]


def _peak_shift(cross: Tensor) -> tuple[Tensor, complex]:
    """Displacement s (float64 tensor (3,), voxels) that makes ``|sum_q C(q) exp(-i q.s)|`` largest, and that sum."""
    peak = _highest(torch.fft.fftn(cross))
    wrapped = [i - n if i > n // 2 else i for i, n in zip(peak, cross.shape, strict=True)]
    shift = torch.tensor(wrapped, dtype=torch.float64)
    for step in (0.25, 0.05, 0.01):
        offsets = torch.arange(-4, 5, dtype=torch.float64) * step
        grid = [s + offsets for s in shift]
        values = _fourier_sum(cross, grid)
        i0, i1, i2 = _highest(values)
        shift = torch.stack([grid[0][i0], grid[1][i1], grid[2][i2]])
    return shift, complex(values[i0, i1, i2])
