"""The report of a reconstruction: every number, and the verdict."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import numpy as np

from autophasenn.inversion.grounds import misfit_of, verdict_on
from autophasenn.inversion.methods import Found, Inversion
from autophasenn.inversion.names import MethodName
from autophasenn.inversion.verdict import Verdict
from autophasenn.machine import peak_memory
from autophasenn.network.predict import Predictor
from autophasenn.physics import metrics
from autophasenn.physics.geometry import describe, direct_voxel_vectors
from autophasenn.pipeline.postprocess import Postprocessed, statistics
from autophasenn.pipeline.prepare import Prepared
from autophasenn.pipeline.run import Run
from autophasenn.preprocessing.sampling import middle
from autophasenn.progress import Stopwatch
from autophasenn.report.numbers import Distribution, Origin, Report, ReportedConfidence, Starts, Weights
from autophasenn.volumes import Pattern, Reconstruction

LIBRARIES = ("autophasenn", "torch", "numpy", "scipy", "h5py")
"""Whose versions are told."""
PRELIMINARY = "This is the first image, at the resolution of the network's box; the final one takes its place."
ALIKE = 3
"""So many warnings that say the same of other voxels are each told; of more, the first and a count."""
NUMBER = re.compile(r"\d[\d.,]*(?:e[-+]?\d+)?")
WITHOUT_GEOMETRY = "The geometry is unknown: lengths are in voxels, and there is no strain."

Shells = tuple[np.ndarray, np.ndarray]
"""Frequency (1/m, or 1/voxel without geometry) and PRTF of each shell of abs(q)."""


def summarise(
    prepared: Prepared,
    run: Run,
    plan: Inversion,
    found: Found,
    done: Postprocessed,
    shells: Shells | None,
    watch: Stopwatch,
    *,
    predictor: Predictor | None = None,
    is_preliminary: bool = False,
) -> Report:
    """The report, without the time that writing takes.

    Parameters
    ----------
    prepared : Prepared
    run : Run
    plan : Inversion
    found : Found
        What the method found.
    done : Postprocessed
        What was made of it.
    shells : tuple of arrays, optional
        As :func:`prtf_shells` gives them.
    watch : Stopwatch
        Of the whole job.
    predictor : Predictor, optional
        The network, where there is one.
    is_preliminary : bool
        Whether it is of a first image.
    """
    preprocessed, reconstruction = prepared.preprocessed, done.reconstruction
    pattern = preprocessed.pattern
    chi2, noise = misfit_of(reconstruction, pattern)
    is_pending = is_preliminary and has_confidence(run.method, plan)
    verdict = verdict_on(found, run.method, (chi2, noise), is_pending=is_pending)
    numbers = statistics(done.image)
    unlike = () if found.confidence is None else found.confidence.warnings
    warnings = [*prepared.warnings, *found.warnings, *done.warnings, *unlike]
    if is_preliminary:
        warnings.append(PRELIMINARY)
    if done.image.voxel_size is None:
        warnings.append(WITHOUT_GEOMETRY)
    resolution = _resolution(shells, pattern)
    return Report(
        status=verdict.status.value,
        message=verdict.message,
        method=run.method,
        chi2=chi2,
        chi2_noise=noise,
        chi2_free=_finite(reconstruction.free_error),
        chi2_noise_free=_finite(reconstruction.free_noise),
        starts=_starts(reconstruction),
        shape=pattern.shape,
        binning=preprocessed.binning,
        oversampling=preprocessed.oversampling,
        preprocess=preprocessed.facts,
        path=found.path,
        confidence=_confidence(verdict, found, is_pending),
        geometry=describe(prepared.scan.geometry, *middle(preprocessed.window)),
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
        seed=run.seed,
        device=run.device,
        versions=versions(),
        input=Origin(prepared.scan.source.get("path"), prepared.scan.source.get("sha256")),
        weights=_weights(predictor if run.needs_network else None),
        warnings=gathered(warnings),
        seconds=dict(watch.seconds),
        peak_memory_bytes=peak_memory(),
        is_preliminary=is_preliminary,
    )


def has_confidence(method: str, plan: Inversion) -> bool:
    """Will there be a confidence?"""
    return method not in (MethodName.iterative, MethodName.er50) and plan.confidence.number > 0


def prtf_shells(reconstruction: Reconstruction, pattern: Pattern) -> Shells | None:
    """Frequency and PRTF of each shell of abs(q); None with one start."""
    if reconstruction.prtf is None:
        return None
    return metrics.radial_prtf(reconstruction.prtf, pattern.counts, pattern.mask, pattern.reciprocal_steps)


def versions() -> dict[str, str]:
    """Of the package, Python, and the libraries that results depend on."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


def gathered(warnings: Iterable[str]) -> tuple[str, ...]:
    """Each warning once; of more than `ALIKE` that differ only in their numbers, the first, and how many more there are."""
    groups: dict[str, list[str]] = {}
    for sentence in dict.fromkeys(warnings):
        groups.setdefault(NUMBER.sub("#", sentence), []).append(sentence)
    return tuple(
        sentence
        for alike in groups.values()
        for sentence in (alike if len(alike) <= ALIKE else [f"{alike[0]} The same holds for {len(alike) - 1} more."])
    )


def _confidence(verdict: Verdict, found: Found, is_pending: bool) -> ReportedConfidence:
    judged = found.confidence
    features: dict[str, Any] = {} if judged is None else judged.features
    return ReportedConfidence(
        number=verdict.probability,
        meaning=verdict.meaning,
        warnings=() if judged is None else judged.warnings,
        **{name: features.get(name) for name in ("discord", "unexplained", "misfit", "variants", "agreeing")},
        phase_spread_rad=features.get("phase_spread"),
        amplitude_spread=features.get("amplitude_spread"),
        is_pending=is_pending,
    )


def _weights(predictor: Predictor | None) -> Weights:
    if predictor is None:
        return Weights()
    return Weights(predictor.name, None if predictor.file is None else predictor.file.name, predictor.sha256)


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
