"""Bragg's law and the two lattices of a Fourier transform: wavelength, d, 2theta, voxel vectors, plausible ranges.

Lengths are metres, reciprocal vectors 1/m (with the factor 2 pi), energies eV, angles degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.errors import GeometryError
from autophasenn.volumes import Vectors

HC_EV_M = 1.239841984332e-06
"""Planck constant times speed of light, eV m (CODATA 2018, exact)."""

JOULE = 1.602176634e-19
"""One electronvolt in joules (exact)."""

Vector = Float[Tensor, "3"]
"""x, y, z in the laboratory frame."""

MIN_RELATIVE_VOLUME = 1e-3
"""A cell flatter than this, relative to the product of its edges, spans no volume."""


def wavelength(energy_ev: float) -> float:
    """Wavelength in metres of photons of `energy_ev`."""
    return HC_EV_M / energy_ev


def d_spacing(scattering_vector: Vector) -> float:
    """Spacing of the lattice planes, ``d = 2 pi / |Q|``, in metres for Q in 1/m."""
    return 2 * math.pi / float(scattering_vector.norm())


def two_theta(scattering_vector: Vector, energy_ev: float) -> float:
    """Scattering angle in degrees from Bragg's law, ``|Q| = 2 k sin(2theta / 2)``.

    Raises
    ------
    GeometryError
        If Q is longer than 2 k: photons of this energy cannot reach it.
    """
    sine = float(scattering_vector.norm()) * wavelength(energy_ev) / (4 * math.pi)
    if sine > 1:
        raise GeometryError(
            f"|Q| = {float(scattering_vector.norm()) * 1e-9:g} 1/nm cannot be reached at {energy_ev:g} eV (the limit "
            "is twice the wave number); check the energy in eV."
        )
    return math.degrees(2 * math.asin(sine))


def direct_voxel_vectors(reciprocal_steps: Vectors, shape: Sequence[int]) -> Vectors:
    """Direct-space voxel vectors of an array whose Fourier transform has these steps in q.

    ``V = 2 pi inv(R)^T / N``: ``r . q = 2 pi sum_i m_i n_i / N_i`` for voxel numbers m in direct and n in reciprocal
    space, which is the phase of the discrete Fourier transform.

    Parameters
    ----------
    reciprocal_steps : float64 tensor (3, 3)
        Row i is the step in q along axis i, 1/m.
    shape : 3 ints
        Number of voxels along each axis.

    Returns
    -------
    float64 tensor (3, 3)
        Row i is the vector from one voxel to the next along axis i, metres, same frame as the steps.

    Raises
    ------
    GeometryError
        If the steps span no volume.
    """
    check_volume(reciprocal_steps)
    counts = torch.tensor(tuple(shape), dtype=torch.float64)
    vectors: Tensor = 2 * math.pi * torch.linalg.inv(reciprocal_steps.double()).T / counts[:, None]
    return vectors


def check_range(name: str, value: float, unit: str, low: float, high: float) -> None:
    """Refuse a value that only a mistaken unit explains.

    Raises
    ------
    GeometryError
        If it is not a number between `low` and `high`.
    """
    if not low <= value <= high:
        raise GeometryError(
            f"The {name} is {value:g} {unit}, outside {low:g} to {high:g} {unit}; check the value and its unit."
        )


def check_volume(steps: Tensor) -> None:
    """Refuse three steps in q, 1/m, that lie in a plane.

    Raises
    ------
    GeometryError
        If the cell that they span is flatter than `MIN_RELATIVE_VOLUME`.
    """
    lengths = steps.norm(dim=1)
    volume = float(torch.linalg.det(steps.double()).abs())
    if not volume > MIN_RELATIVE_VOLUME * float(lengths.double().prod()):
        raise GeometryError(
            f"The steps in q to the next frame, row and column, {steps.tolist()} 1/m, span no volume; the scan must "
            "move the peak through the detector plane (turning about y needs a peak outboard or inboard of the beam)."
        )
