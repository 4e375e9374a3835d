"""From the Bragg phase to displacement and strain along the scattering vector G.

With ``psi(q) = sum_r rho(r) exp(-i q.r)`` the Bragg phase is ``phi = -G.u``, so that the displacement along G is
``u_G = -phi / |G|`` and the strain is ``du_G / dr_G``: positive where the lattice planes are wider apart than those
of G.

Derivatives are taken of wrapped differences between neighbours, so that a phase wrap never shows as strain. They are
central inside the crystal and one-sided at its surface, where one neighbour is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.physics.geometry import Vector


def displacement(phase: Float[Tensor, "n0 n1 n2"], scattering_vector: Vector) -> Float[Tensor, "n0 n1 n2"]:
    """Displacement along the scattering vector, ``u_G = -phi / |G|``.

    Parameters
    ----------
    phase : tensor (n0, n1, n2)
        Unwrapped Bragg phase, rad.
    scattering_vector : tensor (3,)
        1/m, laboratory frame.

    Returns
    -------
    tensor (n0, n1, n2)
        Metres.
    """
    return -phase / float(scattering_vector.norm())


def strain(
    phase: Float[Tensor, "n0 n1 n2"],
    support: Bool[Tensor, "n0 n1 n2"],
    voxel_size: Sequence[float],
    scattering_vector: Vector,
) -> Float[Tensor, "n0 n1 n2"]:
    """Strain along the scattering vector, ``du_G / dr_G = -(grad phi . G) / |G|^2``, on an orthogonal grid.

    Parameters
    ----------
    phase : tensor (n0, n1, n2)
        Bragg phase in rad, wrapped or not; any value outside the support, NaN included.
    support : bool tensor (n0, n1, n2)
        True inside the crystal.
    voxel_size : 3 floats
        Edges of a voxel along x, y, z of the laboratory frame, metres.
    scattering_vector : tensor (3,)
        1/m, laboratory frame.

    Returns
    -------
    tensor (n0, n1, n2)
        Dimensionless. NaN outside the support, and where a voxel has no neighbour along an axis on which G has a
        component.
    """
    per_voxel = phase_gradient(phase, support)
    result = torch.where(support, 0.0, math.nan).to(phase.dtype)
    for axis, size in enumerate(voxel_size):
        component = float(scattering_vector[axis] / scattering_vector.square().sum())
        if component != 0:
            result -= component / size * per_voxel[axis]
    return result


def phase_gradient(phase: Float[Tensor, "n0 n1 n2"], support: Bool[Tensor, "n0 n1 n2"]) -> Float[Tensor, "3 n0 n1 n2"]:
    """Wrapped phase differences along each axis, rad per voxel: the mean of those to the neighbours inside the support.

    NaN outside the support and where a voxel has no neighbour along the axis.
    """
    gradient = torch.zeros(3, *phase.shape, dtype=phase.dtype, device=phase.device)
    for axis in range(3):
        size = phase.shape[axis] - 1
        both = support.narrow(axis, 0, size) & support.narrow(axis, 1, size)
        step = phase.narrow(axis, 1, size) - phase.narrow(axis, 0, size)
        step = torch.where(both, step - 2 * math.pi * torch.round(step / (2 * math.pi)), 0)
        neighbours = torch.zeros_like(gradient[axis])
        for start in (0, 1):
            gradient[axis].narrow(axis, start, size).add_(step)
            neighbours.narrow(axis, start, size).add_(both)
        gradient[axis] /= neighbours
    return gradient


def phase_ramp(rho: Complex[Tensor, "n0 n1 n2"], support: Bool[Tensor, "n0 n1 n2"]) -> Vector:
    """Mean phase gradient of an object, weighted by intensity: where the centre of its Bragg peak lies.

    The angle of ``sum rho[i+1] conj(rho[i])`` along each axis, then the mean of what is left of each difference,
    wrapped about that angle. It is the mean, not a plane fitted to the phase, so that what remains has zero mean
    strain.

    Parameters
    ----------
    rho : complex tensor (n0, n1, n2)
        The object.
    support : bool tensor (n0, n1, n2)
        Pairs of neighbours both inside count.

    Returns
    -------
    float64 tensor (3,)
        rad per voxel along each axis; 0 along an axis without a pair of neighbours. The peak lies ``ramp N / (2 pi)``
        voxels from ``n // 2`` in the diffracted wave.
    """
    ramp = torch.zeros(3, dtype=torch.float64)
    for axis in range(3):
        size = rho.shape[axis] - 1
        both = support.narrow(axis, 0, size) & support.narrow(axis, 1, size)
        pairs = (rho.narrow(axis, 1, size)[both] * rho.narrow(axis, 0, size)[both].conj()).to(torch.complex128)
        weight = float(pairs.abs().sum())
        if weight > 0:
            coarse = torch.angle(pairs.sum())
            rest = torch.angle(pairs * torch.exp(-1j * coarse))
            ramp[axis] = coarse + (pairs.abs() * rest).sum() / weight
    return ramp


def remove_ramp(rho: Complex[Tensor, "n0 n1 n2"], ramp: Vector) -> Complex[Tensor, "n0 n1 n2"]:
    """The object without a linear phase of `ramp` (rad per voxel along each axis) about voxel ``n // 2``."""
    for axis, slope in enumerate(ramp.tolist()):
        index = torch.arange(rho.shape[axis], dtype=torch.float64, device=rho.device) - rho.shape[axis] // 2
        shape = [1, 1, 1]
        shape[axis] = -1
        rho = rho * torch.polar(torch.ones_like(index), -slope * index).to(rho.dtype).view(shape)
    return rho
