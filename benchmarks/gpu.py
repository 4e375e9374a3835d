"""What a GPU does with this package, in one run of a few minutes: tests, network, phase retrieval, simulation, training.

    python benchmarks/gpu.py gpu.json                  every part, the worthiest first, 8 minutes at most
    python benchmarks/gpu.py gpu.json                  again: goes on with the parts that are not there
    python benchmarks/gpu.py gpu.json --only retrieval --device cuda:1

The file is written after every measurement, so that a run that is cut off has lost one. What does not fit into the memory is
null. It runs on a CPU too, which is how it is tested.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autophasenn.benchmark.iterations import pattern, write
from autophasenn.devices import device_of, hardware, is_shortage
from autophasenn.errors import AutoPhaseNNError, InputError, PlanError
from autophasenn.experiment.experiment import simulate
from autophasenn.experiment.recipes import recipe
from autophasenn.network.architectures import DESIGNS, build
from autophasenn.network.predict import Inference, Predictor
from autophasenn.phasing.algorithms import HIO
from autophasenn.phasing.engine import retrieve
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.randomness import Stream, generator_of
from autophasenn.training.objective import Objective
from autophasenn.training.train import load_training_plan

ROOT = Path(__file__).resolve().parent.parent
MINUTES = 8.0
CUDA_TESTS = ("tests/phasing/test_engine.py", "tests/network/test_predict.py", "tests/crystals/test_polyhedra.py")
"""Where tests are that run on a GPU if there is one."""
PLANS = {"autophasenn": "paper_gpu.yaml", "unrolled": "unrolled.yaml"}
BYTES_PER_VOXEL = 2 * 2 * 8 + 4
"""The least that one iteration moves: two transforms that read and write a complex volume once, and the modulus."""
COPIED = 2**28
"""Bytes of the copy that says what the memory can do."""
SEED = 1


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Parameters
    ----------
    network_batches, training_batches, generator_batches : tuple of int
        Patterns at once.
    starts : mapping of int to tuple of int
        Edge of a cubic pattern to the starts that are retrieved at once.
    iterations : int
        Of a whole retrieval.
    copied : int
        Bytes of the copy that measures the memory.
    designs : mapping
        Of the networks, by name.
    """

    network_batches: tuple[int, ...] = (1, 16, 64, 256)
    training_batches: tuple[int, ...] = (16, 64, 128)
    generator_batches: tuple[int, ...] = (16, 128)
    starts: tuple[tuple[int, tuple[int, ...]], ...] = ((64, (1, 8, 64)), (128, (1, 8)), (256, (1, 4)))
    iterations: int = 600
    copied: int = COPIED
    designs: tuple[tuple[str, Any], ...] = tuple((name, design()) for name, design in DESIGNS.items())


Measurement = tuple[str, Callable[[], Any]]
"""A name, and what measures it."""


def parts_of(device: torch.device, sizes: Sizes) -> dict[str, Callable[[], Iterator[Measurement]]]:
    """Every part by its name, the worthiest first; each is a series of measurements."""
    return {
        "tests": lambda: iter([("passed", lambda: tests(device))]),
        "memory": lambda: iter([("bytes_per_second", lambda: bandwidth(device, sizes.copied))]),
        "network": lambda: network(device, sizes),
        "retrieval": lambda: retrieval(device, sizes),
        "training": lambda: training(device, sizes),
        "generator": lambda: generator(device, sizes),
    }


def measure(
    output: Path, device: torch.device, sizes: Sizes, *, minutes: float = MINUTES, only: Sequence[str] = ()
) -> dict[str, Any]:
    """Do what is not yet in a file, until the time is over.

    Parameters
    ----------
    output : Path
        JSON; written after every measurement.
    device : torch.device
    sizes : Sizes
    minutes : float
        No measurement begins after.
    only : sequence of str
        Parts; none: all.

    Returns
    -------
    dict
        ``device``, ``torch``, ``complete``, and by part the numbers of each measurement, None where the memory is too small.

    Raises
    ------
    InputError
        If the file is that of another device, or no result of this script.
    PlanError
        If there is no such part.
    """
    parts = parts_of(device, sizes)
    for name in only:
        if name not in parts:
            raise PlanError(f"There is no part {name!r}; choose among {', '.join(parts)}.")
    found = _former(output, hardware(device))
    ends, complete = time.monotonic() + 60 * minutes, True
    for part in only or parts:
        done = found.setdefault(part, {})
        for name, run in parts[part]():
            if name in done:
                continue
            if time.monotonic() > ends:
                complete = False
                break
            print(f"{part}: {name} ...", file=sys.stderr, flush=True)
            done[name] = _fitting(run, device)
            write(output, found)
    found["complete"] = complete and not only
    write(output, found)
    return found


def _former(output: Path, name: str) -> dict[str, Any]:
    """What a former run measured."""
    if not output.is_file():
        return {"device": name, "torch": torch.__version__}
    try:
        former: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        device = former["device"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{output} is no result of this script; give another file.") from error
    if device != name:
        raise InputError(f"{output} was measured on {device}, and this is {name}; give another file.")
    return former


def _fitting(run: Callable[[], Any], device: torch.device) -> Any:
    """What is measured, or None where the memory is too small."""
    try:
        return run()
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        return None
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()


def seconds(run: Callable[[], object], device: torch.device, repeats: int = 3) -> float:
    """Least wall time of some calls, the first not counted: it loads libraries and chooses kernels."""

    def waited() -> None:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    waited()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        waited()
        taken.append(time.perf_counter() - began)
    return min(taken)


def tests(device: torch.device) -> dict[str, Any]:
    """Do those tests pass that run on a GPU where there is one?"""
    if device.type != "cuda":
        return {"status": None, "said": "no GPU"}
    command = [sys.executable, "-m", "pytest", "-q", "-k", "gpu", *CUDA_TESTS]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    return {"status": run.returncode, "said": run.stdout.strip().splitlines()[-1:]}


def bandwidth(device: torch.device, size: int) -> float:
    """Bytes a second that a copy reads and writes."""
    source = torch.zeros(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / seconds(lambda: target.copy_(source), device)


def network(device: torch.device, sizes: Sizes) -> Iterator[Measurement]:
    """Patterns a second of both networks by batch."""
    counts = pattern((64, 64, 64))[None].to(device)
    measured = torch.ones_like(counts, dtype=torch.bool)
    for name, design in reversed(sizes.designs):
        for batch in sizes.network_batches:

            def rate(design: Any = design, batch: int = batch) -> float:
                predictor = Predictor(build(design).eval(), Inference(None, batch=batch), device)
                some = counts.expand(batch, -1, -1, -1), measured.expand(batch, -1, -1, -1)
                return batch / seconds(lambda: predictor.predict(*some), device)

            yield f"{name}, {batch} patterns, a second", rate


def retrieval(device: torch.device, sizes: Sizes) -> Iterator[Measurement]:
    """One iteration of HIO and a whole retrieval, by edge and starts; and the share of the memory's bandwidth."""
    for edge, batches in sizes.starts:
        for starts in batches:

            def timed(edge: int = edge, starts: int = starts) -> dict[str, float]:
                counts = pattern((edge, edge, edge))[None].to(device)
                measured = torch.ones_like(counts, dtype=torch.bool)

                def phased(iterations: int) -> Tensor:
                    schedule = Schedule((Block(HIO(), iterations),), 1, None, break_twin_at=None, average_last=0)
                    return retrieve(counts, measured, schedule, seeds=range(starts), with_errors=False).object

                few = max(1, sizes.iterations // 10)
                short = seconds(lambda: phased(few), device)
                whole = seconds(lambda: phased(sizes.iterations), device, repeats=1)
                one = max(whole - short, 1e-9) / max(1, sizes.iterations - few)
                moved = BYTES_PER_VOXEL * starts * edge**3 / one
                return {
                    "milliseconds_an_iteration": 1e3 * one,
                    "seconds": whole,
                    "starts_a_second": starts / whole,
                    "share_of_bandwidth": moved / bandwidth(device, sizes.copied),
                }

            yield f"{edge}^3, {starts} starts", timed


def training(device: torch.device, sizes: Sizes) -> Iterator[Measurement]:
    """Patterns a second that a step of training takes, loss and gradient and optimiser, by network and batch."""
    for name, design in sizes.designs:
        plan = replace(load_training_plan(ROOT / "plans" / PLANS[name]), network=design)
        for batch in sizes.training_batches:

            def rate(plan: Any = plan, batch: int = batch) -> float:
                objective = Objective(build(plan.network).to(device), plan.loss).train()
                optimiser = torch.optim.AdamW(objective.parameters(), 1e-4)
                counts = pattern((64, 64, 64))[None].to(device).expand(batch, -1, -1, -1).contiguous()
                half = torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bf16-mixed")

                def step() -> None:
                    generators = [generator_of(SEED, index, Stream.START) for index in range(batch)]
                    with half:
                        losses = objective(counts, counts >= 0, generators)
                    optimiser.zero_grad()
                    losses.sum().backward()
                    optimiser.step()

                return batch / seconds(step, device, repeats=2)

            yield f"{name}, {batch} patterns, a second", rate


def generator(device: torch.device, sizes: Sizes) -> Iterator[Measurement]:
    """Simulated patterns a second, by recipe and batch."""
    for name in ("paper", "beamline"):
        for batch in sizes.generator_batches:

            def rate(name: str = name, batch: int = batch) -> float:
                source, conditions = recipe("polyhedra", name)
                return batch / seconds(lambda: simulate(source, conditions, SEED, range(batch), device), device)

            yield f"{name}, {batch} patterns, a second", rate


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, help="JSON file; goes on where it is there")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--only", action="append", default=[], metavar="PART")
    asked = parser.parse_args(arguments)
    try:
        measure(asked.output, device_of(asked.device), Sizes(), minutes=asked.minutes, only=asked.only)
    except AutoPhaseNNError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
