"""A network, its refinement and plain phase retrieval on the same patterns: numbers, table and figures."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autophasenn.devices import device_of
from autophasenn.errors import PlanError
from autophasenn.evaluation.comparison import METHODS, NEEDS_NETWORK, Contest, Outcome, read_outcomes
from autophasenn.evaluation.figures import draw
from autophasenn.evaluation.scores import summary
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.files.blocks import held
from autophasenn.files.stored import sha256_of
from autophasenn.files.writing import check_folder, staged_folder
from autophasenn.network.predict import SHIPPED, Inference, Predictor
from autophasenn.phasing.refine import Refinement
from autophasenn.phasing.schedule import Schedule
from autophasenn.pipeline.result import LIBRARIES
from autophasenn.progress import Progress, Silent
from autophasenn.workers import computed

BLOCK = {"cpu": 4, "cuda": 32}
"""Patterns between two progress reports, and at once on a GPU."""


@dataclass(frozen=True)
class Evaluation:
    """What is compared on what.

    Parameters
    ----------
    dataset : Path
        Dataset file.
    methods : tuple of str
        Of `METHODS`.
    weights : Path, optional
        None: those of the package.
    count : int, optional
        Only the first so many samples. None: all.
    seed : int
        Of the starts.
    device : str
    inference : Inference
    refinement : Refinement
    schedule : Schedule
        Of the iterative retrieval, from one random start.
    """

    dataset: Path
    methods: tuple[str, ...] = ("network", "refined", "iterative")
    weights: Path | None = None
    count: int | None = None
    seed: int = 0
    device: str = "cpu"
    inference: Inference = field(default_factory=Inference)
    refinement: Refinement = field(default_factory=Refinement)
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown or not self.methods:
            named = ", ".join(map(repr, unknown)) or "none"
            raise PlanError(f"The methods to compare are not known: {named}; choose from {', '.join(METHODS)}.")
        if len(set(self.methods)) < len(self.methods):
            raise PlanError(f"A method is named twice in {','.join(self.methods)}; name each once.")
        if self.count is not None and self.count < 1:
            raise PlanError(f"{self.count} samples cannot be evaluated; give a count of 1 or more.")


def evaluate(
    output: Path,
    evaluation: Evaluation,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare methods on the patterns of a dataset, and write ``summary.json``, ``samples.csv`` and figures.

    Finished samples are kept in ``OUTPUT.partial`` until all are there: the same call goes on after an interruption.

    Parameters
    ----------
    output : Path
        Folder of the result.
    evaluation : Evaluation
    workers : int
        Processes on this machine, each with one thread. Seconds are then those of a busy machine.
    overwrite : bool
        May a former result be replaced?
    progress : Progress, optional

    Returns
    -------
    dict
        The content of ``summary.json``.

    Raises
    ------
    PlanError
        If the device is not there, or many processes are asked for and Dask is not installed, or on a GPU.
    InputError
        If the dataset or the weights cannot be used.
    OutputError
        If the folder cannot be written to, holds something, or what is there was begun with other parameters.
    """
    progress = progress or Silent()
    check_folder(output, overwrite)
    kind = _device_kind(evaluation.device)
    if kind != "cpu" and workers > 1:
        raise PlanError(
            f"{workers} processes would share one GPU; give --workers 1, patterns go through it in batches."
        )
    with DatasetFile(evaluation.dataset) as dataset:
        count = min(len(dataset), evaluation.count or len(dataset))
        has_truth = dataset.has_truth
    if any(method in NEEDS_NETWORK for method in evaluation.methods):  # complains before any work, and chooses once
        predictor = Predictor.from_file(evaluation.weights, evaluation.inference, evaluation.device)
        chosen = replace(evaluation, inference=predictor.inference)
    else:
        chosen = evaluation
    facts = _facts(evaluation, count)
    contest = Contest(**{each.name: getattr(chosen, each.name) for each in fields(Contest)})
    blocks = [range(first, min(first + BLOCK[kind], count)) for first in range(0, count, BLOCK[kind])]
    with held(output, facts["parameters"] | {"versions": facts["versions"]}) as parts:
        missing = [block for block in blocks if not parts.block(block).exists()]
        done = count - sum(map(len, missing))
        progress.stage("Evaluate")
        progress.advance(done, count)
        for block, content in computed(contest.block, missing, workers, None, {}):
            parts.store(block, content)
            done += len(block)
            progress.advance(done, count)
        outcome = read_outcomes([parts.block(block) for block in blocks], evaluation.methods)
        progress.stage("Write")
        with staged_folder(output, overwrite) as folder:
            facts |= {"truth_known": has_truth, "precision": chosen.inference.precision, "workers": workers}
            result = _summarise(outcome, evaluation.methods, facts)
            _write_table(folder / "samples.csv", outcome)
            result["warnings"] = draw(folder, evaluation.dataset, outcome, evaluation.methods, evaluation.seed)
            text = json.dumps(result, indent=2, allow_nan=False) + "\n"
            (folder / "summary.json").write_text(text, encoding="utf-8")
        parts.remove()
    return result


def _device_kind(name: str) -> str:
    device = device_of(name)
    if device.type not in BLOCK:
        raise PlanError(f"The device {name!r} cannot be used here; choose from {', '.join(BLOCK)}.")
    return device.type


def _facts(evaluation: Evaluation, count: int) -> dict[str, Any]:
    """Everything that the numbers depend on."""
    weights = None
    if any(method in NEEDS_NETWORK for method in evaluation.methods):
        path = evaluation.weights or SHIPPED
        weights = {"path": str(path), "sha256": sha256_of(path)}
    return {
        "parameters": {
            "dataset": {"path": str(evaluation.dataset), "sha256": sha256_of(evaluation.dataset)},
            "weights": weights,
            "count": count,
            "methods": list(evaluation.methods),
            "seed": evaluation.seed,
            "device": evaluation.device,
            "inference": asdict(evaluation.inference),
            "refinement": _words(evaluation.refinement),
            "schedule": _words(evaluation.schedule),
        },
        "versions": {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "system": platform.platform()},
    }


def _words(value: Refinement | Schedule) -> str:
    return repr(value)


def _summarise(outcome: Outcome, methods: Sequence[str], facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "n": len(outcome.rows),
        "methods": summary(outcome.rows, methods),
        "chi2_not_above_iterative": {
            method: float(np.mean([row[f"{method}_chi2"] <= row["iterative_chi2"] for row in outcome.rows]))  # type: ignore[operator]
            for method in methods
            if method != "iterative" and "iterative" in methods
        },
        **facts,
    }


def _write_table(path: Path, outcome: Outcome) -> None:
    """One line a sample; what is not known stays empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["index", *outcome.rows[0]])
        table.writeheader()
        for index, row in enumerate(outcome.rows):
            table.writerow({"index": index} | {name: _digits(value) for name, value in row.items()})


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
