"""Commands that make a result of a scan, or look at one."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli.app import app
from autophasenn.cli.terminal import TerminalProgress, show_facts, show_report, show_table


class Method(StrEnum):
    """How the crystal is found."""

    refined = "refined"
    adapted = "adapted"
    network = "network"
    iterative = "iterative"


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
            help="refined: the network's prediction, refined at full resolution. adapted: the same, after the network "
            "learned on from this pattern, minutes. network: the prediction as it is. "
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
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if left out.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
) -> None:
    """Turn a Bragg coherent diffraction pattern into an image of the crystal and its strain."""
    if example == (source is not None):
        raise typer.BadParameter("give one, a scan or file, or --example.", param_hint="INPUT")

    from autophasenn.devices import use_threads
    from autophasenn.pipeline.plan import Plan, load_plan
    from autophasenn.pipeline.reconstruct import Request, describe
    from autophasenn.pipeline.reconstruct import reconstruct as run

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


@app.command()
def plan(
    training: Annotated[bool, typer.Option("--training", help="That of a training, not of a reconstruction.")] = False,
) -> None:
    """Print the default plan, every parameter explained: a file to change and to give to --plan."""
    if training:
        from autophasenn.training.plan import TrainingPlan
        from autophasenn.training.train import dump_training_plan

        typer.echo(dump_training_plan(TrainingPlan()), nl=False)
        return
    from autophasenn.pipeline.plan import Plan, dump_plan

    typer.echo(dump_plan(Plan()), nl=False)
