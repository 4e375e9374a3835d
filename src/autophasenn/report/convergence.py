"""How the error fell, for every start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import LogFormatterSciNotation

from autophasenn.report.style import ACCENT, figure_to
from autophasenn.volumes import Reconstruction

_LISTED = 6


def convergence(reconstruction: Reconstruction, path: Path | str, *, chi2_noise: float | None = None) -> None:
    """Draw chi2 against the iteration: the chosen start in bold, the others thin, listed by rank.

    Parameters
    ----------
    reconstruction : Reconstruction
        Starts are ranked by `free_errors`, or by their last error where no voxels were held out.
    path : path
        PNG file to write.
    chi2_noise : float, optional
        What counting noise alone gives a perfect object; drawn as a level.
    """
    errors = reconstruction.errors.cpu().double().numpy()
    errors = np.where(errors > 0, errors, np.nan)
    free = reconstruction.free_errors.cpu().double().numpy()
    is_free = bool(np.isfinite(free).any())
    score = free if is_free else np.array([_last(row) for row in errors])
    ranked = [int(start) for start in np.argsort(score)]
    name = "χ² free" if is_free else "last χ²"
    iterations = np.arange(1, errors.shape[1] + 1)

    with figure_to(path, (11.0, 5.4)) as figure:
        axes = figure.subplots()
        for rank, start in enumerate(ranked):
            is_best = start == reconstruction.best
            shade = 0.25 + 0.5 * rank / max(1, len(ranked) - 1)
            axes.plot(
                iterations,
                errors[start],
                color=ACCENT if is_best else str(shade),
                linewidth=2.6 if is_best else 1.0,
                zorder=3 if is_best else 2,
                label=f"start {start}: {score[start]:.3g}" if rank < _LISTED or is_best else None,
            )
        if chi2_noise:
            axes.axhline(chi2_noise, color="#2166ac", linestyle="--", linewidth=1.6, zorder=1)
            axes.annotate(
                f"counting noise alone: {chi2_noise:.3g}", (0.01, chi2_noise), xycoords=("axes fraction", "data"),
                xytext=(0, -5), textcoords="offset points", color="#2166ac", va="top", fontsize=11,
            )  # fmt: skip
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(1.5, 0.6)))
        axes.set_xlabel("iteration")
        axes.set_ylabel("χ²")
        axes.set_xlim(0, errors.shape[1] + 1)
        axes.grid(True, which="major", color="#e2e2e8", linewidth=0.8)
        hidden = max(0, len(ranked) - _LISTED)
        title = f"ranked by {name}" + (f"\n(first {_LISTED} of {len(ranked)})" if hidden else "")
        figure.legend(title=title, loc="outside right upper", alignment="left")


def _last(row: np.ndarray) -> float:
    """The last finite value, infinity if there is none: a start may stop early."""
    finite = row[np.isfinite(row)]
    return float(finite[-1]) if finite.size else np.inf
