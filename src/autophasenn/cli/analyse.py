"""The command that answers questions about an image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli.app import advised, app
from autophasenn.cli.terminal import TerminalProgress, show_rows, show_sentences, show_table
from autophasenn.errors import PlanError

Triple = tuple[float, float, float]

LARGEST = 1e9
"""Of numbers in nm, voxels or of a direction."""
HIGHEST_INDEX = 1000
"""Beyond what any crystal and beam have."""


@app.command()
def analyse(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A result folder, or its .cxi file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of tables, files and figures; created.")],
    hkl: Annotated[
        str | None,
        typer.Option(metavar="H,K,L", help="The reflection; left out: from d, where the material is given."),
    ] = None,
    material: Annotated[
        str | None, typer.Option(help="Ag, Al, Au, Cu, Fe, Ni, Pd, Pt, Si or W; left out: unknown.")
    ] = None,
    not_cubic: Annotated[bool, typer.Option("--not-cubic", help="No lattice parameter and no indices.")] = False,
    reference: Annotated[
        str,
        typer.Option(help="What the lattice is compared with: mean, table (of the material), or its parameter in nm."),
    ] = "mean",
    temperature: Annotated[
        float | None, typer.Option(metavar="KELVIN", help="The reference is the material's at this temperature.")
    ] = None,
    second: Annotated[
        str | None,
        typer.Option(metavar="H,K,L:X,Y,Z", help="Planes whose normal is known in the laboratory: another reflection."),
    ] = None,
    normal: Annotated[
        str | None,
        typer.Option(
            metavar="H,K,L[:X,Y,Z]",
            help="Planes whose normal is known in the sample frame, of a substrate; left out: along y.",
        ),
    ] = None,
    frame: Annotated[
        str, typer.Option(help="Axes of the volumes: laboratory, sample (circles at 0), crystal (z along Q).")
    ] = "laboratory",
    isosurface: Annotated[
        str, typer.Option(help="Amplitude of the surface, or half: half of what most of the crystal has.")
    ] = "0.3",
    layer: Annotated[
        float | None, typer.Option(metavar="NM", help="Thickness of the layers below the surface; two voxels.")
    ] = None,
    least_facet: Annotated[float | None, typer.Option(help="Smallest facet, as a share of the surface; 0.015.")] = None,
    line: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,Z:X,Y,Z", help="A profile from one point to another, nm.")
    ] = None,
    plane: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,Z", help="A plane through the centre, by its normal.")
    ] = None,
    no_refraction: Annotated[
        bool, typer.Option("--no-refraction", help="Leave refraction and absorption uncorrected.")
    ] = False,
    formats: Annotated[str, typer.Option(help="Of the figures: png, pdf, svg, several with commas; or none.")] = "png",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an analysis that is there.")] = False,
) -> None:
    """Frames, lattice, strain statistics, facets, dislocations, domains and profiles of a result."""
    from autophasenn.analysis.frames import LABORATORY, SecondDirection
    from autophasenn.analysis.options import AnalysisOptions
    from autophasenn.analysis.words import facet_rows, facts
    from autophasenn.pipeline.analyse import analyse as analysed
    from autophasenn.pipeline.analyse import check, save

    if second is not None and normal is not None:
        raise PlanError("Both --second and --normal are given; one direction beside Q is enough.")
    direction = None
    if second is not None:
        planes, _, vector = second.partition(":")
        direction = SecondDirection(indices_of("--second", planes), _numbers("--second", vector), LABORATORY)
    elif normal is not None:
        planes, _, vector = normal.partition(":")
        direction = SecondDirection(
            indices_of("--normal", planes), _numbers("--normal", vector) if vector else (0.0, 1.0, 0.0)
        )
    chosen = AnalysisOptions(
        hkl=None if hkl is None else indices_of("--hkl", hkl),
        material=material,
        is_cubic=not not_cubic,
        reference=reference,
        temperature_k=temperature,
        second=direction,
        frame=frame,
        isosurface=None if isosurface == "half" else _number("--isosurface", isosurface),
        layer_nm=layer,
        refraction=not no_refraction,
        **({} if least_facet is None else {"least_facet": least_facet}),
    )
    kinds = formats_of(formats)
    check(output, kinds, overwrite=overwrite)
    with TerminalProgress() as progress:
        found = analysed(
            result,
            chosen,
            [_line(each) for each in line or ()],
            [_numbers("--plane", each) for each in plane or ()],
            progress,
        )
        progress.stage("write")
        left_out = save(found, output, kinds, overwrite=overwrite, figures=bool(kinds))
    show_table(f"Analysis of {found.name or result}", facts(found))
    if found.facets:
        show_rows(*facet_rows(found))
    show_sentences([*(advised(note, "analyse") for note in found.notes), *left_out])
    show_table("Written", {"folder": output, "every number": output / "analysis.json"})


def _line(words: str) -> tuple[Triple, Triple]:
    first, colon, last = words.partition(":")
    if not colon:
        raise PlanError(f"--line is {words!r}; give two points as in -50,0,0:50,0,0.")
    return _numbers("--line", first), _numbers("--line", last)


def formats_of(words: str) -> list[str]:
    """Formats of figures, with commas; ``none`` is none."""
    return [each.strip() for each in words.split(",") if each.strip() not in ("", "none")]


def indices_of(option: str, words: str) -> tuple[int, int, int]:
    """Miller indices, with commas.

    Raises
    ------
    PlanError
        If they are not three whole numbers that indices may be.
    """
    try:
        h, k, l = (int(part) for part in words.replace(",", " ").split())  # noqa: E741 - Miller's own name
        if max(abs(h), abs(k), abs(l)) > HIGHEST_INDEX:
            raise ValueError(f"above {HIGHEST_INDEX}")
    except ValueError as error:
        raise PlanError(f"{option} has the indices {words!r}; give three whole numbers as in 1,-1,1.") from error
    return h, k, l


def _numbers(option: str, words: str) -> Triple:
    try:
        x, y, z = (float(part) for part in words.replace(",", " ").split())
    except ValueError as error:
        raise PlanError(f"{option} has the numbers {words!r}; give three as in 0,1,0.") from error
    if not all(math.isfinite(each) and abs(each) <= LARGEST for each in (x, y, z)):
        raise PlanError(f"{option} has the numbers {words!r}; give finite ones, none above {LARGEST:g}.")
    return x, y, z


def _number(option: str, words: str) -> float:
    try:
        return float(words)
    except ValueError as error:
        raise PlanError(f"{option} is {words!r}; give a number such as 0.3, or half.") from error
