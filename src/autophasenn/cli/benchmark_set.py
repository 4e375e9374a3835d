"""The command that makes the sets on which methods are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli import options
from autophasenn.cli.app import INTERRUPTED, app
from autophasenn.cli.terminal import TerminalProgress, complain, show_facts


@app.command("benchmark-set")
def benchmark_set(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the sets; created.")],
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="It makes the same crystals again.")] = 777001,
    number: Annotated[int, typer.Option("--number", "--count", min=1, help="Crystals of each set.")] = 128,
    sets: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Only these, as beamline,strain-2-4,domains; all if left out, but relaxed where LAMMPS is not installed.",
        ),
    ] = None,
    workers: options.Workers = 1,
) -> None:
    """Make the benchmark set, a dataset file for each kind of easy and hard crystals (docs/notebook/leaderboard.md)."""
    from autophasenn.pipeline.benchmark_set import MANIFEST, BenchmarkSet, write_benchmark_set

    named = None if sets is None else tuple(name.strip() for name in sets.split(",") if name.strip())
    benchmark = BenchmarkSet(seed, number, named)
    for sentence in benchmark.left_out.values():
        typer.echo(sentence, err=True)
    typer.echo(f"{len(benchmark.names)} sets take about {benchmark.bytes / 1e6:.0f} MB in {output}.", err=True)
    try:
        with TerminalProgress() as progress:
            made = write_benchmark_set(output, benchmark, workers=workers, progress=progress)
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on from what is finished.")
        raise SystemExit(INTERRUPTED) from None
    show_facts({"written": str(output / MANIFEST), "sets": len(made["sets"]), "crystals a set": made["number"]})
