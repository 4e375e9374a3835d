"""Images of crystals whose facets, strain and defects are known, without any phasing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from autophasenn.image import CrystalImage

Q_GOLD = 2 * np.pi / 0.23546
"""abs(Q) of gold 111, 1/nm."""


def family(hkl: Sequence[int]) -> np.ndarray:
    """Unit normals of all planes of a cubic family, (planes, 3)."""
    from autophasenn.analysis.indexing import variants

    found = variants(tuple(hkl))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def octahedron(truncated_at: float = 1.25) -> tuple[np.ndarray, np.ndarray]:
    """Normals and relative distances of {111} facets, uneven, truncated by {100}."""
    normals = np.concatenate([family((1, 1, 1)), family((1, 0, 0))])
    distances = np.concatenate([np.linspace(0.88, 1.12, 8), truncated_at * np.linspace(0.97, 1.03, 6)])
    return normals, distances


def turned_onto_q(hkl: Sequence[int], q: np.ndarray, turn_deg: float) -> np.ndarray:
    """A rotation that takes the plane normal (hkl) to q, and turns by `turn_deg` about it."""
    first = np.array(hkl, float) / np.linalg.norm(hkl)
    target = q / np.linalg.norm(q)
    onto, _ = Rotation.align_vectors([target], [first])
    return (Rotation.from_rotvec(np.deg2rad(turn_deg) * target) * onto).as_matrix()


def positions(size: int, voxel: float) -> np.ndarray:
    """Of the voxels of a cube, (size, size, size, 3), from voxel ``size // 2``, nm."""
    way = (np.arange(size) - size // 2) * voxel
    return np.stack(np.meshgrid(way, way, way, indexing="ij"), axis=-1)


def image_of(
    normals: np.ndarray,
    distances: np.ndarray,
    *,
    size: int = 40,
    voxel: float = 5.0,
    rotation: np.ndarray | None = None,
    displacement: Callable[[np.ndarray], np.ndarray] | None = None,
    q: np.ndarray | None = None,
    blur: float = 0.0,
    spread: float | None = None,
) -> CrystalImage:
    """The image of a polyhedron, antialiased over a voxel, on a grid of the laboratory.

    Parameters
    ----------
    normals : float array (facets, 3)
        Outward, before `rotation`.
    distances : float array (facets,)
        nm, from voxel ``size // 2``.
    displacement : callable, optional
        Takes positions in nm to the displacement along Q in nm.
    q : float array (3,), optional
        1/nm; None: along y.
    blur : float
        Voxels (standard deviation) by which the amplitude is blurred.
    spread : float, optional
        Phase and amplitude spread of every voxel, rad and share.
    """
    r = positions(size, voxel)
    turned = normals if rotation is None else normals @ rotation.T
    amplitude = np.ones(r.shape[:-1])
    for normal, distance in zip(turned, distances, strict=True):
        amplitude *= np.clip((distance - r @ normal) / voxel + 0.5, 0, 1)
    if blur:
        amplitude = ndimage.gaussian_filter(amplitude, blur)
    amplitude /= amplitude.max()
    support = amplitude >= 0.3
    q = np.array([0.0, Q_GOLD, 0.0]) if q is None else q
    u = np.zeros(r.shape[:-1]) if displacement is None else displacement(r)
    gradient = np.stack(np.gradient(u, voxel), axis=-1)
    strain = gradient @ (q / np.linalg.norm(q))

    def inside(values: np.ndarray) -> np.ndarray:
        return np.where(support, values, np.nan).astype(np.float32)

    even = np.ones(support.shape)
    return CrystalImage(
        amplitude.astype(np.float32),
        inside(-np.linalg.norm(q) * u),
        support,
        inside(u * 1e-9),
        inside(strain),
        (voxel * 1e-9,) * 3,
        q * 1e9,
        None if spread is None else inside(spread * even),
        None if spread is None else inside(0.2 * spread * even),
    )
