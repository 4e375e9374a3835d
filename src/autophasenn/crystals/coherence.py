"""Partial coherence of the beam: how far apart two points of a crystal may lie and still interfere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.crystals.draws import choice, log_uniform
from autophasenn.crystals.sampling import PATTERN_VOXELS
from autophasenn.physics.diffraction import ForwardModel, exponential_kernel, gaussian_kernel

Shape = Literal["gaussian", "exponential"]
"""How the degree of coherence falls with the distance x: exp(-x^2 / (2 xi^2)), or exp(-x / xi)."""


@dataclass(frozen=True)
class Coherence:
    """A partially coherent beam.

    Parameters
    ----------
    shape : "gaussian" or "exponential"
    lengths : tuple of 3 floats
        Coherence length xi along each axis, voxels of the object.
    """

    shape: Shape
    lengths: tuple[float, float, float]

    def kernel(self) -> Float[Tensor, "64 64 64"]:
        """The mutual coherence kernel that blurs the intensity, centred, sum 1."""
        widths = [PATTERN_VOXELS / (2 * math.pi * length) for length in self.lengths]
        kernel = gaussian_kernel if self.shape == "gaussian" else exponential_kernel
        return kernel((PATTERN_VOXELS,) * 3, widths)

    def blur(self, intensity: Float[Tensor, "64 64 64"]) -> Float[Tensor, "64 64 64"]:
        """The intensity that this beam gives, of the same total."""
        return ForwardModel(kernel=self.kernel().to(intensity.device)).blur(intensity)


def draw_coherence(generator: torch.Generator, lengths: tuple[float, float]) -> Coherence:
    """Either shape, with lengths between the bounds (voxels of the object) for each axis, uniform in the logarithm."""
    shape = get_args(Shape)[choice(generator, 2)]
    first, second, third = (log_uniform(generator, lengths) for _ in range(3))
    return Coherence(shape, (first, second, third))
