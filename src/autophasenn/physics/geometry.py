r"""Where the voxels of a rocking scan lie: detector angles -> q, voxel vectors, detector frame -> laboratory frame.

Laboratory frame: z along the beam, y up, x outboard, right-handed. The detector arm turns by delta about y and gamma
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
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.errors import GeometryError
from autophasenn.volumes import Vectors

HC_EV_M = 1.239841984332e-06
"""Planck constant times speed of light, eV m (CODATA 2018, exact)."""

Vector = Float[Tensor, "3"]
"""x, y, z in the laboratory frame."""

MIN_RELATIVE_VOLUME = 1e-3
"""A cell flatter than this, relative to the product of its edges, spans no volume."""


def wavelength(energy_ev: float) -> float:
    """Wavelength in metres of photons of `energy_ev`."""
    return HC_EV_M / energy_ev


def d_spacing(scattering_vector: Vector) -> float:
    """Spacing of the lattice planes, ``d = 2 pi / |Q|``, in metres for Q in 1/m."""
    return 2 * math.pi / float(scattering_vector.norm())


def two_theta(scattering_vector: Vector, energy_ev: float) -> float:
    """Scattering angle in degrees from Bragg's law, ``|Q| = 2 k sin(2theta / 2)``.

    Raises
    ------
    GeometryError
        If Q is longer than 2 k: photons of this energy cannot reach it.
    """
    sine = float(scattering_vector.norm()) * wavelength(energy_ev) / (4 * math.pi)
    if sine > 1:
        raise GeometryError(
            f"|Q| = {float(scattering_vector.norm()) * 1e-9:g} 1/nm cannot be reached at {energy_ev:g} eV (the limit "
            "is twice the wave number); check the energy in eV."
        )
    return math.degrees(2 * math.asin(sine))


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
        _check_range("photon energy", self.energy_ev, "eV", 1e3, 1e5)
        _check_range("detector distance", self.distance_m, "m", 1e-2, 1e2)
        for size in self.pixel_size_m:
            _check_range("pixel size", size, "m", 1e-7, 1e-2)
        for name, angle in (("delta", self.delta_deg), ("gamma", self.gamma_deg)):
            _check_range(f"detector angle {name}", angle, "degrees", -180.0, 180.0)
        _check_range("size of the theta step", abs(self.theta_step_deg), "degrees", 1e-7, 5.0)
        if not all(math.isfinite(coordinate) for coordinate in self.centre_pixel):
            raise GeometryError(f"The centre pixel is {self.centre_pixel}; give its row and column as finite numbers.")
        if float(self.scattering_vector(self.centre_pixel).norm()) < 1e-6 * self._wave_number:
            raise GeometryError(
                f"The detector arm points along the direct beam (delta {self.delta_deg:g}, gamma {self.gamma_deg:g} "
                "degrees), where there is no Bragg peak; check the detector motors."
            )
        _check_volume(self.reciprocal_steps(self.centre_pixel))

    def scattering_vector(self, pixel: tuple[float, float]) -> Vector:
        """Q = k_f - k_i of the ray through detector `pixel` (row, column; fractions allowed), 1/m; float64 (3,)."""
        ray = self._ray(pixel)
        beam = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        q: Tensor = self._wave_number * (ray / ray.norm() - beam)
        return q

    def reciprocal_steps(self, pixel: tuple[float, float]) -> Vectors:
        """Steps in q to the next frame, row and column (rows of the result) at detector `pixel` (row, column).

        Returns
        -------
        float64 tensor (3, 3)
            1/m, laboratory frame: C, B, A of the module's docstring.
        """
        ray = self._ray(pixel)
        length = ray.norm()
        direction = ray / length
        edges = self._pixel_edges()
        in_plane = self._wave_number / length * (edges - (edges @ direction)[:, None] * direction)
        # Turning the crystal by dtheta about y turns q by -dtheta in the frame of the crystal.
        q_x, _, q_z = self.scattering_vector(pixel)
        turn = math.radians(self.theta_step_deg) * torch.stack([-q_z, torch.zeros_like(q_x), q_x])
        return torch.cat([turn[None], in_plane])

    @property
    def _wave_number(self) -> float:
        return 2 * math.pi / wavelength(self.energy_ev)

    def _pixel_edges(self) -> Tensor:
        """From one pixel to the next row and to the next column on the detector, metres."""
        d, g = math.radians(self.delta_deg), math.radians(self.gamma_deg)
        row, column = self.pixel_size_m
        down = [math.sin(d) * math.sin(g), -math.cos(g), math.cos(d) * math.sin(g)]
        across = [math.cos(d), 0.0, -math.sin(d)]
        return torch.tensor([[row * c for c in down], [column * c for c in across]], dtype=torch.float64)

    def _ray(self, pixel: tuple[float, float]) -> Vector:
        """From the sample to `pixel` (row, column), metres."""
        d, g = math.radians(self.delta_deg), math.radians(self.gamma_deg)
        arm = torch.tensor([math.sin(d) * math.cos(g), math.sin(g), math.cos(d) * math.cos(g)], dtype=torch.float64)
        offset = torch.tensor([pixel[0] - self.centre_pixel[0], pixel[1] - self.centre_pixel[1]], dtype=torch.float64)
        return self.distance_m * arm + offset @ self._pixel_edges()


@dataclass(frozen=True, eq=False)
class FixedGeometry:
    """Known steps and Q, the same at every pixel: for patterns that come with their sampling.

    Parameters
    ----------
    steps : float64 tensor (3, 3)
        Row i is the step in q along axis i of the volume, 1/m, laboratory frame.
    q : float64 tensor (3,)
        Scattering vector of the Bragg peak, 1/m, laboratory frame.

    Raises
    ------
    GeometryError
        If the steps span no volume, Q is zero, or a number is not finite.
    """

    steps: Vectors
    q: Vector

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.q).all()) or float(self.q.norm()) == 0:
            raise GeometryError(
                f"The scattering vector is {self.q.tolist()} 1/m; a Bragg peak has a finite, nonzero Q. Give Q in 1/m "
                "in the laboratory frame."
            )
        _check_volume(self.steps)

    def reciprocal_steps(self, pixel: tuple[float, float]) -> Vectors:
        """The steps, whatever the pixel."""
        return self.steps.clone()

    def scattering_vector(self, pixel: tuple[float, float]) -> Vector:
        """Q, whatever the pixel."""
        return self.q.clone()


def direct_voxel_vectors(reciprocal_steps: Vectors, shape: Sequence[int]) -> Vectors:
    """Direct-space voxel vectors of an array whose Fourier transform has these steps in q.

    ``V = 2 pi inv(R)^T / N``: ``r . q = 2 pi sum_i m_i n_i / N_i`` for voxel numbers m in direct and n in reciprocal
    space, which is the phase of the discrete Fourier transform.

    Parameters
    ----------
    reciprocal_steps : float64 tensor (3, 3)
        Row i is the step in q along axis i, 1/m.
    shape : 3 ints
        Number of voxels along each axis.

    Returns
    -------
    float64 tensor (3, 3)
        Row i is the vector from one voxel to the next along axis i, metres, same frame as the steps.

    Raises
    ------
    GeometryError
        If the steps span no volume.
    """
    _check_volume(reciprocal_steps)
    counts = torch.tensor(tuple(shape), dtype=torch.float64)
    vectors: Tensor = 2 * math.pi * torch.linalg.inv(reciprocal_steps.double()).T / counts[:, None]
    return vectors


def _check_range(name: str, value: float, unit: str, low: float, high: float) -> None:
    if not low <= value <= high:
        raise GeometryError(
            f"The {name} is {value:g} {unit}, outside {low:g} to {high:g} {unit}; check the value and its unit."
        )


def _check_volume(steps: Tensor) -> None:
    lengths = steps.norm(dim=1)
    volume = float(torch.linalg.det(steps.double()).abs())
    if not volume > MIN_RELATIVE_VOLUME * float(lengths.double().prod()):
        raise GeometryError(
            f"The steps in q to the next frame, row and column, {steps.tolist()} 1/m, span no volume; the scan must "
            "move the peak through the detector plane (turning about y needs a peak outboard or inboard of the beam)."
        )
