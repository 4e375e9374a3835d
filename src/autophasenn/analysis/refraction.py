"""Refraction and absorption inside the crystal: what they do to phase and amplitude, and their correction.

The wave that is scattered at r has run a path L through the crystal: from where the beam enters to r, and from r to where
the scattered wave leaves. With the refractive index ``n = 1 - delta + i beta`` its phase is behind by ``k delta L`` and its
amplitude weaker by ``exp(-k beta L)``; both are undone here. delta and beta are those of xraydb (Elam, Ravel & Sieber,
Radiat. Phys. Chem. 63, 121 (2002); Chantler, J. Phys. Chem. Ref. Data 24, 71 (1995)) at the density of the lattice.
Cf. Carnis et al., Sci. Rep. 9, 17357 (2019), for what refraction does to strain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from autophasenn.analysis.inside import gradient_inside
from autophasenn.analysis.materials import Cubic
from autophasenn.analysis.quantity import Floats, Quantity
from autophasenn.image import CrystalImage

HC_EV_M = 1.239841984332e-06
"""Planck constant times speed of light, eV m (CODATA 2018, exact)."""
AVOGADRO = 6.02214076e23


@dataclass(frozen=True, eq=False)
class Refraction:
    """What was corrected.

    Parameters
    ----------
    delta, beta : float
        Of the refractive index ``1 - delta + i beta``.
    longest_path : Quantity
        nm: incoming and outgoing together.
    largest_phase : Quantity
        rad: by how much the phase was behind at most.
    largest_loss : Quantity
        Share of the amplitude that absorption took at most.
    strain_change : Quantity
        Standard deviation of what the strain changed by.
    phase : float array (nx, ny, nz)
        rad, what was added.
    """

    delta: float
    beta: float
    longest_path: Quantity
    largest_phase: Quantity
    largest_loss: Quantity
    strain_change: Quantity
    phase: Floats = field(repr=False)


def corrected(
    image: CrystalImage, material: Cubic, energy_ev: float, to_frame: Floats
) -> tuple[CrystalImage, Refraction]:
    """The image without refraction and absorption.

    The mean gradient of the correction goes into the scattering vector, so that the mean strain stays zero.

    Parameters
    ----------
    image : CrystalImage
        With geometry.
    material : Cubic
    energy_ev : float
    to_frame : float array (3, 3)
        From components in the laboratory to the axes of the image.
    """
    import xraydb

    assert image.scattering_vector is not None
    assert image.voxel_size is not None
    mass = xraydb.atomic_mass(material.name) * material.atoms / AVOGADRO
    density = mass / (material.lattice_constant_nm * 1e-7) ** 3
    delta, beta, _ = xraydb.xray_delta_beta(material.name, density, energy_ev)
    k = 2 * math.pi * energy_ev / HC_EV_M
    incoming = to_frame @ np.array([0.0, 0.0, 1.0])
    q = np.asarray(image.scattering_vector, float)
    outgoing = k * incoming + q
    path = path_before(image, incoming) + path_before(image, -outgoing / np.linalg.norm(outgoing))
    inside = image.support
    phase = np.where(inside, k * delta * path, 0)
    gradient = gradient_inside(phase, inside, image.voxel_size)
    ramp = gradient[:, inside].mean(axis=1).astype(float)
    positions = [
        ramp[axis]
        * (np.arange(n) - n // 2).reshape([-1 if a == axis else 1 for a in range(3)])
        * image.voxel_size[axis]
        for axis, n in enumerate(image.shape)
    ]
    flat = phase - (positions[0] + positions[1] + positions[2])
    flat = np.where(inside, flat - flat[inside].mean(), np.nan).astype(np.float32)
    change = -np.tensordot(q / (q @ q), gradient - ramp[:, None, None, None], 1).astype(np.float32)
    length = float(np.linalg.norm(q + ramp))
    new_phase = image.phase + flat
    amplitude = image.amplitude * np.where(inside, np.exp(k * beta * path), 1).astype(np.float32)
    result = replace(
        image,
        amplitude=amplitude / amplitude.max(),
        phase=new_phase,
        displacement=-new_phase / np.float32(length),
        strain=None if image.strain is None else image.strain + np.where(inside, change, np.nan),
        scattering_vector=q + ramp,
    )
    longest = float(path[inside].max())
    return result, Refraction(
        float(delta),
        float(beta),
        Quantity(longest * 1e9, "nm"),
        Quantity(k * float(delta) * longest, "rad"),
        Quantity(1 - math.exp(-k * float(beta) * longest), ""),
        Quantity(float(change[inside].std()), ""),
        flat,
    )


def path_before(image: CrystalImage, direction: Floats) -> Floats:
    """How far a ray along `direction` has run through the crystal when it comes to a voxel: (nx, ny, nz), metres.

    The planes of voxels across the largest component are gone through in turn, each shifted by what the ray moves sideways.
    """
    assert image.voxel_size is not None
    steps = np.asarray(direction, float) / np.array(image.voxel_size)  # voxels a metre
    axis = int(np.abs(steps).argmax())
    inside = np.moveaxis(image.support.astype(np.float32), axis, 0)
    if steps[axis] < 0:
        inside = inside[::-1]
    sideways = np.delete(steps, axis) / abs(steps[axis])
    length = 1 / abs(steps[axis])
    path = np.zeros_like(inside)
    for plane in range(1, len(inside)):
        before = path[plane - 1] + inside[plane - 1] * (length / 2)
        path[plane] = ndimage.shift(before, sideways, order=1, mode="constant") + inside[plane] * (length / 2)
    if steps[axis] < 0:
        path = path[::-1]
    return np.moveaxis(path, 0, axis)
