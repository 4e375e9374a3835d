"""What the figures of a result show, made of the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.image import CrystalImage
from autophasenn.physics import metrics
from autophasenn.pipeline.summary import Shells
from autophasenn.preprocessing.aliens import Aliens
from autophasenn.preprocessing.repeated import Judged
from autophasenn.report.numbers import Report
from autophasenn.report.portfolio import CalculatedArrays, MeasuredArrays, Portfolio
from autophasenn.volumes import Pattern, Reconstruction


def portfolio_of(
    image: CrystalImage,
    pattern: Pattern,
    found: Reconstruction,
    report: Report,
    *,
    aliens: Aliens | None,
    shells: Shells | None,
    title: str,
    is_whole: bool = True,
) -> Portfolio:
    """What the figures show.

    Parameters
    ----------
    image, pattern, found, report
        Of the result.
    aliens : Aliens, optional
        None: not known.
    shells : tuple of arrays, optional
        Frequency and PRTF; None: one start.
    title : str
    is_whole : bool
        Whether all figures are drawn, or the overview alone.
    """
    steps = pattern.reciprocal_steps
    masked = None
    if aliens is not None and aliens.clusters:
        masked = aliens.mask, np.array([cluster.centre for cluster in aliens.clusters])
    return Portfolio(
        image=image,
        pattern=MeasuredArrays(
            pattern.counts.cpu().numpy(), pattern.mask.cpu().numpy(), None if steps is None else steps.cpu().numpy()
        ),
        found=CalculatedArrays(
            found.intensity.cpu().numpy(), found.errors.cpu().numpy(), found.free_errors.cpu().numpy(),
            float(found.free_error), found.best,
        ),
        report=report,
        stages=_stages(report.path, found.errors.shape[1]),
        prtf=None if shells is None else (*shells, metrics.resolution(*shells)),
        aliens=masked,
        title=title,
        is_whole=is_whole,
    )  # fmt: skip


def draw_repeated(folder: Path, judged: Sequence[Judged], title: str) -> None:
    """The picture of scans that were summed, and of those that were left out."""
    from autophasenn.report.repeated_scans import repeated_scans
    from autophasenn.report.style import save

    figure = repeated_scans(
        [Path(each.name).name for each in judged],
        [each.section for each in judged],
        [each.shift for each in judged],
        [each.alike for each in judged],
        [each.is_used for each in judged],
        title,
    )
    save(figure, folder / "scans.png")


def _stages(path: Any, errors: int) -> list[tuple[str, int]]:
    """Name and iterations of each part of a refinement; none of retrieval from random starts.

    What comes before the first part is the prediction; an image from elsewhere has none.
    """
    if path is None:
        return []
    parts = [(step["name"], step["iterations"]) for step in path["iterations"]]
    before = errors - sum(iterations for _, iterations in parts)
    return [("prediction", before), *parts] if before else parts
