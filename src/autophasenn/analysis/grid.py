"""The grid of an image in files: positions of its voxels along each axis, and the same for VTK. Voxel ``n // 2`` is 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autophasenn.analysis.quantity import Floats


def axes_of(names: Sequence[str], unit: str, shape: Sequence[int], spacing: Sequence[float]) -> dict[str, Floats]:
    """Positions of the voxels along each axis by its name and unit: ``x_nm``, or ``axis_0_voxels``.

    Parameters
    ----------
    names : 3 words
    unit : str
        Of `spacing`.
    shape : 3 ints
    spacing : 3 floats
        Edges of a voxel.
    """
    return {
        f"{name.replace(' ', '_')}_{unit}": (np.arange(n) - n // 2) * step
        for name, n, step in zip(names, shape, spacing, strict=True)
    }


def vtk_grid(shape: Sequence[int], spacing: Sequence[float], volumes: Mapping[str, Floats]) -> Any:
    """A ``pyvista.ImageData`` with volumes as float32 point arrays.

    Parameters
    ----------
    shape, spacing
        As `axes_of` takes them.
    volumes : mapping of str to float array (nx, ny, nz)
    """
    import pyvista

    grid = pyvista.ImageData(
        dimensions=shape, spacing=spacing, origin=[-(n // 2) * step for n, step in zip(shape, spacing, strict=True)]
    )
    for name, volume in volumes.items():
        grid.point_data[name] = np.asarray(volume, np.float32).ravel(order="F")  # VTK counts x fastest
    return grid
