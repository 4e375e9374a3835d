"""Random displacement fields like those of relaxed crystals: long waves, a little mean strain, relaxed facets.

Only u_G is made, the displacement along the scattering vector: a Bragg pattern sees no other. It is free of rigid
translation and rotation: the constant and linear parts of the waves, as fitted inside the crystal, are taken away, and the
linear part that comes instead is that of a mean strain, which has no rotation in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from autophasenn.options import NotNegative, Number, Positive, PositiveRange, Range, Share, check_rising, options

POINTS = 9
"""Along each edge of a crystal's bounding box: where its displacement is looked at while it is drawn."""

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Field:
    """``offset + gradient . r + Re sum_m c_m exp(kappa_m . r)``, metres, at positions r in the crystal's cubic axes, metres.

    Parameters
    ----------
    offset : float
        Metres.
    gradient : float64 array (3,)
        Dimensionless.
    exponents : complex128 array (terms, 3)
        kappa, 1/m: imaginary for a wave, real for what decays beneath a facet.
    coefficients : complex128 array (terms,)
        c, metres.
    """

    offset: float
    gradient: Floats
    exponents: Complexes
    coefficients: Complexes

    def __call__(self, r: Floats) -> Floats:
        """u_G at the points (points, 3)."""
        terms: Complexes = np.exp(r @ self.exponents.T) @ self.coefficients
        return self.offset + r @ self.gradient + terms.real


@options
class Displacement:
    """How u_G is drawn. The defaults describe gold crystals of 20 nm that LAMMPS relaxed.

    Parameters
    ----------
    bend : (float, float)
        Least and greatest rms of what the waves displace, over the size of the crystal (the cube root of its volume);
        uniform, then varied by a factor.
    spread : float
        Standard deviation of the logarithm of that factor.
    waves : int
        Plane waves that make up the field, of random directions.
    shortest, longest : float
        Their wavelengths, metres, uniform in the logarithm; amplitudes grow as a power of them.
    steepness : (float, float)
        Least and greatest power, one for a crystal.
    mean_strain : (float, float)
        Mean and standard deviation of the mean strain along the scattering vector. Its mean gradient across has the
        same standard deviation along each of two axes. All of it moves the peak, mostly by a fraction of a voxel.
    contraction : float
        How far facets, edges and corners move inwards, metres: the part of the movement that all have in common. The whole
        movement is multiplied by a wave of its own for each (``cos(k . r)``, k drawn as for the waves), so that its mean
        over the facets is smaller: 0.5 to 0.65 of this for crystals of 20 and 10 nm.
    facet_variety, edge_variety : float
        Standard deviation of that movement, of facets, and of edges and corners, metres.
    depth : (float, float)
        Least and greatest depth over which the movement decays by a factor of e, metres; one for a crystal.
    strong : float
        Probability of a strongly strained crystal.
    strong_range : (float, float)
        Least and greatest range of the phase that the waves give a strongly strained crystal, radians.

    Raises
    ------
    InputError
        If a number is out of its range, or not finite.
    """

    bend: Range = (2.3e-4, 7.2e-4)
    spread: NotNegative = 0.7
    waves: Number = 12
    shortest: Positive = 3.8e-9
    longest: Positive = 490e-9
    steepness: Range = (1.3, 3.5)
    mean_strain: tuple[float, NotNegative] = (-0.95e-3, 5.2e-4)
    contraction: float = 2.7e-12
    facet_variety: NotNegative = 10e-12
    edge_variety: NotNegative = 21e-12
    depth: PositiveRange = (0.36e-9, 1.2e-9)
    strong: Share = 0.0
    strong_range: PositiveRange = (math.pi, 4 * math.pi)

    def __post_init__(self) -> None:
        waves = (self.shortest, self.longest)
        check_rising(wavelengths=waves, bend=self.bend, steepness=self.steepness, depth=self.depth)
        check_rising(strong_range=self.strong_range)

    def draw(self, generator: torch.Generator, normals: Floats, distances: Floats, corners: Floats, G: Floats) -> Field:
        """The displacement of one crystal.

        Parameters
        ----------
        generator : torch.Generator
            The only source of randomness.
        normals, distances : float64 arrays (facets, 3), (facets,)
            Of the facets, metres, cubic axes.
        corners : float64 array (corners, 3)
            Metres.
        G : float64 array (3,)
            Scattering vector, 1/m.
        """

        def normal(*shape: int) -> Floats:
            return torch.randn(shape, generator=generator, dtype=torch.float64).numpy()

        def uniform(*shape: int) -> Floats:
            return torch.rand(shape, generator=generator, dtype=torch.float64).numpy()

        length = float(np.linalg.norm(G))

        def waves(count: int) -> Floats:
            directions, shares = normal(count, 3), uniform(count)
            lengths = self.shortest * (self.longest / self.shortest) ** shares
            return directions * (2 * math.pi / lengths / np.linalg.norm(directions, axis=1))[:, None]

        size, across = normal(), normal(3)
        share, is_strong, range_share, bend_share, steepness_share = uniform(5)
        k, parts = waves(self.waves), normal(2, self.waves)
        steepness = self.steepness[0] + (self.steepness[1] - self.steepness[0]) * float(steepness_share)
        amplitudes = (parts[0] + 1j * parts[1]) / (np.linalg.norm(k, axis=1) * self.shortest) ** steepness
        # an edge or a corner moves like a facet that touches the crystal there, turned half-way between those that meet
        meet = (np.abs(corners @ normals.T - distances) < 1e-6 * distances.max()).astype(float)
        first, second = np.nonzero(np.triu(meet.T @ meet, 1) >= 2)
        outward = np.concatenate([normals, normals[first] + normals[second], meet @ normals])
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        depths = (outward @ corners.T).max(1)
        ripples, moved = waves(len(outward)), normal(2, len(outward))
        deviations = np.where(np.arange(len(outward)) < len(normals), self.facet_variety, self.edge_variety)

        offset, slope, values, extent = _without_linear_part(k, amplitudes, normals, distances, corners)
        if is_strong < self.strong:
            lowest, highest = (math.log(bound) for bound in self.strong_range)
            scale = math.exp(lowest + (highest - lowest) * range_share) / length / float(np.ptp(values))
        else:
            bend = (self.bend[0] + (self.bend[1] - self.bend[0]) * float(bend_share)) * math.exp(
                self.spread * float(size)
            )
            scale = bend * extent / float(np.sqrt(np.mean(values**2)))
        mean, deviation = self.mean_strain
        strain = deviation * across + mean * G / length
        depth = self.depth[0] + (self.depth[1] - self.depth[0]) * float(share)
        inwards = -(outward @ G / length) * (self.contraction + deviations * (moved[0] + 1j * moved[1]))
        return Field(
            -scale * offset,
            strain - scale * slope,
            np.concatenate([1j * k, outward / depth + 1j * ripples]),
            np.concatenate([scale * amplitudes, inwards * np.exp(-depths / depth)]),
        )


def _without_linear_part(
    k: Floats, amplitudes: Complexes, normals: Floats, distances: Floats, corners: Floats
) -> tuple[float, Floats, Floats, float]:
    """Constant and linear part of waves inside a crystal (least squares), the values without them at points inside, and
    the cube root of its volume.
    """
    low, high = corners.min(0), corners.max(0)
    axes = low + (high - low) * ((np.arange(POINTS) + 0.5) / POINTS)[:, None]
    x, y, z = np.exp(1j * k[:, :, None] * axes.T).transpose(1, 0, 2)
    waves: Complexes = (amplitudes[:, None] * x).T @ (y[:, :, None] * z[:, None, :]).reshape(len(k), -1)
    points = np.stack(np.meshgrid(*axes.T, indexing="ij"), -1).reshape(-1, 3)
    inside = (points @ normals.T <= distances).all(1)
    r, values = points[inside], waves.real.reshape(-1)[inside]
    middle, mean = r.mean(0), values.mean()
    centred = r - middle
    slope = np.linalg.solve(centred.T @ centred, centred.T @ values)
    volume = float(np.prod(high - low) * inside.mean())
    return float(mean - slope @ middle), slope, values - mean - centred @ slope, volume ** (1 / 3)
