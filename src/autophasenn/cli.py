"""The command `autophasenn`: one function a task, each one call into the pipeline.

Torch and everything else that is slow to import stays inside the functions, so that `--help` answers at once.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import autophasenn
from autophasenn.errors import AutoPhaseNNError
from autophasenn.terminal import (
    TerminalProgress,
    complain,
    show_benchmark,
    show_evaluation,
    show_facts,
    show_report,
    show_table,
)

app = typer.Typer(help=autophasenn.__doc__, add_completion=False, pretty_exceptions_enable=False)


class Method(StrEnum):
    """How the crystal is found."""

    refined = "refined"
    network = "network"
    iterative = "iterative"


def main() -> None:
    """Entry point of the console script: 0 when it worked, 2 for what the user can mend, 130 after Ctrl-C.

    Any other exception is a failure of the program; it keeps its trace and leaves with status 1.
    """
    # Warnings reach the user through the report; without a handler Python would print them among the progress bars.
    logging.getLogger("autophasenn").addHandler(logging.NullHandler())
    # Threads that spin while they wait make a busy machine several times slower (docs/performance.md). Must be set before
    # torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        status = app(prog_name="autophasenn", standalone_mode=False)
    except typer.TyperException as error:
        complain(f"{error.format_message().rstrip('.')}. Try `autophasenn --help`.")
        status = 2
    except AutoPhaseNNError as error:
        complain(str(error))
        status = 2
    if status == _INTERRUPTED:
        complain("interrupted; an unfinished result is not kept.")
    sys.exit(status)


_INTERRUPTED = 130


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"autophasenn {autophasenn.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


PlanFile = Annotated[
    Path | None, typer.Option(help="Parameters that differ from the default (see `autophasenn plan`).")
]


@app.command()
def reconstruct(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the result; created.")],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[INPUT]",
            help="A scan's folder, a .npy, .npz, .tif or .cxi file, or an HDF5 dataset (file.h5:/path).",
        ),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Take the bundled example instead of INPUT.")] = False,
    method: Annotated[
        Method,
        typer.Option(
            help="refined: the network's prediction, refined at full resolution. network: the prediction as it is. "
            "iterative: phase retrieval from random starts."
        ),
    ] = Method.refined,
    beamline: Annotated[str | None, typer.Option(help="Whose scan folder INPUT is, for instance 34idc.")] = None,
    spec: Annotated[Path | None, typer.Option(help="SPEC file with the scan's motors.")] = None,
    scan: Annotated[int | None, typer.Option(help="Scan number in the SPEC file; else from the folder's name.")] = None,
    dark: Annotated[Path | None, typer.Option(help="Dark field of the detector.")] = None,
    white: Annotated[Path | None, typer.Option(help="White field of the detector.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Mask of the pattern, True = measured.")] = None,
    plan: PlanFile = None,
    starts: Annotated[int | None, typer.Option(min=1, help="Starts of the method; overrides the plan.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the network; those of the package if left out.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Phase a pattern of oversampling below 2 all the same.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same result, bit for bit.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if left out.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
) -> None:
    """Turn a Bragg coherent diffraction pattern into an image of the crystal and its strain."""
    if example == (source is not None):
        raise typer.BadParameter("give one, a scan or file, or --example.", param_hint="INPUT")

    from autophasenn.pipeline.plan import Plan, load_plan
    from autophasenn.pipeline.reconstruct import Request, describe
    from autophasenn.pipeline.reconstruct import reconstruct as run
    from autophasenn.pipeline.threads import use_threads

    use_threads(threads)
    parameters = Plan() if plan is None else load_plan(plan)
    if starts is not None:
        parameters = replace(
            parameters,
            retrieval=replace(parameters.retrieval, starts=starts),
            refined=replace(parameters.refined, starts=starts),
        )
    request = Request(
        input=source,
        beamline=beamline,
        spec=spec,
        scan=scan,
        dark=dark,
        white=white,
        mask=mask,
        output=output,
        method=method.value,
        seed=seed,
        overwrite=overwrite,
        device=device,
        weights=weights,
        force=force,
    )
    if dry_run:
        show_facts(describe(request, parameters))
        return
    with TerminalProgress() as progress:
        report = run(request, parameters, progress)
    show_report(report, output)


@app.command()
def simulate(
    output: Annotated[Path, typer.Argument(metavar="OUT.h5", help="Dataset file to write.")],
    count: Annotated[int, typer.Option(help="Number of samples.")],
    source: Annotated[
        str,
        typer.Option(
            metavar="polyhedra|lammps",
            help="polyhedra: facets with smooth strain, milliseconds a crystal. lammps: metal relaxed "
            "atom by atom, seconds.",
        ),
    ],
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="With its index it makes a sample again, bit for bit.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="paper|beamline",
            help="paper: cubic axes along the voxels, 1e6 to 1e8 photons, counting noise alone. beamline: as measured, any "
            "orientation and sampling, 1e5 to 1e9 photons, partial coherence, background, gaps, bad pixels, aliens.",
        ),
    ] = "paper",
    metal: Annotated[str | None, typer.Option(help="Ag, Au, Cu, Ni, Pd or Pt; gold if left out.")] = None,
    reflection: Annotated[str | None, typer.Option(help="Miller indices, as 200 or 2,0,0; 1,1,1 if left out.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler to work instead, tcp://host:8786.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Simulate crystals and their patterns into a dataset file; the same command goes on after an interruption."""
    if scheduler is not None and workers > 1:
        raise typer.BadParameter("give one, --workers or --scheduler.", param_hint="--scheduler")

    from autophasenn.crystals import recipes
    from autophasenn.pipeline.parts import Parts, folder_of
    from autophasenn.pipeline.simulate import Simulation, write_dataset

    crystals, experiment = recipes.recipe(source, recipe, metal, _miller_indices(reflection))
    try:
        with TerminalProgress() as progress:
            write_dataset(
                output,
                count,
                Simulation(crystals, experiment, seed, recipe),
                workers=workers,
                scheduler=scheduler,
                overwrite=overwrite,
                progress=progress,
            )
    except KeyboardInterrupt:
        parts = Parts(folder_of(output))
        kept = f"what is finished is kept in {parts.folder}, and the same command goes on from there"
        complain(f"interrupted; {'nothing was finished yet' if parts.is_empty else kept}.")
        raise SystemExit(_INTERRUPTED) from None
    show_facts({"written": str(output), "samples": count})


def _miller_indices(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    digits = re.fullmatch(r"(-?\d)(-?\d)(-?\d)", text)
    try:
        first, second, third = map(int, digits.groups() if digits else text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} are no Miller indices; give three whole numbers, as in 1,1,1 or 111.", param_hint="--reflection"
        ) from error
    return first, second, third


@app.command()
def train(
    plan: Annotated[
        Path | None, typer.Option(help="What is trained on what (see plans/ and docs/training.md).")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of a new training; created.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the training in this folder.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    workers: Annotated[int, typer.Option(min=0, help="Processes that simulate ahead; 0: on the device itself.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if left out.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long, to be resumed.")] = None,
) -> None:
    """Train a network on diffraction patterns alone; under torchrun on many processors."""
    from autophasenn.pipeline.threads import use_threads
    from autophasenn.pipeline.train import train as run
    from autophasenn.training.machine import Machine

    use_threads(threads)
    try:
        with TerminalProgress() as progress:
            facts = run(output, plan, resume, Machine(device, workers), minutes=minutes, progress=progress)
    except KeyboardInterrupt:
        complain(f"interrupted; go on from the last checkpoint with autophasenn train --resume {resume or output}.")
        raise SystemExit(_INTERRUPTED) from None
    show_facts(facts)


@app.command()
def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET.h5", help="Patterns, with or without the true objects.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the result; created.")],
    methods: Annotated[
        str, typer.Option(help="Of network, er50 (network + 50 ER), refined, iterative; separated by commas.")
    ] = "network,refined,iterative",
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the network; those of the package if left out.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Only the first so many samples.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the starts.")] = 0,
    starts: Annotated[
        int,
        typer.Option(
            min=1, help="Starts of the network a pattern at most; another is made while the image fits poorly."
        ),
    ] = 4,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if left out.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes of one thread each.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that is there.")] = False,
) -> None:
    """Compare network, refinement and iterative retrieval on the patterns of a dataset (docs/evaluation.md)."""
    from autophasenn.network.predict import Inference
    from autophasenn.pipeline.evaluate import Evaluation
    from autophasenn.pipeline.evaluate import evaluate as run
    from autophasenn.pipeline.threads import use_threads

    use_threads(threads)
    named = tuple(method.strip() for method in methods.split(",") if method.strip())
    evaluation = Evaluation(dataset, named, weights, count, seed, device, Inference(starts=starts))
    try:
        with TerminalProgress() as progress:
            result = run(output, evaluation, workers=workers, overwrite=overwrite, progress=progress)
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on from the patterns that are done.")
        raise SystemExit(_INTERRUPTED) from None
    show_evaluation(result, output)


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A scan's folder, a pattern, a dataset, or a result.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="PNG file of the picture; FILE.inspect.png if left out.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many samples of a dataset are drawn.")] = 8,
    beamline: Annotated[str | None, typer.Option(help="Whose scan folder FILE is, for instance 34idc.")] = None,
    spec: Annotated[Path | None, typer.Option(help="SPEC file with the scan's motors.")] = None,
    scan: Annotated[int | None, typer.Option(help="Scan number in the SPEC file; else from the folder's name.")] = None,
    dark: Annotated[Path | None, typer.Option(help="Dark field of the detector.")] = None,
    white: Annotated[Path | None, typer.Option(help="White field of the detector.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Mask of the pattern, True = measured.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a picture that is there.")] = False,
) -> None:
    """Say what is in a file, as a table and a picture."""
    from autophasenn.pipeline.inspect import check_picture, draw, look, picture_of
    from autophasenn.pipeline.reconstruct import Request

    if output is not None:
        check_picture(output)

    request = Request(
        input=source,
        output=Path(),
        beamline=beamline,
        spec=spec,
        scan=scan,
        dark=dark,
        white=white,
        mask=mask,
    )
    found = look(request, samples)
    show_table(f"{found.kind}: {source}", found.facts)
    picture = output or picture_of(found)
    draw(found, picture, overwrite)
    show_facts({"picture": str(picture)})


class Opponent(StrEnum):
    """With whom the benchmark compares."""

    cohere = "cohere"


@app.command()
def benchmark(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file of the figures.")] = None,
    against: Annotated[
        Opponent | None, typer.Option(help="Compare with this program too; installed on its own the first time.")
    ] = None,
    cohere_env: Annotated[
        Path, typer.Option(help="Virtual environment of cohere_core; made if it is not there.")
    ] = Path(".venv-cohere"),
    size: Annotated[int, typer.Option(min=8, help="Edge of the cubic pattern in voxels.")] = 64,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of one timed run.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed; medians count.")] = 9,
) -> None:
    """Measure speed and memory of phase retrieval, as ratios to the bare Fourier transforms (docs/performance.md)."""
    from autophasenn.pipeline.benchmark import benchmark as run
    from autophasenn.pipeline.benchmark import write

    with TerminalProgress() as progress:
        result = run(
            size=size,
            threads=threads,
            iterations=iterations,
            rounds=rounds,
            cohere_environment=cohere_env if against is Opponent.cohere else None,
            progress=progress,
        )
    show_benchmark(result)
    if output is not None:
        write(output, result)


@app.command()
def plan(
    training: Annotated[bool, typer.Option("--training", help="That of a training, not of a reconstruction.")] = False,
) -> None:
    """Print the default plan, every parameter explained: a file to change and to give to --plan."""
    if training:
        from autophasenn.pipeline.train import dump_training_plan
        from autophasenn.training.plan import TrainingPlan

        typer.echo(dump_training_plan(TrainingPlan()), nl=False)
        return
    from autophasenn.pipeline.plan import Plan, dump_plan

    typer.echo(dump_plan(Plan()), nl=False)
