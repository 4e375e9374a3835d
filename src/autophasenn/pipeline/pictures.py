"""The figures of a result, into its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.physics import metrics
from autophasenn.pipeline.summary import Shells
from autophasenn.preprocessing.aliens import Aliens
from autophasenn.report.numbers import Report
from autophasenn.report.words import percent
from autophasenn.volumes import Pattern, Reconstruction


def draw_all(
    folder: Path,
    image: CrystalImage,
    pattern: Pattern,
    found: Reconstruction,
    report: Report,
    *,
    aliens: Aliens | None,
    shells: Shells | None,
    title: str,
) -> tuple[str, ...]:
    """Draw every figure that applies.

    Parameters
    ----------
    folder : Path
    image, pattern, found, report
        Of the result.
    aliens : Aliens, optional
        None: not known.
    shells : tuple of arrays, optional
        Frequency and PRTF; None: one start.
    title : str

    Returns
    -------
    tuple of str
        A sentence for each figure that this machine cannot draw.
    """
    from autophasenn.report.aliens import aliens as draw_aliens
    from autophasenn.report.confidence import spread_map
    from autophasenn.report.convergence import convergence
    from autophasenn.report.isosurface import isosurface
    from autophasenn.report.opengl import NoOpenGLError
    from autophasenn.report.overview import overview
    from autophasenn.report.pattern import pattern_comparison
    from autophasenn.report.prtf import prtf
    from autophasenn.report.slices import slices

    left_out: list[str] = []
    slices(image, folder / "slices.png")
    pattern_comparison(pattern, found, folder / "pattern.png")
    convergence(found, folder / "convergence.png", chi2_noise=report.chi2_noise, stages=_stages(report.path))
    overview(image, pattern, found, report, folder / "overview.png", title=title)
    try:
        isosurface(image, folder / "isosurface.png")
    except (NoOpenGLError, InputError) as error:  # InputError: no voxel inside reaches the isovalue
        left_out.append(str(error))
    if shells is not None:
        frequency, value = shells
        unknown = pattern.reciprocal_steps is None
        prtf(frequency, value, metrics.resolution(frequency, value), folder / "prtf.png", in_voxels=unknown)
    if found.phase_spread is not None and found.amplitude_spread is not None:
        spreads = found.amplitude_spread.numpy(), found.phase_spread.numpy()
        caption = f"Confidence {percent(report.confidence.number)}, from {report.confidence.variants} images"
        spread_map(found.object.numpy(), *spreads, found.support.numpy(), folder / "confidence.png", title=caption)
    if aliens is not None and aliens.clusters:
        centres = [cluster.centre for cluster in aliens.clusters]
        draw_aliens(pattern.counts.numpy(), aliens.mask, centres, folder / "aliens.png")
    return tuple(left_out)


def _stages(path: Any) -> list[tuple[str, int]]:
    """Name and iterations of each part of a refinement, the prediction first; none of retrieval from random starts."""
    if path is None:
        return []
    return [("prediction", 1), *((step["name"], step["iterations"]) for step in path["iterations"])]
