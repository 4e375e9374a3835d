"""The main job: from a scan to an image of the crystal and its strain, each step a function of values."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from autophasenn.files.convention import RESULT
from autophasenn.files.writing import staged_folder
from autophasenn.inversion.methods import Found, invert
from autophasenn.inversion.methods import describe as describe_method
from autophasenn.machine import give_back_freed_memory
from autophasenn.network.predict import Predictor
from autophasenn.network.weights import load
from autophasenn.physics import geometry
from autophasenn.pipeline.geometry_words import geometry_facts
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.postprocess import postprocess
from autophasenn.pipeline.prepare import Prepared, prepare
from autophasenn.pipeline.repeated import RepeatedScans
from autophasenn.pipeline.result import FILES, KIND, OVERVIEW, Output, Result
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.pipeline.summary import has_confidence, prtf_shells, summarise
from autophasenn.preprocessing.checks import memory_gib
from autophasenn.preprocessing.repeated import SummedScan
from autophasenn.preprocessing.sampling import middle
from autophasenn.progress import Progress, Silent, Stopwatch
from autophasenn.report.apart import Painter
from autophasenn.volumes import Scan


def reconstruct(
    source: Source | RepeatedScans | Scan | Prepared,
    run: Run | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
    *,
    predictor: Predictor | None = None,
    command: str = "",
    on_first: Callable[[Result], None] | None = None,
) -> Result:
    """Reconstruct a scan; nothing is written.

    Parameters
    ----------
    source : Source, RepeatedScans, Scan or Prepared
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
    on_first : callable, optional
        Given the first image, whose confidence is yet unknown, as soon as it is there; iterative has none.

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
    give_back_freed_memory()  # of the raw frames, in all their copies
    if predictor is None and run.needs_network:
        with watch.measure("network"):
            predictor = run.predictor()

    def result_of(found: Found, *, is_preliminary: bool = False) -> Result:
        with watch.measure("first_picture" if is_preliminary else "postprocess"):
            done = postprocess(found.reconstruction, preprocessed.pattern, plan.postprocess)
            shells = prtf_shells(done.reconstruction, preprocessed.pattern)
        report = summarise(
            prepared, run, plan, found, done, shells, watch, predictor=predictor, is_preliminary=is_preliminary
        )
        return Result(
            image=done.image,
            report=report,
            reconstruction=done.reconstruction,
            pattern=preprocessed.pattern,
            plan=plan,
            aliens=preprocessed.aliens,
            prtf_shells=shells,
            source=dict(prepared.scan.source),
            command=command,
            repeated=prepared.scan.judged if isinstance(prepared.scan, SummedScan) else (),
        )

    def show(found: Found) -> None:
        if on_first is None:
            return
        progress.stage("First picture")
        first = result_of(found, is_preliminary=True)
        with watch.measure("first_picture"):
            on_first(first)
        del first
        give_back_freed_memory()

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
        on_first=None if on_first is None else show,
    )
    progress.stage("Strain")
    give_back_freed_memory()
    return result_of(found)


def reconstruct_into(
    output: Output,
    source: Source | RepeatedScans | Scan | Prepared,
    run: Run | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
    *,
    predictor: Predictor | None = None,
    command: str = "",
    painter: Painter | None = None,
    on_first: Callable[[Path], None] | None = None,
) -> Result:
    """Reconstruct a scan and write the result: CXI, VTK, ``report.json`` and figures, all or none of them.

    Whether it can be written is seen before the work begins. Where a confidence is computed, the first image is written
    before: a whole result but for its other figures, whose place the final one takes, and which stays where the run is
    interrupted from then on.

    Parameters
    ----------
    output : Output
    source, run, plan, progress, predictor, command
        As :func:`reconstruct` takes them.
    painter : Painter, optional
        A process that draws the figures while the work goes on; None: this one draws them.
    on_first : callable, optional
        Told the path of the first picture, or of the result without figures, once it lies there.

    Returns
    -------
    Result
        As written.

    Raises
    ------
    InputError, GeometryError, PlanError
        As :func:`reconstruct` does.
    OutputError
        If the result cannot be written, the folder holds something and may not be overwritten, or an input lies where
        the result would be written.
    """
    run, plan, progress = run or Run(), plan or Plan(), progress or Silent()
    run.check(plan)
    run.torch_device()
    output.check(inputs_of(source, run))
    first = _First(output, painter, on_first or (lambda _: None))
    with first:
        result = reconstruct(
            source, run, plan, progress,
            predictor=predictor, command=command, on_first=first.write if has_confidence(run.method, plan) else None,
        )  # fmt: skip
    progress.stage("Write")
    give_back_freed_memory()
    with staged_folder(output.folder, KIND, output.overwrite, is_update=first.is_there) as folder:
        return result.written_into(folder, output.figures, painter)


def inputs_of(source: object, run: Run) -> list[Path]:
    """The files and folders that are read for a reconstruction, as far as they are named."""
    of_source = source.files() if isinstance(source, Source | RepeatedScans) else []
    return [*of_source, *([] if run.weights is None else [run.weights])]


class _First:
    """Writes the first image into the folder of the result, beside the work where another process draws.

    At the end of its `with` block it is written, whatever ended that.
    """

    def __init__(self, output: Output, painter: Painter | None, tell: Callable[[Path], None]) -> None:
        self._output, self._painter, self._tell = output, painter, tell
        self._threads = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None
        self.is_there = False

    def __enter__(self) -> _First:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        if self._written is not None:
            self._written.result()

    def write(self, result: Result) -> None:
        if self._painter is None:
            self._write(result)
        else:
            self._written = self._threads.submit(self._write, result)

    def _write(self, result: Result) -> None:
        output = self._output
        with staged_folder(output.folder, KIND, output.overwrite) as folder:
            result.written_into(folder, output.figures, self._painter)
        self.is_there = True
        self._tell(output.folder / (OVERVIEW if output.figures else RESULT))


def describe(
    source: Source | RepeatedScans, run: Run, output: Output | None, plan: Plan | None = None
) -> dict[str, Any]:
    """What :func:`reconstruct_into` would do, found by reading and preparing the input; nothing is written.

    Without `output` nothing is said of the place of the result.

    Raises
    ------
    InputError, GeometryError, PlanError, OutputError
        As :func:`reconstruct_into` does.
    """
    plan = plan or Plan()
    run.check(plan)
    device = run.torch_device()
    if output is not None:
        output.check(inputs_of(source, run))
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
        "output": None if output is None else str(output.folder),
        "files": ", ".join(FILES),
        "warnings": list(read.warnings) or ["none"],
    }
