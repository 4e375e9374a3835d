"""The command that finds the direct beam and the distance of a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli.app import app
from autophasenn.cli.terminal import show_facts


@app.command()
def calibrate(
    frames: Annotated[str, typer.Argument(help="Frames of the direct beam: any file that `reconstruct` reads.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="YAML file of direct beam and distance.")],
    diffractometer: Annotated[str, typer.Option(help="Whose arm it is, for instance 34idc.")] = "34idc",
    motor: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A detector axis, degrees; START:STEP of that which moved."),
    ] = None,
    pixel: Annotated[float, typer.Option(help="Edge of a pixel, m.")] = 55e-6,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Find the pixel of the direct beam, and the distance, from frames in which the arm carries the detector through it."""
    from autophasenn.pipeline.calibrate import calibrate_detector, write

    found = calibrate_detector(frames, diffractometer, tuple(motor or ()), pixel)
    write(output, found, overwrite)
    show_facts(
        {
            "direct beam": f"row {found.direct_beam[0]:.2f}, column {found.direct_beam[1]:.2f}",
            "distance": f"{found.distance_m:.6g} m",
            "left between spots and model": f"{found.residual:.2f} pixels",
            "file": str(output),
            "use": f"--direct-beam {found.direct_beam[0]:.2f},{found.direct_beam[1]:.2f} --distance {found.distance_m:.6g}",
        }
    )
