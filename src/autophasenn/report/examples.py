"""Single patterns of an evaluation: what was measured, what is true, and what every method made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from autophasenn.image import CrystalImage
from autophasenn.physics.metrics import support_of
from autophasenn.report.detector import counts_scale, loggable
from autophasenn.report.evaluation import NAMES
from autophasenn.report.isosurface import FRONT
from autophasenn.report.opengl import NoOpenGLError
from autophasenn.report.planes import SECTIONS
from autophasenn.report.style import OUTSIDE, colour_bar, cyclic_map, frame, new_figure, styled
from autophasenn.report.surface import ISOVALUE, render, surface_of

TRUTH = "truth"
_SIDE = 2.3
_PHASE = Normalize(-np.pi, np.pi)


@dataclass(frozen=True, eq=False)
class Example:
    """One pattern and the objects found for it.

    Parameters
    ----------
    notes : sequence of str
        Short lines beside it.
    counts : float tensor (n0, n1, n2)
    mask : bool tensor (n0, n1, n2)
        True = measured.
    objects : mapping of str to complex tensor (m0, m1, m2)
        Aligned with each other: "truth", where it is known, and methods.
    captions : mapping of str to str
        Under the objects.
    """

    notes: Sequence[str]
    counts: Tensor
    mask: Tensor
    objects: Mapping[str, Tensor]
    captions: Mapping[str, str]


@styled
def examples(rows: Sequence[Example]) -> tuple[Figure, str | None]:
    """Draw a row for each example: the pattern, and surfaces at 30 % of the largest amplitude coloured by phase.

    Parameters
    ----------
    rows : sequence of Example
        At least one; the same objects in all.

    Returns
    -------
    figure : matplotlib.figure.Figure
    trouble : str or None
        A sentence where this machine cannot render surfaces: central slices of the phase are drawn in their place.
    """
    names = list(rows[0].objects)
    trouble: str | None = None
    figure = new_figure((1.6 + (_SIDE + 0.05) * (1 + len(names)), (_SIDE + 0.35) * len(rows) + 1.4))
    figure.suptitle(f"Surfaces at {ISOVALUE:.0%} of the largest amplitude", fontsize=14)
    grid = figure.subplots(len(rows), 2 + len(names), squeeze=False, width_ratios=[1.6, *[_SIDE] * (1 + len(names))])
    for axes, row in zip(grid, rows, strict=True):
        axes[0].axis("off")
        axes[0].text(0, 0.5, "\n".join(row.notes), transform=axes[0].transAxes, va="center", linespacing=1.5)
        _draw_pattern(axes[1], row)
        try:
            pictures = _rendered(row)
        except NoOpenGLError as error:
            trouble, pictures = str(error), {}
        for panel, name in zip(axes[2:], names, strict=True):
            if name in pictures:
                panel.imshow(pictures[name], interpolation="antialiased")
            elif trouble is not None:
                _draw_slice(panel, row.objects[name])
            frame(panel)
            panel.spines[:].set_visible(False)
            panel.set_xlabel(row.captions.get(name, ""), fontsize=10)
    for panel, name in zip(grid[0, 1:], ("pattern", *names), strict=True):
        panel.set_title(NAMES.get(name, name), fontsize=12)
    colour_bar(
        figure,
        list(grid[:, 2:].flat),
        cyclic_map(),
        _PHASE,
        "phase (rad)",
        location="bottom",
        shrink=0.4,
        aspect=40,
    )
    return figure, trouble


def _draw_pattern(axes: Axes, row: Example) -> None:
    seen = row.counts[row.mask & (row.counts > 0)]
    colours, norm = counts_scale(float(seen.max()), float(seen.min()))
    section = SECTIONS[0]
    axes.imshow(loggable(section.central(row.counts), norm, section.central(row.mask)), cmap=colours, norm=norm)
    frame(axes)


def _rendered(row: Example) -> dict[str, NDArray[np.uint8]]:
    surfaces = {name: surface_of(_image(rho)) for name, rho in row.objects.items() if bool((rho != 0).any())}
    half_width = max(surface.half_width([FRONT]) for surface in surfaces.values())
    colours = cyclic_map()
    return {
        name: render(surface, (colours(_PHASE(surface.phase))[:, :3] * 255).astype(np.uint8), [FRONT], half_width, 420)[
            0
        ]
        for name, surface in surfaces.items()
    }


def _image(rho: Tensor) -> CrystalImage:
    amplitude = (rho.abs() / rho.abs().max()).numpy()
    # Below the surface's own amplitude the phase is that of ripples beside the crystal.
    phase = np.where(amplitude >= ISOVALUE, rho.angle().numpy(), np.nan)
    return CrystalImage(amplitude, phase, support_of(rho).numpy())


def _draw_slice(axes: Axes, rho: Tensor) -> None:
    section = SECTIONS[0]
    shown = np.where(section.central(support_of(rho)), np.angle(section.central(rho)), np.nan)
    axes.imshow(shown, cmap=cyclic_map(), norm=_PHASE, interpolation="nearest")
    axes.set_facecolor(OUTSIDE)
