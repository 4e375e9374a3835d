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

from autophasenn.evaluation.scores import Numbers, describe, scores_of
from autophasenn.experiment.dataset import DatasetFile, rounded
from autophasenn.inversion.grounds import misfit_of, verdict_on
from autophasenn.inversion.methods import Inversion, MethodName, invert
from autophasenn.inversion.prediction import load_predictor
from autophasenn.network.predict import Predictor
from autophasenn.preprocessing.oversampling import estimate_oversampling
from autophasenn.volumes import Pattern

Errors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MethodRun:
    """What a method made of a pattern.

    Parameters
    ----------
    numbers : dict
        Metrics by name.
    aligned : complex64 tensor (32, 32, 32)
        Its object, brought onto the truth where that is known.
    errors : float32 array (iterations,)
        Modulus error of every iteration, of the best start.
    """

    numbers: Numbers
    aligned: Tensor
    errors: Errors


@dataclass(frozen=True, eq=False)
class Outcome:
    """All samples.

    Parameters
    ----------
    rows : list of dict
        Numbers of every sample, those of a method under its name.
    errors : dict of method to float array (samples, iterations)
        NaN beyond the last iteration that a sample needed.
    files : list of Path
        Of the blocks, with the objects; there as long as the evaluation runs.
    """

    rows: list[Numbers]
    errors: dict[str, Errors]
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
class Comparison:
    """What is done with a block of samples; can be pickled.

    Parameters
    ----------
    dataset : Path
    methods : tuple of str
    weights : Path, optional
        None: those of the package.
    networks : tuple of str or None
        Which network each method begins with; see `network.predict.Predictor.from_file`.
    seed : int
        Of every inversion, as `autophasenn reconstruct --seed` has it.
    device : str
    inversion : Inversion
    """

    dataset: Path
    methods: tuple[str, ...]
    weights: Path | None
    networks: tuple[str | None, ...]
    seed: int
    device: str
    inversion: Inversion

    def block(self, samples: range) -> bytes:
        """Invert these samples by every method: an HDF5 file of numbers, errors and objects, in memory."""
        with DatasetFile(self.dataset) as dataset:
            counts, measured = dataset.patterns(samples), dataset.masks(samples)
            truth = dataset.objects(samples) if dataset.has_truth else [None] * len(samples)
        rows: list[Numbers] = []
        runs: dict[str, list[MethodRun]] = {method: [] for method in self.methods}
        for pattern, true in zip(map(Pattern, counts, measured), truth, strict=True):
            row = describe(pattern.counts, pattern.mask, true)
            for method in self.methods:
                run = self._run(method, pattern, true)
                runs[method].append(run)
                row |= {f"{method}_{name}": value for name, value in run.numbers.items()}
            rows.append(row)
        buffer = BytesIO()
        with h5py.File(buffer, "w") as file:
            for method, found in runs.items():
                objects = rounded(torch.stack([run.aligned for run in found])).numpy()
                file.create_dataset(f"objects/{method}", data=objects, compression="gzip", shuffle=True)
                file[f"errors/{method}"] = _of_one_length([run.errors[None] for run in found])
            file["rows"] = [json.dumps(row) for row in rows]
        return buffer.getvalue()

    def _run(self, method: str, pattern: Pattern, truth: Tensor | None) -> MethodRun:
        network = self.networks[self.methods.index(method)]
        predictor = _predictor(self.weights, self.device, network) if MethodName(method).needs_network else None
        counts, measured = pattern.counts, pattern.mask
        oversampling = estimate_oversampling(counts.numpy(), measured.numpy())
        there = pattern.to(self.device)
        began = time.perf_counter()
        answer = invert(there, oversampling, method, self.inversion, predictor=predictor, seed=self.seed)
        seconds = time.perf_counter() - began
        found = answer.reconstruction
        judged = scores_of(found.object, counts, measured, truth, found.kernel)
        free_error = found.free_error if np.isfinite(found.free_error) else None
        numbers = judged.numbers | {
            "chi2_free": free_error,
            "confidence": None
            if answer.confidence is None
            else verdict_on(answer, method, misfit_of(found, pattern)).probability,
            "starts": float(len(found.free_errors)),
            "averaged": float(found.averaged) if method == MethodName.iterative else 1.0,
            "seconds": seconds,
        }
        return MethodRun(numbers, judged.aligned, found.errors[found.best].numpy())


def read_outcomes(files: list[Path], methods: Sequence[str]) -> Outcome:
    """Numbers and errors of all blocks."""
    rows: list[Numbers] = []
    errors: dict[str, list[Errors]] = {method: [] for method in methods}
    for path in files:
        with h5py.File(path, "r") as file:
            rows += [json.loads(row) for row in file["rows"].asstr()]
            for method in methods:
                errors[method].append(file["errors"][method][:])
    joined = {method: _of_one_length(each) for method, each in errors.items()}
    return Outcome(rows, {method: each for method, each in joined.items() if each.shape[1] > 1}, files)


@lru_cache(2)
def _predictor(weights: Path | None, device: str, network: str | None) -> Predictor:
    """Made ready once a process."""
    return load_predictor(weights, device, network).warm_up()


def _of_one_length(errors: Sequence[Errors]) -> Errors:
    """Errors (samples, iterations) one below the other, NaN beyond the end of the shorter ones."""
    longest = max(each.shape[1] for each in errors)
    padded = [np.pad(each, ((0, 0), (0, longest - each.shape[1])), constant_values=np.nan) for each in errors]
    return np.concatenate(padded).astype(np.float32)
