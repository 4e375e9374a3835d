"""The main job: from a scan on disk to an image of the crystal, its strain, a report and pictures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from autophasenn.beamlines import read_scan
from autophasenn.errors import InputError, PlanError
from autophasenn.files.readers import read_pattern_file
from autophasenn.files.writing import check_folder, staged_folder
from autophasenn.network.predict import Inference, Predictor
from autophasenn.phasing.ensemble import reconstruct_ensemble
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.pipeline.network_box import NetworkBox
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.postprocess import postprocess
from autophasenn.pipeline.preprocess import Preprocessed, preprocess
from autophasenn.pipeline.progress import Progress, Silent
from autophasenn.pipeline.refined import predict, predicted, refined
from autophasenn.pipeline.result import FILES, Finding, Stopwatch, summarise, write_files
from autophasenn.volumes import Reconstruction, Scan

METHODS = ("refined", "network", "iterative")
"""What `--method` may ask for: the network's prediction refined, as it is, or retrieval from random starts."""
LEAST_OVERSAMPLING = 2.0
"""Below it the autocorrelation wraps around, and the phases are not determined (Miao et al. 1998)."""

LEAST_MEASURED = 0.25
"""Share of the planes across an axis that must hold a measured voxel."""

CPU_BYTES_PER_VOXEL = 110
"""Peak of the whole job for one voxel of the pattern (measured on scan 54), one start at a time."""


@dataclass(frozen=True)
class Request:
    """What to reconstruct, and where the result goes.

    Parameters
    ----------
    input : str, optional
        Folder of a scan, a file, or ``file.h5:/dataset``; None: the bundled example.
    output : Path
        Folder of the result.
    beamline : str, optional
        Whose scan folder `input` is; None: a plain file.
    spec, dark, white : Path, optional
        SPEC file of the scan, dark field and white field of the detector.
    scan : int, optional
        Number in the SPEC file; None: from the folder's name.
    mask : Path, optional
        Mask of a plain file, True = measured.
    method : str
        One of `METHODS`.
    seed : int
        The whole randomness.
    overwrite : bool
        Whether a result in `output` may be replaced.
    device : str
        A torch device.
    weights : Path, optional
        Of the network; None: those of the package.
    force : bool
        Whether a pattern whose phases are not determined (oversampling below 2) is phased all the same.
    """

    input: str | None
    output: Path
    beamline: str | None = None
    spec: Path | None = None
    scan: int | None = None
    dark: Path | None = None
    white: Path | None = None
    mask: Path | None = None
    method: str = METHODS[0]
    seed: int = 0
    overwrite: bool = False
    device: str = "cpu"
    weights: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class Prepared:
    """An input that was read and found fit to be phased.

    Parameters
    ----------
    scan : Scan
    preprocessed : Preprocessed
    warnings : tuple of str
        What was logged on the way.
    seconds : dict
        Of reading and of preprocessing.
    """

    scan: Scan
    preprocessed: Preprocessed
    warnings: tuple[str, ...]
    seconds: dict[str, float | None]


def reconstruct(
    request: Request,
    plan: Plan | None = None,
    progress: Progress | None = None,
    *,
    prepared: Prepared | None = None,
    predictor: Predictor | None = None,
) -> dict[str, Any]:
    """Reconstruct a scan and write the result: CXI, VTK, ``report.json`` and figures, all or none of them.

    Parameters
    ----------
    request : Request
    plan : Plan, optional
        Every parameter; None: the defaults.
    progress : Progress, optional
        Told of stages and iterations.
    prepared : Prepared, optional
        The same input as :func:`prepare` returned it, for a second method; None: it is read.
    predictor : Predictor, optional
        The network, loaded already (:func:`load_predictor`); None: it is loaded.

    Returns
    -------
    dict
        The content of ``report.json`` (docs/conventions.md).

    Raises
    ------
    InputError, GeometryError
        If the input is not what was asked for.
    PlanError
        If a parameter is outside its range, or the device is not there.
    OutputError
        If the result cannot be written, or `output` holds something and `overwrite` is False.
    """
    plan, progress = plan or Plan(), progress or Silent()
    device = _device(request)
    check_folder(request.output, request.overwrite)
    with staged_folder(request.output, request.overwrite) as folder:
        prepared = prepared or prepare(request, plan, progress)
        watch = Stopwatch.going_on(prepared.seconds)
        with _collected_warnings() as logged:
            found, path = _found(request, plan, prepared.preprocessed, device, progress, watch, predictor)
            progress.stage("Strain")
            with watch.measure("postprocess"):
                canonical, image = postprocess(found, prepared.preprocessed.pattern, plan.postprocess)
            progress.stage("Write")
            finding = Finding(
                prepared.scan,
                prepared.preprocessed,
                canonical,
                image,
                plan,
                request.method,
                request.seed,
                sys.argv,
                path,
            )
            report = summarise(finding, [*prepared.warnings, *logged])
            return write_files(folder, finding, report, watch)


def describe(request: Request, plan: Plan | None = None) -> dict[str, Any]:
    """What :func:`reconstruct` would do, found by reading and preparing the input; nothing is written.

    Raises
    ------
    InputError, GeometryError, PlanError, OutputError
        As :func:`reconstruct` does.
    """
    plan = plan or Plan()
    device = _device(request)
    check_folder(request.output, request.overwrite)
    read = prepare(request, plan)
    prepared, scan = read.preprocessed, read.scan
    voxels = prepared.pattern.counts.numel()
    return {
        "input": scan.source.get("path"),
        "frames": list(scan.frames.shape),
        "pattern": list(prepared.pattern.shape),
        "binning": list(prepared.binning),
        "oversampling": [round(value, 2) for value in prepared.oversampling],
        "masked": f"{100 * (1 - prepared.pattern.mask.float().mean().item()):.2f} %",
        "geometry": "unknown: the result has voxel units" if scan.geometry is None else "known",
        "method": request.method,
        **_how(request, plan, prepared),
        "device": str(device),
        "memory": f"about {max(1.0, voxels * CPU_BYTES_PER_VOXEL / 2**30):.1f} GiB",
        "output": str(request.output),
        "files": ", ".join(FILES),
        "warnings": list(dict.fromkeys([*prepared.warnings, *read.warnings])) or ["none"],
    }


def read_input(request: Request) -> Scan:
    """The scan that a request names.

    Raises
    ------
    InputError, GeometryError
        If it cannot be read.
    PlanError
        If options are missing for it, or do not apply.
    """
    if request.beamline is not None:
        if request.input is None:
            raise PlanError("--beamline belongs to a scan folder; give the folder as INPUT.")
        if request.mask is not None:
            raise PlanError("--mask belongs to a plain file; the pixels of a beamline's detector come with its reader.")
        if request.spec is None:
            raise PlanError(f"--beamline {request.beamline} needs the SPEC file of the scan; add --spec FILE.")
        return read_scan(
            request.beamline,
            request.input,
            spec=request.spec,
            scan=request.scan,
            dark=request.dark,
            white=request.white,
        )
    for name in ("spec", "scan", "dark", "white"):
        if getattr(request, name) is not None:
            raise PlanError(f"--{name} belongs to a scan folder; say whose with --beamline, for instance 34idc.")
    if request.input is not None and Path(request.input).is_dir():
        raise InputError(
            f"{request.input} is a folder; say whose scan it is with --beamline 34idc --spec FILE, or give a file."
        )
    return read_pattern_file(EXAMPLE if request.input is None else request.input, request.mask)


def prepare(request: Request, plan: Plan | None = None, progress: Progress | None = None) -> Prepared:
    """Read the input of a request and prepare its pattern.

    Raises
    ------
    InputError, GeometryError, PlanError
        As :func:`reconstruct` does.
    """
    plan, progress, watch = plan or Plan(), progress or Silent(), Stopwatch()
    with _collected_warnings() as logged:
        progress.stage("Read")
        with watch.measure("read"):
            scan = read_input(request)
        progress.stage("Preprocess")
        with watch.measure("preprocess"):
            prepared = preprocess(scan, plan.preprocess)
    _check_measured(prepared)
    _check_sampling(prepared, request.force)
    _check_memory(prepared.pattern.counts.numel())
    return Prepared(scan, prepared, tuple(logged), dict(watch.seconds))


def load_predictor(request: Request) -> Predictor:
    """The network of a request.

    Measuring which precision is quicker takes longer than the one prediction that is asked for. Whether another is needed is
    judged by `pipeline.refined.predict`: partial coherence alone makes a right prediction fit worse than noise allows.

    Raises
    ------
    InputError, PlanError
        If the weights are not those of a network, or the device is not there.
    """
    return Predictor.from_file(request.weights, Inference("float32", starts=1), _device(request))


def _found(
    request: Request,
    plan: Plan,
    prepared: Preprocessed,
    device: torch.device,
    progress: Progress,
    watch: Stopwatch,
    predictor: Predictor | None,
) -> tuple[Reconstruction, dict[str, Any] | None]:
    """The crystal by the method asked for, and which way led to it."""
    pattern = prepared.pattern.to(device)
    if request.method == "iterative":
        progress.stage("Phase retrieval")
        with watch.measure("refine"):
            found = reconstruct_ensemble(pattern, plan.retrieval, seed=request.seed, on_iteration=progress.advance)
        return found, None
    progress.stage("Network")
    with watch.measure("network"):
        predictor = predictor or load_predictor(request)
        prediction = predict(pattern, prepared.oversampling, predictor, plan.refined, seed=request.seed)
        if request.method == "network":
            return predicted(prediction, plan.refined)
    progress.stage("Refinement")
    with watch.measure("refine"):
        return refined(prediction, plan.refined, progress.advance)


def _how(request: Request, plan: Plan, prepared: Preprocessed) -> dict[str, Any]:
    """What a method would do, for people."""
    if request.method == "iterative":
        schedule = plan.retrieval.schedule
        blocks = ", ".join(f"{type(b.algorithm).__name__} {b.iterations}" for b in schedule.blocks)
        return {
            "starts": plan.retrieval.starts,
            "schedule": f"{schedule.repeats} x ({blocks}) = {schedule.iterations} iterations a start",
        }
    box = NetworkBox.of(prepared.pattern.shape, prepared.oversampling)
    steps = ", ".join(f"{step:.2f}" for step in box.steps)
    at_full = "" if box.is_whole_pattern else f", then {plan.refined.further.iterations} at full resolution"
    iterations = f"{plan.refined.first.iterations} iterations in the box, {plan.refined.further.iterations} more with "
    return {
        "network box": f"64 x 64 x 64, a voxel every {steps} voxels of the pattern",
        "schedule": "none" if request.method == "network" else f"{iterations}a coherence kernel{at_full}",
    }


def _check_sampling(prepared: Preprocessed, force: bool) -> None:
    least = min(prepared.oversampling)
    if least < LEAST_OVERSAMPLING and not force:
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


def _check_memory(voxels: int) -> None:
    needed, free = voxels * CPU_BYTES_PER_VOXEL / 2**30, psutil.virtual_memory().available / 2**30
    if needed > free:
        raise InputError(
            f"Phasing {voxels:.3g} voxels takes about {needed:.1f} GiB of memory, and {free:.1f} GiB are free; give "
            "preprocess.shape or preprocess.binning in the plan, or take a larger machine."
        )


def _device(request: Request) -> torch.device:
    if request.method not in METHODS:
        raise PlanError(f"The method {request.method!r} is not known; choose from {', '.join(METHODS)}.")
    try:
        device = torch.device(request.device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise PlanError(
            f"The device {request.device!r} is not there; use --device cpu, or one torch offers."
        ) from error
    return device


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """The sentences that the package logs as warnings inside the block; they belong into the report."""
    sentences: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sentences.append(record.getMessage())

    logger, collector = logging.getLogger("autophasenn"), Collector(logging.WARNING)
    logger.addHandler(collector)
    try:
        yield sentences
    finally:
        logger.removeHandler(collector)
