"""What is said and drawn of a reconstruction: ``report.json``, CXI, VTK and figures."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.errors import InputError
from autophasenn.files import cxi, vtk
from autophasenn.image import CrystalImage
from autophasenn.inversion.confidence import Confidence, described
from autophasenn.machine import peak_memory
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.pipeline.plan import Plan, dump_plan, parameters_of
from autophasenn.pipeline.postprocess import statistics
from autophasenn.preprocessing.preprocess import Preprocessed
from autophasenn.progress import Stopwatch
from autophasenn.volumes import Reconstruction, Scan

POOR_CHI2 = 0.1
"""chi2 above which an object does not explain its pattern, however weak that is."""
POOR_RATIO = 100.0
"""chi2 over its noise floor above which the same holds for a strong pattern."""

FILES = (
    *("report.json", "result.cxi", "crystal.vti", "object_detector_frame.vts", "plan.yaml", "SHA256SUMS"),
    *("overview.png", "slices.png", "isosurface.png", "pattern.png", "convergence.png"),
    *("confidence.png (of refined and network)",),
    *("prtf.png (if two starts agree)", "aliens.png (if there are any)"),
)
"""What a result consists of."""
LIBRARIES = ("autophasenn", "torch", "numpy", "scipy", "h5py")


@dataclass(frozen=True, eq=False)
class Finding:
    """A reconstruction with everything that led to it."""

    scan: Scan
    prepared: Preprocessed
    reconstruction: Reconstruction
    image: CrystalImage
    plan: Plan
    method: str
    seed: int
    command: list[str]
    path: dict[str, Any] | None = None
    confidence: Confidence | None = None

    @cached_property
    def prtf_shells(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Frequency and PRTF of each shell of |q|; None with one start. Both the report and its figure need them."""
        pattern, prtf = self.prepared.pattern, self.reconstruction.prtf
        return (
            None if prtf is None else metrics.radial_prtf(prtf, pattern.counts, pattern.mask, pattern.reciprocal_steps)
        )


def summarise(finding: Finding, logged: list[str]) -> dict[str, Any]:
    """The content of ``report.json``; what is unknown is None, never left out.

    Parameters
    ----------
    finding : Finding
    logged : list of str
        Warnings of the stages, in sentences.

    Returns
    -------
    dict
        Without the seconds and the memory of the writing itself, which :func:`write_files` adds.
    """
    pattern, found = finding.prepared.pattern, finding.reconstruction
    model = ForwardModel(kernel=found.kernel)
    chi2 = float(metrics.chi2(found.object, pattern.counts, pattern.mask, model))
    noise = float(metrics.chi2_noise(found.intensity, pattern.counts, pattern.mask))
    report: dict[str, Any] = {
        "status": None,
        "message": None,
        "method": finding.method,
        "chi2": chi2,
        "chi2_noise": noise,
        "chi2_free": _finite(found.free_error),
        "starts": {
            "number": len(found.free_errors),
            "averaged": found.averaged,
            "chi2_free": [_finite(error) for error in found.free_errors.tolist()],
            "modes": None if found.modes is None else found.modes.tolist(),
        },
        "shape": list(pattern.shape),
        "binning": list(finding.prepared.binning),
        "oversampling": list(finding.prepared.oversampling),
        "preprocess": finding.prepared.facts,
        "path": finding.path,
        "confidence": described(finding.confidence, finding.method),
        **statistics(finding.image),
        "detector_voxel_size_nm": _detector_voxel_size_nm(finding),
        **_resolution(finding),
        "seed": finding.seed,
        "versions": {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        "input": {"path": finding.scan.source.get("path"), "sha256": finding.scan.source.get("sha256")},
    }
    report["warnings"] = [*dict.fromkeys([*finding.prepared.warnings, *logged, *report["confidence"]["warnings"]])]
    if finding.image.voxel_size is None:
        report["warnings"].append("The geometry is unknown: lengths are in voxels, and there is no strain.")
    report["status"], report["message"] = _verdict(found, chi2, noise)
    return report


def write_files(
    folder: Path, finding: Finding, report: dict[str, Any], watch: Stopwatch, figures: bool = True
) -> dict[str, Any]:
    """Write everything into `folder`, the report last.

    Parameters
    ----------
    folder : Path
        Exists and is empty.
    finding : Finding
    report : dict
        As :func:`summarise` gives it.
    watch : Stopwatch
        Of the whole job.
    figures : bool
        Whether they are drawn.

    Returns
    -------
    dict
        The report as written, with times, memory and what could not be drawn.

    Raises
    ------
    OutputError
        If the disk is full.
    """
    with watch.measure("write"):
        pattern, found = finding.prepared.pattern, finding.reconstruction
        plan = dump_plan(finding.plan)
        process = {
            "command": " ".join(finding.command),
            "seed": finding.seed,
            "input": finding.scan.source,
            "parameters": parameters_of(finding.plan),
            "report": report,
        }
        cxi.write_result(folder / "result.cxi", pattern, found, finding.image, process)
        vtk.write_image(folder / "crystal.vti", finding.image)
        steps = pattern.reciprocal_steps
        vectors = None if steps is None else direct_voxel_vectors(steps, pattern.shape).numpy()
        spreads = {
            name: None if spread is None else spread.numpy()
            for name, spread in (("phase_spread", found.phase_spread), ("amplitude_spread", found.amplitude_spread))
        }
        crystal = (found.object * found.support).numpy()
        vtk.write_detector_frame(folder / "object_detector_frame.vts", crystal, vectors, spreads)
        (folder / "plan.yaml").write_text(plan, encoding="utf-8")
        if figures:
            report["warnings"] += _draw(folder, finding, report)
    report["seconds"] = dict(watch.seconds)
    report["peak_memory_bytes"] = peak_memory()
    (folder / "report.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return report


def _draw(folder: Path, finding: Finding, report: dict[str, Any]) -> list[str]:
    """All figures; returns a sentence for each that this machine cannot draw."""
    from autophasenn.report.aliens import aliens
    from autophasenn.report.confidence import spread_map
    from autophasenn.report.convergence import convergence
    from autophasenn.report.isosurface import isosurface
    from autophasenn.report.opengl import NoOpenGLError
    from autophasenn.report.overview import overview
    from autophasenn.report.pattern import pattern_comparison
    from autophasenn.report.prtf import prtf
    from autophasenn.report.slices import slices

    pattern, found, image = finding.prepared.pattern, finding.reconstruction, finding.image
    left_out: list[str] = []
    slices(image, folder / "slices.png")
    pattern_comparison(pattern, found, folder / "pattern.png")
    convergence(found, folder / "convergence.png", chi2_noise=report["chi2_noise"], stages=_stages(finding.path))
    overview(image, pattern, found, report, folder / "overview.png", title=Path(finding.scan.source["path"]).name)
    try:
        isosurface(image, folder / "isosurface.png")
    except (NoOpenGLError, InputError) as error:  # InputError: no voxel inside reaches the isovalue
        left_out.append(str(error))
    if (shells := finding.prtf_shells) is not None:
        frequency, value = shells
        unknown = pattern.reciprocal_steps is None
        prtf(frequency, value, metrics.resolution(frequency, value), folder / "prtf.png", in_voxels=unknown)
    if found.phase_spread is not None and found.amplitude_spread is not None:
        spreads = found.amplitude_spread.numpy(), found.phase_spread.numpy()
        title = "Confidence {number:.2f} (0 to 1), from {variants} images".format(**report["confidence"])
        spread_map(found.object.numpy(), *spreads, found.support.numpy(), folder / "confidence.png", title=title)
    found_aliens = finding.prepared.aliens
    if found_aliens.clusters:
        centres = [cluster.centre for cluster in found_aliens.clusters]
        aliens(pattern.counts.numpy(), found_aliens.mask, centres, folder / "aliens.png")
    return left_out


def _stages(path: dict[str, Any] | None) -> list[tuple[str, int]]:
    """Name and iterations of each part of a refinement, the prediction first; none of retrieval from random starts."""
    if path is None:
        return []
    named = [line.rsplit(": ", 1) for line in path["iterations"]]
    return [("prediction", 1), *((name, int(iterations)) for name, iterations in named)]


def _resolution(finding: Finding) -> dict[str, Any]:
    """Full-period resolution at PRTF = 1/e; None with one start, or without geometry."""
    shells = finding.prtf_shells
    if shells is None or finding.prepared.pattern.reciprocal_steps is None:
        return {"resolution_nm": None, "resolution_is_bound": None}
    length = metrics.resolution(*shells)
    return {
        "resolution_nm": None if length is None else length * 1e9,
        "resolution_is_bound": metrics.is_bound(shells[1]),
    }


def _detector_voxel_size_nm(finding: Finding) -> list[float] | None:
    """Edges of a voxel of the detector frame along frames, rows and columns of the pattern as it was phased."""
    steps = finding.prepared.pattern.reciprocal_steps
    if steps is None:
        return None
    vectors = direct_voxel_vectors(steps, finding.prepared.pattern.shape)
    return [float(edge) * 1e9 for edge in vectors.norm(dim=1)]


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
