"""The main job: from a scan to an image of the crystal and its strain, each step a function of values."""

from __future__ import annotations

from typing import Any

from autophasenn.files.writing import staged_folder
from autophasenn.inversion.methods import describe as describe_method
from autophasenn.inversion.methods import invert
from autophasenn.network.predict import Predictor
from autophasenn.network.weights import load
from autophasenn.physics import geometry
from autophasenn.pipeline.geometry_words import geometry_facts
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.postprocess import postprocess
from autophasenn.pipeline.prepare import Prepared, prepare
from autophasenn.pipeline.result import FILES, Output, Result
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.pipeline.summary import prtf_shells, summarise
from autophasenn.preprocessing.checks import memory_gib
from autophasenn.preprocessing.sampling import middle
from autophasenn.progress import Progress, Silent, Stopwatch
from autophasenn.volumes import Scan


def reconstruct(
    source: Source | Scan | Prepared,
    run: Run | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
    *,
    predictor: Predictor | None = None,
    command: str = "",
) -> Result:
    """Reconstruct a scan; nothing is written.

    Parameters
    ----------
    source : Source, Scan or Prepared
        What to read, or what was read, or what :func:`~autophasenn.pipeline.prepare.prepare` made of it,
        for a second method.
    run : Run, optional
        None: the default one.
    plan : Plan, optional
        Every parameter; None: the defaults.
    progress : Progress, optional
        Told of stages and iterations.
    predictor : Predictor, optional
        The network, loaded already (:meth:`Run.predictor`); None: it is loaded where the method needs it.
    command : str
        The command line that asked for it, to be kept with the result.

    Raises
    ------
    InputError, GeometryError
        If the input is not what was asked for.
    PlanError
        If a parameter is outside its range, or the device is not there.
    """
    run, plan, progress = run or Run(), plan or Plan(), progress or Silent()
    run.check(plan)
    device = run.torch_device()
    prepared = source if isinstance(source, Prepared) else prepare(source, plan, progress, force=run.force)
    preprocessed, watch = prepared.preprocessed, Stopwatch.going_on(prepared.seconds)
    if predictor is None and run.needs_network:
        with watch.measure("network"):
            predictor = run.predictor()
    found = invert(
        preprocessed.pattern.to(device),
        preprocessed.oversampling,
        run.method,
        plan,
        predictor=predictor,
        seed=run.seed,
        aliens=preprocessed.aliens if preprocessed.are_aliens_known else None,
        progress=progress,
        watch=watch,
    )
    progress.stage("Strain")
    with watch.measure("postprocess"):
        done = postprocess(found.reconstruction, preprocessed.pattern, plan.postprocess)
    shells = prtf_shells(done.reconstruction, preprocessed.pattern)
    return Result(
        image=done.image,
        report=summarise(prepared, run, plan, found, done, shells, watch),
        reconstruction=done.reconstruction,
        pattern=preprocessed.pattern,
        plan=plan,
        aliens=preprocessed.aliens,
        prtf_shells=shells,
        source=dict(prepared.scan.source),
        command=command,
    )


def reconstruct_into(
    output: Output,
    source: Source | Scan | Prepared,
    run: Run | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
    *,
    predictor: Predictor | None = None,
    command: str = "",
) -> Result:
    """Reconstruct a scan and write the result: CXI, VTK, ``report.json`` and figures, all or none of them.

    Whether it can be written is seen before the work begins.

    Parameters
    ----------
    output : Output
    source, run, plan, progress, predictor, command
        As :func:`reconstruct` takes them.

    Returns
    -------
    Result
        As written.

    Raises
    ------
    InputError, GeometryError, PlanError
        As :func:`reconstruct` does.
    OutputError
        If the result cannot be written, or the folder holds something and may not be overwritten.
    """
    run, plan, progress = run or Run(), plan or Plan(), progress or Silent()
    run.check(plan)
    run.torch_device()
    output.check()
    with staged_folder(output.folder, output.overwrite) as folder:
        result = reconstruct(source, run, plan, progress, predictor=predictor, command=command)
        progress.stage("Write")
        return result.written_into(folder, output.figures)


def describe(source: Source, run: Run, output: Output, plan: Plan | None = None) -> dict[str, Any]:
    """What :func:`reconstruct_into` would do, found by reading and preparing the input; nothing is written.

    Raises
    ------
    InputError, GeometryError, PlanError, OutputError
        As :func:`reconstruct_into` does.
    """
    plan = plan or Plan()
    run.check(plan)
    device = run.torch_device()
    output.check()
    if run.weights is not None:
        load(run.weights, run.network)  # are they those of a network?
    read = prepare(source, plan, force=run.force)
    prepared, scan = read.preprocessed, read.scan
    return {
        "input": scan.source.get("path"),
        "frames": list(scan.frames.shape),
        "pattern": list(prepared.pattern.shape),
        "binning": list(prepared.binning),
        "oversampling": [round(value, 2) for value in prepared.oversampling],
        "masked": f"{100 * (1 - prepared.pattern.mask.float().mean().item()):.2f} %",
        **geometry_facts(geometry.describe(scan.geometry, *middle(prepared.window))),
        "method": run.method,
        **describe_method(prepared.pattern, prepared.oversampling, run.method, plan),
        "device": str(device),
        "memory": f"about {memory_gib(prepared.pattern.counts.numel()):.1f} GiB",
        "output": str(output.folder),
        "files": ", ".join(FILES),
        "warnings": list(read.warnings) or ["none"],
    }
