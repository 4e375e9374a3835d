"""What is refused before it is phased: too coarse, too little measured, too large, and devices that are not there."""

from __future__ import annotations

import math

import psutil

from autophasenn.errors import GeometryError, InputError
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.preprocessing.preprocess import Preprocessed

LEAST_OVERSAMPLING = 2.0
"""Below it the autocorrelation wraps around, and the phases are not determined (Miao et al. 1998)."""

LEAST_MEASURED = 0.25
"""Share of the planes across an axis that must hold a measured voxel."""

LEAST_SHARE = 0.5
"""Share of all voxels that must be measured: fewer are rather a mask the wrong way round."""

SPACINGS_NM = (0.03, 3.0)
"""Of the lattice planes of crystals, from hard metals at high order to large unit cells."""
EXTENTS_NM = (5.0, 20_000.0)
"""Of crystals that are measured by Bragg coherent diffraction."""
MOST_SLENDER = 25.0
"""Length over width from which a crystal is rather a mistaken unit."""

LEAST_TOLD = 0.005
"""Share of the voxels from which on those masked as aliens are given as a reason."""

MOST_MISSING = 0.15
"""Share of the central speckle that may be unmeasured before a word is said."""

CPU_BYTES_PER_VOXEL, CPU_BYTES = 330, 2**30
"""Peak of the whole job for one voxel of the pattern, and for none (measured on patterns of 4 to 23 million voxels)."""


def check_fit_to_phase(prepared: Preprocessed, force: bool) -> None:
    """Refuse a pattern that cannot be phased.

    Parameters
    ----------
    prepared : Preprocessed
    force : bool
        Whether one whose phases are not determined is phased all the same.

    Raises
    ------
    InputError
        With the number that is wrong.
    """
    _check_measured(prepared)
    if not force:
        _check_share(prepared)
        _check_sampling(prepared)
    _check_memory(prepared.pattern.counts.numel())


def check_geometry(prepared: Preprocessed) -> tuple[str, ...]:
    """Refuse lattice planes that no crystal has, and warn of a crystal that no one measures: mistaken units.

    Returns
    -------
    tuple of str
        Warnings.

    Raises
    ------
    GeometryError
        With the spacing of the planes.
    """
    pattern = prepared.pattern
    if pattern.reciprocal_steps is None or pattern.scattering_vector is None:
        return ()
    spacing = 2e9 * math.pi / float(pattern.scattering_vector.norm())
    if not SPACINGS_NM[0] <= spacing <= SPACINGS_NM[1]:
        raise GeometryError(
            f"Energy and detector angles (or 'scattering_vector') give lattice planes {spacing:.3g} nm apart, and those of "
            f"crystals are {SPACINGS_NM[0]:g} to {SPACINGS_NM[1]:g} nm apart; check their units: keV in a SPEC file, angles "
            "in degrees, scattering vectors in 1/m with the factor 2 pi."
        )
    edges = direct_voxel_vectors(pattern.reciprocal_steps, pattern.shape).norm(dim=1) * 1e9
    extents = [float(e) * n / o for e, n, o in zip(edges, pattern.shape, prepared.oversampling, strict=True)]
    if not EXTENTS_NM[0] <= min(extents) <= max(extents) <= EXTENTS_NM[1] or max(extents) > MOST_SLENDER * min(extents):
        size = " x ".join(f"{extent:.3g}" for extent in extents)
        return (
            f"By the geometry the crystal is about {size} nm long (along frames, rows and columns), which few crystals "
            "are; check distance (mm in a SPEC file), pixel size and rocking step (degrees), or 'reciprocal_steps' (in "
            "1/m).",
        )
    return ()


def check_middle(prepared: Preprocessed) -> tuple[str, ...]:
    """Warnings of a gap over the Bragg peak, where most of the photons would be."""
    missing = _missing_middle(prepared)
    if missing <= MOST_MISSING:
        return ()
    return (
        f"{100 * missing:.0f} % of the Bragg peak's central speckle were not measured (a gap, or a mask): size and "
        "amplitude of the crystal are unsure; move the detector so that the peak lies beside its gaps.",
    )


def memory_gib(voxels: int) -> float:
    """What phasing a pattern of so many voxels takes, GiB."""
    return (CPU_BYTES + voxels * CPU_BYTES_PER_VOXEL) / 2**30


def _missing_middle(prepared: Preprocessed) -> float:
    """Share of the central speckle that is unmeasured."""
    speckle = tuple(
        slice(n // 2 - round(o / 2), n // 2 + round(o / 2) + 1)
        for n, o in zip(prepared.pattern.shape, prepared.oversampling, strict=True)
    )
    return 1 - float(prepared.pattern.mask[speckle].float().mean())


def _check_sampling(prepared: Preprocessed) -> None:
    least = min(prepared.oversampling)
    if least < LEAST_OVERSAMPLING and _missing_middle(prepared) <= MOST_MISSING:  # else the estimate is unsure
        axis = prepared.oversampling.index(least)
        remedy = "bin it less" if prepared.binning[axis] > 1 else "measure with finer steps or a longer distance"
        raise InputError(
            f"The pattern has an oversampling of about {least:.2f} along axis {axis}, and below {LEAST_OVERSAMPLING:g} its "
            f"phases are not determined; {remedy}, or phase it all the same with --force."
        )


def _check_measured(prepared: Preprocessed) -> None:
    for axis, size in enumerate(prepared.pattern.shape):
        planes = int(prepared.pattern.mask.movedim(axis, 0).flatten(1).any(1).sum())
        if planes < LEAST_MEASURED * size:
            raise InputError(
                f"Of the {size} planes of the pattern along axis {axis} only {planes} have a measured voxel, too few to "
                "phase; check the mask (True = measured)."
            )


def _check_share(prepared: Preprocessed) -> None:
    measured = float(prepared.pattern.mask.double().mean())
    if measured >= LEAST_SHARE:
        return
    if not prepared.is_mask_given:
        place = ", ".join(f"{name} {i}" for name, i in zip(("frame", "row", "column"), prepared.peak, strict=True))
        aliens, gaps = float(prepared.aliens.mask.mean()), int(prepared.facts.get("gap_pixels", 0))
        lost = [f"{aliens:.0%} of it are masked as light of other crystals"] if aliens >= LEAST_TOLD else []
        lost += [f"{gaps} pixels of a frame are taken as gaps of the detector (zero beside counts, or marked)"] * (
            gaps > 0
        )
        raise InputError(
            f"Only {measured:.0%} of the pattern's voxels are measured: what is brightest, and taken as the Bragg peak, "
            f"lies at {place}, so that the pattern about it {'is cut' if lost else 'reaches beyond the scan'}"
            f"{''.join(f', and {words}' for words in lost)}. If that place is not the peak, mask it (--mask); if it is, "
            "phase the pattern all the same with --force."
        )
    raise InputError(
        f"Only {measured:.0%} of the pattern's voxels are measured. In a mask True (1) means measured: give the inverse "
        "if yours says it the other way round, or phase it all the same with --force."
    )


def _check_memory(voxels: int) -> None:
    needed, free = memory_gib(voxels), psutil.virtual_memory().available / 2**30
    if needed > free:
        raise InputError(
            f"Phasing {voxels:.3g} voxels takes about {needed:.1f} GiB of memory, and {free:.1f} GiB are free; give "
            "preprocess.shape or preprocess.binning in the plan, or take a larger machine."
        )
