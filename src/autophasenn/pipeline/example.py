"""The bundled example: a rocking scan of a strained gold nanocrystal, simulated with the geometry of a real beamline.

``python -m autophasenn.pipeline.example FILE.npz`` makes the bundled file anew.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autophasenn.crystals.shapes import facet_normals, polyhedron
from autophasenn.physics.diffraction import count_photons, intensity_of
from autophasenn.physics.fourier import back_propagate, diffract
from autophasenn.physics.geometry import RockingGeometry, direct_voxel_vectors
from autophasenn.volumes import crop_or_pad

EXAMPLE = Path(str(files("autophasenn"))) / "examples" / "gold.npz"
"""The bundled file: counts with sampling, as `files.readers` reads them."""

SHAPE = (64, 64, 64)
PHOTONS = 2e7
CENTRE = (float(SHAPE[1] // 2), float(SHAPE[2] // 2))
GEOMETRY = RockingGeometry(
    energy_ev=9000.0,
    distance_m=0.5,
    pixel_size_m=(165e-6, 165e-6),
    delta_deg=32.174,
    gamma_deg=12.6346,
    theta_step_deg=0.0225,
    centre_pixel=CENTRE,
)
"""Gold 111 at 9 keV, pixels of 55 um binned by three."""


def geometry_by_hand() -> dict[str, Any]:
    """`GEOMETRY` as ``--geometry`` takes it, with circles, so that the frame of the sample is known too."""
    return {
        "beamline": "34idc",
        "motors": {
            "Theta": f"0:{GEOMETRY.theta_step_deg}", "Delta": GEOMETRY.delta_deg, "Gamma": GEOMETRY.gamma_deg,
        },
        "energy_ev": GEOMETRY.energy_ev,
        "distance_m": GEOMETRY.distance_m,
        "pixel_m": list(GEOMETRY.pixel_size_m),
        "direct_beam": list(CENTRE),
    }  # fmt: skip


FINER = (4, 2, 2)
"""The crystal is drawn on so many times finer voxels: a real one scatters beyond the detector too."""


def crystal() -> Tensor:
    """The crystal on fine voxels: complex64, `SHAPE` times `FINER` voxels, largest amplitude 1.

    A truncated octahedron of {111} and {100} facets, some nearer to the centre than others, 180 nm wide, lying on a
    {111} facet. Near that facet it is strained by what it stands on; a smooth field goes through the rest. How it is turned
    about that facet does not go with Q, which lies 42.7 degrees from its nearest {111}: `autophasenn analyse` says so.
    """
    position = positions()
    octahedral, cubic = facet_normals((1, 1, 1)), facet_normals((1, 0, 0))
    # Turn [111] onto y, the direction in which the crystal stands on its substrate.
    axis_y = octahedral[-1]
    axis_x = torch.linalg.cross(axis_y, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    axis_x = axis_x / torch.linalg.vector_norm(axis_x)
    turn = torch.stack([axis_x, axis_y, torch.linalg.cross(axis_x, axis_y)])
    normals = torch.cat([octahedral, cubic]) @ turn.T
    generator = torch.Generator().manual_seed(11)
    spread = 1 + 0.16 * (torch.rand(len(normals), generator=generator, dtype=torch.float64) - 0.5)
    distances = 1e-9 * torch.cat([torch.full((8,), 77.0), torch.full((6,), 91.0)]).double() * spread
    distances[(normals @ turn @ -axis_y).argmax()] = 52e-9
    amplitude = polyhedron(position, normals, distances, edge=4e-9)

    # Displacement along Q in metres: pulled near the substrate, gently bent above it.
    x, y, z = (position / 55e-9).unbind(-1)
    pulled = 8e-11 * torch.exp(-(y + 0.95) / 0.45) * (1 - 0.5 * (x**2 + z**2))
    bent = 4e-11 * (torch.sin(1.1 * x + 0.4) * torch.cos(0.9 * z) + 0.3 * y * z)
    q = torch.linalg.vector_norm(GEOMETRY.scattering_vector(CENTRE))
    return torch.polar(amplitude, -q * (pulled + bent)).to(torch.complex64)  # phi = -G.u


def positions() -> Tensor:
    """Laboratory position of every fine voxel, metres, float64 (..., 3), origin at voxel ``n // 2``."""
    fine = [n * finer for n, finer in zip(SHAPE, FINER, strict=True)]
    vectors = direct_voxel_vectors(GEOMETRY.reciprocal_steps(CENTRE), (fine[0], fine[1], fine[2]))
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in fine]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) @ vectors


def seen() -> Tensor:
    """The crystal at the resolution of the measurement, complex64 `SHAPE`, what a perfect reconstruction would give."""
    wave = crop_or_pad(diffract(crystal()), SHAPE)
    intensity = intensity_of(wave)
    peak = np.unravel_index(int(intensity.argmax()), SHAPE)
    return back_propagate(torch.roll(wave, [n // 2 - int(i) for n, i in zip(SHAPE, peak, strict=True)], (0, 1, 2)))


def counts() -> Tensor:
    """What a photon-counting detector sees of it: 2e7 photons, float32 (64, 64, 64), brightest voxel central."""
    return count_photons(intensity_of(diffract(seen())), PHOTONS, torch.Generator().manual_seed(2022))


def write(path: Path) -> None:
    """Write the example as a plain ``.npz`` pattern with its sampling in 1/m."""
    np.savez_compressed(
        path,
        counts=counts().numpy().astype(np.uint32),
        reciprocal_steps=GEOMETRY.reciprocal_steps(CENTRE).numpy(),
        scattering_vector=GEOMETRY.scattering_vector(CENTRE).numpy(),
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE)
