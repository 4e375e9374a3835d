"""The image of a crystal in the laboratory frame: numpy only, so that viewing and analysing one needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class CrystalImage:
    """The crystal on an orthogonal grid ``[x, y, z]`` of the laboratory frame (z along the beam, y up, x outboard).

    Without geometry the grid is the detector's own, in voxel units: `voxel_size`, `displacement`, `strain` and
    `scattering_vector` are None.

    Parameters
    ----------
    amplitude : float32 array (nx, ny, nz)
        Largest value 1.
    phase : float32 array (nx, ny, nz)
        Bragg phase in rad, unwrapped, ramp and offset removed; NaN outside the support.
    support : bool array (nx, ny, nz)
    displacement : float32 array (nx, ny, nz), optional
        u_G = -phi / |Q| in metres; NaN outside the support.
    strain : float32 array (nx, ny, nz), optional
        du_G / dr_G, dimensionless; NaN outside the support.
    voxel_size : tuple of 3 floats, optional
        Metres.
    scattering_vector : float64 array (3,), optional
        1/m, laboratory frame.
    """

    amplitude: np.ndarray
    phase: np.ndarray
    support: np.ndarray
    displacement: np.ndarray | None = None
    strain: np.ndarray | None = None
    voxel_size: tuple[float, float, float] | None = None
    scattering_vector: np.ndarray | None = None
