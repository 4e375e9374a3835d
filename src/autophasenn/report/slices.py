"""Three orthogonal slices of the image through the centre of the crystal, one column a quantity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autophasenn.image import CrystalImage
from autophasenn.report.annotations import direction, scale_bar
from autophasenn.report.planes import Plane, axis_label, planes_of
from autophasenn.report.scales import Scale, displacement_scale, phase_scale, strain_scale
from autophasenn.report.style import INK, OUTSIDE, colour_bar, frame, named_map, new_figure, panel, styled


@styled
def slices(image: CrystalImage) -> Figure:
    """Draw amplitude, phase, displacement and strain on the three planes through the centre of mass.

    One row a plane and one column a quantity, all at one scale. Outside the support is neutral grey, the outline of the
    support is drawn over the amplitude, and an arrow shows the part of the scattering vector Q that lies in the plane.
    Without geometry the units are voxels, and there is neither displacement nor strain.

    Parameters
    ----------
    image : CrystalImage
    """
    title = "" if image.voxel_size else "Geometry unknown: lengths in voxels, no strain"
    return draw_columns(image, _columns(image), title)


def draw_columns(
    image: CrystalImage, columns: Sequence[tuple[Scale | None, NDArray[np.floating[Any]]]], title: str = ""
) -> Figure:
    """One column a quantity, its colour bar below; one row a plane through the centre of mass.

    Parameters
    ----------
    image : CrystalImage
    columns : sequence of (Scale or None, float array (nx, ny, nz))
        None stands for the amplitude, 0 to 1.
    title : str
    """
    planes = planes_of(image)
    above = 0.45 + 0.4 * bool(title)
    bars = above + len(planes) * (_SIDE + _BELOW) + 0.05
    figure = new_figure((_LEFT + len(columns) * (_SIDE + _GAP), bars + 0.55), is_placed=True)
    lefts = [_LEFT + column * (_SIDE + _GAP) for column in range(len(columns))]
    for row, plane in enumerate(planes):
        for left, (scale, values) in zip(lefts, columns, strict=True):
            axes = panel(figure, left, above + row * (_SIDE + _BELOW), _SIDE, _SIDE)
            draw_slice(axes, image, plane, scale, values, with_labels=left == _LEFT)
            if row == 0:
                axes.set_title(scale.title if scale else "amplitude")
    for left, (scale, _) in zip(lefts, columns, strict=True):
        cax = panel(figure, left + 0.1, bars, _SIDE - 0.2, 0.13)
        placed: dict[str, Any] = {"cax": cax, "orientation": "horizontal"}
        if scale is None:
            colour_bar(figure, [], _AMPLITUDE, Normalize(0, 1), **placed)
        else:
            scale.colour_bar(figure, [], **placed)
    if title:
        figure.suptitle(title, parse_math=False, fontsize=13, color=INK)
    return figure


_LEFT, _SIDE, _GAP, _BELOW = 0.45, 2.6, 0.2, 0.32
"""Inches: room for labels, side of a panel, between panels, below them."""
_AMPLITUDE = named_map("bone_r", 0.0, 0.82)


def _columns(image: CrystalImage) -> list[tuple[Scale | None, NDArray[np.floating[Any]]]]:
    """Each quantity with its scale; None stands for the amplitude, 0 to 1."""
    columns: list[tuple[Scale | None, NDArray[np.floating[Any]]]] = [
        (None, image.amplitude),
        (phase_scale(image.phase), image.phase),
    ]
    if image.displacement is not None:
        columns.append((displacement_scale(image.displacement), image.displacement))
    if image.strain is not None:
        columns.append((strain_scale(image.strain), image.strain))
    return columns


def draw_slice(
    axes: Axes,
    image: CrystalImage,
    plane: Plane,
    scale: Scale | None,
    values: NDArray[np.floating[Any]],
    *,
    with_labels: bool = True,
) -> None:
    """Draw one plane of `values` (the amplitude where `scale` is None) with scale bar, axis names and Q."""
    steps = image.spacing
    middle, half = _window(image)
    extent = tuple(
        (edge - 0.5) * steps[axis] - middle[axis]
        for axis in (plane.across, plane.up)
        for edge in (0, image.shape[axis])
    )

    def cut(volume: NDArray[Any]) -> NDArray[Any]:
        return plane.cut(volume, image.centre[plane.normal])

    style: dict[str, Any] = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    if scale is None:
        axes.imshow(cut(values), cmap=_AMPLITUDE, vmin=0, vmax=1, **style)
        inside = cut(image.support)
        if inside.any() and not inside.all():
            axes.contour(inside, [0.5], colors=INK, linewidths=0.8, origin="lower", extent=extent)
        axes.set_facecolor("white")
    else:
        shown = np.where(cut(image.support), scale.values(cut(values)), np.nan)
        axes.imshow(shown, cmap=scale.colours, norm=scale.norm, **style)
        axes.set_facecolor(OUTSIDE)
    axes.set_xlim(-half, half)
    axes.set_ylim(-half, half)
    frame(axes)
    scale_bar(axes, image.unit)
    if with_labels:
        axes.set_xlabel(f"{axis_label(image, plane.across)} →")
        axes.set_ylabel(f"{axis_label(image, plane.up)} →")
    if image.q_direction is not None:
        across, up, towards = plane.towards_viewer(image.q_direction)
        middle_at, length = 0.83, 0.16
        tail = (middle_at - length * across / 2, middle_at - length * up / 2)
        direction(axes, (across, up, towards), "Q", origin=tail, length=length)


def _window(image: CrystalImage) -> tuple[NDArray[np.float64], float]:
    """Middle of the crystal's box and half the side of the cube drawn around it: nm, or voxels without geometry."""
    middle = [(part.start + part.stop - 1) / 2 * step for part, step in zip(image.box, image.spacing, strict=True)]
    return np.array(middle), 0.68 * max(image.extent)
