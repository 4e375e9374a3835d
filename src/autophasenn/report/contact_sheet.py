"""Many samples on one sheet: a row each, central slices of the pattern and, where it is known, of the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from autophasenn.physics.metrics import support_of
from autophasenn.report.detector import Panels, counts_scale, loggable
from autophasenn.report.planes import SECTIONS
from autophasenn.report.style import OUTSIDE, colour_bar, cyclic_map, frame, named_map, new_figure, styled
from autophasenn.volumes import Scan

_SIDES = (2.7, 1.75)
"""Height of a row in inches: of a single one, of many."""
_TEXT = 1.9
"""Width of the column of numbers, inches."""
_AMPLITUDE = named_map("bone_r", 0.0, 0.82)
_PHASE = cyclic_map()


@dataclass(frozen=True, eq=False)
class Row:
    """One sample of the sheet.

    Parameters
    ----------
    counts : float tensor (n0, n1, n2)
        Peak at index ``n // 2``.
    mask : bool tensor (n0, n1, n2)
        True = measured.
    object : complex tensor (m0, m1, m2), optional
        None: unknown.
    notes : sequence of str
        Short lines beside it.
    reciprocal_steps : float64 tensor (3, 3), optional
        1/m; None: lengths in voxels.
    """

    counts: Tensor
    mask: Tensor
    object: Tensor | None
    notes: Sequence[str]
    reciprocal_steps: Tensor | None = None


def as_stored(scan: Scan) -> Row:
    """The frames of a scan as they were read."""
    counts = torch.from_numpy(scan.frames.astype(np.float32))
    mask = torch.ones_like(counts, dtype=torch.bool) if scan.mask is None else torch.from_numpy(scan.mask)
    mask = mask.expand(counts.shape) & counts.isfinite() & (counts >= 0)
    return Row(counts.nan_to_num(0).clamp_min(0), mask, None, ["as stored"])


@styled
def contact_sheet(rows: Sequence[Row], title: str = "") -> Figure:
    """Draw each sample on a row: numbers, counts on the three central planes, amplitude and phase on the first of them.

    Counts share one logarithmic scale, in which unmeasured voxels are grey. The phase is as stored, over -pi..pi in a
    cyclic map, where the amplitude is at least 10 % of its maximum.

    Parameters
    ----------
    rows : sequence of Row
        At least one; all patterns of one shape.
    title : str
    """
    side = _SIDES[len(rows) > 1]
    panels = Panels.of(_shape(rows[0].counts), rows[0].reciprocal_steps, side)
    with_object = any(row.object is not None for row in rows)
    widths = [_TEXT, *panels.widths, *([side, side] if with_object else [])]
    seen = [row.counts[row.mask & (row.counts > 0)] for row in rows]
    largest = max((float(counts.max()) for counts in seen if counts.numel()), default=1.0)
    smallest = min((float(counts.min()) for counts in seen if counts.numel()), default=1.0)
    colours, norm = counts_scale(largest, smallest)
    height = (side + 0.06) * len(rows) + (1.75 if title else 1.35)
    figure = new_figure((sum(widths) + 0.1 * len(widths) + 0.2, height))
    if title:
        figure.suptitle(title, parse_math=False, fontsize=13)
    grid = figure.subplots(len(rows), len(widths), squeeze=False, width_ratios=widths)
    for row, axes in zip(rows, grid, strict=True):
        _notes(axes[0], row.notes)
        for number, section in enumerate(SECTIONS):
            values = loggable(section.central(row.counts), norm, section.central(row.mask))
            panels.draw(axes[1 + number], values, number, colours, norm)
        if with_object:
            _draw_object(axes[4], axes[5], row.object)
    for number in range(len(SECTIONS)):
        across, down = panels.labels(number)
        grid[0, 1 + number].set_title(across, fontsize=11)
        grid[0, 1 + number].set_ylabel(down, fontsize=11)
    _colour_bars(figure, grid, colours, norm, with_object=with_object)
    return figure


def _shape(volume: Tensor) -> tuple[int, int, int]:
    n0, n1, n2 = volume.shape
    return n0, n1, n2


def _notes(axes: Axes, notes: Sequence[str]) -> None:
    axes.axis("off")
    axes.text(0, 0.5, "\n".join(notes), transform=axes.transAxes, va="center", ha="left", fontsize=11, linespacing=1.4)


def _draw_object(amplitude: Axes, phase: Axes, rho: Tensor | None) -> None:
    if rho is None:
        amplitude.axis("off")
        phase.axis("off")
        return
    section = SECTIONS[0]
    plane, inside = section.central(rho), section.central(support_of(rho))
    amplitude.imshow(np.abs(plane) / float(rho.abs().max()), cmap=_AMPLITUDE, vmin=0, vmax=1, interpolation="nearest")
    angle = np.where(inside, np.angle(plane), np.nan)
    phase.imshow(angle, cmap=_PHASE, vmin=-np.pi, vmax=np.pi, interpolation="nearest")
    phase.set_facecolor(OUTSIDE)
    for axes in (amplitude, phase):
        frame(axes)


def _colour_bars(figure: Figure, grid: np.ndarray, colours: Colormap, norm: LogNorm, *, with_object: bool) -> None:
    placed = {"location": "bottom", "shrink": 0.9, "pad": 0.01}
    colour_bar(figure, list(grid[:, 1:4].flat), colours, norm, "counts (grey: not measured)", aspect=40, **placed)
    if not with_object:
        return
    grid[0, 4].set_title("amplitude", fontsize=11)
    grid[0, 5].set_title("phase", fontsize=11)
    colour_bar(figure, list(grid[:, 4]), _AMPLITUDE, Normalize(0, 1), "", aspect=14, **placed)
    bar = colour_bar(figure, list(grid[:, 5]), _PHASE, Normalize(-np.pi, np.pi), "rad", aspect=14, **placed)
    bar.set_ticks([-np.pi, 0, np.pi], labels=["−π", "0", "π"])
