"""The figures of an evaluation, and which samples are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autophasenn.evaluation.comparison import Outcome
from autophasenn.evaluation.scores import Numbers
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.inversion.names import METHODS
from autophasenn.physics.ambiguity import align
from autophasenn.physics.metrics import support_of, thresholded
from autophasenn.physics.strain import phase_ramp, remove_ramp
from autophasenn.report.evaluation import fall_of_chi2, histograms
from autophasenn.report.examples import TRUTH, Example, examples
from autophasenn.report.style import save
from autophasenn.volumes import OBJECT_VOXELS, PATTERN_VOXELS, crop_or_pad

LABELS = {"chi2": "χ²", "correlation": "correlation with the truth", "ssim": "SSIM of the amplitude"}
ORDER = METHODS[::-1]
"""From left to right. The last of them that was run decides which samples are best, median and worst."""


def draw(folder: Path, dataset: Path, outcome: Outcome, methods: Sequence[str], seed: int) -> list[str]:
    """Write all figures; returns a sentence for each that this machine cannot draw as it should be."""
    shown: list[str] = [method for method in ORDER if method in methods]
    values = {
        label: {method: _column(outcome.rows, f"{method}_{name}") for method in shown} for name, label in LABELS.items()
    }
    known = {label: by for label, by in values.items() if any(np.isfinite(v).any() for v in by.values())}
    save(histograms(known, logarithmic=[LABELS["chi2"]]), folder / "histograms.png")
    if outcome.errors:
        noise, predicted = (_median(outcome.rows, name) for name in ("chi2_noise", "network_chi2"))
        errors = {method: outcome.errors[method] for method in shown if method in outcome.errors}
        save(fall_of_chi2(errors, noise=noise, predicted=predicted), folder / "convergence.png")
    with DatasetFile(dataset) as file:
        chosen = representative(outcome.rows, methods, seed)
        rows = [_example(file, outcome, shown, title, index) for title, index in chosen]
    figure, trouble = examples(rows)
    save(figure, folder / "examples.png")
    return [] if trouble is None else [trouble]


def representative(rows: Sequence[Numbers], methods: Sequence[str], seed: int) -> list[tuple[str, int]]:
    """Titles and indices of the best, the median and the worst sample, and of two at random; fewer of few samples.

    By correlation with the truth, or by chi2 where no truth is known.
    """
    method = next(method for method in METHODS if method in methods)
    score = _column(rows, f"{method}_correlation")
    if not np.isfinite(score).any():
        score = -_column(rows, f"{method}_chi2")
    ranked = [int(index) for index in np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")]
    chosen = {ranked[0]: "best"}
    for index, title in ((ranked[-1], "worst"), (ranked[len(ranked) // 2], "median")):
        chosen.setdefault(index, title)
    others = [index for index in range(len(rows)) if index not in chosen]
    for index in np.random.default_rng(seed).permutation(others)[:2]:
        chosen[int(index)] = "random"
    order = ("best", "median", "worst", "random")
    return sorted(((title, index) for index, title in chosen.items()), key=lambda pair: order.index(pair[0]))


def _example(file: DatasetFile, outcome: Outcome, methods: Sequence[str], title: str, index: int) -> Example:
    row = outcome.rows[index]
    found = outcome.objects(index, methods)
    objects = {TRUTH: thresholded(file.objects([index])[0]), **found} if file.has_truth else _aligned(found)
    first = next(iter(objects.values()))
    inside = support_of(first)
    ramp = phase_ramp(first, inside)
    turn = torch.exp(-1j * remove_ramp(first, ramp)[inside].sum().angle())
    captions = {method: _caption(row, method) for method in methods}
    if row["chi2_truth"] is not None:
        captions[TRUTH] = f"χ² {row['chi2_truth']:.4f}"
    return Example(
        (title, f"sample {index}", f"{row['photons']:.2g} photons", f"oversampling {row['oversampling']:.1f}"),
        file.patterns([index])[0],
        file.masks([index])[0],
        {name: remove_ramp(rho, ramp) * turn for name, rho in objects.items()},
        captions,
    )


def _aligned(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Objects brought onto the first of them."""
    reference = crop_or_pad(next(iter(found.values())), [PATTERN_VOXELS] * 3)
    return {
        name: crop_or_pad(
            thresholded(align(reference, crop_or_pad(rho, [PATTERN_VOXELS] * 3)).aligned), [OBJECT_VOXELS] * 3
        )
        for name, rho in found.items()
    }


def _caption(row: Numbers, method: str) -> str:
    chi2, correlation = row[f"{method}_chi2"], row[f"{method}_correlation"]
    return f"χ² {chi2:.4f}" + ("" if correlation is None else f", corr. {correlation:.3f}")


def _column(rows: Sequence[Numbers], name: str) -> NDArray[np.float64]:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)


def _median(rows: Sequence[Numbers], name: str) -> float | None:
    known = [value for row in rows if (value := row.get(name)) is not None]
    return float(np.median(known)) if known else None
