"""Simulated crystals and their patterns for the tests: a faceted polyhedron with a smooth phase, counted by Poisson."""

from collections.abc import Sequence

import numpy as np
import torch

from autophasenn.physics.fourier import diffract


def polyhedron(
    shape: Sequence[int], oversampling: Sequence[float], rng: np.random.Generator, facets: int = 14
) -> np.ndarray:
    """Amplitude (n0, n1, n2) of a random convex polyhedron whose extent along axis i is ``n_i / oversampling_i``.

    Facets come in no pairs and are antialiased over one voxel.
    """
    grid = np.stack(
        np.meshgrid(*[(np.arange(n) - n // 2) * s / n for n, s in zip(shape, oversampling, strict=True)], indexing="ij")
    )
    normals = rng.normal(size=(facets, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    distances = rng.uniform(0.75, 1.0, size=facets)
    # The six faces of the bounding box fix the extents, the random facets cut its corners.
    normals = np.concatenate([normals, np.eye(3), -np.eye(3)])
    distances = np.concatenate([distances, np.ones(6)]) / 2
    inside = np.ones(tuple(shape))
    for normal, distance in zip(normals, distances, strict=True):
        slope = np.linalg.norm(normal * np.asarray(oversampling) / np.asarray(shape))
        depth = (distance - np.tensordot(normal, grid, 1)) / slope
        inside *= np.clip(depth + 0.5, 0, 1)
    return inside


def smooth_phase(shape: Sequence[int], oversampling: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """A random smooth phase (n0, n1, n2), two waves of up to about one period over the crystal, largest value 1."""
    axes = [(np.arange(n) - n // 2) * s / n for n, s in zip(shape, oversampling, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    waves = rng.normal(size=(3, 3)) * np.pi
    phase = sum(np.sin(np.tensordot(wave, grid, 1) + rng.uniform(0, 2 * np.pi)) for wave in waves)
    inside = (np.abs(grid) <= 0.5).all(0)
    phase -= phase[inside].mean()
    return phase / np.abs(phase[inside]).max()


def expected_counts(rho: np.ndarray, photons: float) -> np.ndarray:
    """Intensity (n0, n1, n2) of an object, scaled to a total of `photons`."""
    intensity = diffract(torch.from_numpy(rho).to(torch.complex64)).abs().square().double().numpy()
    return intensity * (photons / intensity.sum())
