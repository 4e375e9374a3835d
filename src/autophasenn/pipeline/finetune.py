"""Weights made better for the patterns of one experiment: `autophasenn finetune`."""

from __future__ import annotations

import math
import platform
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

import autophasenn
from autophasenn.errors import AutoPhaseNNError, InputError, OutputError, PlanError
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.files.boundary import reading
from autophasenn.files.stored import sha256_of
from autophasenn.files.tree import opened
from autophasenn.files.writing import check_folder
from autophasenn.inversion.adaptation import Adaptation, AdaptationResult, adapt
from autophasenn.inversion.prediction import in_network_box
from autophasenn.machine import Stop
from autophasenn.network import weights
from autophasenn.network.first_guess import COARSE_PATTERN
from autophasenn.network.predict import weights_file
from autophasenn.phasing.held_out import HeldOut
from autophasenn.pipeline.prepare import prepare
from autophasenn.pipeline.source import Source
from autophasenn.progress import Progress, Silent
from autophasenn.volumes import Pattern, crop_or_pad

MOST_PATTERNS = 256
"""Of a dataset: they stay in memory, and minutes do not see more."""
MANY = Adaptation(trials=8)
"""How the network learns on from a user's scans."""


@dataclass(frozen=True)
class Finetuning:
    """What to learn from, and where the weights go.

    Parameters
    ----------
    inputs : tuple of Source
        Scans and datasets.
    output : Path
        File of weights, ``.safetensors``.
    begin_with : Path, optional
        Weights to begin with; None: those of the package.
    network : str, optional
        "unrolled" or "autophasenn", which these must be of; see `network.predict.weights_file`.
    minutes : float
        How long; reading comes before.
    seed : int
    overwrite : bool
        Whether a file in `output` may be replaced.
    options : Adaptation
        Its `steps` are not looked at.
    """

    inputs: tuple[Source, ...]
    output: Path
    begin_with: Path | None = None
    network: str | None = None
    minutes: float = 5.0
    seed: int = 0
    overwrite: bool = False
    options: Adaptation = MANY

    def __post_init__(self) -> None:
        if not self.inputs:
            raise PlanError("There is nothing to learn from; give a dataset, or one scan or more.")
        if not 0 < self.minutes < math.inf:
            raise PlanError(f"minutes is {self.minutes:g}; give a time above 0 that ends.")
        if not 0 <= self.seed < 2**31:
            raise PlanError(f"The seed {self.seed} is not usable; give a whole number from 0 to {2**31 - 1}.")
        if self.output.suffix != ".safetensors":
            raise PlanError(f"The output {self.output} must end in .safetensors, which is how weights are stored.")


def finetune(job: Finetuning, progress: Progress | None = None) -> dict[str, Any]:
    """Learn on from measured patterns, and write the better weights.

    Where the held-out voxels are not explained better, the weights of the beginning are written: the card says which.

    Parameters
    ----------
    job : Finetuning
    progress : Progress, optional

    Returns
    -------
    dict
        What to tell: patterns, steps, chi2_free before and after, what was kept.

    Raises
    ------
    InputError, GeometryError, PlanError
        If an input cannot be read, or the weights are not those of a network.
    OutputError
        If the file is there and may not be replaced, or cannot be written.
    KeyboardInterrupt
        After Ctrl-C; it says where the best weights so far are, and nothing where none were written.
    """
    progress = progress or Silent()
    _check_output(job)
    start = weights_file(job.begin_with, job.network)
    network, card = weights.load(start, job.network)
    progress.stage("Read")
    boxes: list[HeldOut] = []
    for number, source in enumerate(job.inputs):
        boxes += _patterns_of(source, job.seed)
        progress.advance(number + 1, len(job.inputs))
    progress.stage("Learn")
    began = time.monotonic()
    with Stop() as stop:

        def share_done(step: int) -> float:
            return 1.0 if stop.is_asked() else (time.monotonic() - began) / (60 * job.minutes)

        found = adapt(network, boxes, job.options, seed=job.seed, share_done=share_done, on_iteration=progress.advance)
    told = _card(job, found, boxes, time.monotonic() - began)
    told |= {"begun_with": {"file": start.name, "sha256": sha256_of(start), "card": card}}
    try:
        weights.save(found.network, told, job.output, torch.float32)
    except OSError as error:
        raise OutputError(
            f"The weights {job.output} cannot be written ({error.strerror or error}); give another output."
        ) from error
    if stop.signal == signal.SIGINT:
        raise KeyboardInterrupt(f"the best weights so far are in {job.output}")
    return {"written": str(job.output)} | {
        name: told[name] for name in ("patterns", "steps", "seconds", "chi2_free_before", "chi2_free_after", "kept")
    }


def _check_output(job: Finetuning) -> None:
    try:
        if not job.output.parent.is_dir():
            raise OutputError(
                f"The folder {job.output.parent} of the output does not exist; create it, or give another."
            )
        check_folder(job.output.parent, overwrite=True)
        if job.output.is_dir():
            raise OutputError(f"The output {job.output} is a folder; give the name of a file.")
        if job.output.exists() and not job.overwrite:
            raise OutputError(f"The output {job.output} exists; give another name, or --overwrite to replace it.")
    except OSError as error:
        raise OutputError(f"The output {job.output} cannot be written ({error.strerror}); give another.") from error


def _patterns_of(source: Source, seed: int) -> list[HeldOut]:
    """What an input holds, in the network's box and with voxels held out."""
    name = source.input or ""
    try:
        if _is_dataset(Path(name)):
            if source.mask is not None:
                raise PlanError("--mask belongs to a plain pattern; a dataset brings its own masks.")
            with DatasetFile(name) as dataset:
                places = range(min(len(dataset), MOST_PATTERNS))
                read = zip(places, dataset.patterns(places), dataset.masks(places), strict=True)
                patterns = [_measured(*each) for each in read]
            boxes = [in_network_box(each, (3.0, 3.0, 3.0), seed=seed + n) for n, each in enumerate(patterns)]
            return [each.inside for each in boxes]
        prepared = prepare(source).preprocessed
        return [in_network_box(prepared.pattern, prepared.oversampling, seed=seed).inside]
    except AutoPhaseNNError as error:
        raise type(error)(f"Nothing can be learned from {name}: {error}") from error


def _measured(number: int, counts: Tensor, mask: Tensor) -> Pattern:
    """A pattern of a dataset, which must have photons where the network begins."""
    if not bool(crop_or_pad(mask & (counts > 0), COARSE_PATTERN).any()):
        raise InputError(
            f"Pattern {number} (the first is 0) has no photon in the measured voxels of its middle; check its mask (True = "
            "measured), or leave it out."
        )
    return Pattern(counts, mask)


def _is_dataset(path: Path) -> bool:
    with reading(path):
        if not path.is_file() or not h5py.is_hdf5(path):
            return False
        with opened(path) as file:
            return "format" in file.attrs or "patterns" in file


def _card(job: Finetuning, found: AdaptationResult, boxes: Sequence[HeldOut], seconds: float) -> dict[str, Any]:
    files = [Path(source.input or "") for source in job.inputs]
    return {
        "method": "finetuned",
        "data": [{"path": str(each), "sha256": sha256_of(each) if each.is_file() else None} for each in files],
        "patterns": len(boxes),
        "photons": [float(box.pattern.counts[box.pattern.mask].sum()) for box in boxes[:MOST_PATTERNS]],
        "steps": found.steps,
        "best_step": found.best_step,
        "samples": found.steps * job.options.batch,
        "seconds": round(seconds, 1),
        "chi2_free_before": found.before,
        "chi2_free_after": found.after,
        "kept": "the tuned weights" if found.best_step else "the weights of the beginning: none explained more",
        "seed": job.seed,
        "options": asdict(replace(job.options)),
        "versions": {
            "autophasenn": autophasenn.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    }


def sources(inputs: Sequence[str], shared: Source | None = None) -> tuple[Source, ...]:
    """One source for each input; `shared` has what belongs to all of them.

    Raises
    ------
    InputError
        If an input is not there.
    """
    for each in inputs:
        if not Path(each.split(":")[0]).exists():
            raise InputError(f"There is no scan, pattern or dataset {each}; check the path.")
    return tuple((shared or Source()).of(each) for each in inputs)
