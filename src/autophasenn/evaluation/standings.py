"""What a method is worth on a set: the share of crystals that it finds, how near it comes, how true its confidence is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autophasenn.evaluation.scores import Numbers
from autophasenn.physics.metrics import GOOD

WRONG = 0.90
"""Correlation with the truth below which an image is wrong."""
SURE = 0.5
"""Confidence above which an image is believed."""
BINS = 10
"""Of equal width, in which confidences are compared with what they promise."""
Z = 1.959964
"""Standard deviations of a normal distribution that hold 95 %."""
ALL = "all"
"""The name of all sets together, as far as every method has inverted their crystals."""


@dataclass(frozen=True)
class Standing:
    """A method on a set. What is not known is None.

    Parameters
    ----------
    set, method : str
    n : int
        Crystals.
    found : int, optional
        Of which the correlation with the truth is at least `metrics.GOOD`.
    share, share_low, share_high : float, optional
        ``found / n``, and its 95 % interval (:func:`interval`).
    correlation, correlation_median, ssim, phase_mae : float, optional
        Means, and a median; phase_mae in rad.
    seconds : float, optional
        Median of a crystal.
    judged : int
        Crystals with a confidence.
    brier : float, optional
        Mean of ``(confidence - found)^2``, found 0 or 1 (Brier, Mon. Weather Rev. 78, 1 (1950)): 0 is the best, and one that
        always says 0.5 has 0.25.
    ece : float, optional
        Expected calibration error (Guo et al., ICML 2017): how far the mean confidence is from the share found, in `BINS`
        bins weighted by their crystals. Of a few crystals it is large by chance alone.
    wrong : int, optional
        Crystals with a confidence whose correlation is below `WRONG`.
    wrong_sure : int, optional
        Of these, those with a confidence above `SURE`.
    """

    set: str
    method: str
    n: int
    found: int | None
    share: float | None
    share_low: float | None
    share_high: float | None
    correlation: float | None
    correlation_median: float | None
    ssim: float | None
    phase_mae: float | None
    seconds: float | None
    judged: int
    brier: float | None
    ece: float | None
    wrong: int | None
    wrong_sure: int | None


def interval(found: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, J. Am. Stat. Assoc. 22, 209 (1927)): it holds where all or none were found, too.

    Parameters
    ----------
    found : int
        Of the crystals.
    n : int
        Crystals, at least one.
    """
    share, z2 = found / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def standing(name: str, method: str, rows: Sequence[Numbers]) -> Standing:
    """A method on a set.

    Parameters
    ----------
    name, method : str
    rows : sequence of dict
        Of each crystal what `scores.METRICS` names.
    """
    correlations = _known(rows, "correlation")
    n, found = len(correlations), sum(value >= GOOD for value in correlations)
    low, high = interval(found, n) if n else (None, None)
    judged = [(p, c) for row in rows if (p := row["confidence"]) is not None and (c := row["correlation"]) is not None]
    wrong = [p for p, c in judged if c < WRONG]
    return Standing(
        set=name,
        method=method,
        n=len(rows),
        found=found if n else None,
        share=found / n if n else None,
        share_low=low,
        share_high=high,
        correlation=_mean(correlations),
        correlation_median=float(np.median(correlations)) if n else None,
        ssim=_mean(_known(rows, "ssim")),
        phase_mae=_mean(_known(rows, "phase_mae")),
        seconds=float(np.median(seconds)) if (seconds := _known(rows, "seconds")) else None,
        judged=len(judged),
        brier=_mean([(p - (c >= GOOD)) ** 2 for p, c in judged]),
        ece=calibration_error([p for p, _ in judged], [c >= GOOD for _, c in judged]) if judged else None,
        wrong=len(wrong) if judged else None,
        wrong_sure=sum(p > SURE for p in wrong) if judged else None,
    )


def calibration_error(confidences: Sequence[float], found: Sequence[bool]) -> float:
    """Expected calibration error of confidences 0 to 1; see `Standing`.

    Parameters
    ----------
    confidences : sequence of float
        0 to 1; at least one.
    found : sequence of bool
        Whether each came true.
    """
    p, right = np.asarray(confidences, float), np.asarray(found, float)
    places = np.minimum((p * BINS).astype(int), BINS - 1)
    gaps = [abs((p - right)[places == place].sum()) for place in range(BINS)]
    return float(sum(gaps) / len(p))


def _known(rows: Sequence[Numbers], name: str) -> list[float]:
    return [value for row in rows if (value := row[name]) is not None and math.isfinite(value)]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
