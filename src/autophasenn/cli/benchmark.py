"""The command that measures speed and memory."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli.app import app
from autophasenn.cli.terminal import TerminalProgress, show_benchmark, show_network_benchmark


class Opponent(StrEnum):
    """With whom the benchmark compares."""

    cohere = "cohere"


@app.command()
def benchmark(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file of the figures.")] = None,
    against: Annotated[
        Opponent | None, typer.Option(help="Compare with this program too; installed on its own the first time.")
    ] = None,
    cohere_env: Annotated[
        Path, typer.Option(help="Virtual environment of cohere_core; made if it is not there.")
    ] = Path(".venv-cohere"),
    network: Annotated[
        bool, typer.Option("--network", help="Measure prediction and refinement instead (docs/notebook/evaluation.md).")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda; of the network.")] = "cpu",
    size: Annotated[int, typer.Option(min=8, help="Edge of the cubic pattern in voxels.")] = 64,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of one timed run.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed; medians count.")] = 9,
) -> None:
    """Measure speed and memory of phase retrieval, as ratios to the bare transforms (docs/notebook/performance.md)."""
    from autophasenn.benchmark.iterations import benchmark as run
    from autophasenn.benchmark.iterations import write

    environment = cohere_env if against is Opponent.cohere else None
    if network:
        from autophasenn.benchmark.network import benchmark_network

        with TerminalProgress(is_told=True) as progress:
            result = benchmark_network(
                device=device, threads=threads, rounds=rounds, cohere_environment=environment, progress=progress
            )
        show_network_benchmark(result)
        if output is not None:
            write(output, result)
        return
    with TerminalProgress(is_told=True) as progress:
        result = run(
            size=size,
            threads=threads,
            iterations=iterations,
            rounds=rounds,
            cohere_environment=environment,
            progress=progress,
        )
    show_benchmark(result)
    if output is not None:
        write(output, result)
