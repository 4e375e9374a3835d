"""A network from its plan to its weights on one GPU, in pieces of some minutes that go on from each other.

    python benchmarks/train_on_gpu.py autophasenn -o runs/paper              # the first piece, 8 minutes
    python benchmarks/train_on_gpu.py autophasenn -o runs/paper              # the next, and so on
    python benchmarks/train_on_gpu.py unrolled -o runs/unrolled --samples 100000

The batch is the largest that fits; the patterns are made by the GPU itself (or, with --workers, by processes of the CPU);
patterns seen a second are printed from the first minute on. After every piece the best weights
so far stand in OUTPUT/weights.safetensors as float16 with their card. It runs on a CPU too, which is how it is tested.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from autophasenn.devices import device_of
from autophasenn.errors import AutoPhaseNNError, PlanError
from autophasenn.network import weights
from autophasenn.network.architectures import DESIGNS, build
from autophasenn.training.machine import Machine
from autophasenn.training.memory import MARGIN, bytes_kept, memory_of
from autophasenn.training.objective import Objective
from autophasenn.training.plan import TrainingPlan
from autophasenn.training.run_folder import RunFolder
from autophasenn.training.train import dump_training_plan, load_training_plan, train

PLANS = {"autophasenn": "paper_gpu.yaml", "unrolled": "unrolled.yaml"}
MOST = 256
"""Patterns in a batch: beyond, a GPU is no quicker and there are fewer steps."""
FILLED = 0.8
"""Share of the memory that a batch may take; patterns and validation take some too."""
EVERY = 10.0
"""Seconds between two lines."""


def planned(name: str, device: torch.device, batch: int | None = None, samples: int | None = None) -> TrainingPlan:
    """The plan of a network, with the batch and the samples that are given or fit.

    Parameters
    ----------
    name : str
        One of `PLANS`.
    device : torch.device
    batch : int, optional
        None: the largest power of two that fits, at most `MOST`.
    samples : int, optional
        None: those of the plan. The learning rate falls to its least at their end, so give what the time allows.

    Raises
    ------
    PlanError
        If not even one pattern fits.
    """
    plan = load_training_plan(Path(__file__).parent.parent / "plans" / PLANS[name])
    plan = replace(plan, samples=samples or plan.samples)
    return replace(plan, batch=batch or largest_batch(plan, device))


def largest_batch(plan: TrainingPlan, device: torch.device) -> int:
    """The largest power of two whose step fits into the memory of a device, at most `MOST`."""
    one = MARGIN * bytes_kept(Objective(build(plan.network).to(device), plan.loss), device)
    if plan.precision == "bf16-mixed":
        one /= 2  # measured in float32; the convolutions keep half of it
    fit = int(FILLED * memory_of(device) / one)
    if fit < 1:
        raise PlanError(
            f"One pattern of {plan.network} takes {one / 1e9:.3g} GB, more than {device} has; make it narrower."
        )
    return min(MOST, 1 << (fit.bit_length() - 1))


@dataclass
class Speedometer:
    """A `Progress` that prints patterns a second."""

    began: float = 0.0
    first: int = -1
    last: float = 0.0

    def stage(self, name: str) -> None:
        """A stage begins."""
        print(name, flush=True)

    def advance(self, done: int, total: int) -> None:
        """So many patterns were seen."""
        now = time.perf_counter()
        if self.first < 0:  # the first step also prepares what later ones use
            self.began, self.first = now, done
        elif now - self.last >= EVERY or done == total:
            rate = (done - self.first) / max(now - self.began, 1e-9)
            left = (total - done) / max(rate, 1e-9)
            print(f"{done} of {total} patterns, {rate:.1f} a second, {left / 60:.0f} minutes left", flush=True)
            self.last = now


def piece(output: Path, plan: TrainingPlan, machine: Machine, minutes: float) -> dict[str, object]:
    """Begin a training in a folder, or go on with the one that is there, and write the best weights so far.

    Parameters
    ----------
    output : Path
    plan : TrainingPlan
        Of a new training; one that is there keeps its own.
    machine : Machine
    minutes : float

    Returns
    -------
    dict
        See `training.train.train`; and ``weights``, the file, if there is a best network yet.
    """
    folder = RunFolder(output)
    begun = folder.plan.is_file()
    if not begun:
        output.mkdir(parents=True, exist_ok=True)
        written = output.with_name(f"{output.name}.plan.yaml")
        written.write_text(dump_training_plan(plan), encoding="utf-8")
        facts = train(output, written, None, machine, minutes=minutes, progress=Speedometer())
        written.unlink()
    else:
        facts = train(None, None, output, machine, minutes=minutes, progress=Speedometer())
    if folder.best.is_file():
        network, card = weights.load(folder.best)
        weights.save(network, card, output / "weights.safetensors")
        facts["weights"] = str(output / "weights.safetensors")
    return facts


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("network", choices=[name for name in DESIGNS if name in PLANS])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument(
        "--workers", type=int, default=0, help="CPU processes that make patterns; 0: the device makes them"
    )
    options = parser.parse_args(arguments)
    try:
        device = device_of(options.device)
        if RunFolder(options.output).plan.is_file():
            plan = load_training_plan(RunFolder(options.output).plan)
        else:
            plan = planned(options.network, device, options.batch, options.samples)
        print(f"{plan.network}, batch {plan.batch}, {plan.samples} patterns in all, on {device}", flush=True)
        facts = piece(options.output, plan, Machine(options.device, options.workers), options.minutes)
    except AutoPhaseNNError as error:
        print(error, file=sys.stderr)
        return 2
    for name, value in facts.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
