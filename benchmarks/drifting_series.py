"""A crystal that is heated: simulated scans of one reflection, in a file as BLISS writes it, with the truth of each.

From scan to scan the lattice expands and the strain inside grows. The diffractometer follows the peak, as people at a
beamline have it do, in steps of a hundredth of a degree; what is left moves the peak over the detector. Nothing of the truth
is told to the reconstruction but the counts, the motors, and the temperature as a counter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from autophasenn.beamlines import read_scan
from autophasenn.crystals.shapes import facet_normals, polyhedron
from autophasenn.image import CrystalImage
from autophasenn.physics.bragg import HC_EV_M
from autophasenn.physics.diffraction import count_photons, intensity_of
from autophasenn.physics.fourier import back_propagate, diffract
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.pipeline.postprocess import Postprocessing, canonical_twin, centred, crystal_of, image_of
from autophasenn.volumes import Geometry, Pattern, Reconstruction, crop_or_pad, window_around

DETECTOR = "eiger"
PIXEL_M, DISTANCE_M, ENERGY_KEV = 165e-6, 0.5, 9.0
ETA_STEP_DEG, DELTA_DEG, TURN_DEG = 0.0225, 34.2, 0.01
"""Of a frame; of the detector where the series begins; to which the detector is turned."""
BEGAN = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
FINER = (3, 2, 2)
"""The crystal is drawn on so many times finer voxels."""
FIRST_K = 300.0


@dataclass(frozen=True)
class Step:
    """One scan of the series.

    Parameters
    ----------
    number : int
        Of the scan.
    temperature_k : float
    expansion : float
        Homogeneous strain, 0 where the series begins.
    strength : float
        Factor of the displacement inside.
    crystal : int
        Which crystal it shows: the seed of its facets.
    photons : float
    """

    number: int
    temperature_k: float
    expansion: float
    strength: float
    crystal: int = 11
    photons: float = 2e7


def heating(count: int, photons: float = 2e7) -> list[Step]:
    """From 300 K on in steps of 20 K: the lattice expands like gold (1.42e-5 / K), the strain inside grows fourfold."""
    rise = np.linspace(0, 1, count)
    return [
        Step(
            number,
            FIRST_K + 20 * (number - 1),
            1.42e-5 * 20 * (number - 1),
            float(0.4 + 1.2 * rise[number - 1]),
            photons=photons,
        )
        for number in range(1, count + 1)
    ]


def delta_of(step: Step) -> float:
    """Where the detector stands, degrees: near twice the Bragg angle of the expanded lattice."""
    sine = math.sin(math.radians(DELTA_DEG / 2)) * (1 - step.expansion)
    return round(2 * math.degrees(math.asin(sine)) / TURN_DEG) * TURN_DEG


def write_series(path: Path, steps: Sequence[Step], size: int = 64, seed: int = 0) -> dict[int, CrystalImage]:
    """Write the scans of a series into one file; what a perfect reconstruction of each would show.

    Parameters
    ----------
    path : Path
    steps : sequence of Step
    size : int
        Frames, rows and columns.
    seed : int
        Of the counting noise.
    """
    with h5py.File(path, "w") as file:
        for step in steps:
            _write_scan(file, step, np.zeros((size,) * 3, np.uint16))
    geometries = [read_scan("id01", path, scan=step.number).geometry for step in steps]
    length = 4 * math.pi * ENERGY_KEV * 1e3 / HC_EV_M * math.sin(math.radians(DELTA_DEG / 2))  # |Q| before expansion
    truth = {}
    with h5py.File(path, "r+") as file:
        for step, geometry in zip(steps, geometries, strict=True):
            assert geometry is not None
            wave = _wave(step, geometry, length, size)
            generator = torch.Generator().manual_seed(1000 * seed + step.number)
            counts = count_photons(intensity_of(wave), step.photons, generator)
            file[f"{step.number}.1/measurement/{DETECTOR}"][...] = counts.clamp(max=2**32 - 2).numpy().astype(np.uint32)
            truth[step.number] = _seen(wave, geometry)
    return truth


def _write_scan(file: h5py.File, step: Step, frames: np.ndarray) -> None:
    count = len(frames)
    delta = delta_of(step)
    eta = delta / 2 + ETA_STEP_DEG * (np.arange(count) - count // 2)
    scan = file.create_group(f"{step.number}.1")
    scan["title"] = f"ascan eta {eta[0]} {eta[-1]} {count - 1} 1"
    began = BEGAN + timedelta(minutes=12 * (step.number - 1))
    scan["start_time"], scan["end_time"] = began.isoformat(), (began + timedelta(minutes=10)).isoformat()
    scan.create_dataset(f"measurement/{DETECTOR}", data=frames.astype(np.uint32), compression=1)
    scan["measurement/temperature"] = step.temperature_k + 0.2 * np.sin(np.arange(count))
    scan["measurement/eta"] = eta
    for motor, value in {"mu": 0.0, "eta": eta, "phi": 3.0, "nu": 0.0, "delta": delta}.items():
        scan[f"instrument/positioners/{motor}"] = value
    scan["instrument/positioners/mononrj"] = ENERGY_KEV
    middle = frames.shape[1] // 2
    calibration = {
        "beam_center_y": float(middle),
        "beam_center_x": float(middle),
        "y_pixel_size": PIXEL_M,
        "x_pixel_size": PIXEL_M,
        "distance": DISTANCE_M,
        "dim_j": frames.shape[1],
        "dim_i": frames.shape[2],
    }
    for key, value in calibration.items():
        scan[f"instrument/{DETECTOR}/{key}"] = value


def _wave(step: Step, geometry: Geometry, length: float, size: int) -> Tensor:
    """What a step diffracts into the frames, complex64 (size, size, size); `length` is abs(Q) before the expansion."""
    pixel = (float(size // 2), float(size // 2))
    fine = [size * finer for finer in FINER]
    vectors = direct_voxel_vectors(geometry.reciprocal_steps(pixel), (fine[0], fine[1], fine[2]))
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in fine]
    position = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) @ vectors
    amplitude, displacement = _crystal(position, step.crystal)
    q = geometry.scattering_vector(pixel).double()
    along = position @ (q / q.norm())
    # phi = -G.u; an expansion e moves the peak to Q (1 - e), from where the middle of the detector stands.
    away = length * (1 - step.expansion) - float(q.norm())
    phase = away * along - length * step.strength * displacement
    return crop_or_pad(diffract(torch.polar(amplitude, phase).to(torch.complex64)), (size,) * 3)


def _crystal(position: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Amplitude, and displacement along Q in metres, at positions (..., 3) in metres: some 180 nm of facets."""
    octahedral, cubic = facet_normals((1, 1, 1)), facet_normals((1, 0, 0))
    normals = torch.cat([octahedral, cubic])
    generator = torch.Generator().manual_seed(seed)
    spread = 1 + 0.5 * (torch.rand(len(normals), generator=generator, dtype=torch.float64) - 0.5)
    distances = 1e-9 * torch.cat([torch.full((8,), 74.0), torch.full((6,), 86.0)]).double() * spread
    amplitude = polyhedron(position, normals, distances, edge=4e-9)
    turns = torch.rand(6, generator=generator, dtype=torch.float64)
    x, y, z = (position / 55e-9).unbind(-1)
    bent = torch.sin(1.1 * x + turns[0]) * torch.cos(0.9 * z + turns[1]) + 0.4 * torch.sin(0.8 * y + 0.7 * z + turns[2])
    pulled = torch.exp(-(y + 1.5) / 0.8) * (1 - 0.2 * (x**2 + z**2))
    displacement = 5e-11 * (bent + 0.3 * pulled)
    return amplitude, _without_plane(displacement, position, amplitude > 0.5)


def _without_plane(displacement: Tensor, position: Tensor, inside: Tensor) -> Tensor:
    """The same without its mean and mean gradient inside: what is left expands the lattice nowhere on average."""
    places = position[inside]
    plane = torch.cat([places, torch.full((len(places), 1), 1e-7).double()], 1)
    fit = torch.linalg.lstsq(plane, displacement[inside][:, None]).solution[:, 0]
    return displacement - position @ fit[:3] - 1e-7 * fit[3]


def _seen(wave: Tensor, geometry: Geometry) -> CrystalImage:
    """The image of the true object at the resolution of the frames, as a perfect reconstruction has it."""
    intensity = intensity_of(wave)
    n = wave.shape[0]
    frame, row, column = (int(i) for i in np.unravel_index(int(intensity.argmax()), wave.shape))
    wave = window_around(wave, (frame, row, column), (n, n, n))
    rho = back_propagate(wave)
    rho = rho / rho.abs().max()
    pixel = (float(row), float(column))
    pattern = Pattern(
        intensity_of(wave).float(),
        torch.ones(wave.shape, dtype=torch.bool),
        geometry.reciprocal_steps(pixel, float(frame)),
        geometry.scattering_vector(pixel, float(frame)),
    )
    nothing = torch.zeros(1, 1)
    true = Reconstruction(rho, rho.abs() >= 0.1, wave, intensity_of(wave), nothing, torch.full((1,), torch.nan))
    options = Postprocessing()
    true, _ = canonical_twin(centred(true, options.support_threshold), options.support_threshold)
    return image_of(true, crystal_of(true, options.support_threshold), pattern, options)
