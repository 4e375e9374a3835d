"""The measured pattern beside the calculated one, and what is left between them."""

from __future__ import annotations

from pathlib import Path

from autophasenn.report.detector import Panels, counts_scale, loggable, residual_of, residual_scale
from autophasenn.report.planes import SECTIONS
from autophasenn.report.style import colour_bar, figure_to
from autophasenn.volumes import Pattern, Reconstruction


def pattern_comparison(pattern: Pattern, reconstruction: Reconstruction, path: Path | str) -> None:
    """Draw measured counts, calculated counts and their residual on the three central planes.

    Counts share one logarithmic scale. The residual is ``sqrt(I_m) - sqrt(I_c)``, whose standard deviation from
    counting noise alone is 1/2 wherever more than a few counts are expected. Unmeasured voxels are grey, never zero.

    Parameters
    ----------
    pattern : Pattern
    reconstruction : Reconstruction
        On the grid of `pattern`.
    path : path
        PNG file to write.
    """
    measured = [section.central(pattern.counts) for section in SECTIONS]
    calculated = [section.central(reconstruction.intensity) for section in SECTIONS]
    masks = [section.central(pattern.mask) for section in SECTIONS]
    residuals = [residual_of(*planes) for planes in zip(measured, calculated, masks, strict=True)]

    seen = pattern.counts[pattern.mask]
    colours, norm = counts_scale(float(seen.max()), float(seen[seen > 0].min()))
    residual_colours, residual_norm = residual_scale(residuals)

    panels = Panels.of(pattern.shape, pattern.reciprocal_steps, 2.7)
    with figure_to(path, (sum(panels.widths) + 2.6, 3 * panels.height + 0.9)) as figure:
        grid = panels.draw_on(figure, 3)
        for number in range(len(SECTIONS)):
            rows = (
                (loggable(measured[number], norm, masks[number]), colours, norm),
                (loggable(calculated[number], norm), colours, norm),
                (residuals[number], residual_colours, residual_norm),
            )
            across, down = panels.labels(number)
            grid[0, number].set_title(across, fontsize=12)
            for axes, row, name in zip(grid[:, number], rows, ("measured", "calculated", "residual"), strict=True):
                panels.draw(axes, row[0], number, row[1], row[2])
                axes.set_ylabel(f"{name}\n{down}" if number == 0 else down, linespacing=1.5)
        colour_bar(figure, [*grid[0], *grid[1]], colours, norm, "counts", shrink=0.8, aspect=32, extend="min")
        label = "√measured − √calculated\n(noise alone: ±0.5)"
        colour_bar(figure, list(grid[2]), residual_colours, residual_norm, label, shrink=0.85, aspect=16, extend="both")
