"""How many patterns a second the fast source makes, counting noise included.

python benchmarks/generator_speed.py [OUT.json]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from autophasenn.benchmark.iterations import transform_pair, write
from autophasenn.benchmark.timing import Case, alternate, jitter_of, machine
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import AutoPhaseNNError, PlanError
from autophasenn.experiment.experiment import simulate
from autophasenn.experiment.recipes import recipe
from autophasenn.waiting import load_average

BATCH = 16
GPU_BATCH = 128
TIMED = ("paper", "beamline")
"""Recipes that training draws from."""
GOAL = 150.0
"""Patterns a second of the paper's recipe on two CPU cores."""
SEED = 1


def benchmark_generator(processes: int | None = None, batches: int = 12, rounds: int = 5) -> dict[str, Any]:
    """Measure the generator: one thread by ratio to a transform pair, then all cores, then a GPU where there is one.

    Parameters
    ----------
    processes : int, optional
        At work at once, with one thread each. None: as many as cores.
    batches : int
        Of 16 samples that each process makes.
    rounds : int
        Each case on one thread is timed so often; medians are given.

    Returns
    -------
    dict
        ``machine``; ``pair`` (milliseconds of a forward and inverse transform of 64^3); ``one_thread``: case to milliseconds
        a sample, ratio to the pair, and so on (`timing.alternate`), and ``processor_milliseconds``, which other processes on
        the machine disturb least; ``processes``; ``patterns_per_second`` and
        ``patterns_per_second_gpu``: recipe to number, the latter None without a GPU; ``goal``, ``met``.

    Raises
    ------
    PlanError
        If a number is below 1.
    """
    processes = processes if processes is not None else os.cpu_count() or 1
    if min(processes, batches, rounds) < 1:
        raise PlanError(
            f"The benchmark was given {processes} processes, {batches} batches, {rounds} rounds; each is at least 1."
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        wave = torch.randn((1, 64, 64, 64), dtype=torch.complex64)
        host = machine(load_average(), jitter_of(lambda: transform_pair(wave)))
        cases = _cases()
        pair, results = alternate(Case(lambda: transform_pair(wave), 1), cases, rounds)
        for name, case in cases.items():
            results[name]["processor_milliseconds"] = min(_processor_milliseconds(case) for _ in range(rounds))
    finally:
        torch.set_num_threads(threads)
    rates = _rates_of_processes(processes, batches)
    return {
        "machine": host,
        "pair": pair,
        "one_thread": results,
        "processes": processes,
        "patterns_per_second": rates,
        "patterns_per_second_gpu": _rates_of_gpu() if torch.cuda.is_available() else None,
        "goal": GOAL,
        "met": rates["paper"] >= GOAL,
    }


def _cases() -> dict[str, Case]:
    def objects() -> object:
        return Polyhedra().objects(SEED, range(BATCH))

    def patterns(name: str) -> Case:
        return Case(lambda: _make(name, 0), BATCH)

    return {"objects": Case(objects, BATCH)} | {f"patterns, {name}": patterns(name) for name in TIMED}


def _processor_milliseconds(case: Case) -> float:
    began = time.process_time()
    case.run()
    return 1e3 * (time.process_time() - began) / case.iterations


def _make(name: str, batch: int, size: int = BATCH, device: str = "cpu") -> int:
    """Simulate one batch of a recipe; how many samples it has."""
    source, experiment = recipe("polyhedra", name)
    return len(simulate(source, experiment, SEED, range(batch * size, (batch + 1) * size), device).counts)


def _make_on_one_thread(task: tuple[str, int]) -> int:
    torch.set_num_threads(1)
    return _make(*task)


def _rates_of_processes(processes: int, batches: int) -> dict[str, float]:
    rates = {}
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for name in TIMED:
            list(pool.map(_make_on_one_thread, [(name, 0)] * (2 * processes)))  # imports, plans, first touches
            began = time.perf_counter()
            made = sum(pool.map(_make_on_one_thread, [(name, batch) for batch in range(processes * batches)]))
            rates[name] = made / (time.perf_counter() - began)
    return rates


def _rates_of_gpu(batches: int = 8) -> dict[str, float]:
    rates = {}
    for name in TIMED:
        _make(name, 0, GPU_BATCH, "cuda")
        torch.cuda.synchronize()
        began = time.perf_counter()
        made = sum(_make(name, batch, GPU_BATCH, "cuda") for batch in range(batches))
        torch.cuda.synchronize()
        rates[name] = made / (time.perf_counter() - began)
    return rates


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write to the file if one is named; exit status 2 and one sentence for bad input."""
    try:
        if len(arguments) > 1:
            raise PlanError("Give at most one argument: the JSON file to write the figures to.")
        result = benchmark_generator()
        if arguments:
            write(Path(arguments[0]), result)
        print(json.dumps(result, indent=2))
    except AutoPhaseNNError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
