"""One iteration with torch's passes over the wave and with the compiled ones (extra `fast`), over the bare transform pair.

    python benchmarks/fused_passes.py --shape 64 64 64 --threads 1 --iterations 50 --rounds 5

Alternated in one process. With one thread the time is that of the processor, so that other work on the machine counts less.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from autophasenn.benchmark.iterations import pattern, transform_pair
from autophasenn.machine import keep_freed_memory
from autophasenn.phasing import fused
from autophasenn.phasing.algorithms import ER, HIO
from autophasenn.phasing.engine import retrieve
from autophasenn.phasing.schedule import Block, Schedule


def main() -> None:
    """Measure, and print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=[64, 64, 64])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    if fused.compiled() is None:
        raise SystemExit("numba is not installed: pip install 'autophasenn[fast]'.")
    clock = time.process_time if given.threads == 1 else time.perf_counter
    counts = pattern(given.shape)[None]
    measured, wave = torch.ones_like(counts, dtype=torch.bool), torch.randn((1, *given.shape), dtype=torch.complex64)
    cases = [("pair", 0, None)]
    cases += [(f"{type(a).__name__}, {name}", work, a) for a in (HIO(), ER()) for name, work in WAYS.items()]
    times: dict[str, list[float]] = {name: [] for name, *_ in cases}
    for _ in range(given.rounds):
        for name, fused.LEAST_WORK, algorithm in cases:
            began = clock()
            if algorithm is None:
                for _ in range(given.iterations):
                    transform_pair(wave)
            else:
                once = Schedule((Block(algorithm, given.iterations),), 1, None, break_twin_at=None, average_last=0)
                retrieve(counts, measured, once, seeds=[0])
            times[name].append(1e3 * (clock() - began) / given.iterations)
    for name, found in times.items():
        ratio = min(found) / min(times["pair"])
        print(f"{name:14} least {min(found):8.2f} ms, median {statistics.median(found):8.2f} ms, {ratio:.2f} pairs")


WAYS = {"torch": 10**15, "compiled": 0}
"""The least work from which on what is compiled is used: never, and always."""

if __name__ == "__main__":
    main()
