"""Commands around the network: simulated data, training, evaluation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli import options as shared
from autophasenn.cli.app import INTERRUPTED, app
from autophasenn.cli.terminal import TerminalProgress, complain, show_evaluation, show_facts, show_leaderboard
from autophasenn.inversion.names import COMPARED, METHODS


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
            metavar="paper|beamline|strain-2-4|...",
            help="paper: cubic axes along the voxels, 1e6 to 1e8 photons, counting noise alone. beamline: as measured, any "
            "orientation and sampling, 1e5 to 1e9 photons, partial coherence, background, gaps, bad pixels, aliens. Hard "
            "crystals, polyhedra only: see docs/guide/datasets.md.",
        ),
    ] = "paper",
    metal: Annotated[str | None, typer.Option(help="Ag, Au, Cu, Ni, Pd or Pt; gold if left out.")] = None,
    reflection: Annotated[str | None, typer.Option(help="Miller indices, as 200 or 2,0,0; 1,1,1 if left out.")] = None,
    workers: shared.Workers = 1,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler to work instead, tcp://host:8786.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Simulate crystals and their patterns into a dataset file; the same command goes on after an interruption."""
    if scheduler is not None and workers > 1:
        raise typer.BadParameter("give one, --workers or --scheduler.", param_hint="--scheduler")

    from autophasenn.experiment import recipes
    from autophasenn.files.blocks import Parts, folder_of
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
        raise SystemExit(INTERRUPTED) from None
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
        Path | None, typer.Option(help="What is trained on what (see plans/ and docs/guide/training.md).")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of a new training; created.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the training in this folder.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    workers: Annotated[int, typer.Option(min=0, help="Processes that simulate ahead; 0: on the device itself.")] = 1,
    threads: shared.Threads = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long, to be resumed.")] = None,
) -> None:
    """Train a network on diffraction patterns alone; under torchrun on many processors."""
    from autophasenn.devices import use_threads
    from autophasenn.training.machine import Machine
    from autophasenn.training.train import train as run

    use_threads(threads)
    try:
        with TerminalProgress() as progress:
            facts = run(output, plan, resume, Machine(device, workers), minutes=minutes, progress=progress)
    except KeyboardInterrupt:
        complain(f"interrupted; go on from the last checkpoint with autophasenn train --resume {resume or output}.")
        raise SystemExit(INTERRUPTED) from None
    show_facts(facts)


@app.command()
def evaluate(
    datasets: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASET.h5|FOLDER...",
            help="Patterns, with or without the true objects; several, or the folder of a benchmark set: one table of all.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the result; created.")],
    methods: Annotated[
        str | None,
        typer.Option(
            help=f"Of {', '.join(METHODS)}, each as reconstruct does it; separated by commas. If left out: "
            f"{','.join(COMPARED)}; of several datasets network,er50:autophasenn,refined,iterative:5,iterative:20 (after "
            "the colon a number of starts, or a network)."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the network; those of the package if left out.")
    ] = None,
    network: shared.Network = None,
    count: Annotated[
        int | None, typer.Option("--count", "--number", help="Only the first so many samples, of each dataset.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the starts.")] = 0,
    starts: Annotated[
        int | None,
        typer.Option(min=1, help="Starts of every method that names none; those of the defaults if left out."),
    ] = None,
    confidence: Annotated[
        bool | None,
        typer.Option(
            "--confidence/--no-confidence",
            help="With the confidence of every image, several times as long; of several datasets that of refined images "
            "unless refused.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Of several datasets: end after so long, with the table so far, to be gone on with."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    threads: shared.Threads = None,
    workers: shared.Workers = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that is there.")] = False,
) -> None:
    """Compare network, refinement and iterative retrieval on the patterns of datasets (docs/notebook/evaluation.md)."""
    from autophasenn.devices import use_threads
    from autophasenn.evaluation.evaluate import Evaluation
    from autophasenn.evaluation.evaluate import evaluate as run
    from autophasenn.evaluation.leaderboard import Contest, compare, sets_of
    from autophasenn.inversion.options import Inversion, with_starts

    use_threads(threads)
    named = None if methods is None else tuple(method.strip() for method in methods.split(",") if method.strip())
    options = Inversion() if starts is None else with_starts(Inversion(), starts)
    many = len(datasets) > 1 or datasets[0].is_dir()
    if minutes is not None and not many:
        raise typer.BadParameter("it ends the comparison of several datasets; leave it out.", param_hint="--minutes")
    try:
        with TerminalProgress() as progress:
            if many:
                chosen = Contest.methods if named is None else named
                contest = Contest(
                    sets_of(datasets),
                    chosen,
                    count=count,
                    weights=weights,
                    network=network,
                    seed=seed,
                    device=device,
                    inversion=options,
                    confidence=confidence is not False,
                )
                table = compare(
                    output, contest, workers=workers, minutes=minutes, overwrite=overwrite, progress=progress
                )
                show_leaderboard(table, output)
                return
            evaluation = Evaluation(
                datasets[0],
                COMPARED if named is None else named,
                weights,
                network,
                count=count,
                seed=seed,
                device=device,
                inversion=options,
                confidence=bool(confidence),
            )
            result = run(output, evaluation, workers=workers, overwrite=overwrite, progress=progress)
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on from the patterns that are done.")
        raise SystemExit(INTERRUPTED) from None
    show_evaluation(result, output)


@app.command()
def paper(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the figures; created.")],
    dataset: Annotated[
        Path | None, typer.Argument(metavar="[DATASET.h5]", help="Patterns; the bundled relaxed crystals if left out.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Only the first so many samples.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the starts.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    threads: shared.Threads = None,
    workers: shared.Workers = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that is there.")] = False,
) -> None:
    """The comparison of Yao et al. (2022) anew: their network alone, with 50 iterations of ER, ours, and random starts."""
    from autophasenn.devices import use_threads
    from autophasenn.evaluation.evaluate import evaluate as run
    from autophasenn.evaluation.evaluate import paper as compared

    use_threads(threads)
    with TerminalProgress() as progress:
        evaluation = compared(dataset, count=count, seed=seed, device=device)
        result = run(output, evaluation, workers=workers, overwrite=overwrite, progress=progress)
    show_evaluation(result, output)
