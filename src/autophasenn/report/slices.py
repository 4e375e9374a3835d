"""Three orthogonal slices of the image through the centre of the crystal, one column a quantity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from autophasenn.image import CrystalImage
from autophasenn.report.annotations import direction, scale_bar
from autophasenn.report.planes import Plane, axis_label, planes_of
from autophasenn.report.scales import Scale, displacement_scale, phase_scale, strain_scale
from autophasenn.report.style import INK, OUTSIDE, colour_bar, figure_to, frame, named_map


def slices(image: CrystalImage, path: Path | str) -> None:
    """Draw amplitude, phase, displacement and strain on the three planes through the centre of mass.

    One row a plane and one column a quantity, all at one scale. Outside the support is neutral grey, the outline of the
    support is drawn over the amplitude, and an arrow shows the part of the scattering vector Q that lies in the plane.
    Without geometry the units are voxels, and there is neither displacement nor strain.

    Parameters
    ----------
    image : CrystalImage
    path : path
        PNG file to write.
    """
    columns = _columns(image)
    planes = planes_of(image)
    width, height = 0.5 + 2.85 * len(columns), 1.2 + 2.75 * len(planes)
    with figure_to(path, (width, height)) as figure:
        panels = figure.subplots(len(planes), len(columns), squeeze=False)
        for column, (scale, values) in enumerate(columns):
            for row, plane in enumerate(planes):
                axes = panels[row, column]
                draw_slice(axes, image, plane, scale, values, with_labels=column == 0)
                if row == 0:
                    axes.set_title(scale.title if scale else "amplitude")
            below = list(panels[:, column])
            placed: dict[str, Any] = {"location": "bottom", "shrink": 0.9, "aspect": 22, "pad": 0.015}
            if scale is None:
                colour_bar(figure, below, _AMPLITUDE, Normalize(0, 1), **placed)
            else:
                scale.colour_bar(figure, below, **placed)
        if image.voxel_size is None:
            figure.suptitle("Geometry unknown: lengths in voxels, no strain", fontsize=13, color=INK)


_AMPLITUDE = named_map("bone_r", 0.0, 0.82)


def _columns(image: CrystalImage) -> list[tuple[Scale | None, NDArray[np.float32]]]:
    """Each quantity with its scale; None stands for the amplitude, 0 to 1."""
    columns: list[tuple[Scale | None, NDArray[np.float32]]] = [
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
    values: NDArray[np.float32],
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
