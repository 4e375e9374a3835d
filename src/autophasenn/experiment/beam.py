"""Partial coherence of the beam: how far apart two points of a crystal may lie and still interfere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.errors import InputError
from autophasenn.randomness import check_positive, choice, log_uniform
from autophasenn.volumes import PATTERN_VOXELS

Shape = Literal["gaussian", "exponential"]
"""How the degree of coherence falls with the distance d between two points, in coherence lengths: exp(-d^2 / 2) or exp(-d),
d^2 = (x0 / xi0)^2 + (x1 / xi1)^2 + (x2 / xi2)^2."""


@dataclass(frozen=True)
class Coherence:
    """A partially coherent beam.

    Parameters
    ----------
    shape : "gaussian" or "exponential"
    lengths : tuple of 3 floats
        Coherence length xi along each axis, voxels of the object.

    Raises
    ------
    InputError
        If the shape is unknown, or a length is not positive and finite.
    """

    shape: Shape
    lengths: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape):
            raise InputError(f"The degree of coherence {self.shape!r} is unknown; choose one of {get_args(Shape)}.")
        check_positive("A coherence length", *self.lengths)

    def degree(self, device: torch.device | str = "cpu") -> Float[Tensor, "64 64 33"]:
        """gamma(x): the share of the interference of two points that lie x apart, 1 for x = 0.

        In the order of ``torch.fft.rfftn``: x = 0..31, -32..-1 voxels of the object, and 0..32 on the last axis.
        """
        x = torch.fft.fftfreq(PATTERN_VOXELS, 1 / PATTERN_VOXELS, dtype=torch.float64)
        first, second, third = ((x / length).square().float().to(device) for length in self.lengths)
        squared = first[:, None, None] + second[:, None] + third[: PATTERN_VOXELS // 2 + 1]
        return torch.exp(-squared / 2 if self.shape == "gaussian" else -squared.sqrt())

    def blur(self, intensity: Float[Tensor, "64 64 64"]) -> Float[Tensor, "64 64 64"]:
        """The intensity that this beam gives, of the same total.

        The interference of points x apart is the autocorrelation of the object at x, which is multiplied by gamma(x)
        (Clark et al., Nat. Commun. 3, 993 (2012), eq. 1, where its transform blurs the intensity). This is exact for an
        object in the middle half of the field of view, whose autocorrelation fits in the whole.
        """
        autocorrelation = torch.fft.rfftn(intensity)
        return torch.fft.irfftn(autocorrelation * self.degree(intensity.device), s=intensity.shape).clamp_min(0)


def draw_coherence(generator: torch.Generator, lengths: tuple[float, float]) -> Coherence:
    """Either shape, with lengths between the bounds (voxels of the object) for each axis, uniform in the logarithm."""
    shape = get_args(Shape)[choice(generator, 2)]
    first, second, third = (log_uniform(generator, lengths) for _ in range(3))
    return Coherence(shape, (first, second, third))
