"""Scattering: from the object to the counts of a detector, and back.

    psi = F rho,   I = |psi|^2 * K,   n ~ Poisson(I)

K is the mutual coherence kernel in reciprocal space (a delta for a fully coherent beam): a partially coherent source
blurs the intensity, not the wave (Clark et al., Nature Communications 3, 993 (2012), eq. 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from autophasenn.physics import fourier
from autophasenn.volumes import SPATIAL, Mask, ObjectVolume, Volume, WaveVolume, crop_or_pad

Transform = Callable[[Tensor], Tensor]
FEW_THREADS = 4
"""Up to so many threads NumPy's modulus of complex numbers, which is vectorised and runs on one, beats torch's on all."""


@dataclass(frozen=True, eq=False)
class ForwardModel:
    """``model(rho)`` is the intensity that the detector would measure, 0 where it does not.

    Parameters
    ----------
    mask : bool tensor (..., n0, n1, n2), optional
        True = measured. None: every voxel is.
    kernel : float tensor (..., k0, k1, k2), optional
        Mutual coherence kernel, centred, non-negative, sum 1, no larger than the pattern. None: full coherence.
    to_detector, to_object : callables
        Object -> wave and its inverse. The default is the centred Fourier pair; another experiment gives another pair.
    """

    mask: Mask | None = None
    kernel: Tensor | None = None
    to_detector: Transform = fourier.diffract
    to_object: Transform = fourier.back_propagate

    def __call__(self, rho: ObjectVolume) -> Volume:
        """Intensity of an object (..., n0, n1, n2), in the square of its units."""
        if self.to_detector is fourier.diffract:  # where the origin lies turns the wave, and only moves its intensity
            coherent = fourier.to_centre(intensity_of(fourier.diffract_corner(rho)))
        else:
            coherent = intensity_of(self.to_detector(rho))
        intensity = self.blur(coherent)
        return intensity if self.mask is None else intensity * self.mask

    def blur(self, intensity: Volume) -> Volume:
        """Convolve with the coherence kernel (periodically); the total is kept."""
        if self.kernel is None:
            return intensity
        spectrum = torch.fft.rfftn(intensity, dim=SPATIAL) * self._transfer(tuple(intensity.shape[-3:]))
        return torch.fft.irfftn(spectrum, s=intensity.shape[-3:], dim=SPATIAL).clamp_min(0)

    def _transfer(self, shape: tuple[int, ...]) -> Tensor:
        if shape not in self._transfers:
            assert self.kernel is not None
            self._transfers[shape] = torch.fft.rfftn(fourier.to_corner(crop_or_pad(self.kernel, shape)), dim=SPATIAL)
        return self._transfers[shape]

    @cached_property
    def _transfers(self) -> dict[tuple[int, ...], Tensor]:
        return {}


def intensity_of(psi: WaveVolume) -> Volume:
    """|psi|^2, without the square root that ``abs`` would take."""
    return psi.real.square() + psi.imag.square()


def modulus_of(psi: WaveVolume, out: Volume | None = None) -> Volume:
    """|psi|, into `out` unless there are gradients; torch's ``abs`` costs a transform (docs/notebook/performance.md)."""
    if psi.requires_grad:
        return psi.abs()
    if out is None:
        out = torch.empty(psi.shape, dtype=psi.dtype.to_real(), device=psi.device)
    if psi.device.type != "cpu" or not psi.is_complex():
        return torch.abs(psi, out=out)
    if torch.get_num_threads() <= FEW_THREADS:
        np.abs(psi.resolve_conj().numpy(), out=out.numpy())
        return out
    parts = torch.view_as_real(psi.resolve_conj())
    return torch.mul(parts[..., 0], parts[..., 0], out=out).addcmul_(parts[..., 1], parts[..., 1]).sqrt_()


def root_of(values: Tensor) -> Tensor:
    """The square root; torch's takes seven times as long where many voxels are 0, as in counts (MKL's vector functions)."""
    as_it_is = values.ndim > 0 and values.dtype in (torch.float32, torch.float64) and not values.is_neg()
    if values.requires_grad or values.device.type != "cpu" or not as_it_is or torch.get_num_threads() > FEW_THREADS:
        return values.sqrt()
    return torch.from_numpy(np.sqrt(values.numpy()))


def gaussian_kernel(shape: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """Gaussian mutual coherence kernel of the given standard deviations (voxels of the pattern), centred, sum 1.

    The degree of coherence that goes with it is a Gaussian too, of the standard deviation ``xi = n / (2 pi sigma)`` object
    voxels on an axis of n, but folded with the period n: the law is sampled on whole voxels of the pattern. Over the field
    of view the fold is below 1 % for sigma >= 1 and grows fast below (9 % at its edge for 0.7). A long coherence
    length is to be applied to the autocorrelation instead, as `experiment.beam.Coherence.blur` does.
    """
    profiles = []
    for size, width in zip(shape, sigma, strict=True):
        x = torch.arange(size, dtype=torch.float64) - size // 2
        profiles.append(torch.exp(-0.5 * (x / width) ** 2) if width > 0 else (x == 0).double())
    first, second, third = ((profile / profile.sum()).float() for profile in profiles)  # threads do not change a bit
    return first[:, None, None] * second[:, None] * third


def count_photons(intensity: Volume, photons: float, generator: torch.Generator | None = None) -> Volume:
    """Counts of a photon-counting detector that receives `photons` in all: Poisson noise on the intensity.

    Parameters
    ----------
    intensity : float tensor (n0, n1, n2)
        In any unit.
    photons : float
        Expected total counts over the volume.
    generator : torch.Generator, optional
        The only source of randomness.

    Returns
    -------
    float tensor (n0, n1, n2) of whole numbers
    """
    return torch.poisson(intensity * (photons / intensity.sum()), generator=generator)
