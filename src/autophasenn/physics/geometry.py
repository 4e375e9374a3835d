r"""Where the voxels of a scan lie: detector angles -> q, voxel vectors, detector frame -> laboratory frame.

Laboratory frame: z along the beam, y up, x outboard, right-handed. `ScanGeometry` is the scan of any diffractometer,
`FixedGeometry` what a pattern brings along that comes with its sampling. `RockingGeometry` is a short way to write the
scan for which the formulas are best known, theta at APS 34-ID-C. There the detector arm turns by delta about y and gamma
about -x, so that it points along ``(sin d cos g, sin g, cos d cos g)``; columns count outboard, rows count down, and
the crystal turns by ``theta_step`` about y from one frame to the next. With wave number k, pixel p and distance D, at
the pixel where the arm points::

    A (next column) = k p/D ( cos d, 0, -sin d)
    B (next row)    = k p/D ( sin d sin g, -cos g, cos d sin g)
    C (next frame)  = k dtheta ( 1 - cos d cos g, 0, sin d cos g)
    Q               = k ( sin d cos g, sin g, cos d cos g - 1)

At any other pixel the same derivatives are taken of the exact ray through the flat detector. Lengths are metres,
reciprocal vectors 1/m (with the factor 2 pi), energies eV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from autophasenn.errors import GeometryError
from autophasenn.physics.axes import axes, circles
from autophasenn.physics.bragg import (
    HC_EV_M,
    Vector,
    check_range,
    check_volume,
    d_spacing,
    direct_voxel_vectors,
    two_theta,
    wavelength,
)
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector
from autophasenn.physics.scan_geometry import ScanGeometry
from autophasenn.volumes import Geometry, Vectors

__all__ = [
    "HC_EV_M",
    "Diffractometer",
    "FixedGeometry",
    "FlatDetector",
    "RockingGeometry",
    "ScanGeometry",
    "Vector",
    "d_spacing",
    "describe",
    "direct_voxel_vectors",
    "two_theta",
    "wavelength",
]

THETA_DELTA_GAMMA = Diffractometer("theta, delta, gamma", circles("th y+"), axes("delta y+, gamma x-"))
"""What a rocking scan of theta needs of the diffractometer of APS 34-ID-C."""


@dataclass(frozen=True)
class RockingGeometry:
    """A rocking scan about y, seen by a flat detector on an arm.

    Parameters
    ----------
    energy_ev : float
        Photon energy, eV, 1,000 to 100,000.
    distance_m : float
        From the sample to the detector along the arm, metres.
    pixel_size_m : (row, column)
        Edge of a pixel down and across, metres.
    delta_deg, gamma_deg : float
        Where the arm points: about y (outboard positive) and about -x (up positive), degrees.
    theta_step_deg : float
        Turn of the crystal about y from one frame to the next, degrees; its sign is the direction of the scan.
    centre_pixel : (row, column)
        The pixel of the frames where the arm points; may lie outside them.

    Raises
    ------
    GeometryError
        If a value is outside its plausible range (a mistaken unit), the arm points along the beam, or turning the
        crystal moves q within the detector plane, so that the scan covers no volume.
    """

    energy_ev: float
    distance_m: float
    pixel_size_m: tuple[float, float]
    delta_deg: float
    gamma_deg: float
    theta_step_deg: float
    centre_pixel: tuple[float, float]

    def __post_init__(self) -> None:
        check_range("photon energy", self.energy_ev, "eV", 1e3, 1e5)
        for name, angle in (("delta", self.delta_deg), ("gamma", self.gamma_deg)):
            check_range(f"detector angle {name}", angle, "degrees", -180.0, 180.0)
        check_range("size of the theta step", abs(self.theta_step_deg), "degrees", 1e-7, 5.0)
        if not all(math.isfinite(coordinate) for coordinate in self.centre_pixel):
            raise GeometryError(f"The centre pixel is {self.centre_pixel}; give its row and column as finite numbers.")
        self.scan.check(self.centre_pixel)

    @cached_property
    def scan(self) -> ScanGeometry:
        """The same as a scan of the diffractometer."""
        detector = THETA_DELTA_GAMMA.detector_facing_the_beam(self.distance_m, self.pixel_size_m, self.centre_pixel)
        theta = (-self.theta_step_deg, 0.0, self.theta_step_deg)
        motors: dict[str, float | tuple[float, ...]] = {"th": theta, "delta": self.delta_deg, "gamma": self.gamma_deg}
        return ScanGeometry(THETA_DELTA_GAMMA, detector, self.energy_ev, motors, self.centre_pixel)

    def scattering_vector(self, pixel: tuple[float, float], frame: float | None = None) -> Vector:
        """Q = k_f - k_i of the ray through detector `pixel` (row, column; fractions allowed), 1/m; float64 (3,)."""
        return self.scan.scattering_vector(pixel)

    def reciprocal_steps(self, pixel: tuple[float, float], frame: float | None = None) -> Vectors:
        """Steps in q to the next frame, row and column (rows of the result) at detector `pixel` (row, column).

        Returns
        -------
        float64 tensor (3, 3)
            1/m, laboratory frame: C, B, A of the module's docstring. The same in every frame.
        """
        return self.scan.reciprocal_steps(pixel)

    def describe(self, pixel: tuple[float, float], frame: float | None = None) -> dict[str, Any]:
        """What a report says of it."""
        described = self.scan.describe(pixel)
        described["angles_deg"].pop("th")  # where the scan stood is not known
        described["sample_rotation"] = None
        return described


ROUNDED = 1e-3
"""By how much numbers of a rotation may be off."""


@dataclass(frozen=True, eq=False)
class FixedGeometry:
    """Known steps and Q, the same at every pixel: for patterns that come with their sampling.

    Parameters
    ----------
    steps : float64 tensor (3, 3)
        Row i is the step in q along axis i of the volume, 1/m, laboratory frame.
    q_peak : float64 tensor (3,)
        Scattering vector of the Bragg peak, 1/m, laboratory frame.
    sample_rotation : float64 tensor (3, 3), optional
        What the sample's circles did: ``v_laboratory = sample_rotation @ v_sample``.

    Raises
    ------
    GeometryError
        If the steps span no volume, Q is zero, a number is not finite, or the rotation is none.
    """

    steps: Vectors
    q_peak: Vector
    sample_rotation: Vectors | None = None

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.q_peak).all()) or float(self.q_peak.norm()) == 0:
            raise GeometryError(
                f"The scattering vector is {self.q_peak.tolist()} 1/m; a Bragg peak has a finite, nonzero Q. Give Q in 1/m "
                "in the laboratory frame."
            )
        check_volume(self.steps)
        if self.sample_rotation is not None:
            object.__setattr__(self, "sample_rotation", _rotation(self.sample_rotation))

    def reciprocal_steps(self, pixel: tuple[float, float], frame: float | None = None) -> Vectors:
        """The steps, whatever the pixel."""
        return self.steps.clone()

    def scattering_vector(self, pixel: tuple[float, float], frame: float | None = None) -> Vector:
        """Q, whatever the pixel."""
        return self.q_peak.clone()


def _rotation(given: Vectors) -> Vectors:
    """The rotation nearest to a matrix whose numbers are rounded."""
    off = math.inf
    if given.shape == (3, 3) and bool(torch.isfinite(given).all()):
        u, _, vt = torch.linalg.svd(given)
        nearest = u @ vt
        off = float((nearest - given).abs().max()) if float(torch.linalg.det(nearest)) > 0 else math.inf
    if off > ROUNDED:
        raise GeometryError(
            f"The rotation of the sample is {given.tolist()}, which is no rotation to {ROUNDED:g}; give three rows of three "
            "numbers, v_laboratory = rotation @ v_sample, their determinant 1."
        )
    return nearest


def describe(geometry: Geometry | None, pixel: tuple[float, float], frame: float | None = None) -> dict[str, Any]:
    """What a report says of any geometry at the Bragg peak, JSON-serialisable; what is unknown is None.

    Parameters
    ----------
    geometry : Geometry or None
    pixel : (row, column)
        Of the frames that were read, and `frame`, where the peak is.
    """
    names = ("energy_ev", "distance_m", "pixel_m", "direct_beam", "angles_deg", "scanned", "step_deg")
    unknown: dict[str, Any] = dict.fromkeys((*names, "sample_rotation", "q_per_nm", "q_vector_per_nm"))
    if geometry is None:
        return unknown
    known = geometry.describe(pixel, frame) if hasattr(geometry, "describe") else {}
    if not known:
        q = 1e-9 * geometry.scattering_vector(pixel)
        known = {"q_per_nm": float(q.norm()), "q_vector_per_nm": q.tolist()}
        turn = geometry.sample_rotation if isinstance(geometry, FixedGeometry) else None
        known["sample_rotation"] = None if turn is None else turn.tolist()
    return unknown | known
