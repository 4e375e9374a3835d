"""From the skewed voxels of a rocking scan to an orthogonal grid ``[x, y, z]`` of the laboratory frame, in one step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy import ndimage
from torch import Tensor

from autophasenn.errors import GeometryError, InputError
from autophasenn.physics.nearest import nearest_known
from autophasenn.volumes import Vectors

MARGIN = 2
"""Empty voxels around the crystal on the laboratory grid."""

SPLINE_REACH = 8
"""Voxels around the crystal that still change a cubic spline inside it (its kernel falls by 3.7 a voxel)."""

MAX_VOXELS = 2**28
"""A grid larger than this (2 GiB of complex values) is taken for a mistaken unit."""


def orthogonal_voxel_size(voxel_vectors: Vectors) -> float:
    """Edge in metres of a cubic voxel that loses no resolution: the least distance between planes of voxels.

    It is ``2 pi`` over the longest extent in q of the pattern's array along one of its axes, and never longer than the
    shortest voxel vector.
    """
    return float((1 / torch.linalg.inv(voxel_vectors.double()).norm(dim=0)).min())


def detector_to_lab(
    rho: Complex[Tensor, "n0 n1 n2"],
    support: Bool[Tensor, "n0 n1 n2"],
    voxel_vectors: Vectors,
    voxel_size: float | None = None,
    origin: tuple[float, float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Interpolate an object once, from its skewed grid to cubic voxels along x, y, z of the laboratory frame.

    The grid is cropped about the crystal and its voxel ``n // 2`` is the origin. Real part, imaginary part and support
    (inside where >= 0.5) are interpolated by cubic splines; a linear one would shrink a convex support. Densities keep
    their value: the sum over voxels times the volume of a voxel is preserved. Remove a steep phase ramp before: a spline
    dims what turns by a radian a voxel.

    Parameters
    ----------
    rho : complex tensor (n0, n1, n2)
        Object on the detector's grid.
    support : bool tensor (n0, n1, n2)
        True inside the crystal.
    voxel_vectors : float64 tensor (3, 3)
        Row i is the vector from one voxel to the next along axis i, metres, laboratory frame.
    voxel_size : float, optional
        Edge of the new voxels, metres; :func:`orthogonal_voxel_size` where None. Larger ones skip detail, they do not
        average it.
    origin : 3 floats, optional
        Index (fractions allowed) of the point that becomes the origin; ``n // 2`` where None.

    Returns
    -------
    rho : complex64 array (nx, ny, nz)
    support : bool array (nx, ny, nz)
    voxel_size : 3 floats
        Metres.

    Raises
    ------
    InputError
        If the support is empty, or too thin to be seen on the new grid.
    GeometryError
        If the voxel size is not positive, or so small that the grid would not fit in memory.
    """
    size = orthogonal_voxel_size(voxel_vectors) if voxel_size is None else voxel_size
    if not (math.isfinite(size) and size > 0):
        raise GeometryError(f"The voxel size is {size:g} m; give a positive length in metres, such as 5e-9.")
    inside = torch.nonzero(support)
    if len(inside) == 0:
        raise InputError("The support is empty, so there is no crystal to show; phase again with a looser support.")

    vectors = voxel_vectors.double().cpu().numpy()
    centre = np.array([n // 2 for n in rho.shape] if origin is None else origin, dtype=float)
    half = _half_widths((inside.double().cpu().numpy() - centre) @ vectors, vectors, size)
    shape = tuple((2 * half + 1).tolist())
    if math.prod(shape) > MAX_VOXELS:
        raise GeometryError(
            f"Voxels of {size * 1e9:g} nm make a grid of {' x '.join(map(str, shape))} around this crystal; choose "
            f"larger voxels, the data support {orthogonal_voxel_size(voxel_vectors) * 1e9:.3g} nm."
        )

    low = (inside.amin(0) - SPLINE_REACH).clamp_min(0).cpu().numpy()
    high = inside.amax(0).cpu().numpy() + SPLINE_REACH + 1
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    placed = {**_placement(vectors, size, shape, centre - low), "mode": "constant"}
    values = rho[window].cpu().numpy()
    lab = np.empty(shape, np.complex64)
    lab.real = ndimage.affine_transform(values.real, order=3, output=np.float32, **placed)
    lab.imag = ndimage.affine_transform(values.imag, order=3, output=np.float32, **placed)
    share = ndimage.affine_transform(support[window].cpu().numpy().astype(np.float32), order=3, **placed)
    if not (share >= 0.5).any():
        raise InputError(
            f"The crystal has {len(inside)} voxels and vanishes on a grid of {size * 1e9:g} nm; phase again with a "
            "looser support, or choose a smaller voxel size."
        )
    return lab, share >= 0.5, (size, size, size)


def spread_to_lab(
    spread: Float[Tensor, "n0 n1 n2"],
    voxel_vectors: Vectors,
    voxel_size: float,
    shape: tuple[int, ...],
    origin: tuple[float, float, float] | None = None,
) -> np.ndarray:
    """Interpolate a quantity that exists inside of the crystal only, such as an uncertainty, to the laboratory grid.

    It is continued to the nearest voxel that has a value, then interpolated linearly, so that no value comes out beyond
    those that went in, at the surface neither.

    Parameters
    ----------
    spread : float tensor (n0, n1, n2)
        On the detector's grid; NaN where there is no value.
    voxel_vectors : float64 tensor (3, 3)
        As in :func:`detector_to_lab`.
    voxel_size : float
        Edge of the new voxels, metres.
    shape : 3 ints
        Of the laboratory grid; voxel ``n // 2`` is the origin.
    origin : 3 floats, optional
        As in :func:`detector_to_lab`.

    Returns
    -------
    float32 array (nx, ny, nz)
        Without NaN, unless `spread` has no value at all.
    """
    values = spread.detach().cpu().numpy().astype(np.float32)
    known = np.isfinite(values)
    if not known.any():
        return np.full(shape, np.nan, np.float32)
    (window,) = ndimage.find_objects(known.astype(np.uint8))
    values, known = values[window], known[window]
    centre = np.array([n // 2 for n in spread.shape] if origin is None else origin, dtype=float)
    low = np.array([part.start for part in window])
    placed = _placement(voxel_vectors.double().cpu().numpy(), voxel_size, shape, centre - low)
    lab: np.ndarray = ndimage.affine_transform(values[nearest_known(known)], order=1, mode="nearest", **placed)
    return lab


def _placement(vectors: np.ndarray, size: float, shape: tuple[int, ...], centre: np.ndarray) -> dict[str, Any]:
    """For `scipy.ndimage.affine_transform`: index = inv(V)^T (position in the laboratory) + where the origin lies."""
    matrix = size * np.linalg.inv(vectors).T
    middle = np.array([n // 2 for n in shape])
    return {"matrix": matrix, "offset": centre - matrix @ middle, "output_shape": tuple(shape)}


def _half_widths(positions: np.ndarray, vectors: np.ndarray, size: float) -> np.ndarray:
    """Voxels on each side of the origin that hold the crystal, half a detector voxel beyond it, and the margin."""
    reach = np.abs(positions).max(axis=0) + 0.5 * np.abs(vectors).sum(axis=0)
    half: np.ndarray = np.ceil(reach / size).astype(int) + MARGIN
    return half
