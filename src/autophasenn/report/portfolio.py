"""All figures of one result, into a folder; in arrays alone, so that a process without torch can draw them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.report.numbers import Report
from autophasenn.report.words import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from autophasenn.report.isosurface import CrystalViews

Arrays = NDArray[Any]


@dataclass(frozen=True, eq=False)
class MeasuredArrays:
    """A `Measured` in arrays."""

    counts: Arrays
    mask: Arrays
    reciprocal_steps: Arrays | None = None


@dataclass(frozen=True, eq=False)
class CalculatedArrays:
    """A `Calculated` in arrays."""

    intensity: Arrays
    errors: Arrays
    free_errors: Arrays
    free_error: float
    best: int


@dataclass(frozen=True, eq=False)
class Portfolio:
    """What the figures of a result show.

    Parameters
    ----------
    image : CrystalImage
    pattern : MeasuredArrays
    found : CalculatedArrays
    report : Report
    stages : sequence of (str, int)
        Name and iterations of each part of a refinement, see `convergence.convergence`.
    prtf : (float array (shells,), float array (shells,), float or None), optional
        Frequency, PRTF, and the length at which it falls to 1/e; None: one start.
    aliens : (bool array (n0, n1, n2), float array (clusters, 3)), optional
        What was masked, and where; None: nothing.
    title : str
    is_whole : bool
        Whether all figures are drawn, or the overview alone.
    """

    image: CrystalImage
    pattern: MeasuredArrays
    found: CalculatedArrays
    report: Report
    stages: Sequence[tuple[str, int]] = ()
    prtf: tuple[Arrays, Arrays, float | None] | None = None
    aliens: tuple[Arrays, Arrays] | None = None
    title: str = ""
    is_whole: bool = True

    def draw(self, folder: Path) -> tuple[str, ...]:
        """Draw every figure that applies, the overview first; a sentence for each that this machine cannot draw."""
        with Studio() as studio:
            return studio.draw(self, folder)

    def pictures(self, views: CrystalViews | None) -> Iterator[Picture]:
        """Every figure that applies, the overview first.

        Parameters
        ----------
        views : CrystalViews, optional
            Of the image; None: there is no surface, or it cannot be rendered.
        """
        from autophasenn.report.aliens import aliens
        from autophasenn.report.confidence import spread_map
        from autophasenn.report.convergence import convergence
        from autophasenn.report.isosurface import isosurface
        from autophasenn.report.overview import overview
        from autophasenn.report.pattern import pattern_comparison
        from autophasenn.report.prtf import prtf
        from autophasenn.report.slices import slices

        image, pattern, found, report = self.image, self.pattern, self.found, self.report
        shown = _surface(image)
        yield Picture(
            "overview.png", None, lambda: overview(image, pattern, found, report, title=self.title, views=views)
        )
        if views is not None:
            yield Picture("isosurface.png", shown, lambda: isosurface(image, views=views))
        yield Picture("slices.png", shown, lambda: slices(image))
        counted = (found.intensity, pattern.counts, pattern.mask, pattern.reciprocal_steps)
        yield Picture("pattern.png", counted, lambda: pattern_comparison(pattern, found))
        fallen = (found.errors, found.free_errors, found.free_error, found.best, report.chi2_noise, str(self.stages))
        yield Picture(
            "convergence.png", fallen, lambda: convergence(found, chi2_noise=report.chi2_noise, stages=self.stages)
        )
        if self.prtf is not None:
            falls, in_voxels = self.prtf, pattern.reciprocal_steps is None
            yield Picture("prtf.png", None, lambda: prtf(*falls, in_voxels=in_voxels))
        if image.phase_spread is not None:
            trust = report.confidence
            caption = f"Confidence {percent(trust.number)}, from {trust.variants} images"
            yield Picture("confidence.png", None, lambda: spread_map(image, title=caption))
        if self.aliens is not None:
            masked = self.aliens
            yield Picture("aliens.png", (pattern.counts, *masked), lambda: aliens(pattern.counts, *masked))


@dataclass(frozen=True, eq=False)
class Picture:
    """One figure that can be drawn.

    Parameters
    ----------
    name : str
        Of its file.
    shows : tuple, optional
        Arrays and numbers that it is made of: where they are equal, the figure is the same. None: not worth comparing.
    draw : callable
    """

    name: str
    shows: tuple[Any, ...] | None
    draw: Callable[[], Figure]


class Studio:
    """Draws portfolios one after the other; what is the same in the next one is drawn once, the surface too.

    Use it as a context, so that the renderer is closed.
    """

    def __init__(self) -> None:
        self._drawn: dict[str, tuple[tuple[Any, ...], bytes]] = {}
        self._views: tuple[CrystalImage, CrystalViews | None, str] | None = None

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def draw(self, portfolio: Portfolio, folder: Path) -> tuple[str, ...]:
        """Into PNG files, the overview first; a sentence for each figure that this machine cannot draw."""
        views, reason = self._views_of(portfolio.image)
        for picture in portfolio.pictures(views):
            (folder / picture.name).write_bytes(self._png(picture))
            if not portfolio.is_whole:
                return ()
        return (reason,) if reason else ()

    def draw_ahead(self, portfolio: Portfolio) -> None:
        """Draw what the next portfolio may show unchanged."""
        for picture in portfolio.pictures(self._views_of(portfolio.image)[0]):
            if picture.shows is not None:
                self._png(picture)

    def _png(self, picture: Picture) -> bytes:
        from autophasenn.report.style import png_of

        if picture.shows is None:
            return png_of(picture.draw())
        shown, png = self._drawn.get(picture.name, (None, b""))
        if shown is None or not _are_equal(shown, picture.shows):
            png = png_of(picture.draw())
            self._drawn[picture.name] = picture.shows, png
        return png

    def _views_of(self, image: CrystalImage) -> tuple[CrystalViews | None, str]:
        """The surface, or why there is none."""
        from autophasenn.report.isosurface import CrystalViews
        from autophasenn.report.opengl import NoOpenGLError

        if self._views is None or not _are_equal(_surface(self._views[0]), _surface(image)):
            self._close()
            try:
                self._views = image, CrystalViews(image), ""
            except (NoOpenGLError, InputError) as error:  # InputError: no voxel inside reaches the isovalue
                self._views = image, None, str(error)
        return self._views[1:]

    def _close(self) -> None:
        if self._views is not None and self._views[1] is not None:
            self._views[1].close()
        self._views = None


def _surface(image: CrystalImage) -> tuple[Any, ...]:
    return image.amplitude, image.phase, image.support, image.strain, image.voxel_size, image.scattering_vector


def _are_equal(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Are all arrays and numbers of two pictures equal, NaN with NaN?"""
    return len(one) == len(other) and all(
        (a is None) == (b is None) and (a is b or _same(np.asarray(a), np.asarray(b)))
        for a, b in zip(one, other, strict=True)
    )


def _same(one: Arrays, other: Arrays) -> bool:
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
