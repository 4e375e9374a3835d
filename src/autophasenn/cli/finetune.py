"""The command that makes the network better for one's own scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli import options
from autophasenn.cli.app import INTERRUPTED, app
from autophasenn.cli.terminal import TerminalProgress, complain, show_facts
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument


@app.command()
@options.takes_instrument
def finetune(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="DATASET.h5|SCANS...", help="A dataset, or scans as `reconstruct` takes them."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File of weights to write, .safetensors.")],
    begin_with: Annotated[
        Path | None, typer.Option("--from", help="Weights to begin with; those of the package if left out.")
    ] = None,
    network: options.Network = None,
    minutes: Annotated[float, typer.Option(help="How long to learn.")] = 5.0,
    beamline: options.Beamline = None,
    spec: options.Spec = None,
    dark: options.Dark = None,
    white: options.White = None,
    mask: options.Mask = None,
    axes: options.Axes = None,
    seed: Annotated[int, typer.Option(min=0, help="Of held-out voxels, orientations and starts.")] = 0,
    threads: options.Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    instrument: Instrument = AS_RECORDED,
) -> None:
    """Let the network learn on from your own patterns, without labels; better weights, or those of the beginning."""
    from autophasenn.devices import use_threads
    from autophasenn.pipeline.finetune import Finetuning, sources
    from autophasenn.pipeline.finetune import finetune as run
    from autophasenn.pipeline.source import Source

    use_threads(threads)
    found = sources(
        inputs,
        Source(beamline=beamline, spec=spec, dark=dark, white=white, mask=mask, instrument=instrument, axes=axes),
    )
    job = Finetuning(found, output, begin_with, network, minutes, seed, overwrite)
    try:
        with TerminalProgress() as progress:
            facts = run(job, progress)
    except KeyboardInterrupt as interruption:
        complain(f"interrupted; {str(interruption) or 'nothing was written'}.")
        raise SystemExit(INTERRUPTED) from None
    show_facts(facts)
