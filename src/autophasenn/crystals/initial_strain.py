"""How a crystal is strained before it relaxes: compression, tension and shear that vary through it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

WAVES = 2
"""Waves of displacement in a crystal."""


@dataclass(frozen=True, eq=False)
class InitialStrain:
    """A smooth displacement field: uniform strain, strain that varies linearly, and long waves.

        u(r) = A r + (r Q r) / 2 + sum_w p_w sin(k_w.r + phi_w)

    All in the crystal's cubic axes, metres, float64.

    Parameters
    ----------
    uniform : tensor (3, 3)
        A, symmetric, dimensionless.
    gradient : tensor (3, 3, 3)
        Q, symmetric in its last two axes, 1/m.
    amplitudes, wave_vectors : tensors (waves, 3)
        p in metres, k in 1/m.
    offsets : tensor (waves,)
        phi, rad.
    """

    uniform: Float[Tensor, "3 3"]
    gradient: Float[Tensor, "3 3 3"]
    amplitudes: Float[Tensor, "waves 3"]
    wave_vectors: Float[Tensor, "waves 3"]
    offsets: Float[Tensor, " waves"]

    def displacement(self, r: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Displacement u at the points r, metres."""
        bent = torch.einsum("ijk,nj,nk->ni", self.gradient, r, r) / 2
        return r @ self.uniform.T + bent + torch.sin(r @ self.wave_vectors.T + self.offsets) @ self.amplitudes

    def strain(self, r: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3 3"]:
        """(du_i/dr_j + du_j/dr_i) / 2 at the points r."""
        slopes = torch.cos(r @ self.wave_vectors.T + self.offsets)
        waves = torch.einsum("nw,wi,wj->nij", slopes, self.amplitudes, self.wave_vectors)
        distortion = self.uniform + torch.einsum("ijk,nk->nij", self.gradient, r) + waves
        return (distortion + distortion.mT) / 2

    def scaled(self, factor: float) -> InitialStrain:
        """The same field, `factor` times as strong."""
        return replace(
            self,
            uniform=self.uniform * factor,
            gradient=self.gradient * factor,
            amplitudes=self.amplitudes * factor,
        )


def draw_strain(
    generator: torch.Generator, points: Float[Tensor, "points 3"], size: float, typical: float
) -> InitialStrain:
    """A random field with a given median, over the crystal, of the largest principal strain: the corners have more.

    The strain that varies linearly has the largest weight, since it bends a Bragg phase the most. The uniform part has a
    small one: it moves the peak and is lost when that is centred.

    Parameters
    ----------
    generator : torch.Generator
        The only source of randomness.
    points : float64 tensor (points, 3)
        Of the crystal, metres.
    size : float
        Of the crystal, metres: the unit of the wavelengths, 1 to 3 sizes.
    typical : float
        Strain, dimensionless.
    """

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def uniform(count: int) -> Tensor:
        return torch.rand(count, generator=generator, dtype=torch.float64)

    shares = uniform(2 + WAVES)
    matrix, tensor = normal(3, 3), normal(3, 3, 3)
    wave_numbers = 2 * math.pi / (size * (1 + 2 * uniform(WAVES)))
    field = InitialStrain(
        shares[0] * (matrix + matrix.T) / 4,
        3 * shares[1] * (tensor + tensor.mT) / size,
        normalize(normal(WAVES, 3)) * (2 * shares[2:] / wave_numbers)[:, None],
        normalize(normal(WAVES, 3)) * wave_numbers[:, None],
        2 * math.pi * uniform(WAVES),
    )
    principal = torch.linalg.eigvalsh(field.strain(points)).abs().amax(1)
    return field.scaled(typical / float(principal.median()))
