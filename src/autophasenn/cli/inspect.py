"""The command that looks into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli import options
from autophasenn.cli.app import app
from autophasenn.cli.terminal import show_facts, show_table
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument


@app.command()
@options.takes_instrument
def inspect(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A scan's folder, a pattern, a dataset, or a result.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="PNG file of the picture; left out, NAME.inspect.png in the current folder."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many samples of a dataset are drawn.")] = 8,
    beamline: options.Beamline = None,
    spec: options.Spec = None,
    scan: options.ScanNumber = None,
    dark: options.Dark = None,
    white: options.White = None,
    mask: options.Mask = None,
    axes: options.Axes = None,
    mask_marks: options.MaskMarks = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a picture that is there.")] = False,
    instrument: Instrument = AS_RECORDED,
) -> None:
    """Say what is in a file, as a table and a picture."""
    from autophasenn.pipeline.inspect import check_picture, draw, look, picture_of
    from autophasenn.pipeline.source import Source

    if output is not None:
        check_picture(output)
    found = look(Source(source, beamline, spec, scan, dark, white, mask, instrument, axes, mask_marks), samples)
    show_table(f"{found.kind}: {source}", found.facts)
    picture = output or picture_of(found)
    draw(found, picture, overwrite)
    show_facts({"picture": str(picture)})
