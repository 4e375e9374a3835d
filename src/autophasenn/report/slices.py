"""Three orthogonal slices of the image through the centre of the crystal, one column a quantity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from autophasenn.image import CrystalImage
from autophasenn.report.annotations import direction, scale_bar
from autophasenn.report.scales import Scale, displacement_scale, phase_scale, strain_scale
from autophasenn.report.style import INK, OUTSIDE, colour_bar, figure_to, frame, named_map


@dataclass(frozen=True)
class Plane:
    """A slice: which axis of the image runs to the right, which one up, and how both are called."""

    name: str
    across: int
    up: int
    labels: tuple[str, str]

    @property
    def normal(self) -> int:
        """The axis that the plane leaves out."""
        return 3 - self.across - self.up

    def towards_viewer(self, vector: NDArray[np.floating]) -> tuple[float, float, float]:
        """Components of a vector of the image to the right, up, and towards the viewer."""
        handedness = 1 if (self.up - self.across) % 3 == 1 else -1
        return float(vector[self.across]), float(vector[self.up]), handedness * float(vector[self.normal])


LAB_PLANES = (
    Plane("x-y, seen from downstream", 0, 1, ("x", "y")),
    Plane("z-x, seen from above", 2, 0, ("z (beam)", "x")),
    Plane("z-y, seen from inboard", 2, 1, ("z (beam)", "y")),
)
GRID_PLANES = (
    Plane("axes 2 and 1", 2, 1, ("axis 2", "axis 1")),
    Plane("axes 2 and 0", 2, 0, ("axis 2", "axis 0")),
    Plane("axes 1 and 0", 1, 0, ("axis 1", "axis 0")),
)


def planes_of(image: CrystalImage) -> tuple[Plane, ...]:
    """The planes of the laboratory frame, or of the detector's own grid where the geometry is unknown."""
    return LAB_PLANES if image.voxel_size else GRID_PLANES


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
    steps = np.array(image.voxel_size or (1e-9, 1e-9, 1e-9)) * 1e9
    centre = centre_of_mass(image)
    middle, half = _window(image.support, steps)
    extent = tuple(
        (edge - 0.5) * steps[axis] - middle[axis]
        for axis in (plane.across, plane.up)
        for edge in (0, image.support.shape[axis])
    )

    def cut(volume: NDArray[Any]) -> NDArray[Any]:
        section: NDArray[Any] = np.take(volume, centre[plane.normal], axis=plane.normal)
        return section if plane.across > plane.up else section.T

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
    scale_bar(axes, "nm" if image.voxel_size else "voxels")
    if with_labels:
        axes.set_xlabel(f"{plane.labels[0]} →")
        axes.set_ylabel(f"{plane.labels[1]} →")
    if image.scattering_vector is not None:
        unit = image.scattering_vector / np.linalg.norm(image.scattering_vector)
        across, up, towards = plane.towards_viewer(unit)
        middle_at, length = 0.83, 0.16
        tail = (middle_at - length * across / 2, middle_at - length * up / 2)
        direction(axes, (across, up, towards), "Q", origin=tail, length=length)


def centre_of_mass(image: CrystalImage) -> tuple[int, int, int]:
    """The voxel nearest to the amplitude's centre of mass inside the support; the middle voxel if that is empty."""
    weight = np.where(image.support, image.amplitude, 0)
    total = float(weight.sum(dtype=np.float64))
    if total <= 0:
        n0, n1, n2 = weight.shape
        return n0 // 2, n1 // 2, n2 // 2
    means = []
    for axis in range(3):
        profile = weight.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.float64)
        means.append(round(float(profile @ np.arange(profile.size)) / total))
    return means[0], means[1], means[2]


def _window(support: NDArray[np.bool_], steps: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Middle of the support's bounding box and half the side of the cube drawn around it, in units of `steps`."""
    ends = []
    for axis in range(3):
        occupied = np.flatnonzero(support.any(axis=tuple(a for a in range(3) if a != axis)))
        ends.append((occupied[0], occupied[-1]) if occupied.size else (0, support.shape[axis] - 1))
    low, high = np.array(ends, dtype=np.float64).T * steps
    return (low + high) / 2, 0.68 * float((high - low + steps).max())
