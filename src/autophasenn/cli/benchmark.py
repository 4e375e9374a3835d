"""The command that measures speed and memory."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from autophasenn.cli.app import app
from autophasenn.cli.terminal import TerminalProgress, show_benchmark, show_network_benchmark, show_prompt_benchmark


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
    full: Annotated[
        bool, typer.Option("--full", help="Everything: the network, large patterns and whole commands, too; minutes.")
    ] = False,
    network: Annotated[
        bool, typer.Option("--network", help="Measure prediction and refinement instead (docs/notebook/evaluation.md).")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda; of the network.")] = "cpu",
    size: Annotated[int, typer.Option(min=8, help="Edge of the cubic pattern in voxels.")] = 64,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of one timed run.")] = 600,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed; medians count.")] = 9,
) -> None:
    """Measure speed and memory as ratios to the bare transforms, and what a user waits (docs/notebook/performance.md)."""
    from autophasenn.benchmark.iterations import LARGE_ITERATIONS, write
    from autophasenn.benchmark.iterations import benchmark as run
    from autophasenn.benchmark.network import benchmark_network
    from autophasenn.benchmark.prompt import benchmark_prompt

    environment = cohere_env if against is Opponent.cohere else None
    result: dict[str, Any] = {}
    with TerminalProgress(is_told=True) as progress:
        alike: dict[str, Any] = {"threads": threads, "progress": progress}
        if network or full:
            result["network"] = benchmark_network(device=device, rounds=rounds, cohere_environment=environment, **alike)
        if not network:
            result["iterations"] = run(
                shape=(size, size, size), iterations=iterations, rounds=rounds, cohere_environment=environment, **alike
            )
            result["prompt"] = benchmark_prompt(full=full, progress=progress)
        if full:
            result["large_iterations"] = run(**LARGE_ITERATIONS, **alike)
    for name in ("iterations", "large_iterations"):
        if name in result:
            show_benchmark(result[name])
    if "network" in result:
        show_network_benchmark(result["network"])
    if "prompt" in result:
        show_prompt_benchmark(result["prompt"])
    if output is not None:
        write(output, result)
