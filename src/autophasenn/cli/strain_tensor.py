"""The command that puts several reflections together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli.analyse import formats_of, indices_of
from autophasenn.cli.app import advised, app
from autophasenn.cli.terminal import TerminalProgress, show_rows, show_sentences, show_table


@app.command(name="strain-tensor")
def strain_tensor(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="Result folders of one crystal, a reflection each; three or more."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of numbers, volumes and figure; created.")],
    hkl: Annotated[
        list[str] | None,
        typer.Option(metavar="H,K,L", help="The indices of a reflection; once for each result, in their order."),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            help="Of the components: sample, or cubic (of the lattice, where --hkl is given, and then chosen)."
        ),
    ] = None,
    joint: Annotated[
        bool,
        typer.Option(
            "--joint",
            help="Phase all patterns together: one density, one displacement field; kept where held-out voxels say so.",
        ),
    ] = False,
    formats: Annotated[str, typer.Option(help="Of the figure: png, pdf, svg, several with commas; or none.")] = "png",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a strain tensor that is there.")] = False,
) -> None:
    """Strain tensor, rotation and displacement of a crystal from three or more of its reflections."""
    from autophasenn.analysis.tensor_files import facts, reflection_rows
    from autophasenn.pipeline.strain_tensor import check, save
    from autophasenn.pipeline.strain_tensor import strain_tensor as solved

    kinds = formats_of(formats)
    check(output, kinds, overwrite=overwrite)
    indices = [indices_of("--hkl", each) for each in hkl] if hkl else None
    with TerminalProgress() as progress:
        found = solved(results, indices, axes, progress, joint=joint)
        progress.stage("write")
        save(found, output, kinds, overwrite=overwrite)
    show_rows(*reflection_rows(found))
    show_table("Strain tensor", facts(found))
    show_sentences(advised(note, "strain-tensor") for note in found.notes)
    show_table("Written", {"folder": output, "every number": output / "strain_tensor.json"})
