"""The command that makes an image of a scan."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli import options
from autophasenn.cli.app import app, command_line
from autophasenn.cli.campaign import reconstruct_campaign
from autophasenn.cli.journal import journalled
from autophasenn.cli.terminal import TerminalProgress, show_facts, show_report
from autophasenn.inversion.names import MethodName
from autophasenn.machine import seconds_since_start
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument
from autophasenn.report.apart import Painter


@app.command()
@options.takes_instrument
def reconstruct(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="A scan's folder, a .npy, .npz, .tif or .cxi file, an HDF5 dataset (file.h5:/path), or an entry of a "
            "Tiled server (tiled://host:port/path); several: a campaign, or with --sum one image.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the result, or of many; created. --dry-run needs none."),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Take the bundled example instead of INPUT.")] = False,
    method: Annotated[
        MethodName,
        typer.Option(help=" ".join(f"{each}: {each.words}." for each in MethodName)),
    ] = MethodName.refined,
    beamline: options.Beamline = None,
    spec: options.Spec = None,
    scan: options.ScanNumber = None,
    scans: Annotated[
        str | None,
        typer.Option(
            metavar="12,14-16",
            help="Numbers of scans in INPUT, or in its name as S{scan:04d}: each becomes an image of its own, all of them a "
            "campaign with one table, plots and film, which goes on where it was interrupted; with --sum all become one.",
        ),
    ] = None,
    is_sum: Annotated[
        bool,
        typer.Option(
            "--sum", help="Several scans are repetitions: sum those that show the same crystal into one image."
        ),
    ] = False,
    workers: options.Workers = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler to reconstruct the scans of a campaign instead, tcp://host:8786.")
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="CSV file: a column of scans, and columns of what else is known of them.")
    ] = None,
    dark: options.Dark = None,
    white: options.White = None,
    mask: options.Mask = None,
    axes: options.Axes = None,
    mask_marks: options.MaskMarks = None,
    values: options.Values = None,
    gain: options.Gain = None,
    dark_level: options.DarkLevel = None,
    saturation: options.Saturation = None,
    plan: options.PlanFile = None,
    starts: Annotated[int | None, typer.Option(min=1, help="Starts of the method; overrides the plan.")] = None,
    confidence: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=48,
            help="Orientations that say how far to believe the image; 0: none, the quickest; overrides the plan.",
        ),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Draw pictures beside the result, or leave them.")
    ] = True,
    network: options.Network = None,
    weights: options.Weights = None,
    force: options.Force = False,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    instrument: Instrument = AS_RECORDED,
) -> None:
    """Turn Bragg coherent diffraction patterns into images of the crystal and its strain."""
    if example == bool(inputs):
        raise typer.BadParameter("give one, a scan or file, or --example.", param_hint="INPUT")
    is_many = not is_sum and (scans is not None or len(inputs or ()) > 1)
    if output is None and (is_many or not dry_run):
        raise typer.BadParameter("give the folder of the result, with -o FOLDER.", param_hint="--output")

    # Of the seconds that torch takes to be imported, figures need as many: theirs pass at the same time.
    with Painter() if figures and not (is_many or dry_run) else nullcontext() as painter:
        from autophasenn.devices import use_threads
        from autophasenn.inversion.options import with_orientations, with_starts
        from autophasenn.pipeline.plan import Plan, load_plan, with_values
        from autophasenn.pipeline.reconstruct import describe, reconstruct_into
        from autophasenn.pipeline.repeated import RepeatedScans, scan_numbers, sources
        from autophasenn.pipeline.result import Output
        from autophasenn.pipeline.run import Run
        from autophasenn.pipeline.source import Source

        use_threads(threads)
        parameters = Plan() if plan is None else load_plan(plan)
        if starts is not None:
            parameters = with_starts(parameters, starts)
        if confidence is not None:
            parameters = with_orientations(parameters, confidence)
        parameters = with_values(parameters, values=values, gain=gain, dark_level=dark_level, saturation=saturation)
        of_all = Source(None, beamline, spec, scan, dark, white, mask, instrument, axes, mask_marks)
        each = tuple(sources(of_all, inputs or (), () if scans is None else scan_numbers(scans)))
        how = Run(method.value, seed, device, weights, network, force)
        if output is not None and is_many:
            from autophasenn.campaign.campaign import Campaign

            of_many = (workers, threads or 1, figures, overwrite, metadata, command_line(), scheduler)
            reconstruct_campaign(Campaign(each, output, how, parameters, *of_many), is_dry=dry_run)
            return
        if workers > 1 or scheduler is not None or metadata is not None:
            raise typer.BadParameter(
                "--workers, --scheduler and --metadata belong to several scans that are not summed."
            )
        source: Source | RepeatedScans = RepeatedScans(each) if is_sum else each[0] if each else of_all
        where = None if output is None else Output(output, overwrite, figures, plan)
        if where is None or dry_run:
            show_facts(describe(source, how, where, parameters))
            return

        def tell(picture: Path) -> None:
            progress.say(f"first picture: {picture} after {seconds_since_start():.1f} s")

        with ExitStack() as stack:
            progress = stack.enter_context(TerminalProgress())
            told = stack.enter_context(journalled(progress))
            result = reconstruct_into(
                where, source, how, parameters, told,
                command=command_line(), painter=painter, on_first=tell,
            )  # fmt: skip
        show_report(result.report, where.folder)
