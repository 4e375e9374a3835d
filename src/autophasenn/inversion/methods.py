"""The methods of `autophasenn reconstruct`: from a pattern to its object, and how far that can be believed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from autophasenn.inversion.adaptation import Adaptation, adapted
from autophasenn.inversion.again import from_random_start, inversion
from autophasenn.inversion.box import LEAST_VOXELS, NetworkBox
from autophasenn.inversion.confidence import Confidence, confidence_of, shipped
from autophasenn.inversion.novelty import Familiar, other_pieces, separate_lobe
from autophasenn.inversion.orientations import RANDOM, Spread, Variants, spread
from autophasenn.inversion.prediction import Prediction, Refined, predict, predicted, refined
from autophasenn.network.predict import Predictor
from autophasenn.options import options
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.ensemble import Ensemble, reconstruct_ensemble
from autophasenn.preprocessing.preprocess import Preprocessed
from autophasenn.progress import Progress, Stopwatch
from autophasenn.volumes import Pattern, Reconstruction

logger = logging.getLogger(__name__)

METHODS = ("refined", "adapted", "network", "iterative")
"""What `--method` may ask for: the network's prediction refined, the same by a network that first learned on from this
pattern, the prediction as it is, or retrieval from random starts."""


@options
class Inversion:
    """How a pattern is inverted.

    Parameters
    ----------
    retrieval : Ensemble
        From the pattern to the object, by --method iterative: how many starts, what is done in which iteration, and what
        is made of them.
    refined : Refined
        The same by --method refined and network: predictions, their refinement, coherence of the beam.
    confidence : Variants
        How far the image of --method refined and network can be believed: how often the pattern is inverted for that.
    adapted : Adaptation
        How the network first learns on from the pattern, by --method adapted.
    """

    retrieval: Ensemble = field(default_factory=Ensemble)
    refined: Refined = field(default_factory=Refined)
    confidence: Variants = field(default_factory=Variants)
    adapted: Adaptation = field(default_factory=Adaptation)


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found.

    Parameters
    ----------
    reconstruction : Reconstruction
        On the grid of the pattern.
    path : dict, optional
        How it was found, for the report; None: iterative.
    confidence : Confidence, optional
        None: iterative, or no variants were asked for.
    """

    reconstruction: Reconstruction
    path: dict[str, Any] | None = None
    confidence: Confidence | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """A pattern and what to do with it.

    Parameters
    ----------
    prepared : Preprocessed
    plan : Inversion
    method : str
        One of `METHODS`.
    seed : int
    device : torch.device
    progress : Progress
    watch : Stopwatch
    """

    prepared: Preprocessed
    plan: Inversion
    method: str
    seed: int
    device: torch.device
    progress: Progress
    watch: Stopwatch

    def run(self, load: Callable[[], Predictor]) -> Found:
        """The crystal by the method asked for; `load` gives the network, where one is needed."""
        pattern, plan, progress = self.prepared.pattern.to(self.device), self.plan, self.progress
        if self.method == "iterative":
            progress.stage("Phase retrieval")
            with self.watch.measure("refine"):
                found = reconstruct_ensemble(pattern, plan.retrieval, seed=self.seed, on_iteration=progress.advance)
            return Found(self._warned(found))
        progress.stage("Network")
        with self.watch.measure("network"):
            predictor = load()
            prediction = predict(pattern, self.prepared.oversampling, predictor, plan.refined, seed=self.seed)
        learned = None
        if self.method == "adapted":
            progress.stage("Adapt")
            with self.watch.measure("network"):
                predictor, prediction, learned = adapted(
                    predictor, prediction, plan.adapted, plan.refined, seed=self.seed, on_iteration=progress.advance
                )
        judge = _Judge(self, prediction, predictor)
        choose = judge if plan.confidence.variants else None
        if self.method == "network":
            found, path = predicted(prediction, plan.refined, choose=choose)
        else:
            progress.stage("Refinement")
            with self.watch.measure("refine"):
                found, path = refined(prediction, plan.refined, progress.advance, choose=choose)
        if learned is not None:
            path["adapted"] = learned.facts()
        if judge.spread is None:
            return Found(self._warned(found), path)
        path["image_from"] = "random start" if judge.spread.elements[0] == RANDOM else "network"
        kind = "network" if self.method == "network" else "refined"
        with self.watch.measure("confidence"):
            confidence = confidence_of(
                judge.spread,
                prediction.inside,
                aliens=self.prepared.aliens if self.prepared.are_aliens_known else None,
                calibration=shipped(kind),
            )
            return Found(_with_spread(found, prediction.box, judge.spread), path, confidence)

    def _warned(self, found: Reconstruction) -> Reconstruction:
        """The same, after a word on more than one particle; where there are variants, `confidence_of` says it."""
        pattern = self.prepared.pattern
        pieces = other_pieces(found.object.abs().numpy())
        lobe = 0.0
        if min(pattern.shape) >= LEAST_VOXELS:
            box = NetworkBox.of(pattern.shape, self.prepared.oversampling)
            counts, measured = box.counts_into(pattern.counts, pattern.mask)
            lobe = separate_lobe(counts.numpy(), measured.numpy())
        for sentence in Familiar().particle_sentences(lobe, pieces):
            logger.warning(sentence)
        return found

    def describe(self) -> dict[str, Any]:
        """What the method would do, for people."""
        return _described(self.prepared.pattern, self.prepared.oversampling, self.plan, self.method)


class _Judge:
    """Given the best object of the network's box, inverts the variants and gives the image that they make."""

    def __init__(self, job: Job, prediction: Prediction, predictor: Predictor) -> None:
        self.job, self.prediction, self.predictor = job, prediction, predictor
        self.spread: Spread | None = None

    def __call__(self, first: Retrieval) -> Retrieval:
        job, options = self.job, self.job.plan.confidence
        with job.watch.measure("confidence"):
            job.progress.stage("Confidence")
            invert = inversion(
                self.predictor,
                job.plan.refined,
                seed=job.seed,
                is_refined=job.method != "network",
                partially_coherent=first.kernel is not None,
            )
            again = None
            if job.method != "network":
                again = from_random_start(
                    self.prediction.inside,
                    job.plan.refined,
                    seed=job.seed,
                    partially_coherent=self.prediction.partially_coherent(job.plan.refined),
                )
            self.spread = spread(
                first, self.prediction.inside, invert, options, job.progress.advance, retrieve_again=again
            )
        if not self.prediction.box.is_whole_pattern:
            job.progress.stage("Full resolution")
        return self.spread.image


def _with_spread(found: Reconstruction, box: NetworkBox, variants: Spread) -> Reconstruction:
    """An object with the spread of its variants: theirs of the box, on its own voxels; NaN outside of its support."""
    inside = variants.support.cpu().numpy()

    def carried(values: Tensor) -> Tensor:
        on_grid = box.values_onto_grid(torch.from_numpy(_continued(values.cpu().numpy(), inside)))
        return torch.where(found.support, on_grid, torch.nan)

    return replace(
        found, phase_spread=carried(variants.phase_spread), amplitude_spread=carried(variants.amplitude_spread)
    )


def _continued(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Values, and outside that of the nearest voxel inside: beyond the surface a phase has no meaning."""
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def _described(
    pattern: Pattern, oversampling: tuple[float, float, float], plan: Inversion, method: str
) -> dict[str, Any]:
    if method == "iterative":
        schedule = plan.retrieval.schedule
        blocks = ", ".join(f"{type(b.algorithm).__name__} {b.iterations}" for b in schedule.blocks)
        return {
            "starts": plan.retrieval.starts,
            "schedule": f"{schedule.repeats} x ({blocks}) = {schedule.iterations} iterations a start",
        }
    box = NetworkBox.of(pattern.shape, oversampling)
    steps = ", ".join(f"{step:.2f}" for step in box.steps)
    further, likelihood = plan.refined.further.iterations, plan.refined.likelihood
    likely = f", {likelihood.evaluations} evaluations of the likelihood" if likelihood else ""
    at_full = "" if box.is_whole_pattern else f", then {further}{likely} at full resolution"
    iterations = (
        f"{plan.refined.first.iterations} iterations in the box, {further} with a coherence kernel{likely}{at_full}"
    )
    number, starts = plan.confidence.variants, plan.confidence.random_starts
    return {
        "network box": f"64 x 64 x 64, a voxel every {steps} voxels of the pattern",
        "schedule": "none" if method == "network" else iterations,
        "confidence": f"from {number} orientations of the pattern, and {starts} random starts if they disagree"
        if number
        else "unknown: no variants are asked for",
    }
