"""The training loop: patterns in, weights out. It is the same on a CPU, a GPU, and several of either under torchrun."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

from autophasenn.devices import hardware
from autophasenn.errors import PlanError
from autophasenn.machine import Stop
from autophasenn.network import weights
from autophasenn.network.architectures import Network, build
from autophasenn.randomness import Stream, generator_of
from autophasenn.training import checkpoint
from autophasenn.training.average import Average
from autophasenn.training.checkpoint import Course
from autophasenn.training.examples import Patterns
from autophasenn.training.machine import Machine, fabric_of
from autophasenn.training.memory import check_memory, shortage_explained
from autophasenn.training.muon import Muon
from autophasenn.training.objective import Objective
from autophasenn.training.plan import TrainingPlan
from autophasenn.training.record import Record, score
from autophasenn.training.run_folder import RunFolder
from autophasenn.training.stream import Mixture, Share, batches

PATIENCE = 10
"""Steps in a row without a finite loss and gradient that end a training."""

OnProgress = Callable[[int, int], None]
"""Told how many patterns were seen, and of how many."""


def fit(
    plan: TrainingPlan,
    folder: RunFolder,
    machine: Machine | None = None,
    *,
    minutes: float | None = None,
    on_progress: OnProgress | None = None,
) -> Course:
    """Train, or go on training, until all samples are seen.

    Parameters
    ----------
    plan : TrainingPlan
    folder : RunFolder
        The training goes on from its checkpoint, if there is one.
    machine : Machine, optional
    minutes : float, optional
        Stop after so long, with a checkpoint. Ctrl-C and SIGTERM do the same.
    on_progress : callable, optional

    Returns
    -------
    Course
        How far it came.

    Raises
    ------
    PlanError
        If the device is not there, the batch does not divide among the processes, or the training diverges.
    InputError
        If a file cannot be used.
    OutputError
        If the folder cannot be written, or another process trains in it.
    KeyboardInterrupt
        After Ctrl-C, when the checkpoint is written.
    """
    machine = machine or Machine()
    fabric = fabric_of(machine, plan.precision)
    if plan.batch % fabric.world_size:
        raise PlanError(
            f"A batch of {plan.batch} does not divide among {fabric.world_size} processes; give one that does."
        )
    fabric.launch()
    with folder.held() if fabric.is_global_zero else nullcontext(), Stop(minutes) as stop:
        course = _Training(plan, folder, machine, fabric).run(stop, on_progress)
    if fabric.world_size > 1:  # a process that leaves while another still listens takes that down with it
        fabric.barrier()
        torch.distributed.destroy_process_group()
    if stop.signal == signal.SIGINT:
        raise KeyboardInterrupt
    return course


def _begun(plan: TrainingPlan) -> Network:
    """The network of a plan before its first step."""
    network = build(plan.network, plan.seed)
    if plan.begin_with is not None:
        learned, _ = weights.load(plan.begin_with)
        try:
            network.load_state_dict(learned.state_dict())
        except RuntimeError as error:
            raise PlanError(
                f"The weights {plan.begin_with} are those of {learned.design}, whose layers are not those of "
                f"{plan.network}; give a network that fits them."
            ) from error
    return network


class _Training:
    """Networks, optimiser and their place in the stream of patterns."""

    def __init__(self, plan: TrainingPlan, folder: RunFolder, machine: Machine, fabric: Fabric) -> None:
        self.plan, self.folder, self.machine, self.fabric = plan, folder, machine, fabric
        self.network = _begun(plan).to(fabric.device)
        self.share = Share(plan.batch, fabric.global_rank, fabric.world_size)
        objective = Objective(self.network, plan.loss)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            objective = torch.nn.SyncBatchNorm.convert_sync_batchnorm(objective)
        options = plan.optimiser
        method = {"adamw": torch.optim.AdamW, "muon": Muon}[options.method]
        self.optimiser: Optimizer = method(
            objective.parameters(), options.learning_rate, options.betas, weight_decay=options.weight_decay
        )
        self.average = Average(self.network, options.average)
        check_memory(objective, self.share.size, fabric.device)
        self.objective, self.fabric_optimiser = fabric.setup(objective, self.optimiser)
        self.course, self.waited = Course(), 0.0
        if folder.last.exists():
            self.course = checkpoint.load(folder.last, self.network, self.average.network, self.optimiser)
        self.record = Record(plan, folder, self.course, self._facts()) if fabric.is_global_zero else None

    def run(self, stop: Stop, on_progress: OnProgress | None) -> Course:
        """Steps until the end, or until asked to stop."""
        plan, device = self.plan, self.fabric.device
        mixture, steps = Mixture(plan.seed, plan.data), range(self.course.step, plan.steps)
        began = time.perf_counter() - self.course.seconds
        with (
            shortage_explained(self.objective.module, self.share.size, device),
            closing(batches(mixture, self.share, steps, device, self.machine.workers)) as stream,
        ):
            before = time.perf_counter()
            for indices, patterns in stream:
                self.waited += time.perf_counter() - before
                stopping = self._step(indices, patterns, stop)
                self.course = replace(self.course, seconds=time.perf_counter() - began)
                self._note(stopping)
                if on_progress is not None and self.record is not None:
                    on_progress(min(self.course.step * plan.batch, plan.samples), plan.samples)
                if stopping:
                    break
                before = time.perf_counter()
        if self.record is not None:
            self.record.close()
        return self.course

    def _step(self, indices: range, patterns: Patterns, stop: Stop) -> bool:
        """One step of the optimiser, or none where the gradient is no number. Does any process ask to stop?"""
        plan, course = self.plan, self.course
        self._set_learning_rate()
        generators = [generator_of(plan.seed, index, Stream.START) for index in indices]
        losses = self.objective(patterns.counts, patterns.measured, generators)
        shares = torch.tensor(plan.loss.weights(len(losses)), device=losses.device)
        self.fabric.backward((shares * losses).sum())
        norm = self.fabric.clip_gradients(
            self.objective, self.fabric_optimiser, max_norm=plan.optimiser.clip or math.inf, error_if_nonfinite=False
        )
        *values, stopping = self._of_all(losses.detach(), stop.is_asked())
        assert norm is not None
        values.append(float(norm))
        if all(map(math.isfinite, values)):
            self.fabric_optimiser.step()
            self.average.update(self.network, course.step - course.skipped + 1)
            sums = course.interval or (0.0,) * (len(values) + 1)
            interval = tuple(old + new for old, new in zip(sums, (*values, 1.0), strict=True))
            self.course = replace(course, step=course.step + 1, skipped_in_a_row=0, interval=interval)
        else:
            in_a_row = course.skipped_in_a_row + 1
            self._check_divergence(in_a_row)
            self.course = replace(course, step=course.step + 1, skipped=course.skipped + 1, skipped_in_a_row=in_a_row)
        self.fabric_optimiser.zero_grad()
        return bool(stopping)

    def _of_all(self, losses: Tensor, asked: bool) -> list[float]:
        """Means over all processes: the same numbers, and so the same decisions, in each of them."""
        mine = torch.cat([losses, losses.new_tensor([float(asked)])])
        return cast(Tensor, self.fabric.all_reduce(mine, reduce_op="mean")).tolist()

    def _set_learning_rate(self) -> None:
        self.learning_rate = self.plan.optimiser.learning_rate * self.plan.schedule.factor(
            self.course.step * self.plan.batch, self.plan.samples, self.course.validation_losses
        )
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate

    def _check_divergence(self, in_a_row: int) -> None:
        if in_a_row >= PATIENCE:
            raise PlanError(
                f"{PATIENCE} steps in a row gave no finite loss and gradient, at step {self.course.step}: the training "
                "diverges. Give a smaller learning_rate or clip, or precision 32-true; the last checkpoint is kept."
            )

    def _note(self, stopping: bool) -> None:
        """Log, validation and checkpoint, where they are due."""
        plan, last = self.plan, self.course.step == self.plan.steps
        if self._is_due(plan.log_every) or last:
            if self.record is not None:
                self.record.interval(self.course, self.learning_rate, self.waited)
                self.waited = 0.0
            self.course = replace(self.course, interval=())
        validated = self._is_due(plan.validation.every) or last
        if validated:
            self._validate()
        if self.record is not None and (validated or stopping or self._is_due(plan.checkpoint_every)):
            checkpoint.save(self.folder.last, self.course, self.network, self.average.network, self.optimiser)

    def _is_due(self, every: int) -> bool:
        seen = self.course.step * self.plan.batch
        return seen // every > (seen - self.plan.batch) // every

    def _validate(self) -> None:
        summary = None
        if self.record is not None:
            summary = self.record.validation(self.course, self.average.network, self.fabric.autocast())
        summary = self.fabric.broadcast(summary)
        assert summary is not None
        best = max(score(self.plan, summary), -math.inf if self.course.best is None else self.course.best)
        self.course = replace(
            self.course, validation_losses=(*self.course.validation_losses, summary["loss"]), best=best
        )

    def _facts(self) -> dict[str, object]:
        return {
            **asdict(self.machine),
            "hardware": hardware(self.fabric.device),
            "processes": self.fabric.world_size,
            "threads": torch.get_num_threads(),
        }
