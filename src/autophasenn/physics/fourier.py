"""The one Fourier transform pair of the project: centred, orthonormal, over the last three axes.

    psi(q) = sum_r rho(r) exp(-i q.r) / sqrt(N)

Both origins lie at index ``n // 2``. Only this file shifts. Loops that run many transforms keep their volumes in
*corner* order (origin at index 0), where the transform needs no shift: :func:`to_corner` and :func:`to_centre` convert.
"""

import torch

from autophasenn.volumes import SPATIAL, ObjectVolume, WaveVolume


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


def diffract_corner(rho: torch.Tensor) -> torch.Tensor:
    """:func:`diffract` for volumes in corner order: no shift."""
    return torch.fft.fftn(rho, dim=SPATIAL, norm="ortho")


def back_propagate_corner(psi: torch.Tensor) -> torch.Tensor:
    """:func:`back_propagate` for volumes in corner order: no shift."""
    return torch.fft.ifftn(psi, dim=SPATIAL, norm="ortho")
