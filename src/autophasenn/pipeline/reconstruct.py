"""The main job: from a scan on disk to an image of the crystal, its strain, a report and pictures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autophasenn.beamlines import read_scan
from autophasenn.devices import device_of
from autophasenn.errors import InputError, PlanError
from autophasenn.files.readers import read_pattern_file
from autophasenn.files.writing import check_folder, staged_folder
from autophasenn.inversion.methods import METHODS, Job
from autophasenn.network.predict import Inference, Predictor
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.postprocess import postprocess
from autophasenn.pipeline.result import FILES, Finding, summarise, write_files
from autophasenn.preprocessing.checks import check_fit_to_phase, check_geometry, check_middle, memory_gib
from autophasenn.preprocessing.preprocess import Preprocessed, preprocess
from autophasenn.progress import Progress, Silent, Stopwatch
from autophasenn.volumes import Scan


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
    figures : bool
        Whether figures are drawn, which takes some seconds.
    refined_follows : bool
        Whether this is a first image without variants, and its refinement is under way: then that one has a confidence.
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
    figures: bool = True
    refined_follows: bool = False


FIRST_IMAGE = "The network's first image; the refined one will have a confidence."


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
    _check_judged(request, plan)
    device = _device(request)
    check_folder(request.output, request.overwrite)
    with staged_folder(request.output, request.overwrite) as folder:
        prepared = prepared or prepare(request, plan, progress)
        watch = Stopwatch.going_on(prepared.seconds)
        with _collected_warnings() as logged:
            job = Job(prepared.preprocessed, plan, request.method, request.seed, device, progress, watch)
            found = job.run(lambda: predictor or load_predictor(request))
            progress.stage("Strain")
            with watch.measure("postprocess"):
                canonical, image = postprocess(found.reconstruction, prepared.preprocessed.pattern, plan.postprocess)
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
                found.path,
                found.confidence,
            )
            report = summarise(finding, [*prepared.warnings, *logged])
            if request.refined_follows:
                report["confidence"]["meaning"] = FIRST_IMAGE
            return write_files(folder, finding, report, watch, request.figures)


def describe(request: Request, plan: Plan | None = None) -> dict[str, Any]:
    """What :func:`reconstruct` would do, found by reading and preparing the input; nothing is written.

    Raises
    ------
    InputError, GeometryError, PlanError, OutputError
        As :func:`reconstruct` does.
    """
    plan = plan or Plan()
    _check_judged(request, plan)
    device = _device(request)
    check_folder(request.output, request.overwrite)
    read = prepare(request, plan)
    prepared, scan = read.preprocessed, read.scan
    job = Job(prepared, plan, request.method, request.seed, device, Silent(), Stopwatch())
    return {
        "input": scan.source.get("path"),
        "frames": list(scan.frames.shape),
        "pattern": list(prepared.pattern.shape),
        "binning": list(prepared.binning),
        "oversampling": [round(value, 2) for value in prepared.oversampling],
        "masked": f"{100 * (1 - prepared.pattern.mask.float().mean().item()):.2f} %",
        "geometry": "unknown: the result has voxel units" if scan.geometry is None else "known",
        "method": request.method,
        **job.describe(),
        "device": str(device),
        "memory": f"about {memory_gib(prepared.pattern.counts.numel()):.1f} GiB",
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


def prepare(
    request: Request,
    plan: Plan | None = None,
    progress: Progress | None = None,
    *,
    cut: Callable[[Scan], Scan] | None = None,
) -> Prepared:
    """Read the input of a request and prepare its pattern.

    Parameters
    ----------
    request : Request
    plan : Plan, optional
    progress : Progress, optional
    cut : callable, optional
        What becomes of the scan after it was read, as for a quick image of its middle.

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
            scan = scan if cut is None else cut(scan)
        progress.stage("Preprocess")
        with watch.measure("preprocess"):
            prepared = preprocess(scan, plan.preprocess)
        check_geometry(prepared)
        check_middle(prepared)
    check_fit_to_phase(prepared, request.force)
    return Prepared(scan, prepared, tuple(logged), dict(watch.seconds))


def load_predictor(request: Request) -> Predictor:
    """The network of a request.

    Measuring which precision is quicker takes longer than the one prediction that is asked for. Whether another is needed is
    judged by `inversion.prediction.predict`: partial coherence alone makes a right prediction fit worse than noise allows.

    Raises
    ------
    InputError, PlanError
        If the weights are not those of a network, or the device is not there.
    """
    return Predictor.from_file(request.weights, Inference("float32", starts=1), _device(request))


def _check_judged(request: Request, plan: Plan) -> None:
    if request.method == "adapted" and plan.refined.free_fraction == 0:
        raise PlanError(
            "refined.free_fraction is 0, and --method adapted keeps only what explains held-out voxels better; give a "
            "free_fraction above 0, for instance 0.02, or --method refined."
        )


def _device(request: Request) -> torch.device:
    if request.method not in METHODS:
        raise PlanError(f"The method {request.method!r} is not known; choose from {', '.join(METHODS)}.")
    return device_of(request.device)


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
