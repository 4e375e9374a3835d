"""The command that makes the network better for one's own scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli.app import INTERRUPTED, app
from autophasenn.cli.terminal import TerminalProgress, complain, show_facts


@app.command()
def finetune(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="DATASET.h5|SCANS...", help="A dataset, or scans as `reconstruct` takes them."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File of weights to write, .safetensors.")],
    begin_with: Annotated[
        Path | None, typer.Option("--from", help="Weights to begin with; those of the package if left out.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="How long to learn.")] = 5.0,
    beamline: Annotated[str | None, typer.Option(help="Whose scan folders these are, for instance 34idc.")] = None,
    spec: Annotated[Path | None, typer.Option(help="SPEC file with the scans' motors.")] = None,
    dark: Annotated[Path | None, typer.Option(help="Dark field of the detector.")] = None,
    white: Annotated[Path | None, typer.Option(help="White field of the detector.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Mask of plain patterns, True = measured.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of held-out voxels, orientations and starts.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if left out.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Let the network learn on from your own patterns, without labels; better weights, or those of the beginning."""
    from autophasenn.devices import use_threads
    from autophasenn.pipeline.finetune import Finetuning, requests
    from autophasenn.pipeline.finetune import finetune as run

    use_threads(threads)
    found = requests(inputs, beamline=beamline, spec=spec, dark=dark, white=white, mask=mask)
    job = Finetuning(found, output, begin_with, minutes, seed, overwrite)
    try:
        with TerminalProgress() as progress:
            facts = run(job, progress)
    except KeyboardInterrupt as interruption:
        complain(f"interrupted; {str(interruption) or 'nothing was written'}.")
        raise SystemExit(INTERRUPTED) from None
    show_facts(facts)
