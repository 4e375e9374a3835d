"""From a reconstruction to an image: trivial ambiguities removed, laboratory frame, displacement and strain.

Every start, and every method, that finds the same crystal comes out as the same image: its twin is the one of positive
:func:`~autophasenn.physics.asymmetry.asymmetry`, its centre of mass is voxel ``n // 2``, its mean phase is 0. The
linear phase ramp says where in its voxel the Bragg peak lies: the image carries it in its scattering vector (the mean
lattice planes), so that its mean strain is zero.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from autophasenn.analysis.inside import interior
from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.options import Fraction, Positive, options
from autophasenn.physics.asymmetry import asymmetry
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.physics.lab_frame import MARGIN, detector_to_lab, spread_to_lab
from autophasenn.physics.strain import displacement, phase_ramp, remove_ramp, strain
from autophasenn.volumes import SPATIAL, Pattern, Reconstruction, crop_or_pad, twin

logger = logging.getLogger(__name__)

LEAST_CRYSTAL = 8
"""Voxels of the smallest crystal: 2 along each axis."""
LEAST_ACROSS = 5
"""Voxels of the laboratory grid that a crystal has to be across: on fewer there is no strain to see."""
CLEAR_ASYMMETRY = 3.0
"""Standard deviations of the asymmetry below which the choice of the twin is a guess."""


@dataclass(frozen=True, eq=False)
class Postprocessed:
    """A reconstruction without its trivial ambiguities, and the image made of it.

    Parameters
    ----------
    reconstruction : Reconstruction
        The canonical twin, centred by whole voxels, mean phase 0; ``wave`` follows, and the calculated intensity is
        what it was. It keeps its ramp: without it, it would not reproduce the pattern.
    image : CrystalImage
        In the laboratory frame; on the detector's grid, in voxels, where the pattern has no geometry.
    warnings : tuple of str
        Sentences.
    """

    reconstruction: Reconstruction
    image: CrystalImage
    warnings: tuple[str, ...] = ()


@options
class Postprocessing:
    """How an image is made from a reconstruction.

    Parameters
    ----------
    support_threshold : float
        The crystal is where the amplitude is at least this fraction of its maximum, inside the reconstruction's
        support, in one piece. The default is the isosurface of the pictures.
    voxel_size_nm : float, optional
        Edge of the voxels of the laboratory grid, nm; None: the finest that the data support. So it is, with a warning,
        where the crystal would be less than `LEAST_ACROSS` voxels across.
    ramp_removal : bool
        Whether the linear phase ramp goes into the scattering vector. False keeps the strain relative to the q of the
        pattern's central voxel.

    Raises
    ------
    PlanError
        If the threshold is not between 0 and 1, or the voxel size not positive.
    """

    support_threshold: Fraction = 0.3
    voxel_size_nm: Positive | None = None
    ramp_removal: bool = True


def postprocess(reconstruction: Reconstruction, pattern: Pattern, options: Postprocessing) -> Postprocessed:
    """Remove the trivial ambiguities, and image the crystal and its strain in the laboratory frame.

    Parameters
    ----------
    reconstruction : Reconstruction
    pattern : Pattern
        The pattern it came from: its sampling and Q.
    options : Postprocessing

    Raises
    ------
    InputError
        If the support is empty, or the crystal is smaller than a voxel and its neighbours.
    """
    canonical, warnings = canonical_twin(centred(reconstruction, options.support_threshold), options.support_threshold)
    crystal = crystal_of(canonical, options.support_threshold)
    _check_extent(crystal)
    offset = -torch.angle(canonical.object[crystal].sum())
    turn = torch.polar(torch.ones_like(offset), offset)
    canonical = replace(canonical, object=canonical.object * turn, wave=canonical.wave * turn)
    largest = _largest_voxel_nm(crystal, pattern)
    if options.voxel_size_nm is not None and options.voxel_size_nm > largest:
        warnings += (
            f"Voxels of {options.voxel_size_nm:g} nm are too large for this crystal, which would be less than "
            f"{LEAST_ACROSS} of them across; the finest that the data support are used instead: give voxel_size_nm of "
            f"{largest:.3g} at most.",
        )
        options = replace(options, voxel_size_nm=None)
    return Postprocessed(canonical, image_of(canonical, crystal, pattern, options), warnings)


def _largest_voxel_nm(crystal: Tensor, pattern: Pattern) -> float:
    """Edge of the voxels of which the crystal is `LEAST_ACROSS` across where it is thinnest; without geometry, infinite."""
    if pattern.reciprocal_steps is None:
        return math.inf
    vectors = direct_voxel_vectors(pattern.reciprocal_steps, pattern.shape).double()
    places = torch.nonzero(crystal).to(vectors) @ vectors  # row i is the vector of axis i
    return float((places.amax(0) - places.amin(0)).min()) * 1e9 / LEAST_ACROSS


def centred(reconstruction: Reconstruction, support_threshold: float) -> Reconstruction:
    """The same reconstruction, rolled by whole voxels until the crystal's centre of mass is at index ``n // 2``."""
    bright = _bright(reconstruction, support_threshold)
    weight = torch.where(bright, reconstruction.object.abs(), 0).double()
    # The array is periodic: only a mean on the circle finds a crystal that is cut by an edge.
    circular = [_circular_mean(weight.sum([a for a in range(3) if a != axis])) for axis in range(3)]
    rough = rolled(reconstruction, [n // 2 - round(c) for c, n in zip(circular, bright.shape, strict=True)])
    centre = centre_of_mass(rough.object, crystal_of(rough, support_threshold))
    return rolled(rough, [n // 2 - round(c) for c, n in zip(centre, bright.shape, strict=True)])


def canonical_twin(reconstruction: Reconstruction, support_threshold: float) -> tuple[Reconstruction, tuple[str, ...]]:
    """The same reconstruction or its twin, whichever has positive asymmetry; and a warning where that is a guess."""
    value = asymmetry(reconstruction.object, crystal_of(reconstruction, support_threshold))
    warnings: tuple[str, ...] = ()
    if abs(value) < CLEAR_ASYMMETRY:
        warnings = (
            f"Shape and strain are nearly centrosymmetric (asymmetry {value:.2g} standard deviations): which of the two "
            "twins is shown is a guess.",
        )
    if value >= 0:
        return reconstruction, warnings
    mirrored = replace(
        reconstruction,
        object=twin(reconstruction.object),
        support=twin(reconstruction.support),
        wave=torch.conj_physical(reconstruction.wave),
        phase_spread=_moved(reconstruction.phase_spread, twin),
        amplitude_spread=_moved(reconstruction.amplitude_spread, twin),
    )
    return mirrored, warnings


def rolled(reconstruction: Reconstruction, shifts: list[int]) -> Reconstruction:
    """The same reconstruction, displaced by whole voxels; its wave turns by a phase ramp."""

    def roll(volume: Tensor) -> Tensor:
        return torch.roll(volume, shifts, SPATIAL)

    ramp = torch.tensor([2 * math.pi * s / n for s, n in zip(shifts, reconstruction.wave.shape, strict=True)]).double()
    return replace(
        reconstruction,
        object=roll(reconstruction.object),
        support=roll(reconstruction.support),
        wave=remove_ramp(reconstruction.wave, ramp),
        phase_spread=_moved(reconstruction.phase_spread, roll),
        amplitude_spread=_moved(reconstruction.amplitude_spread, roll),
    )


def _moved(volume: Tensor | None, move: Callable[[Tensor], Tensor]) -> Tensor | None:
    return None if volume is None else move(volume)


def crystal_of(reconstruction: Reconstruction, support_threshold: float) -> Tensor:
    """The largest connected piece of the support where the amplitude reaches the threshold: bool (n0, n1, n2)."""
    bright = _bright(reconstruction, support_threshold)
    return torch.from_numpy(_largest_piece(bright.cpu().numpy())).to(bright.device)


def centre_of_mass(rho: Tensor, crystal: Tensor) -> tuple[float, float, float]:
    """Index (fractions included) of the crystal's centre, weighted by amplitude."""
    amplitude = rho[crystal].abs().double()
    c0, c1, c2 = ((amplitude @ torch.nonzero(crystal).double()) / amplitude.sum()).tolist()
    return c0, c1, c2


def image_of(
    reconstruction: Reconstruction,
    crystal: Tensor,
    pattern: Pattern,
    options: Postprocessing,
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> CrystalImage:
    """Image of a centred object: one interpolation to the laboratory frame, then phase, displacement and strain.

    The surface is where the interpolated amplitude crosses the threshold, finer than a voxel of the detector's grid.
    The crystal's centre of mass lies at voxel ``n // 2``, but for a `shift` in metres along the axes of the grid. Without
    geometry the object stays on that grid, cropped about voxel ``n // 2``.
    """
    rho = reconstruction.object
    ramp = phase_ramp(rho, crystal) if options.ramp_removal else torch.zeros(3, dtype=torch.float64)
    flat = remove_ramp(rho, ramp)
    if pattern.reciprocal_steps is None or pattern.scattering_vector is None:
        reach = [2 * int((i - n // 2).abs().max()) for i, n in zip(torch.nonzero(crystal).T, rho.shape, strict=True)]
        window = [extent + 2 * MARGIN + 1 for extent in reach]
        cropped, inside = crop_or_pad(flat, window).cpu().numpy(), crop_or_pad(crystal, window).cpu().numpy()

        def on_window(spread: Tensor) -> np.ndarray:
            placed: np.ndarray = crop_or_pad(spread, window, fill=math.nan).cpu().numpy()
            return placed

        image = CrystalImage(_normalised(cropped), _unwrapped(cropped, inside), inside)
        return _with_spreads(image, reconstruction, on_window, float(np.abs(cropped).max()))

    vectors = direct_voxel_vectors(pattern.reciprocal_steps, pattern.shape)
    offset = torch.linalg.solve(vectors, ramp)
    scattering_vector = pattern.scattering_vector.double() + offset
    logger.info("The phase ramp moves Q by (%.3g, %.3g, %.3g) 1/nm.", *(offset * 1e-9).tolist())
    asked = None if options.voxel_size_nm is None else options.voxel_size_nm * 1e-9
    grown = torch.from_numpy(ndimage.binary_dilation(crystal.cpu().numpy())).to(crystal.device)
    room = grown & reconstruction.support
    moved = torch.linalg.solve(vectors.mT, torch.tensor(shift, dtype=torch.float64)).tolist()
    c0, c1, c2 = (a - b for a, b in zip(centre_of_mass(rho, crystal), moved, strict=True))
    centre = c0, c1, c2
    lab, inside, voxel_size = detector_to_lab(flat, room, vectors, asked, centre)
    largest = float(np.abs(lab).max())
    amplitude = _normalised(lab)
    inside = _largest_piece(inside & (amplitude >= options.support_threshold))
    phase = _unwrapped(lab, inside)
    on_grid = torch.from_numpy(phase)

    def in_lab(spread: Tensor) -> np.ndarray:
        return spread_to_lab(spread, vectors, voxel_size[0], lab.shape, centre)

    image = CrystalImage(
        amplitude=amplitude,
        phase=phase,
        support=inside,
        displacement=displacement(on_grid, scattering_vector).numpy(),
        strain=strain(on_grid, torch.from_numpy(inside), voxel_size, scattering_vector).numpy(),
        voxel_size=voxel_size,
        scattering_vector=scattering_vector.numpy(),
    )
    return _with_spreads(image, reconstruction, in_lab, largest)


def _with_spreads(
    image: CrystalImage, reconstruction: Reconstruction, place: Callable[[Tensor], np.ndarray], largest: float
) -> CrystalImage:
    """The image with both uncertainties on its grid, NaN outside the support; its `largest` amplitude became 1."""

    def on_image(spread: Tensor | None, unit: float) -> np.ndarray | None:
        return None if spread is None else np.where(image.support, place(spread) / np.float32(unit), np.float32(np.nan))

    return replace(
        image,
        phase_spread=on_image(reconstruction.phase_spread, 1.0),
        amplitude_spread=on_image(reconstruction.amplitude_spread, largest),
    )


def statistics(image: CrystalImage, surface_voxels: int = 1) -> dict[str, Any]:
    """What an image says in numbers, for the report (nm, dimensionless strain); None = unknown without geometry.

    Parameters
    ----------
    image : CrystalImage
    surface_voxels : int
        Voxels next to the surface left out of the strain, where it is one-sided and the amplitude falls; a crystal that
        has no interior keeps all.

    Returns
    -------
    dict
        ``support_voxels``, ``volume_nm3``, ``voxel_size_nm``, ``q_per_nm`` (|Q| of the mean lattice planes),
        ``d_spacing_nm``, and ``strain`` and ``displacement_nm`` with ``mean``, ``std``, ``p1``, ``p99`` (percentiles).
    """
    count = int(image.support.sum())
    facts: dict[str, Any] = dict.fromkeys(
        ("volume_nm3", "voxel_size_nm", "q_per_nm", "d_spacing_nm", "strain", "displacement_nm")
    )
    facts["support_voxels"] = count
    if image.voxel_size is not None:
        size = [edge * 1e9 for edge in image.voxel_size]
        facts |= {"voxel_size_nm": size, "volume_nm3": count * math.prod(size)}
    if image.scattering_vector is not None:
        q = float(np.linalg.norm(image.scattering_vector)) * 1e-9
        facts |= {"q_per_nm": q, "d_spacing_nm": 2 * math.pi / q}
    if image.displacement is not None:
        facts["displacement_nm"] = _spread(image.displacement[image.support] * 1e9)
    if image.strain is not None:
        facts["strain"] = _spread(image.strain[interior(image.support, surface_voxels)])
    return facts


def _check_extent(crystal: Tensor) -> None:
    voxels = int(crystal.sum())
    if voxels < LEAST_CRYSTAL:
        raise InputError(
            f"Phase retrieval ended with a crystal of {voxels} voxel{'s' * (voxels > 1)}, which is none: the pattern is a "
            "background or a single peak without fringes to it; subtract the dark level, mask what is not of the crystal, "
            "and sample the fringes by at least 2 voxels."
        )


def _bright(reconstruction: Reconstruction, support_threshold: float) -> Tensor:
    amplitude = torch.where(reconstruction.support, reconstruction.object.abs(), 0)
    if not float(amplitude.max()) > 0:
        raise InputError(
            "The reconstruction has no amplitude inside its support, so there is no crystal to show; phase again with "
            "another seed or a looser support."
        )
    return amplitude >= support_threshold * amplitude.max()


def _largest_piece(inside: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(inside)
    piece: np.ndarray = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    return piece


def _circular_mean(weight: Tensor) -> float:
    size = len(weight)
    angle = 2 * math.pi * torch.arange(size, dtype=torch.float64, device=weight.device) / size
    return float(torch.angle((weight * torch.polar(torch.ones_like(angle), angle)).sum())) * size / (2 * math.pi) % size


def _normalised(rho: np.ndarray) -> np.ndarray:
    amplitude: np.ndarray = np.abs(rho)
    amplitude /= amplitude.max()
    return amplitude


def _unwrapped(rho: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Phase in rad, unwrapped inside the crystal, mean 0; NaN outside."""
    from skimage.restoration import unwrap_phase

    unwrapped = unwrap_phase(np.ma.array(np.angle(rho), mask=~inside), rng=0)
    phase = np.full(rho.shape, np.nan, np.float32)
    phase[inside] = unwrapped[inside] - unwrapped[inside].mean()
    return phase


def _spread(values: np.ndarray) -> dict[str, float | None]:
    known = values[np.isfinite(values)].astype(float)
    if known.size == 0:
        return dict.fromkeys(("mean", "std", "p1", "p99"))
    p1, p99 = np.percentile(known, [1, 99])
    return {"mean": float(known.mean()), "std": float(known.std()), "p1": float(p1), "p99": float(p99)}
