"""What is kept of a training while it goes on: log, curves, validations, the best weights."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import torch

from autophasenn.errors import PlanError
from autophasenn.network import weights
from autophasenn.network.architectures import Network
from autophasenn.training.checkpoint import Course
from autophasenn.training.curves import Curves
from autophasenn.training.examples import Trial
from autophasenn.training.plan import TrainingPlan
from autophasenn.training.run_folder import RunFolder
from autophasenn.training.validation import validate


class Record:
    """Writes into the folder of a training; one process does.

    Parameters
    ----------
    plan : TrainingPlan
    folder : RunFolder
    course : Course
        From where the training goes on.
    facts : dict
        What runs it, JSON-serialisable.

    Raises
    ------
    PlanError
        If the best network shall be that of the highest correlation, and the objects are not known.
    """

    def __init__(self, plan: TrainingPlan, folder: RunFolder, course: Course, facts: dict[str, Any]) -> None:
        self.plan, self.folder, self.facts = plan, folder, facts
        self.trial: Trial = plan.validation.data.trial(plan.validation.seed, plan.validation.count)
        if self.trial.objects is None and plan.validation.best_by == "correlation":
            raise PlanError("The validation data have no objects to correlate with; set `best_by: chi2` there.")
        folder.begin_piece(course.step, facts)
        self.curves = Curves(folder.curves, course.step * plan.batch)
        self._since = course

    def interval(self, course: Course, learning_rate: float, waited: float) -> None:
        """A line of the log and a point of the curves, for the interval that ends here; `waited`: for patterns, seconds."""
        values = {"learning_rate": learning_rate, "skipped_steps": float(course.skipped)}
        if course.interval:  # else every step of it was skipped
            *sums, steps = course.interval
            *losses, norm = (value / steps for value in sums)
            weighted = zip(self.plan.loss.weights(len(losses)), losses, strict=True)
            values |= {
                "loss": sum(weight * loss for weight, loss in weighted),
                "last_stage_loss": losses[-1],
                "gradient_norm": norm,
            }
        seen, seconds = (course.step - self._since.step) * self.plan.batch, course.seconds - self._since.seconds
        values |= {"samples_per_second": seen / max(seconds, 1e-9), "share_waiting": waited / max(seconds, 1e-9)}
        self._since = course
        self._write(course, "training", values)

    def validation(
        self, course: Course, network: Network, precision: AbstractContextManager[object]
    ) -> dict[str, float]:
        """Try the network on the validation patterns; keep it if it is the best yet. Returns the scores."""
        scores = validate(
            network,
            self.trial,
            self.plan.loss,
            seed=self.plan.validation.seed,
            batch=self.plan.batch,
            precision=precision,
        )
        summary = scores.summary()
        self._write(course, "validation", summary)
        self.curves.examples(self.trial, scores, course.step * self.plan.batch)
        if course.best is None or score(self.plan, summary) > course.best:
            weights.save(network, self._card(course, summary), self.folder.best, torch.float32)
        return summary

    def close(self) -> None:
        """Write what is left."""
        self.curves.close()

    def _write(self, course: Course, kind: str, values: dict[str, float]) -> None:
        samples = course.step * self.plan.batch
        place = {"kind": kind, "step": course.step, "samples": samples, "seconds": round(course.seconds, 2)}
        self.folder.write_line(place | values)
        self.curves.values(kind, values, samples)

    def _card(self, course: Course, summary: dict[str, float]) -> dict[str, Any]:
        return {
            "plan": asdict(self.plan),
            "seed": self.plan.seed,
            "samples": course.step * self.plan.batch,
            "hours": round(course.seconds / 3600, 4),
            "skipped_steps": course.skipped,
            "hardware": self.facts,
            "validation": summary,
        }


def score(plan: TrainingPlan, summary: dict[str, float]) -> float:
    """Larger is better; least where it is no number."""
    value = summary["correlation"] if plan.validation.best_by == "correlation" else -summary["chi2"]
    return value if math.isfinite(value) else -math.inf
