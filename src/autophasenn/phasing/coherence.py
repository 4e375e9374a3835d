"""Partial coherence: estimate the mutual coherence kernel while the object is being found."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.options import Number, options
from autophasenn.physics import fourier
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel
from autophasenn.volumes import SPATIAL, Volume, crop_or_pad


@options
class CoherenceEstimate:
    """Richardson-Lucy deconvolution of the measured intensity by the coherent one (Clark et al. 2012, eq. 3).

    Parameters
    ----------
    first : int
        Iteration of the first estimate. The object must be nearly right before: a kernel explains errors of the object
        as well as it explains a blur (from iteration 100 of random starts it spoils coherent patterns).
    every : int
        Iterations between two estimates.
    updates : int
        Richardson-Lucy steps an estimate.
    width : int
        Odd edge of the kernel in voxels of the pattern.
    """

    first: Number = 10
    every: Number = 10
    updates: Number = 20
    width: Annotated[int, Ge(3)] = 11

    def __post_init__(self) -> None:
        if self.width % 2 == 0:
            raise PlanError(f"width is {self.width}; a kernel has an odd edge, of 3 voxels or more.")

    def is_due(self, iteration: int) -> bool:
        """Whether the kernel is estimated before this iteration (counted from 0)."""
        return iteration >= self.first and (iteration - self.first) % self.every == 0

    def update(self, kernel: Tensor | None, coherent: Volume, counts: Volume, measured: Volume) -> Tensor:
        """Estimate the kernel anew, from the last one.

        Parameters
        ----------
        kernel : float tensor (..., width, width, width) or None
            The last estimate, centred, sum 1; None: start from a narrow Gaussian.
        coherent : float tensor (..., n0, n1, n2)
            Intensity of the running object, corner order, on the scale of the counts.
        counts, measured : float tensor (..., n0, n1, n2)
            Corner order; `measured` is 1 or 0.

        Returns
        -------
        float tensor (..., width, width, width)
        """
        size = tuple(min(self.width, n - 1 + n % 2) for n in counts.shape[-3:])
        if kernel is None:
            kernel = gaussian_kernel(size, (0.7, 0.7, 0.7)).to(counts)
        elif tuple(kernel.shape[-3:]) != size:
            kernel = crop_or_pad(kernel, size)
            kernel = kernel / kernel.sum(SPATIAL, keepdim=True)
        spectrum = torch.fft.rfftn(coherent, dim=SPATIAL)
        floor = 1e-12 * coherent.amax(SPATIAL, keepdim=True)
        normalisation = self._correlate(spectrum, measured, size).clamp_min(1e-12)
        for _ in range(self.updates):
            blurred = ForwardModel(kernel=kernel).blur(coherent)
            ratio = torch.where(measured > 0, counts / blurred.clamp_min(floor), 0)
            # Voxels without a photon to speak of carry no information and may divide by almost nothing.
            ratio = ratio.clamp_max(1e3)
            kernel = kernel * self._correlate(spectrum, ratio, size) / normalisation
            kernel = kernel / kernel.sum(SPATIAL, keepdim=True)
        return kernel

    @staticmethod
    def _correlate(spectrum: Tensor, volume: Volume, size: tuple[int, ...]) -> Tensor:
        """Correlation of `volume` with the intensity of `spectrum`, its middle `size` voxels."""
        product = torch.fft.rfftn(volume, dim=SPATIAL) * spectrum.conj()
        full = torch.fft.irfftn(product, s=volume.shape[-3:], dim=SPATIAL)
        return crop_or_pad(fourier.to_centre(full), size).clamp_min(0)
