"""The fast source: faceted crystals with smooth random displacement fields, made in batches on the CPU or a GPU.

The facets are those of the source that relaxes atoms; what relaxation does to the displacement is drawn from
distributions that were measured on it. The few numbers that describe a crystal are drawn one crystal after the other on the CPU,
the voxels are filled on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autophasenn.crystals.fields import exponentials, polyhedra
from autophasenn.crystals.lattice import metal, scattering_vector
from autophasenn.crystals.sampling import Sampling
from autophasenn.crystals.seeding import Stream, generator_of
from autophasenn.crystals.shapes import Facets, clipped_block, vertices
from autophasenn.crystals.source import Objects

CHUNK = 4
"""Crystals whose voxels are filled together on a CPU: few enough to stay in its caches."""
FAR = 1e3
"""Distance in voxels of a plane that clips nothing."""


@dataclass(frozen=True)
class Displacement:
    """How the displacement along the scattering vector is drawn; the defaults describe relaxed gold crystals of 20 nm.

    Parameters
    ----------
    median_rms : float
        Of u_G inside the crystal, its linear part removed, metres: the median over the crystals.
    spread : float
        Standard deviation of the logarithm of the rms over the crystals.
    waves : int
        Plane waves that make up the field.
    shortest, longest : float
        Wavelengths, metres, uniform in the wave number.
    mean_strain : float
        Standard deviation of each component of the mean gradient of u_G. It moves the peak by a fraction of a voxel.
    contraction : float
        How far the outermost atoms move inwards, metres.
    depth : float
        Over which the contraction decays by a factor of e, metres.
    """

    median_rms: float = 12e-12
    spread: float = 0.5
    waves: int = 12
    shortest: float = 12e-9
    longest: float = 60e-9
    mean_strain: float = 3e-4
    contraction: float = 4e-12
    depth: float = 0.5e-9


@dataclass(frozen=True, eq=False)
class Crystal:
    """The few numbers that describe one crystal on its voxels, float64, indices counted from voxel ``n // 2``.

    Parameters
    ----------
    normals, distances : arrays (facets, 3), (facets,)
        Unit normals and distances of the facets, voxels.
    exponents, coefficients : complex arrays (terms, 3), (terms,)
        The phase is ``Re sum_m c_m exp(kappa_m . i)``, radians.
    """

    normals: np.ndarray
    distances: np.ndarray
    exponents: np.ndarray
    coefficients: np.ndarray


@dataclass(frozen=True)
class Polyhedra:
    """Faceted fcc crystals with smooth random displacement fields: thousands a minute on one CPU core.

    Parameters
    ----------
    metal : str
        Chemical symbol; its lattice constant sets the preferred voxels (two lattice constants) and the scattering vector.
    reflection : 3 ints
        Miller indices.
    sampling : Sampling
        Orientation and sampling of the crystals.
    displacement : Displacement
    edge : float
        Thickness of the layer in which the amplitude rises at a facet, in voxels.
    """

    metal: str = "Au"
    reflection: tuple[int, int, int] = (1, 1, 1)
    sampling: Sampling = Sampling()
    displacement: Displacement = Displacement()
    edge: float = 1.0

    def __post_init__(self) -> None:
        scattering_vector(self.reflection, metal(self.metal).lattice_constant)

    def provenance(self) -> dict[str, Any]:
        """Name and parameters, JSON-serialisable."""
        return {"source": "polyhedra", **asdict(self)}

    def objects(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> Objects:
        """The crystals of these indices; complex64 (len(indices), 32, 32, 32) on `device`."""
        device = torch.device(device)
        crystals = [self.draw(seed, index) for index in indices]
        size = CHUNK if device.type == "cpu" else len(crystals)
        return torch.cat([self._fill(crystals[i : i + size], device) for i in range(0, len(crystals), size)])

    def draw(self, seed: int, index: int) -> Crystal:
        """The numbers that describe crystal `index` of `seed`."""
        generator = generator_of(seed, index, Stream.CRYSTAL)
        facets = clipped_block(generator)
        view = self.sampling.draw(generator_of(seed, index, Stream.VIEW))
        corners = vertices(facets)
        lattice_constant = metal(self.metal).lattice_constant
        G = scattering_vector(self.reflection, lattice_constant).numpy()

        seen = (corners @ view.rotation.T).numpy()
        centre, extents = (seen.max(0) + seen.min(0)) / 2, seen.max(0) - seen.min(0)
        voxel = view.voxel_size(torch.from_numpy(extents), 2 * lattice_constant).numpy()
        rotation = view.rotation.numpy()

        kept = (corners.numpy() @ facets.normals.numpy().T).max(0) > facets.distances.numpy() - voxel.max()
        normals, distances = facets.normals.numpy()[kept], facets.distances.numpy()[kept]
        k, amplitudes, mean, gradient = self._waves(generator, normals, distances, corners.numpy(), G)
        # u_G of every term, r in crystal axes: waves, the linear part (a wave too long to bend), the relaxed facets
        relaxation = self.displacement
        layers = normals / relaxation.depth
        inward = -relaxation.contraction * (normals @ G) / np.linalg.norm(G)
        exponents = np.concatenate([1j * k, layers]) @ rotation.T
        offsets = exponents @ centre - np.concatenate([np.zeros(len(k)), distances / relaxation.depth])
        coefficients = np.concatenate([amplitudes, inward]) * np.exp(offsets) * -np.linalg.norm(G)
        turned = normals @ rotation.T
        steps = turned * voxel
        widths = np.linalg.norm(steps, axis=1)
        return Crystal(steps / widths[:, None], (distances - turned @ centre) / widths, exponents * voxel, coefficients)

    def _waves(self, generator, normals, distances, corners, G):
        options = self.displacement
        directions = torch.nn.functional.normalize(
            torch.randn((options.waves, 3), generator=generator, dtype=torch.float64), dim=1
        )
        low, high = 2 * np.pi / options.longest, 2 * np.pi / options.shortest
        lengths = low + (high - low) * torch.rand(options.waves, generator=generator, dtype=torch.float64).numpy()
        k = directions.numpy() * lengths[:, None]
        parts = torch.randn((2, options.waves), generator=generator, dtype=torch.float64).numpy()
        amplitudes = (parts[0] + 1j * parts[1]) / lengths**2
        size, *strain = torch.randn(4, generator=generator, dtype=torch.float64).tolist()
        axes = [np.linspace(a, b, 9) for a, b in zip(corners.min(0), corners.max(0))]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        points = points[(points @ normals.T <= distances).all(1)]
        values = (np.exp(1j * points @ k.T) @ amplitudes).real
        columns = np.concatenate([np.ones((len(points), 1)), points / 1e-9], 1)
        fit = np.linalg.solve(columns.T @ columns, columns.T @ values)
        rms = np.sqrt(np.mean((values - columns @ fit) ** 2))
        scale = options.median_rms * np.exp(options.spread * size) / rms
        # a linear function is the sine of a wave that is very long against the crystal
        longest = 1e3 * 1e-9 * 20
        ramp = np.array(strain) * options.mean_strain - scale * fit[1:] / 1e-9
        k = np.concatenate([k, np.zeros((1, 3)), ramp[None] / max(np.linalg.norm(ramp), 1e-30) * 2 * np.pi / longest])
        amplitudes = np.concatenate(
            [scale * amplitudes, [-scale * fit[0]], [-1j * np.linalg.norm(ramp) * longest / (2 * np.pi)]]
        )
        return k, amplitudes, None, None

    def _fill(self, crystals: Sequence[Crystal], device: torch.device) -> Complex[Tensor, "batch 32 32 32"]:
        facets = max(len(c.distances) for c in crystals)
        terms = max(len(c.coefficients) for c in crystals)
        normals = np.zeros((len(crystals), facets, 3), np.float32)
        distances = np.full((len(crystals), facets), FAR, np.float32)
        exponents = np.zeros((len(crystals), terms, 3), np.complex64)
        coefficients = np.zeros((len(crystals), terms), np.complex64)
        for i, c in enumerate(crystals):
            normals[i, : len(c.distances)], distances[i, : len(c.distances)] = c.normals, c.distances
            exponents[i, : len(c.coefficients)], coefficients[i, : len(c.coefficients)] = c.exponents, c.coefficients
        n, d, e, c = (torch.from_numpy(a).to(device) for a in (normals, distances, exponents, coefficients))
        amplitude = polyhedra(n, d, self.edge)
        amplitude /= amplitude.amax((1, 2, 3), keepdim=True)
        phase = exponentials(e, c)
        return torch.complex(amplitude * phase.cos(), amplitude * phase.sin())
