"""Measures of quality, defined once so that numbers compare.

Before any: amplitude below 10 % of its maximum is set to zero (the paper's support), then the best scale factor is taken.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy import special
from torch import Tensor

from autophasenn.physics import ambiguity
from autophasenn.physics.diffraction import ForwardModel, intensity_of, modulus_of, root_of
from autophasenn.volumes import SPATIAL, Mask, ObjectVolume, Support, Volume, crop_or_pad

GOOD = 0.95
"""Correlation with the truth that an image is hoped to have, and is counted as right from."""
SUPPORT_THRESHOLD = 0.1
"""Fraction of the largest amplitude below which a voxel is outside the crystal (Yao et al. 2022)."""

RESOLUTION_LEVEL = 1 / math.e
"""Value of the PRTF at which the resolution is read."""
LARGE_RATE = 40.0
"""Counts from which on the variance of their root is that of an expansion."""
PLANES_VOXELS = 2**18
"""Voxels of the planes that are worked on at once, where all at once would take many times the memory of the volume."""


def support_of(rho: ObjectVolume) -> Support:
    """Voxels whose amplitude is at least 10 % of the largest one of their volume."""
    amplitude = modulus_of(rho.detach())
    return amplitude >= SUPPORT_THRESHOLD * amplitude.amax(SPATIAL, keepdim=True)


def thresholded(rho: ObjectVolume) -> ObjectVolume:
    """The object with amplitude below 10 % of its maximum set to zero."""
    return rho * support_of(rho)


def best_scale(calculated: Volume, counts: Volume, measured: Mask) -> Tensor:
    """Factor on the calculated modulus that makes ``sum (s |psi| - sqrt(I))^2`` least over measured voxels.

    Parameters
    ----------
    calculated : float tensor (..., n0, n1, n2)
        Calculated intensity.
    counts : float tensor (..., n0, n1, n2)
    measured : bool tensor (..., n0, n1, n2)

    Returns
    -------
    float tensor (...)
    """
    overlap = root_of(calculated * torch.where(measured, counts, 0)).sum(SPATIAL)
    return overlap / (calculated * measured).sum(SPATIAL).clamp_min(torch.finfo(calculated.dtype).tiny)


def scale_of_modulus(calculated: Volume, root: Volume, measured: Tensor) -> Tensor:
    """The same factor of a calculated modulus, summed row by row and then in double precision: a bright peak hides nothing.

    Parameters
    ----------
    calculated : float tensor (..., n0, n1, n2)
        Calculated modulus.
    root : float tensor (..., n0, n1, n2)
        Root of the counts, 0 where they are not measured.
    measured : float or bool tensor (..., n0, n1, n2)
        1 where measured, else 0.

    Returns
    -------
    float tensor (...), 0 where nothing is calculated
    """
    power = inner_product(calculated * measured, calculated)
    return (inner_product(calculated, root) / power.clamp_min(torch.finfo(calculated.dtype).tiny)).to(calculated.dtype)


def inner_product(one: Volume, other: Volume) -> Tensor:
    """Of volumes (..., n0, n1, n2), row by row and then in double precision; float64 tensor (...)."""
    return torch.linalg.vecdot(one.flatten(-2), other.flatten(-2)).sum(-1, dtype=torch.float64)


def chi2_of_intensity(calculated: Volume, counts: Volume, measured: Mask, *, scale: Tensor | None = None) -> Tensor:
    """``sum (s sqrt(I_c) - sqrt(I_m))^2 / sum I_m`` over measured voxels; s is the best scale unless given.

    Returns
    -------
    float tensor (...); NaN where no photon was measured.
    """
    counts = torch.where(measured, counts, 0)
    scale = best_scale(calculated, counts, measured) if scale is None else scale
    difference = (scale[..., None, None, None] * root_of(calculated) - root_of(counts)) * measured
    total = counts.sum(SPATIAL)
    return torch.where(total > 0, difference.square().sum(SPATIAL) / total, torch.nan)


def chi2(rho: ObjectVolume, counts: Volume, measured: Mask, model: ForwardModel | None = None) -> Tensor:
    """``sum (|psi_e| - sqrt(I_m))^2 / sum I_m`` over measured voxels, after the threshold and the best scale.

    Parameters
    ----------
    rho : complex tensor (..., n0, n1, n2)
    counts : float tensor (..., n0, n1, n2)
    measured : bool tensor (..., n0, n1, n2)
    model : ForwardModel, optional
        The experiment; coherent by default.

    Returns
    -------
    float tensor (...)
    """
    return chi2_of_intensity((model or ForwardModel())(thresholded(rho)), counts, measured)


def chi2_free(
    rho: ObjectVolume, counts: Volume, measured: Mask, free: Mask, model: ForwardModel | None = None
) -> Tensor:
    """chi2 on the voxels that were held out of the reconstruction, with the scale found on the others.

    Parameters
    ----------
    free : bool tensor (..., n0, n1, n2)
        True = measured, but held out.

    Returns
    -------
    float tensor (...); NaN where nothing was held out, or nothing was counted there.
    """
    calculated = (model or ForwardModel())(thresholded(rho))
    scale = best_scale(calculated, torch.where(measured, counts, 0), measured & ~free)
    return chi2_of_intensity(calculated, counts, measured & free, scale=scale)


def chi2_noise(calculated: Volume, counts: Volume, measured: Mask) -> Tensor:
    """The chi2 that counting noise alone gives a perfect object.

    ``sum E[(sqrt(n) - sqrt(L))^2] / sum n`` with n ~ Poisson(L) and L the calculated intensity in counts.
    """
    return noise_of_roots(calculated, measured) / torch.where(measured, counts, 0).sum(SPATIAL)


def noise_of_roots(calculated: Volume, measured: Mask) -> Tensor:
    """What `chi2_noise` is a share of: ``sum E[(sqrt(n) - sqrt(L))^2]`` over measured voxels."""
    deep = max(1, PLANES_VOXELS // math.prod(calculated.shape[-2:]))
    parts = [
        torch.where(inside, _root_variance(rate), 0).sum(SPATIAL)
        for rate, inside in zip(calculated.split(deep, -3), measured.split(deep, -3), strict=True)
    ]
    return torch.stack(parts).sum(0)


def _root_variance(rate: Tensor) -> Tensor:
    """E[(sqrt(n) - sqrt(L))^2] for n ~ Poisson(L): 2 L where small, 1/4 where large."""
    table = torch.from_numpy(_variances_of_small_rates()).to(rate)
    last = len(table) - 1
    position = root_of(rate.clamp(0, LARGE_RATE) * (last**2 / LARGE_RATE)).clamp_max_(last)
    # int32 and flat is what `index_select` takes as it is, unlike an index in brackets
    lower = position.int().clamp_(0, last - 1).flatten()
    low, high = (table.index_select(0, index).reshape(rate.shape) for index in (lower, lower + 1))
    variance = torch.lerp(low, high, position.sub_(lower.reshape(rate.shape)))
    # E sqrt(n) = sqrt(L) (1 - 1/(8 L) - 7/(128 L^2) - ...): the variance-stabilising expansion
    return variance.add_(rate.clamp_min(LARGE_RATE).reciprocal_().sub_(1 / LARGE_RATE), alpha=7 / 64)


@lru_cache(1)
def _variances_of_small_rates() -> np.ndarray:
    """The same at the squares of 512 even steps up to the root of `LARGE_RATE`, summed over Poisson's law.

    The last is that of the expansion, which goes on from it.
    """
    knots = np.linspace(0, math.sqrt(LARGE_RATE), 512) ** 2
    n = np.arange(128)
    probability = np.exp(special.xlogy(n, knots[:, None]) - knots[:, None] - special.gammaln(n + 1))
    variances = (probability * (np.sqrt(n) - np.sqrt(knots)[:, None]) ** 2).sum(1)
    variances[-1] = 0.25 + 7 / (64 * LARGE_RATE)
    return variances


def correlation(rho_1: ObjectVolume, rho_2: ObjectVolume) -> float:
    """``|<rho_1, rho_2>| / (|rho_1| |rho_2|)``, the most over translation, twin and global phase."""
    return ambiguity.align(thresholded(rho_1), thresholded(rho_2)).correlation


def ssim(rho: ObjectVolume, aligned: ObjectVolume) -> float:
    """Structural similarity of two aligned amplitudes: 3-D, window 7, data range 1, over the middle half of each axis.

    Parameters
    ----------
    rho, aligned : complex tensor (n0, n1, n2)
        The second as :func:`ambiguity.align` brought it onto the first.
    """
    from skimage.metrics import structural_similarity

    box = [max(7, n // 2) for n in rho.shape]
    first, second = (crop_or_pad(thresholded(x).abs(), box) for x in (rho, aligned))
    second = second * ((first * second).sum() / second.square().sum()) * (1 / first.max())
    first = first / first.max()
    return float(structural_similarity(first.cpu().numpy(), second.cpu().numpy(), win_size=7, data_range=1.0))


def support_iou(rho: ObjectVolume, aligned: ObjectVolume) -> float:
    """Intersection over union of the two supports (amplitude at least 10 % of the maximum)."""
    first, second = support_of(rho), support_of(aligned)
    return float((first & second).sum() / (first | second).sum())


def phase_mae(rho: ObjectVolume, aligned: ObjectVolume) -> float:
    """Mean absolute wrapped phase difference inside both supports, rad, global phase removed."""
    both = support_of(rho) & support_of(aligned)
    difference = (aligned * rho.conj())[both].angle()
    offset = torch.exp(1j * difference).sum().angle()
    return float(torch.remainder(difference - offset + math.pi, 2 * math.pi).sub(math.pi).abs().mean())


def prtf_of(
    waves: Complex[Tensor, "starts n0 n1 n2"], counts: Float[Tensor, "n0 n1 n2"], measured: Bool[Tensor, "n0 n1 n2"]
) -> Float[Tensor, "n0 n1 n2"]:
    """Phase retrieval transfer function of every voxel, ``|<psi>| / sqrt(I)`` (Chapman et al. 2006, eq. 14).

    ``|<psi>|^2`` of m solutions is on average ``<|psi|^2> / m`` too large: m unrelated phases do not add up to zero, and
    few of them never fall below 1/e. That share is taken off, which leaves a value below zero where phases oppose each
    other by chance: the square keeps its sign, so that the mean over a shell is right.

    Parameters
    ----------
    waves : complex tensor (starts, n0, n1, n2)
        Waves of at least two aligned solutions, in the square root of counts.
    counts, measured : tensor (n0, n1, n2)

    Returns
    -------
    float tensor (n0, n1, n2); 0 where nothing was counted.
    """
    number = len(waves)
    power = sum((intensity_of(wave) for wave in waves), torch.zeros_like(counts)) / number
    mean = waves.mean(0)
    coherent = (number * intensity_of(mean) - power) / (number - 1)
    share = torch.where(measured & (counts > 0), coherent / counts.clamp_min(1e-6), 0)
    return share.sign() * share.abs().sqrt()


def radial_prtf(
    prtf: Volume, counts: Volume, measured: Mask, reciprocal_steps: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The PRTF in shells of |q|: ``sqrt(sum |<psi>|^2 / sum I)``, so that voxels weigh as many photons as they hold.

    Without the weight the many voxels that hold no photon would decide.

    Parameters
    ----------
    prtf, counts, measured : tensor (n0, n1, n2)
    reciprocal_steps : float64 tensor (3, 3), optional
        1/m; None: shells in units of 2 pi over a voxel.

    Returns
    -------
    frequency : float array (shells,)
        |q| of each shell, 1/m (or rad a voxel).
    value : float array (shells,)
    """
    radius = _radius(tuple(counts.shape), reciprocal_steps)
    reach = max(
        float(radius[tuple(0 if a == axis else n // 2 for a, n in enumerate(counts.shape))]) for axis in range(3)
    )
    shells = min(counts.shape) // 2
    index = (radius / reach * shells).long().clamp_max(shells)
    weight = torch.where(measured, counts, 0).double().flatten()
    total = torch.bincount(index.flatten(), weight, shells + 1)[:shells]
    value = torch.bincount(index.flatten(), weight * (prtf * prtf.abs()).double().flatten(), shells + 1)[:shells]
    frequency = (torch.arange(shells) + 0.5) * reach / shells
    seen = total > 0
    return frequency[seen].numpy(), (value[seen] / total[seen]).clamp(0, 1).sqrt().numpy()


def resolution(frequency: np.ndarray, value: np.ndarray) -> float | None:
    """Full-period resolution ``2 pi / q`` where the PRTF first falls to 1/e, in the inverse unit of `frequency`.

    The last shell bounds it where the PRTF stays above (:func:`is_bound`); None where it is below from the start.
    """
    below = np.flatnonzero(value < RESOLUTION_LEVEL)
    if below.size == 0:
        return float(2 * math.pi / frequency[-1])
    first = int(below[0])
    if first == 0:
        return None
    high, low = value[first - 1], value[first]
    crossing = np.interp(RESOLUTION_LEVEL, [low, high], [frequency[first], frequency[first - 1]])
    return float(2 * math.pi / crossing)


def is_bound(value: np.ndarray) -> bool:
    """Whether the PRTF stays above 1/e to the last shell, so that the resolution is only bounded by the detector."""
    return bool((value >= RESOLUTION_LEVEL).all())


def _radius(shape: tuple[int, ...], reciprocal_steps: Tensor | None) -> Tensor:
    """|q| of every voxel, from the centre."""
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in shape]
    if reciprocal_steps is None:
        reciprocal_steps = torch.diag(2 * math.pi / torch.tensor(shape, dtype=torch.float64))
    q = torch.zeros(*shape, 3, dtype=torch.float64)
    for axis, (index, step) in enumerate(zip(axes, reciprocal_steps.double(), strict=True)):
        q += index.reshape([-1 if a == axis else 1 for a in range(3)] + [1]) * step
    return torch.linalg.vector_norm(q, dim=-1)
