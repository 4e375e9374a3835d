"""The numbers that one pattern, and one object found for it, get in an evaluation (docs/physics/conventions.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.crystals import statistics
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.physics.diffraction import ForwardModel
from autophasenn.preprocessing.oversampling import estimate_oversampling
from autophasenn.volumes import OBJECT_VOXELS, crop_or_pad, twin

Numbers = dict[str, float | None]
"""None: not known."""
METRICS = (
    *("chi2", "chi2_free", "correlation", "correlation_other_twin", "ssim", "support_iou", "phase_mae", "confidence"),
    *("starts", "averaged", "seconds"),
)
"""Of a method on a pattern."""

OF_TRUTH = ("chi2_truth", "chi2_noise", "twin_correlation")
SHAPE = ("volume", "edge_width", "phase_range", "phase_rms", "strain_rms")
"""Of `crystals.statistics.describe`."""

OBJECT = (OBJECT_VOXELS,) * 3
Pattern64 = Float[Tensor, "64 64 64"]
Mask64 = Bool[Tensor, "64 64 64"]
Object64 = Complex[Tensor, "64 64 64"]
Object32 = Complex[Tensor, "32 32 32"]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What an object is worth.

    Parameters
    ----------
    numbers : dict
        The metrics that need no more than the object; the others are None.
    aligned : complex64 tensor (32, 32, 32)
        The object, brought onto the truth where that is known; 0 where its amplitude is below 10 % of the largest.
    """

    numbers: Numbers
    aligned: Object32


def scores_of(
    rho: Object64, counts: Pattern64, measured: Mask64, truth: Object32 | None, kernel: Tensor | None = None
) -> Judgement:
    """Compare an object, and the coherence kernel found with it, with the pattern, and with the truth where it is known.

    ``correlation_other_twin`` is the correlation with whichever of the truth and its twin fits less well: a superposition of
    both has two correlations that are nearly the same.
    """
    numbers: Numbers = dict.fromkeys(METRICS)
    numbers["chi2"] = float(metrics.chi2(rho, counts, measured, ForwardModel(kernel=kernel)))
    found = metrics.thresholded(rho)
    if truth is None:
        return Judgement(numbers, crop_or_pad(found, OBJECT))
    truth = crop_or_pad(metrics.thresholded(truth), counts.shape)
    other, best = sorted(
        (align(truth, each, twins=False) for each in (found, twin(found))), key=lambda a: a.correlation
    )
    numbers |= {
        "correlation": best.correlation,
        "correlation_other_twin": other.correlation,
        "ssim": metrics.ssim(truth, best.aligned),
        "support_iou": metrics.support_iou(truth, best.aligned),
        "phase_mae": metrics.phase_mae(truth, best.aligned),
    }
    return Judgement(numbers, crop_or_pad(best.aligned, OBJECT))


def describe(counts: Pattern64, measured: Mask64, truth: Object32 | None) -> Numbers:
    """What a pattern is like, and the crystal behind it where that is known.

    ``photons`` (measured), ``oversampling`` (the least of three axes, estimated from the pattern); of the truth
    ``chi2_truth``, ``chi2_noise``, ``twin_correlation`` (1: the crystal is its own twin), and what `crystals.statistics`
    says of it.
    """
    numbers: Numbers = {
        "photons": float(counts[measured].sum(dtype=torch.float64)),
        "oversampling": min(estimate_oversampling(counts.cpu().numpy(), measured.cpu().numpy())),
    }
    if truth is None:
        return numbers | dict.fromkeys((*OF_TRUTH, *SHAPE))
    rho = crop_or_pad(metrics.thresholded(truth), counts.shape)
    intensity = ForwardModel()(rho)
    scale = metrics.best_scale(intensity, counts, measured)
    values = (
        float(metrics.chi2(rho, counts, measured)),
        float(metrics.chi2_noise(intensity * scale.square(), counts, measured)),
        align(rho, twin(rho), twins=False).correlation,
    )
    shape = statistics.describe(truth[None])
    return numbers | dict(zip(OF_TRUTH, values, strict=True)) | {name: float(shape[name][0]) for name in SHAPE}


def summary(rows: Sequence[Numbers], methods: Sequence[str]) -> dict[str, dict[str, dict[str, float] | None]]:
    """Mean, median, 5th and 95th percentile of every metric of every method; None where no sample has it."""
    return {
        method: {name: _spread([row[f"{method}_{name}"] for row in rows]) for name in METRICS} for method in methods
    }


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    known = np.array([value for value in values if value is not None and math.isfinite(value)])
    if not known.size:
        return None
    p5, median, p95 = (float(x) for x in np.percentile(known, (5, 50, 95)))
    return {"mean": float(known.mean()), "median": median, "p5": p5, "p95": p95}
