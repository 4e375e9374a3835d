"""Which of an object and its twin: a number that changes sign between ``rho(r)`` and ``conj(rho(-r))``.

The twin mirrors the amplitude through the origin and turns the phase ``phi(r)`` into ``-phi(-r)``. Two things tell them
apart. The *bend*: whether the phase is ahead at the rim of the crystal or in its middle, along the direction in which it
bends most; it is the smoothest thing that a strained crystal has, and the same at any resolution. Where there is no clear
bend, whatever is odd in the position about the centre of mass: the ten third moments of the amplitude, and the nine first
moments of the phase gradient. Each is divided by its own noise, and the sign of one fixed combination decides. Its weights
are all different, so that no symmetry cancels it; the largest moment alone would be a tie wherever a symmetry makes two of
them equal and opposite.
"""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from autophasenn.physics.strain import phase_gradient, phase_ramp, remove_ramp

GOLDEN_SECTION = (math.sqrt(5) - 1) / 2

LEAST_AMPLITUDE_NOISE = 0.01
"""Relative scatter of the amplitude below which a shape is not known."""

LEAST_GRADIENT_NOISE = 1e-3
"""Scatter of the phase gradient, rad per voxel, below which a strain is not known."""


LEAST_PHASE_NOISE = 0.01
"""Scatter of the phase, rad, below which a bend is not known."""

CLEAR_BEND = 5.0
"""Standard deviations from which the bend alone decides."""


def asymmetry(rho: Complex[Tensor, "n0 n1 n2"], support: Bool[Tensor, "n0 n1 n2"]) -> float:
    """How far an object is from its twin, in standard deviations; the twin gives the opposite sign.

    The bend where it is clear (:data:`CLEAR_BEND`). Else, with z the 19 odd moments over their noise, ``c.z / |c|`` with
    ``c_j = 1 + (j s mod 1)`` and s the golden section. The noise of a moment is taken from the scatter of the phase, of
    the amplitude or of the gradient inside the support, voxels being independent.

    Parameters
    ----------
    rho : complex tensor (n0, n1, n2)
        The object, not cut by an edge of the array.
    support : bool tensor (n0, n1, n2)
        True inside the crystal.

    Returns
    -------
    float
        Values within about 3 of zero leave the choice of the twin to chance.
    """
    index = torch.nonzero(support).double()
    amplitude = rho[support].abs().double()
    position = index - (amplitude[:, None] * index).sum(0) / amplitude.sum()
    flat = remove_ramp(rho, phase_ramp(rho, support))
    deviations, at_the_rim = _bend(flat[support].to(torch.complex128), position)
    if deviations >= CLEAR_BEND:
        return deviations * at_the_rim
    odd = torch.cat([_shape_moments(amplitude, position), _strain_moments(flat, support, position)])
    weights = 1 + torch.remainder(GOLDEN_SECTION * torch.arange(len(odd), dtype=torch.float64), 1).to(odd.device)
    return float(odd @ weights / weights.norm())


def _bend(rho: Tensor, position: Tensor) -> tuple[float, float]:
    """How strongly the phase bends, in standard deviations, and -1 to 1: whether it is ahead in the middle or at the rim.

    The curvature is the 3 x 3 matrix ``Im(conj(sum w exp(i phi)) sum w (x x^T - <x x^T>) exp(i phi))`` with w the intensity
    and x in units of the crystal's extent on each axis: phase wraps, the sampling and the global phase do not matter. The
    second number is ``sum l^3 / sum |l|^3`` of its principal values l: the direction in which the phase bends most decides.
    Their sum would be near 0 for a saddle, which strained crystals often are.
    """
    weight = rho.abs().square()
    x = position / position.square().mean(0).clamp_min(1e-12).sqrt()
    products = x[:, :, None] * x[:, None, :]
    lever = weight[:, None, None] * (products - torch.einsum("n,nij->ij", weight, products) / weight.sum())
    turned = torch.polar(torch.ones_like(weight), rho.angle())
    ahead = (turned * torch.conj_physical((weight * turned).sum()).sgn()).imag
    noise = max(float(ahead.std(correction=0)), LEAST_PHASE_NOISE)
    curvature = torch.einsum("nij,n->ij", lever, ahead)
    principal = torch.linalg.eigvalsh(curvature)
    deviations = torch.linalg.eigvalsh(_over(curvature, noise * lever.norm(dim=0))).abs().max()
    cubes = principal**3
    return float(deviations), float(cubes.sum() / cubes.abs().sum().clamp_min(torch.finfo(torch.float64).tiny))


def _shape_moments(amplitude: Tensor, position: Tensor) -> Tensor:
    """Third moments of the amplitude over their noise: (10,)."""
    noise = max(float(amplitude.std(correction=0)), LEAST_AMPLITUDE_NOISE * float(amplitude.mean()))
    moments = []
    for a, b, c in itertools.combinations_with_replacement(range(3), 3):
        cube = position[:, a] * position[:, b] * position[:, c]
        moments.append(_over(amplitude @ cube, noise * cube.norm()))
    return torch.stack(moments)


def _strain_moments(rho: Tensor, support: Tensor, position: Tensor) -> Tensor:
    """First moments of the phase gradient over their noise, each voxel weighted by its intensity: (9,)."""
    gradient = phase_gradient(rho.angle(), support)[:, support].double()
    weight = rho[support].abs().double().square()
    moments = []
    for component in gradient:
        known = torch.isfinite(component)
        w, value = weight[known], component[known]
        value = value - (w @ value) / w.sum().clamp_min(math.ulp(1.0))
        noise = max(float((w @ value.square() / w.sum()).sqrt()) if len(w) else 0.0, LEAST_GRADIENT_NOISE)
        for axis in range(3):
            lever = w * position[known, axis]
            moments.append(_over(lever @ value, noise * lever.norm()))
    return torch.stack(moments)


def _over(moment: Tensor, noise: Tensor) -> Tensor:
    return torch.where(noise > 0, moment / noise, torch.zeros_like(moment))
