r"""Where a scan with any diffractometer puts its voxels in reciprocal space.

Laboratory frame: z along the beam, y up, x outboard, right-handed. The sample sits on circles, the detector on circles
(an arm) or on stages; either list runs from the outermost axis to the innermost. A flat detector has its pixel (row,
column) at ``P = D (o + row e_row + column e_column)``, where D is what the detector's axes do and o, e_row, e_column are
its place while they stand at zero. With wave number k, beam b, and R what the sample's circles do::

    Q           = k (P/|P| - b)                   laboratory frame
    q(frame)    = R_reference R_frame^-1 Q        in the crystal as it stood in the reference frame
    dq/d(frame) = -w x Q + (dk/k) Q + k/|P| (dP - (dP.u) u),    u = P/|P|

w is the angular velocity of the crystal, dk and dP the change of wave number and pixel position, all a frame: so a scan
may move any circle, the detector or the energy, or several of them at once. Steps along rows and columns are the same
derivative with dP = D e. Lengths are metres, reciprocal vectors 1/m (with the factor 2 pi), angles degrees, energies eV.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from autophasenn.errors import GeometryError
from autophasenn.physics.axes import BEAM, Numbers, Points, carried, rotation, turning
from autophasenn.physics.bragg import Vector, check_range, check_volume, wavelength
from autophasenn.physics.diffractometer import Diffractometer, FlatDetector, listed
from autophasenn.volumes import Vectors

Motors = Mapping[str, float | tuple[float, ...]]
"""Name -> degrees (circles) or metres (stages): one number, or one a frame."""

MAX_ANGLE_DEG = 720.0
DRIFT = 1e-3
"""A circle, or a stage, that moves less than this share of the fastest one drifts and is not scanned."""


@dataclass(frozen=True)
class ScanGeometry:
    """A scan with a diffractometer: what stood where, frame by frame.

    Parameters
    ----------
    diffractometer : Diffractometer
    detector : FlatDetector
    energy_ev : float or tuple of float
        Photon energy, eV; one number, or one a frame.
    motors : dict
        Every axis of the diffractometer -> degrees or metres; one number, or one a frame.
    direct_beam : (row, column), optional
        Pixel of the whole detector that the direct beam met.
    is_assumed : bool
        Is `direct_beam` an assumption that nobody measured?
    whole : (rows, columns), optional
        Size of the whole detector; None: not known, or not which part of it the frames show.

    Raises
    ------
    GeometryError
        If a motor is missing, a value is implausible, or positions are not finite or not one a frame.
    """

    diffractometer: Diffractometer
    detector: FlatDetector
    energy_ev: float | tuple[float, ...]
    motors: Motors = field(hash=False)
    direct_beam: tuple[float, float] | None = None
    is_assumed: bool = False
    whole: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for energy in np.atleast_1d(self.energy_ev).tolist():
            check_range("photon energy", energy, "eV", 1e3, 2e5)
        missing = [name for name in self.diffractometer.motors if name not in self.motors]
        if missing:
            raise GeometryError(
                f"The geometry of {self.diffractometer.name} needs the motors {', '.join(self.diffractometer.motors)}, and "
                f"{', '.join(missing)} is not there; give its position."
            )
        for name in self.diffractometer.motors:
            low, high, unit = (
                (-10.0, 10.0, "m") if self.diffractometer.is_stage(name) else (-MAX_ANGLE_DEG, MAX_ANGLE_DEG, "degrees")
            )
            values = np.atleast_1d(self.motors[name])
            for value in (float(values.min()), float(values.max())):
                check_range(f"motor {name}", value, unit, low, high)
        self._frames()

    @property
    def frames(self) -> int:
        """How many frames the scan has; 1 where nothing moves."""
        return self._frames()

    @property
    def scanned(self) -> tuple[str, ...]:
        """What moves from frame to frame, motors or ``energy``; what only drifts beside them is not named."""
        rates = self._rates()
        drifts: set[str] = set()
        for is_stage in (False, True):  # degrees are compared with degrees, metres with metres
            alike = [name for name in self.diffractometer.motors if self.diffractometer.is_stage(name) == is_stage]
            largest = max((abs(rates[name]) for name in alike), default=0.0)
            drifts |= {name for name in alike if abs(rates[name]) < DRIFT * largest}
        return tuple(name for name, rate in rates.items() if rate != 0 and name not in drifts)

    @property
    def step(self) -> dict[str, float]:
        """Mean step a frame of what is scanned: degrees, metres, eV."""
        rates = self._rates()
        return {name: rates[name] for name in self.scanned}

    def check(self, pixel: tuple[float, float], frame: float | None = None) -> None:
        """Refuse a scan that sees no Bragg peak at `pixel` (row, column), or covers no volume there.

        Raises
        ------
        GeometryError
        """
        if not self.scanned:
            raise GeometryError(
                f"No motor of {self.diffractometer.name} moves in this scan ({listed(self._middle_motors())}); a rocking "
                "scan turns the crystal, or changes the energy, from frame to frame."
            )
        q = self.scattering_vector(pixel, frame)
        k = 2 * math.pi / wavelength(float(np.mean(self.energy_ev)))
        if float(q.norm()) < 1e-6 * k:
            raise GeometryError(
                f"The detector arm points along the direct beam ({listed(self._middle_motors(detector=True))}), where "
                "there is no Bragg peak; check the detector motors."
            )
        check_volume(self.reciprocal_steps(pixel, frame))

    def scattering_vector(self, pixel: tuple[float, float], frame: float | None = None) -> Vector:
        """Q = k_f - k_i of the ray through `pixel` (row, column; fractions allowed) of `frame`, 1/m; float64 (3,).

        Without `frame`, in the middle of the scan.
        """
        at = self._middle if frame is None else frame
        return torch.from_numpy(self._lab_q(np.asarray(at, np.float64), *map(np.asarray, pixel)))

    def reciprocal_steps(self, pixel: tuple[float, float], frame: float | None = None) -> Vectors:
        """Steps in q to the next frame, row and column (rows of the result), in the crystal as it stands in `frame`.

        Parameters
        ----------
        pixel : (row, column)
        frame : float, optional
            None: in the middle of the scan.

        Returns
        -------
        float64 tensor (3, 3)
            1/m, laboratory frame. The step along frames is that of the mean step of what moves.
        """
        at = np.asarray(self._middle if frame is None else frame, np.float64)
        motors, rates = self._motors_at(at), self._rates()
        energy = self._energy_at(at)
        k = 2 * math.pi / wavelength(float(energy))
        place = self.detector.positions(np.asarray(pixel[0]), np.asarray(pixel[1]))
        ray, moving = carried(self.diffractometer.detector, place, motors, rates)
        length = float(np.linalg.norm(ray))
        u = ray / length

        def change(shift: np.ndarray) -> np.ndarray:
            result: np.ndarray = k / length * (shift - (shift @ u) * u)
            return result

        q = k * (u - np.asarray(BEAM))
        omega = turning(self.diffractometer.sample, motors, rates)
        next_frame = -np.cross(omega, q) + rates["energy"] / energy * q + change(moving)
        edges = [
            binning * np.asarray(edge)
            for binning, edge in zip(
                self.detector.binning, (self.detector.row_edge_m, self.detector.column_edge_m), strict=True
            )
        ]
        corners, _ = carried(self.diffractometer.detector, np.stack([np.zeros(3), *edges]), motors)
        next_row, next_column = (change(corner - corners[0]) for corner in corners[1:])
        return torch.from_numpy(np.stack([next_frame, next_row, next_column]))

    def q(self, frame: Numbers, row: Numbers, column: Numbers, reference: float | None = None) -> Points:
        """Q of any voxels, in the crystal as it stands in frame `reference` (None: the middle one), 1/m.

        Parameters
        ----------
        frame, row, column : arrays that broadcast
            Fractions are allowed; between frames the motors are interpolated.
        reference : float, optional

        Returns
        -------
        float64 array (..., 3)
            Laboratory frame.
        """
        frame, row, column = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (frame, row, column)))
        lab = self._lab_q(frame, row, column)
        turned = np.einsum("...ji,...j->...i", rotation(self.diffractometer.sample, self._motors_at(frame)), lab)
        at = np.asarray(self._middle if reference is None else reference, np.float64)
        result: np.ndarray = turned @ rotation(self.diffractometer.sample, self._motors_at(at)).T
        return result

    def describe(self, pixel: tuple[float, float], frame: float | None = None) -> dict[str, Any]:
        """What a report says of it (JSON-serialisable): eV, m, degrees, 1/nm.

        Parameters
        ----------
        pixel : (row, column), frame : float
            Of the Bragg peak.
        """
        at = np.asarray(self._middle if frame is None else frame, np.float64)
        motors = {name: float(value) for name, value in self._motors_at(at).items()}
        beam = self.direct_beam
        stages = {name: value for name, value in motors.items() if self.diffractometer.is_stage(name)}
        return {
            "diffractometer": self.diffractometer.name,
            "energy_ev": float(self._energy_at(at)),
            "distance_m": self.detector.distance_m,
            "pixel_m": list(self.detector.pixel_size_m),
            "direct_beam": None
            if beam is None
            else {"row": float(beam[0]), "column": float(beam[1]), "assumed": self.is_assumed},
            "first_pixel": list(self.detector.first_pixel),
            "sample_rotation": rotation(self.diffractometer.sample, self._motors_at(at)).tolist(),
            "angles_deg": {name: value for name, value in motors.items() if name not in stages},
            "positions_m": stages,
            "scanned": ", ".join(self.scanned) or None,
            "step_deg": next((r for n, r in self.step.items() if n != "energy" and n not in stages), None),
            "steps": self.step,
            "q_per_nm": 1e-9 * float(self.scattering_vector(pixel, frame).norm()),
            "q_vector_per_nm": (1e-9 * self.scattering_vector(pixel, frame)).tolist(),
        }

    @property
    def _middle(self) -> float:
        return float(self.frames // 2)

    def _frames(self) -> int:
        sizes = {name: np.size(values) for name, values in {**self.motors, "energy": self.energy_ev}.items()}
        moving = {name: size for name, size in sizes.items() if size > 1}
        if len(set(moving.values())) > 1:
            raise GeometryError(
                f"The scan gives {', '.join(f'{size} values of {name}' for name, size in moving.items())}; each must have "
                "one a frame."
            )
        return max(moving.values(), default=1)

    def _lab_q(self, frame: Numbers, row: Numbers, column: Numbers) -> Points:
        motors = self._motors_at(frame)
        rays, _ = carried(self.diffractometer.detector, self.detector.positions(row, column), motors)
        k = 2 * math.pi / wavelength(1.0) * self._energy_at(frame)
        result: np.ndarray = k[..., None] * (rays / np.linalg.norm(rays, axis=-1, keepdims=True) - np.asarray(BEAM))
        return result

    def _motors_at(self, frame: Numbers) -> dict[str, np.ndarray]:
        return {name: _at(self.motors[name], frame) for name in self.diffractometer.motors}

    def _energy_at(self, frame: Numbers) -> np.ndarray:
        return _at(self.energy_ev, frame)

    def _rates(self) -> dict[str, float]:
        values = {name: self.motors[name] for name in self.diffractometer.motors} | {"energy": self.energy_ev}
        return {name: _slope(value) for name, value in values.items()}

    def _middle_motors(self, detector: bool = False) -> dict[str, float]:
        motors = self._motors_at(np.asarray(self._middle))
        wanted = {axis.name for axis in self.diffractometer.detector} if detector else set(motors)
        return {name: float(value) for name, value in motors.items() if name in wanted}


def _at(values: float | tuple[float, ...], frame: Numbers) -> np.ndarray:
    """Positions at `frame`, interpolated between frames and continued beyond the first and the last."""
    known = np.atleast_1d(np.asarray(values, np.float64))
    if known.size == 1:
        return np.broadcast_to(known[0], np.shape(frame))
    frame = np.asarray(frame, np.float64)
    low = np.clip(np.floor(frame).astype(int), 0, known.size - 2)
    return np.asarray(known[low] + (frame - low) * (known[low + 1] - known[low]))


def _slope(values: float | tuple[float, ...]) -> float:
    """Mean step a frame: that of the straight line through all positions; 0 for what only trembles."""
    known = np.atleast_1d(np.asarray(values, np.float64))
    if known.size == 1:
        return 0.0
    count = np.arange(known.size) - (known.size - 1) / 2
    slope = float(count @ (known - known.mean()) / (count @ count))
    tremble = float(np.std(known - known.mean() - slope * count))
    return slope if abs(slope) * (known.size - 1) > max(4 * tremble, 1e-9) else 0.0
