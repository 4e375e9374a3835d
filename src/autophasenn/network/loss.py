"""What trains a network: the diffraction of its image compared with the measured one, and nothing else.

Both moduli are scaled to unit norm over the measured voxels first. A scale factor fitted inside the loss instead lets the
amplitude collapse to zero.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.physics.diffraction import root_of
from autophasenn.volumes import SPATIAL, Mask, Volume, WaveVolume

TINY = 1e-12


def unit_modulus(counts: Volume, measured: Mask) -> Volume:
    """Square root of the counts, 0 where unmeasured, of unit norm.

    Parameters
    ----------
    counts : float tensor (..., n0, n1, n2)
    measured : bool tensor (..., n0, n1, n2)
    """
    return _unit(root_of(torch.where(measured, counts, 0).clamp_min(0)))


def root_chi2(psi: WaveVolume, modulus: Volume, measured: Mask) -> Float[Tensor, "*batch"]:
    """The square root of chi2 with both moduli of unit norm, one value a pattern: between 0 and sqrt(2).

    Its gradient does not fade as the fit becomes good, and no bright pattern outweighs the others.

    Parameters
    ----------
    psi : complex tensor (..., n0, n1, n2)
        Calculated wave, on any scale.
    modulus : float tensor (..., n0, n1, n2)
        Measured, from `unit_modulus`.
    measured : bool tensor (..., n0, n1, n2)
    """
    calculated = psi.abs() * measured
    overlap = (calculated * modulus).sum(SPATIAL) / _norm(calculated).flatten(-4)
    return (2 - 2 * overlap).clamp_min(TINY).sqrt()


def mean_absolute_error(psi: WaveVolume, modulus: Volume, measured: Mask) -> Float[Tensor, "*batch"]:
    """Mean absolute difference of the moduli over the measured voxels: Yao et al., npj Comput. Mater. 8, 124 (2022), eq. 1.

    Parameters are those of `root_chi2`; the value is in units of the root mean square of the measured modulus.
    """
    difference = (_unit(psi.abs() * measured) - modulus).abs().sum(SPATIAL)
    return difference / measured.sum(SPATIAL).sqrt()


def _norm(modulus: Volume) -> Float[Tensor, "*#batch 1 1 1"]:
    # below the root: there the gradient of 0 is 0, above it would be no number
    return modulus.square().sum(SPATIAL, keepdim=True).clamp_min(TINY**2).sqrt()


def _unit(modulus: Volume) -> Volume:
    return modulus / _norm(modulus)
