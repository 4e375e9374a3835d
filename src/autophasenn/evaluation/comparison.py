"""Methods that invert the same patterns, one block of samples at a time, in this process or another."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # the filter of dataset files
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autophasenn.evaluation.scores import Numbers, describe, judge
from autophasenn.experiment.dataset import DatasetFile, rounded
from autophasenn.network.predict import Inference, Predictor
from autophasenn.phasing.engine import Retrieval, retrieve
from autophasenn.phasing.refine import PAPER, Refinement, refine
from autophasenn.phasing.schedule import Schedule
from autophasenn.volumes import PATTERN, Mask, Volume, crop_or_pad

METHODS = ("network", "er50", "refined", "iterative")
"""The network alone, with the paper's refinement, with ours; retrieval from one random start."""
NEEDS_NETWORK = METHODS[:3]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method found.

    Parameters
    ----------
    objects : complex64 tensor (batch, 64, 64, 64)
    errors : float32 tensor (batch, iterations), optional
        chi2 of every iteration; None: the method has none.
    seconds : list of float
        From each pattern to its object.
    """

    objects: Tensor
    errors: Tensor | None
    seconds: list[float]


@dataclass(frozen=True, eq=False)
class Outcome:
    """All samples.

    Parameters
    ----------
    rows : list of dict
        Numbers of every sample, those of a method under its name.
    errors : dict of method to float array (samples, iterations)
    files : list of Path
        Of the blocks, with the objects; there as long as the evaluation runs.
    """

    rows: list[Numbers]
    errors: dict[str, NDArray[np.float32]]
    files: list[Path]

    def objects(self, index: int, methods: Sequence[str]) -> dict[str, Tensor]:
        """What each method found for a sample, complex64 (32, 32, 32)."""
        for path in self.files:
            with h5py.File(path, "r") as file:
                if index < len(file["rows"]):
                    return {method: torch.from_numpy(file["objects"][method][index]) for method in methods}
                index -= len(file["rows"])
        raise IndexError(index)


@dataclass(frozen=True)
class Contest:
    """The fields of `Evaluation` that a block depends on; can be pickled."""

    dataset: Path
    methods: tuple[str, ...]
    weights: Path | None
    seed: int
    device: str
    inference: Inference
    refinement: Refinement
    schedule: Schedule

    def block(self, samples: range) -> bytes:
        """Invert these samples by every method: an HDF5 file of numbers, errors and objects, in memory."""
        with DatasetFile(self.dataset) as dataset:
            counts, measured = dataset.patterns(samples), dataset.masks(samples)
            truth = dataset.objects(samples) if dataset.has_truth else None
        rows: list[Numbers] = [
            describe(counts[i], measured[i], None if truth is None else truth[i]) for i in range(len(samples))
        ]
        buffer = BytesIO()
        with h5py.File(buffer, "w") as file:
            for method, answer in self._answers(counts, measured, samples).items():
                judged = [
                    judge(rho, counts[i], measured[i], None if truth is None else truth[i])
                    for i, rho in enumerate(answer.objects)
                ]
                for row, each, seconds in zip(rows, judged, answer.seconds, strict=True):
                    numbers = each.numbers | {"seconds": seconds}
                    row.update({f"{method}_{name}": value for name, value in numbers.items()})
                objects = rounded(torch.stack([each.aligned for each in judged]))
                file.create_dataset(f"objects/{method}", data=objects.numpy(), compression="gzip", shuffle=True)
                if answer.errors is not None:
                    file[f"errors/{method}"] = answer.errors.numpy()
            file["rows"] = [json.dumps(row) for row in rows]
        return buffer.getvalue()

    def _answers(self, counts: Volume, measured: Mask, samples: range) -> dict[str, Answer]:
        """Of every method, on the CPU. There one pattern at a time is quickest, on a GPU all at once."""
        size = 1 if torch.device(self.device).type == "cpu" else len(samples)
        found: dict[str, list[Answer]] = {method: [] for method in self.methods}
        for first in range(0, len(samples), size):
            chosen = slice(first, first + size)
            answers = self._compute(counts[chosen].to(self.device), measured[chosen].to(self.device), samples[chosen])
            for method, answer in answers.items():
                found[method].append(answer)
        return {method: _joined(answers) for method, answers in found.items()}

    def _compute(self, counts: Volume, measured: Mask, samples: range) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        if any(method in NEEDS_NETWORK for method in self.methods):
            predictor = _predictor(self.weights, self.inference, self.device)
            began = time.perf_counter()
            predicted = predictor.predict(counts, measured, self.seed)
            answers["network"] = _answer(crop_or_pad(predicted, PATTERN), None, began)
            for method, refinement in (("er50", PAPER), ("refined", self.refinement)):
                if method in self.methods:
                    began = time.perf_counter()
                    run = refine(counts, measured, predicted, refinement, seeds=[self.seed] * len(counts))
                    answers[method] = _answer(run.object, run, began, answers["network"].seconds)
        if "iterative" in self.methods:
            began = time.perf_counter()
            seeds = [(self.seed * 100_003 + 1 + sample) % 2**63 for sample in samples]
            run = retrieve(counts, measured, self.schedule, seeds=seeds)
            answers["iterative"] = _answer(run.object, run, began)
        return {method: answers[method] for method in self.methods}


def read_outcomes(files: list[Path], methods: Sequence[str]) -> Outcome:
    """Numbers and errors of all blocks."""
    rows: list[Numbers] = []
    errors: dict[str, list[NDArray[np.float32]]] = {}
    for path in files:
        with h5py.File(path, "r") as file:
            rows += [json.loads(row) for row in file["rows"].asstr()]
            for method in methods:
                if f"errors/{method}" in file:
                    errors.setdefault(method, []).append(file["errors"][method][:])
    return Outcome(rows, {method: np.concatenate(each) for method, each in errors.items()}, files)


@lru_cache(1)
def _predictor(weights: Path | None, inference: Inference, device: str) -> Predictor:
    """Made ready once a process."""
    return Predictor.from_file(weights, inference, device)


def _answer(objects: Tensor, run: Retrieval | None, began: float, before: Sequence[float] = ()) -> Answer:
    """What was found since `began`, in a batch, after a stage that took the seconds `before`."""
    found = objects.cpu()  # waits for the device
    seconds = (time.perf_counter() - began) / len(found)
    return Answer(
        found,
        None if run is None else run.errors.cpu(),
        [seconds + earlier for earlier in before or [0.0] * len(found)],
    )


def _joined(answers: list[Answer]) -> Answer:
    errors = [answer.errors for answer in answers if answer.errors is not None]
    return Answer(
        torch.cat([answer.objects for answer in answers]),
        torch.cat(errors) if errors else None,
        [seconds for answer in answers for seconds in answer.seconds],
    )
