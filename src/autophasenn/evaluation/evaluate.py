"""A network, its refinement and plain phase retrieval on the same patterns: numbers, table and figures."""

from __future__ import annotations

import csv
import json
import os
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autophasenn.devices import device_of
from autophasenn.errors import PlanError
from autophasenn.evaluation.comparison import Comparison, Outcome, read_outcomes
from autophasenn.evaluation.figures import draw
from autophasenn.evaluation.scores import summary
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.files.blocks import held
from autophasenn.files.former import Kind
from autophasenn.files.stored import sha256_of
from autophasenn.files.writing import check_folder, staged_folder
from autophasenn.inversion.methods import METHODS, Inversion, MethodName
from autophasenn.inversion.names import COMPARED
from autophasenn.inversion.options import words_of
from autophasenn.inversion.prediction import load_predictor
from autophasenn.network.predict import weights_file
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.pipeline.summary import versions
from autophasenn.progress import Progress, Silent
from autophasenn.workers import computed

BLOCK = {"cpu": 4, "cuda": 32}
"""Patterns between two progress reports."""
KIND = Kind(("summary.json", "samples.csv", "histograms.png", "convergence.png", "examples.png"), ("summary.json",))
"""How the folder of a former evaluation is told from others."""


@dataclass(frozen=True)
class Evaluation:
    """What is compared on what.

    Parameters
    ----------
    dataset : Path
        Dataset file.
    methods : tuple of str
        Of `inversion.names.METHODS`, each as `pipeline.reconstruct` does it.
    weights : Path, optional
        None: those of the package.
    network : str, optional
        "unrolled" or "autophasenn", which these must be of; see `network.predict.Predictor.from_file`.
    others : tuple of (str, str)
        Methods that begin with another network of the package, and which.
    count : int, optional
        Only the first so many samples. None: all.
    seed : int
        Of every inversion.
    device : str
    inversion : Inversion
        What the methods do.
    confidence : bool
        Whether every image gets its confidence, too, which takes several times as long; the image is then the best of all
        orientations, as that of `pipeline.reconstruct` is.
    """

    dataset: Path
    methods: tuple[str, ...] = COMPARED
    weights: Path | None = None
    network: str | None = None
    others: tuple[tuple[str, str], ...] = ()
    count: int | None = None
    seed: int = 0
    device: str = "cpu"
    inversion: Inversion = field(default_factory=Inversion)
    confidence: bool = False

    def __post_init__(self) -> None:
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown or not self.methods:
            named = ", ".join(map(repr, unknown)) or "none"
            raise PlanError(f"The methods to compare are not known: {named}; choose from {', '.join(METHODS)}.")
        if len(set(self.methods)) < len(self.methods):
            raise PlanError(f"A method is named twice in {','.join(self.methods)}; name each once.")
        if self.count is not None and self.count < 1:
            raise PlanError(f"{self.count} samples cannot be evaluated; give a count of 1 or more.")

    @property
    def networks(self) -> tuple[str | None, ...]:
        """Which network each method begins with."""
        others = dict(self.others)
        return tuple(others.get(method, self.network) for method in self.methods)

    @property
    def used(self) -> set[str | None]:
        """The networks that are needed."""
        pairs = zip(self.methods, self.networks, strict=True)
        return {network for method, network in pairs if MethodName(method).needs_network}

    @property
    def comparison(self) -> Comparison:
        """What is done with each sample."""
        inversion = self.inversion
        if not self.confidence:
            inversion = replace(inversion, confidence=replace(inversion.confidence, number=0, average=False))
        return Comparison(self.dataset, self.methods, self.weights, self.networks, self.seed, self.device, inversion)


CRYSTALS = EXAMPLE.with_name("crystals.h5")
"""Relaxed crystals of the package, which nobody trained on."""
PAPER = (MethodName.network, MethodName.er50)
"""What Yao et al. (2022) show of their network: its prediction, and that after 50 iterations of error reduction."""


def paper(dataset: Path | None = None, *, count: int | None = None, seed: int = 0, device: str = "cpu") -> Evaluation:
    """The comparison of Yao et al., npj Comput. Mater. 8, 124 (2022), figures 2 to 4, with what this program adds to it.

    Their network alone and with 50 iterations of error reduction, the unrolled one refined, and iterative retrieval.

    Parameters
    ----------
    dataset : Path, optional
        None: `CRYSTALS`.
    count, seed, device
        See `Evaluation`.
    """
    methods = (*PAPER, MethodName.refined, MethodName.iterative)
    others = tuple((method, "autophasenn") for method in PAPER)
    return Evaluation(dataset or CRYSTALS, methods, None, "unrolled", others, count, seed, device)


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
    check_folder(output, overwrite, KIND)
    kind = _device_kind(evaluation.device)
    if kind != "cpu" and workers > 1:
        raise PlanError(
            f"{workers} processes would share one GPU; give --workers 1, patterns go through it in batches."
        )
    with DatasetFile(evaluation.dataset) as dataset:
        count = min(len(dataset), evaluation.count or len(dataset))
        has_truth = dataset.has_truth
    for network in evaluation.used:  # complains before any work
        load_predictor(evaluation.weights, evaluation.device, network)
    facts, comparison = _facts(evaluation, count), evaluation.comparison
    blocks = [range(first, min(first + BLOCK[kind], count)) for first in range(0, count, BLOCK[kind])]
    with held(output, facts["parameters"] | {"versions": facts["versions"]}) as parts:
        missing = [block for block in blocks if not parts.block(block).exists()]
        done = count - sum(map(len, missing))
        progress.stage("Evaluate")
        progress.advance(done, count)
        for block, content in computed(comparison.block, missing, workers, None, {}):
            parts.store(block, content)
            done += len(block)
            progress.advance(done, count)
        outcome = read_outcomes([parts.block(block) for block in blocks], evaluation.methods)
        progress.stage("Write")
        with staged_folder(output, KIND, overwrite) as folder:
            facts |= {"truth_known": has_truth, "workers": workers}
            result = _summarise(outcome, comparison, facts)
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
    weights = {}
    for method, network in zip(evaluation.methods, evaluation.networks, strict=True):
        if MethodName(method).needs_network:
            path = weights_file(evaluation.weights, network)
            weights[method] = {"path": str(path), "sha256": sha256_of(path)}
    return {
        "parameters": {
            "dataset": {"path": str(evaluation.dataset), "sha256": sha256_of(evaluation.dataset)},
            "weights": weights,
            "count": count,
            "methods": list(evaluation.methods),
            "seed": evaluation.seed,
            "device": evaluation.device,
            "inversion": repr(evaluation.comparison.inversion),
        },
        "versions": versions(),
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "system": platform.platform()},
    }


def _summarise(outcome: Outcome, comparison: Comparison, facts: dict[str, Any]) -> dict[str, Any]:
    methods = comparison.methods
    return {
        "n": len(outcome.rows),
        "methods": summary(outcome.rows, methods),
        "what_they_do": {method: words_of(MethodName(method), comparison.inversion) for method in methods},
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
