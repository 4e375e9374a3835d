"""The one Fourier transform pair of the project: centred, orthonormal, over the last three axes.

    psi(q) = sum_r rho(r) exp(-i q.r) / sqrt(N)

Both origins lie at index ``n // 2``. Only this file shifts. Loops that run many transforms keep their volumes in
*corner* order (origin at index 0), where the transform needs no shift: :func:`to_corner` and :func:`to_centre` convert.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Complex

from autophasenn.volumes import SPATIAL, ObjectVolume, WaveVolume, crop_or_pad


def to_corner(volume: torch.Tensor) -> torch.Tensor:
    """Move the origin from index ``n // 2`` to index 0 on the last three axes."""
    return torch.fft.ifftshift(volume, SPATIAL)


def to_centre(volume: torch.Tensor) -> torch.Tensor:
    """Move the origin from index 0 to index ``n // 2`` on the last three axes."""
    return torch.fft.fftshift(volume, SPATIAL)


def diffract(rho: ObjectVolume) -> WaveVolume:
    """Diffracted wave of an object: the centred orthonormal forward transform, exp(-i q.r).

    Parameters
    ----------
    rho : complex tensor (..., n0, n1, n2)

    Returns
    -------
    complex tensor (..., n0, n1, n2)
        Parseval holds without factors: sum |psi|^2 = sum |rho|^2.
    """
    return to_centre(torch.fft.fftn(to_corner(rho), dim=SPATIAL, norm="ortho"))


def back_propagate(psi: WaveVolume) -> ObjectVolume:
    """Object of a wave: the inverse of :func:`diffract`."""
    return to_centre(torch.fft.ifftn(to_corner(psi), dim=SPATIAL, norm="ortho"))


def diffract_padded(rho: ObjectVolume, shape: Sequence[int]) -> Complex[torch.Tensor, "*#batch p0 p1 p2"]:
    """:func:`diffract` of an object padded with zeros to `shape`, without transforming the zeros.

    On the CPU each axis is a product with the Fourier matrix of the object's rows alone, which needs no shift either: 0.4
    of the time at 32 -> 64. On other devices matrix products may run in reduced precision, and it is the FFT.

    Parameters
    ----------
    rho : complex tensor (..., n0, n1, n2)
    shape : 3 ints
        (p0, p1, p2), none less than the size of `rho`.

    Returns
    -------
    complex tensor (..., p0, p1, p2)
    """
    if rho.device.type != "cpu":
        return diffract(crop_or_pad(rho, shape))
    batch, (n0, n1, n2), (p0, p1, p2) = rho.shape[:-3], rho.shape[-3:], shape
    wave = (rho.reshape(-1, n2) @ _fourier_matrix(n2, p2, rho.dtype).mT).reshape(-1, n1, p2)
    wave = (_fourier_matrix(n1, p1, rho.dtype) @ wave).reshape(-1, n0, p1 * p2)
    return (_fourier_matrix(n0, p0, rho.dtype) @ wave).reshape(*batch, p0, p1, p2)


def back_propagate_cropped(
    psi: WaveVolume, shape: Sequence[int], of: Sequence[int] | None = None
) -> Complex[torch.Tensor, "*#batch m0 m1 m2"]:
    """The middle of :func:`back_propagate`, `shape` voxels of it: the adjoint of :func:`diffract_padded`, made the same way.

    Parameters
    ----------
    psi : complex tensor (..., p0, p1, p2)
    shape : 3 ints
        (m0, m1, m2), none larger than the size of the wave.
    of : 3 ints, optional
        Size of the wave of which `psi` is the middle, and which is 0 beyond. None: `psi` is all of it.

    Returns
    -------
    complex tensor (..., m0, m1, m2)
    """
    whole = psi.shape[-3:] if of is None else of
    if psi.device.type != "cpu":
        return crop_or_pad(back_propagate(crop_or_pad(psi, whole)), shape)
    batch, (p0, p1, p2), (m0, m1, m2) = psi.shape[:-3], psi.shape[-3:], shape
    f0, f1, f2 = (
        _fourier_matrix(m, n, psi.dtype)[n // 2 - p // 2 :][:p]
        for m, n, p in zip(shape, whole, psi.shape[-3:], strict=True)
    )
    rho = (f0.mH @ psi.reshape(-1, p0, p1 * p2)).reshape(-1, p1, p2)
    rho = (f1.mH @ rho).reshape(-1, p2)
    return (rho @ f2.conj()).reshape(*batch, m0, m1, m2)


@lru_cache(16)
def _fourier_matrix(size: int, padded: int, dtype: torch.dtype) -> torch.Tensor:
    """exp(-i q r) / sqrt(n) of the `padded` values of q (rows) and the middle `size` values of r."""
    with torch.inference_mode(False):  # kept for later, when gradients may be asked for
        return _fourier_values(size, padded).to(dtype)


def _fourier_values(size: int, padded: int) -> torch.Tensor:
    q = torch.arange(padded, dtype=torch.float64) - padded // 2
    r = torch.arange(size, dtype=torch.float64) - size // 2
    return torch.exp(-2j * math.pi * q[:, None] * r / padded) / math.sqrt(padded)


def diffract_corner(rho: torch.Tensor) -> torch.Tensor:
    """:func:`diffract` for volumes in corner order: no shift."""
    return torch.fft.fftn(rho, dim=SPATIAL, norm="ortho")


def back_propagate_corner(psi: torch.Tensor) -> torch.Tensor:
    """:func:`back_propagate` for volumes in corner order: no shift."""
    return torch.fft.ifftn(psi, dim=SPATIAL, norm="ortho")
