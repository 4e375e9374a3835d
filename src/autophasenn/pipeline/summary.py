"""The report of a reconstruction: every number, and the verdict."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from autophasenn.inversion.confidence import described
from autophasenn.inversion.methods import Found
from autophasenn.machine import peak_memory
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.pipeline.method import Method
from autophasenn.pipeline.postprocess import Postprocessed, statistics
from autophasenn.pipeline.prepare import Prepared
from autophasenn.progress import Stopwatch
from autophasenn.report.numbers import Distribution, Origin, Report, Starts, Trust
from autophasenn.volumes import Pattern, Reconstruction

POOR_CHI2 = 0.1
"""chi2 above which an object does not explain its pattern, however weak that is."""
POOR_RATIO = 100.0
"""chi2 over its noise floor above which the same holds for a strong pattern."""
LIBRARIES = ("autophasenn", "torch", "numpy", "scipy", "h5py")
"""Whose versions are told."""
WITHOUT_GEOMETRY = "The geometry is unknown: lengths are in voxels, and there is no strain."

Shells = tuple[np.ndarray, np.ndarray]
"""Frequency (1/m, or 1/voxel without geometry) and PRTF of each shell of abs(q)."""


def summarise(
    prepared: Prepared, method: Method, found: Found, done: Postprocessed, shells: Shells | None, watch: Stopwatch
) -> Report:
    """The report, without the time that writing takes.

    Parameters
    ----------
    prepared : Prepared
    method : Method
    found : Found
        What the method found.
    done : Postprocessed
        What was made of it.
    shells : tuple of arrays, optional
        As :func:`prtf_shells` gives them.
    watch : Stopwatch
        Of the whole job.
    """
    preprocessed, reconstruction = prepared.preprocessed, done.reconstruction
    pattern = preprocessed.pattern
    model = ForwardModel(kernel=reconstruction.kernel)
    chi2 = float(metrics.chi2(reconstruction.object, pattern.counts, pattern.mask, model))
    noise = float(metrics.chi2_noise(reconstruction.intensity, pattern.counts, pattern.mask))
    trust = described(found.confidence, method.name)
    numbers = statistics(done.image)
    warnings = [*prepared.warnings, *getattr(found, "warnings", ()), *done.warnings, *trust["warnings"]]
    if done.image.voxel_size is None:
        warnings.append(WITHOUT_GEOMETRY)
    status, message = _verdict(reconstruction, chi2, noise)
    resolution = _resolution(shells, pattern)
    return Report(
        status=status,
        message=message,
        method=method.name,
        chi2=chi2,
        chi2_noise=noise,
        chi2_free=_finite(reconstruction.free_error),
        starts=_starts(reconstruction),
        shape=pattern.shape,
        binning=preprocessed.binning,
        oversampling=preprocessed.oversampling,
        preprocess=preprocessed.facts,
        path=found.path,
        confidence=Trust(**trust | {"warnings": tuple(trust["warnings"])}),
        support_voxels=numbers["support_voxels"],
        volume_nm3=numbers["volume_nm3"],
        voxel_size_nm=_tuple(numbers["voxel_size_nm"]),
        detector_voxel_size_nm=_detector_voxel_size_nm(pattern),
        q_per_nm=numbers["q_per_nm"],
        d_spacing_nm=numbers["d_spacing_nm"],
        strain=_distribution(numbers["strain"]),
        displacement_nm=_distribution(numbers["displacement_nm"]),
        resolution_nm=None if resolution is None else resolution[0],
        resolution_is_bound=None if resolution is None else resolution[1],
        seed=method.seed,
        versions=versions(),
        input=Origin(prepared.scan.source.get("path"), prepared.scan.source.get("sha256")),
        warnings=tuple(dict.fromkeys(warnings)),
        seconds=dict(watch.seconds),
        peak_memory_bytes=peak_memory(),
    )


def prtf_shells(reconstruction: Reconstruction, pattern: Pattern) -> Shells | None:
    """Frequency and PRTF of each shell of abs(q); None with one start."""
    if reconstruction.prtf is None:
        return None
    return metrics.radial_prtf(reconstruction.prtf, pattern.counts, pattern.mask, pattern.reciprocal_steps)


def versions() -> dict[str, str]:
    """Of the package, Python, and the libraries that results depend on."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


def _starts(found: Reconstruction) -> Starts:
    return Starts(
        number=len(found.free_errors),
        averaged=found.averaged,
        chi2_free=tuple(_finite(error) for error in found.free_errors.tolist()),
        modes=None if found.modes is None else tuple(found.modes.tolist()),
    )


def _distribution(numbers: dict[str, Any] | None) -> Distribution | None:
    return None if numbers is None else Distribution(**numbers)


def _resolution(shells: Shells | None, pattern: Pattern) -> tuple[float | None, bool] | None:
    """Full period at PRTF = 1/e, nm, and whether it is a bound; None with one start, or without geometry."""
    if shells is None or pattern.reciprocal_steps is None:
        return None
    length = metrics.resolution(*shells)
    return None if length is None else length * 1e9, metrics.is_bound(shells[1])


def _detector_voxel_size_nm(pattern: Pattern) -> tuple[float, ...] | None:
    """Edges of a voxel of the detector frame along frames, rows and columns of the pattern as it was phased."""
    if pattern.reciprocal_steps is None:
        return None
    return tuple(
        1e9 * edge for edge in direct_voxel_vectors(pattern.reciprocal_steps, pattern.shape).norm(dim=1).tolist()
    )


def _tuple(values: list[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _verdict(found: Reconstruction, chi2: float, noise: float) -> tuple[str, str]:
    """A word, and a sentence that says how far to believe the image and what would help."""
    starts = len(found.free_errors)
    fit = f"chi2 is {chi2:.2g}, {chi2 / noise:.1f} times what counting noise alone gives"
    agreement = f"{found.averaged} of {starts} starts agree" if starts > 1 else "one start was made"
    if chi2 > POOR_CHI2 or chi2 > POOR_RATIO * noise:
        return "poor", (
            f"The object does not explain the pattern: {fit}; {agreement}. Check the mask, aliens, and that there is one "
            "crystal."
        )
    if starts > 1 and found.averaged < starts / 2:
        return "uncertain", (
            f"Only {found.averaged} of {starts} starts found this image, so it may be wrong; {fit}. Try more starts, more "
            "iterations, or look for aliens and masked regions."
        )
    return "reconstructed", f"{agreement.capitalize()}; {fit}."
