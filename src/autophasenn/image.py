"""The image of a crystal in the laboratory frame: numpy only, so that viewing and analysing one needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.errors import InputError

Floats = NDArray[np.floating[Any]]

VOLUMES = ("amplitude", "phase", "support", "displacement", "strain", "phase_spread", "amplitude_spread")
"""The fields of an image that are volumes on its grid."""


@dataclass(frozen=True, eq=False)
class CrystalImage:
    """The crystal on an orthogonal grid ``[x, y, z]`` of the laboratory frame (z along the beam, y up, x outboard).

    Without geometry the grid is the detector's own, in voxel units: `voxel_size`, `displacement`, `strain` and
    `scattering_vector` are None. Voxel ``n // 2`` is the origin.

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
    phase_spread, amplitude_spread : float32 array (nx, ny, nz), optional
        Standard deviation of the phase (rad) and of the amplitude (in units of the largest) over the reconstructions from
        several orientations; NaN outside the support. None: there was one reconstruction.

    Raises
    ------
    InputError
        If a volume has another shape than the amplitude, or that is not three-dimensional.
    """

    amplitude: Floats
    phase: Floats
    support: NDArray[np.bool_]
    displacement: Floats | None = None
    strain: Floats | None = None
    voxel_size: tuple[float, float, float] | None = None
    scattering_vector: Floats | None = None
    phase_spread: Floats | None = None
    amplitude_spread: Floats | None = None

    def __post_init__(self) -> None:
        if self.amplitude.ndim != 3:
            raise InputError(
                f"The amplitude has shape {self.amplitude.shape}; an image is a volume [x, y, z]. Give an array with "
                "three axes."
            )
        for name in VOLUMES:
            volume = getattr(self, name)
            if volume is not None and volume.shape != self.amplitude.shape:
                raise InputError(
                    f"The {name.replace('_', ' ')} has shape {volume.shape} and the amplitude {self.amplitude.shape}; give "
                    "all volumes of an image on one grid."
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        nx, ny, nz = self.amplitude.shape
        return nx, ny, nz

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Edges of a voxel in nm; 1 where the geometry is unknown."""
        if self.voxel_size is None:
            return 1.0, 1.0, 1.0
        x, y, z = (edge * 1e9 for edge in self.voxel_size)
        return x, y, z

    @property
    def unit(self) -> str:
        """Of `spacing`, `extent` and every other length: "nm", or "voxels" where the geometry is unknown."""
        return "voxels" if self.voxel_size is None else "nm"

    @property
    def axes(self) -> tuple[str, str, str]:
        """What the axes are called."""
        return ("axis 0", "axis 1", "axis 2") if self.voxel_size is None else ("x", "y", "z")

    @property
    def volume(self) -> float:
        """Of the support: nm³, or voxels where the geometry is unknown."""
        return int(self.support.sum()) * math.prod(self.spacing)

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """The smallest box of voxels that holds the support; the whole grid if that is empty."""
        box = []
        for axis, size in enumerate(self.shape):
            inside = np.flatnonzero(self.support.any(axis=tuple(a for a in range(3) if a != axis)))
            box.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, size))
        return box[0], box[1], box[2]

    @property
    def extent(self) -> tuple[float, float, float]:
        """Edges of `box`: nm, or voxels where the geometry is unknown."""
        x, y, z = ((part.stop - part.start) * step for part, step in zip(self.box, self.spacing, strict=True))
        return x, y, z

    @cached_property
    def centre(self) -> tuple[int, int, int]:
        """The voxel of the support nearest to the amplitude's centre of mass; the middle of the grid if it is empty."""
        places = np.argwhere(self.support)
        if len(places) == 0:
            nx, ny, nz = self.shape
            return nx // 2, ny // 2, nz // 2
        weight = np.maximum(self.amplitude[self.support].astype(np.float64), 0)
        mean = weight @ places / weight.sum() if weight.sum() > 0 else places.mean(axis=0)
        x, y, z = places[np.square((places - mean) * self.spacing).sum(axis=1).argmin()].tolist()
        return x, y, z

    @property
    def q_direction(self) -> Floats | None:
        """Unit vector (3,) along Q, laboratory frame; None where that is unknown."""
        if self.scattering_vector is None:
            return None
        return np.asarray(self.scattering_vector / np.linalg.norm(self.scattering_vector))

    def position(self, voxel: tuple[int, int, int]) -> tuple[float, float, float]:
        """Where a voxel lies from the origin: nm, or voxels where the geometry is unknown."""
        x, y, z = ((i - n // 2) * step for i, n, step in zip(voxel, self.shape, self.spacing, strict=True))
        return x, y, z
