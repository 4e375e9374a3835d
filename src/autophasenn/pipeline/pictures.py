"""The figures of a result, into its folder."""

from __future__ import annotations

from contextlib import ExitStack
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
    """Draw every figure that applies, the overview first.

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
    from autophasenn.report.isosurface import CrystalViews, isosurface
    from autophasenn.report.opengl import NoOpenGLError
    from autophasenn.report.overview import overview
    from autophasenn.report.pattern import pattern_comparison
    from autophasenn.report.prtf import prtf
    from autophasenn.report.slices import slices
    from autophasenn.report.style import save

    left_out: list[str] = []
    with ExitStack() as stack:
        views: CrystalViews | None = None
        try:
            views = stack.enter_context(CrystalViews(image))
        except (NoOpenGLError, InputError) as error:  # InputError: no voxel inside reaches the isovalue
            left_out.append(str(error))
        save(overview(image, pattern, found, report, title=title, views=views), folder / "overview.png")
        if views is not None:
            save(isosurface(image, views=views), folder / "isosurface.png")
    save(slices(image), folder / "slices.png")
    save(pattern_comparison(pattern, found), folder / "pattern.png")
    stages = _stages(report.path, found.errors.shape[1])
    save(convergence(found, chi2_noise=report.chi2_noise, stages=stages), folder / "convergence.png")
    if shells is not None:
        frequency, value = shells
        length = metrics.resolution(frequency, value)
        save(prtf(frequency, value, length, in_voxels=pattern.reciprocal_steps is None), folder / "prtf.png")
    if image.phase_spread is not None:
        caption = f"Confidence {percent(report.confidence.number)}, from {report.confidence.variants} images"
        save(spread_map(image, title=caption), folder / "confidence.png")
    if aliens is not None and aliens.clusters:
        centres = [cluster.centre for cluster in aliens.clusters]
        save(draw_aliens(pattern.counts.numpy(), aliens.mask, centres), folder / "aliens.png")
    return tuple(left_out)


def _stages(path: Any, errors: int) -> list[tuple[str, int]]:
    """Name and iterations of each part of a refinement; none of retrieval from random starts.

    What comes before the first part is the prediction; an image from elsewhere has none.
    """
    if path is None:
        return []
    parts = [(step["name"], step["iterations"]) for step in path["iterations"]]
    before = errors - sum(iterations for _, iterations in parts)
    return [("prediction", before), *parts] if before else parts
