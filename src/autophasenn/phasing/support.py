"""Where the crystal is: a first guess from the autocorrelation, then shrink-wrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.options import Fraction, Number, Positive, options
from autophasenn.physics.diffraction import modulus_of
from autophasenn.physics.pruned import Box
from autophasenn.volumes import SPATIAL, ObjectVolume, Support, Volume

FIRST_SUPPORT_THRESHOLD = 0.1
"""Fraction of the largest autocorrelation (or amplitude of a start) that bounds the first support."""
REACH = 4.0
"""Standard deviations beyond which a Gaussian, whose waves end at the window, has fallen to a hundredth or less."""
MATRIX_VOXELS = 96
"""Longest axis that is blurred by a matrix."""


def autocorrelation_support(counts: Volume, threshold: float) -> Support:
    """First guess of the support: where the autocorrelation of the object exceeds a fraction of its maximum.

    The autocorrelation (inverse transform of the intensity) of a compact crystal falls to about 10 % half-way to its own
    edge, which is where the crystal ends when it is put at the centre.

    Parameters
    ----------
    counts : float tensor (..., n0, n1, n2)
        Corner order, 0 where unmeasured.
    threshold : float
        Fraction of the maximum.

    Returns
    -------
    bool tensor (..., n0, n1, n2)
        Corner order, symmetric about index 0.
    """
    autocorrelation = torch.fft.ifftn(counts, dim=SPATIAL).abs()
    return autocorrelation >= threshold * autocorrelation.amax(SPATIAL, keepdim=True)


@options
class ShrinkWrap:
    """The support becomes where the blurred amplitude exceeds a fraction of its typical value (Marchesini et al. 2003).

    Typical is ``sqrt(sum a^4 / sum a^2)``, the amplitude of an evenly filled crystal. The maximum, which the original
    takes, follows single bright voxels: on strained crystals of 1e6 photons a fraction of it cut the crystal away
    (correlation with the truth 0.5, against 0.95; docs/notebook/performance.md).

    Parameters
    ----------
    every : int
        Iterations between two updates.
    threshold : float
        Fraction of the typical blurred amplitude.
    sigma_first, sigma_last : float
        Standard deviation of the Gaussian in voxels at the first and at the last update; it narrows geometrically.
    """

    every: Number = 10
    threshold: Fraction = 0.3
    sigma_first: Positive = 3.0
    sigma_last: Positive = 1.0

    def is_due(self, iteration: int) -> bool:
        """Whether the support is updated before this iteration (counted from 0)."""
        return iteration > 0 and iteration % self.every == 0

    def sigma(self, iteration: int, iterations: int) -> float:
        """Width of the Gaussian at an update, in voxels, of a schedule of so many iterations."""
        last = (iterations - 1) // self.every * self.every
        progress = (iteration - self.every) / (last - self.every) if last > self.every else 1.0
        return float(self.sigma_first * (self.sigma_last / self.sigma_first) ** progress)

    def update(self, rho: ObjectVolume, iteration: int, iterations: int) -> Support:
        """New support of an object (..., n0, n1, n2), in the order (corner or centre) of the object."""
        return self._bounded(rho, self.sigma(iteration, iterations))

    def final_support(self, rho: ObjectVolume) -> Support:
        """Support of an object (..., n0, n1, n2) by the last, narrowest Gaussian, in the order of the object."""
        return self._bounded(rho, self.sigma_last)

    def _bounded(self, rho: ObjectVolume, sigma: float) -> Support:
        amplitude = modulus_of(rho.detach())
        shape = (rho.shape[-3], rho.shape[-2], rho.shape[-1])
        if amplitude.device.type == "cpu" and amplitude.numel() == math.prod(shape) and max(shape) <= MATRIX_VOXELS:
            box = Box.around(amplitude != 0).widened(math.ceil(REACH * sigma), shape)  # what is not a number counts
            is_apart = all(a > 0 and a + m < n for a, m, n in zip(box.start, box.size, shape, strict=True))
            if is_apart and 2 * math.prod(box.size) <= math.prod(shape):  # beyond it nothing is above a threshold
                return box.embed(self._above(blur(box.cut(amplitude), sigma, shape)), shape)
        return self._above(blur(amplitude, sigma))

    def _above(self, blurred: Volume) -> Support:
        return blurred >= self.threshold * typical_amplitude(blurred.square())


def typical_amplitude(power: Volume, least: float = 0.0) -> Tensor:
    """That of the voxels that hold most of the squared amplitude, ``sqrt(sum a^4 / sum a^2)``, (..., 1, 1, 1).

    Parameters
    ----------
    power : float tensor (..., n0, n1, n2)
        The squared amplitude.
    least : float
        Below which its sum does not count as less: above 0 where all may be dark.
    """
    return (power.square().sum(SPATIAL, keepdim=True) / power.sum(SPATIAL, keepdim=True).clamp_min(least)).sqrt()


def blur(volume: Volume, sigma: float, of: Sequence[int] | None = None) -> Volume:
    """Convolve with a Gaussian of `sigma` voxels, periodically.

    On the CPU small axes are multiplied by the matrix of the convolution, which takes a third of the time of a transform.

    Parameters
    ----------
    volume : float tensor (..., n0, n1, n2)
    sigma : float
    of : 3 ints, optional
        Shape of the volume of which `volume` is a box, and which is 0 beyond; on the CPU, of small axes. None: it is whole.
    """
    if volume.device.type == "cpu" and max(volume.shape[-3:]) <= MATRIX_VOXELS:
        m0, m1, m2 = (
            _blurring_matrix(whole, sigma, volume.dtype)[:n, :n]  # the same wherever the box lies
            for n, whole in zip(volume.shape[-3:], of or volume.shape[-3:], strict=True)
        )
        with torch.autocast("cpu", enabled=False):
            return torch.matmul(m0, torch.matmul(m1, volume @ m2).flatten(-2)).reshape(volume.shape)
    spectrum = torch.fft.rfftn(volume, dim=SPATIAL)
    for axis in SPATIAL:
        transfer = _transfer(volume.shape[axis], sigma)[: spectrum.shape[axis]].to(volume)
        spectrum *= transfer.reshape([-1 if a == axis else 1 for a in SPATIAL])
    return torch.fft.irfftn(spectrum, s=volume.shape[-3:], dim=SPATIAL)


@lru_cache(64)
@torch.inference_mode(False)  # what is cached serves training too
def layer_around(support: Float[Tensor, "starts n0 n1 n2"]) -> Float[Tensor, "starts n0 n1 n2"]:
    """A support (1 inside, 0 outside) with the voxels around it, corners included; periodic."""
    padded = torch.nn.functional.pad(support[:, None], (1,) * 6, mode="circular")
    return torch.nn.functional.max_pool3d(padded, 3, 1)[:, 0]


def _transfer(n: int, sigma: float) -> Tensor:
    """Of a Gaussian, at the frequencies of n voxels."""
    return torch.exp(-2 * (math.pi * sigma * torch.fft.fftfreq(n, dtype=torch.float64)) ** 2)


@lru_cache(64)
@torch.inference_mode(False)
def _blurring_matrix(n: int, sigma: float, dtype: torch.dtype) -> Tensor:
    """The convolution with a periodic Gaussian as a symmetric matrix (n, n)."""
    kernel = torch.fft.ifft(_transfer(n, sigma)).real
    voxel = torch.arange(n)
    return kernel[(voxel[:, None] - voxel) % n].to(dtype)


def random_start(support: Support, generators: list[torch.Generator]) -> Tensor:
    """Objects of random amplitude and phase in a support, one for each generator.

    Parameters
    ----------
    support : bool tensor (starts, n0, n1, n2)
    generators : list of torch.Generator
        On the CPU, so that a start is the same on every device.

    Returns
    -------
    complex64 tensor (starts, n0, n1, n2)
    """
    shape = support.shape[-3:]
    noise = torch.stack([torch.rand((2, *shape), generator=g) for g in generators]).to(support.device)
    return torch.polar(noise[:, 0], 2 * math.pi * noise[:, 1]) * support
