"""How the error fell, for every start."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from autophasenn.report.drawable import Calculated
from autophasenn.report.style import ACCENT, new_figure, styled

PREDICTION = "prediction"
"""The stage that is the network's, an iteration long."""
FULL = "full resolution"
"""The stage that is the first on the full grid of the pattern."""
_LISTED = 6
_ROOM = 0.1
"""Share of the axis that a stage needs for its name."""


@styled
def convergence(
    reconstruction: Calculated,
    *,
    chi2_noise: float | None = None,
    stages: Sequence[tuple[str, int]] = (),
) -> Figure:
    """Draw chi2 against the iteration: the chosen start in bold, the others thin, listed by rank.

    Parameters
    ----------
    reconstruction : Reconstruction, or its arrays
        Starts are ranked by `free_errors`, or by their last error where no voxels were held out.
    chi2_noise : float, optional
        What counting noise alone gives a perfect object on the full grid; drawn as a level over the iterations there.
    stages : sequence of (str, int), optional
        Name and iterations of each part of a refinement, which are told apart; `FULL` begins those on the full grid. The
        legend then says what the curve is, and apart from it the score of the result, which is no point of the curve where
        voxels were held out.
    """
    errors = np.asarray(reconstruction.errors, np.float64)
    errors = np.where(errors > 0, errors, np.nan)
    free = np.asarray(reconstruction.free_errors, np.float64)
    is_free = bool(np.isfinite(free).any())
    score = free if is_free else np.array([_last(row) for row in errors])
    ranked = [int(start) for start in np.argsort(score)]
    name = "χ² of held-out voxels" if is_free else "last χ²"
    title = f"ranked by {name}" + (f"\n(first {_LISTED} of {len(ranked)})" if len(ranked) > _LISTED else "")
    labels = {start: f"start {start}: {score[start]:.3g}" for start in ranked}
    if stages:
        ranked, title = [reconstruction.best], name
        result = reconstruction.free_error if is_free else score[reconstruction.best]
        of_prediction = "network prediction,\nthen its refinement" if stages[0][0] == PREDICTION else "refinement"
        labels = {reconstruction.best: f"χ² of fitted voxels:\n{of_prediction}"}
        title = f"result: {result:.3g}\n({name})"
    begins = np.cumsum([0, *(length for _, length in stages)])
    full = next((int(begin) for begin, (stage, _) in zip(begins, stages, strict=False) if stage == FULL), 0)
    iterations = np.arange(1, errors.shape[1] + 1)

    figure = new_figure((11.0, 5.4))
    axes = figure.subplots()
    for rank, start in enumerate(ranked):
        is_best = start == reconstruction.best
        shade = 0.25 + 0.5 * rank / max(1, len(ranked) - 1)
        axes.plot(
            np.insert(iterations.astype(float), full, np.nan),  # errors on two grids are no one line
            np.insert(errors[start], full, np.nan),
            color=ACCENT if is_best else str(shade),
            linewidth=2.6 if is_best else 1.0,
            marker="o" if len(iterations) == 1 else None,
            zorder=3 if is_best else 2,
            label=labels[start] if rank < _LISTED or is_best else None,
        )
    figure.legend(title=title, loc="outside right upper", alignment="left")
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(1.5, 0.6)))
    axes.set_xlabel("iteration")
    axes.set_ylabel("χ²")
    axes.set_xlim(0, errors.shape[1] + 1)
    axes.grid(True, which="major", color="#e2e2e8", linewidth=0.8)
    if chi2_noise:
        (level,) = axes.plot(
            (full, errors.shape[1] + 1), (chi2_noise, chi2_noise),
            color="#2166ac", linestyle="--", linewidth=1.6, zorder=1,
            label=f"counting noise\nalone: {chi2_noise:.3g}" + ("\n(full grid)" if full else ""),
        )  # fmt: skip
        figure.legend(handles=[level], loc="outside right lower")
    _tell_apart(axes, stages, begins, full)
    return figure


def _tell_apart(axes: Axes, stages: Sequence[tuple[str, int]], begins: np.ndarray, full: int) -> None:
    """A line where each stage begins, the heaviest at the change of grid, and above it the name, where there is room."""
    for (name, length), begin in zip(stages, begins, strict=False):
        if begin:
            is_other_grid = begin == full
            axes.axvline(begin + 0.5, color="0.2" if is_other_grid else "0.7", linewidth=1.6 if is_other_grid else 0.8)
        if length > _ROOM * begins[-1]:
            axes.annotate(
                textwrap.fill(name, 11, break_long_words=False), (begin + length / 2, 1.0),
                xycoords=("data", "axes fraction"), xytext=(0, 4), textcoords="offset points",
                ha="center", va="bottom", fontsize=10,
            )  # fmt: skip


def _last(row: np.ndarray) -> float:
    """The last finite value, infinity if there is none: a start may stop early."""
    finite = row[np.isfinite(row)]
    return float(finite[-1]) if finite.size else np.inf
