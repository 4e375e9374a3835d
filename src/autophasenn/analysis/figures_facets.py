"""Figures of facets: on the crystal in 3-D, as a pole figure, and by their distance (Wulff)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from scipy.spatial import KDTree

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.facet_table import Facet
from autophasenn.analysis.indexing import Indices
from autophasenn.analysis.quantity import Floats
from autophasenn.report.isosurface import draw_view
from autophasenn.report.scales import Scale, strain_scale
from autophasenn.report.style import ACCENT, INK, blank, colour_bar, named_map, new_figure, panel, styled
from autophasenn.report.surface import Renderer, Surface, View

FAMILY_COLOURS = {
    (1, 1, 1): "#2a5fa5", (1, 0, 0): "#d98c1f", (1, 1, 0): "#3d8f5f", (2, 1, 0): "#8a4fa3", (2, 1, 1): "#b8433f",
    (2, 2, 1): "#3a9db0", (3, 1, 0): "#7a6a2f", (3, 1, 1): "#c06fa0", (3, 2, 0): "#5b5fc7", (3, 2, 1): "#6b4a36",
    (3, 2, 2): "#94b53a", (3, 3, 1): "#e07a5f", (3, 3, 2): "#2f6f6a",
}  # fmt: skip
"""A family has one colour in all crystals, so that two, and the scans of a series, can be compared."""
OTHERS = ("#8a4fa3", "#b8433f", "#3a9db0", "#7a6a2f", "#c06fa0")
NO_FAMILY = "#9a9ca8"
ROUND = "#e3e4e9"
"""Where no facet is."""
DISC = 301
"""Pixels of a pole figure."""
BLUR = 4.0
"""Degrees by which the area in a pole figure is spread."""


@styled
def facets(analysis: Analysis) -> Figure:
    """The crystal from both sides along Q and from the side, its facets coloured by family and by mean strain.

    Raises
    ------
    NoOpenGLError
        If nothing can be rendered on this machine.
    """
    surface, image = analysis.surface, analysis.image
    middle = (surface.vertices.max(axis=0) + surface.vertices.min(axis=0)) / 2
    mesh = surface.mesh(middle)
    shown = Surface(mesh, np.zeros(len(surface.vertices), np.float32), None)
    views = _views(image.q_direction)
    owner = _facet_of_corners(analysis)
    rows: list[tuple[str, Any, Scale | None]] = [("families", _family_rgb(analysis)[owner], None)]
    values = [np.nan] + [np.nan if f.strain is None else (f.strain.mean.value or 0.0) for f in analysis.facets]
    if image.strain is not None:
        scale = strain_scale(np.array(values))
        rows.append(("strain", scale.rgb(np.array(values, np.float32))[owner], scale))
    side = 3.6
    figure = new_figure((3 * side + 2.2, side * len(rows) + 0.55), is_placed=True)
    half = shown.half_width(views)
    with Renderer(shown, half, 620) as renderer:
        for row, (name, colours, row_scale) in enumerate(rows):
            for column, view in enumerate(views):
                axes = panel(figure, 0.1 + column * side, 0.45 + row * side, side - 0.05, side - 0.1)
                draw_view(axes, renderer.picture(name, colours, view), view, half, image)
                _name_facets(axes, analysis, view, middle)
                if row == 0:
                    axes.set_title(view.name)
            place = panel(figure, 0.25 + 3 * side, 0.75 + row * side, 0.16, side - 0.9)
            if row_scale is None:
                place.axis("off")
                _family_legend(place, analysis)
            else:
                row_scale.colour_bar(figure, [], f"mean {row_scale.title}", cax=place)
    return figure


def _views(q: Floats | None) -> tuple[View, View, View]:
    if q is None:
        return (
            View("along axis 2", (0.0, 0.0, 1.0)),
            View("against axis 2", (0.0, 0.0, -1.0)),
            View("along axis 1", (0.0, 1.0, 0.0), up=(1.0, 0.0, 0.0)),
        )
    guide = np.eye(3)[int(np.abs(q).argmin())]
    across = np.cross(q, guide)
    x, y, z = (float(c) for c in q)
    a, b, c = (float(v) for v in across / np.linalg.norm(across))
    up = (float(guide[0]), float(guide[1]), float(guide[2]))
    return (
        View("Q towards the viewer", (x, y, z), up),
        View("Q away", (-x, -y, -z), up),
        View("Q upwards", (a, b, c), (x, y, z)),
    )


def _facet_of_corners(analysis: Analysis) -> Any:
    """Number of the facet of each corner of the surface: that of most of its triangles; 0: none."""
    triangles = analysis.surface.triangles
    votes = np.zeros((len(analysis.facets) + 1, len(analysis.surface.vertices)), np.int16)
    owner = np.zeros(len(triangles), int)
    for facet in analysis.facets:
        owner[facet.triangles] = facet.number
    for corner in range(3):
        np.add.at(votes, (owner, triangles[:, corner]), 1)
    return votes.argmax(axis=0)


def family_colours(analysis: Analysis) -> dict[Indices | None, str]:
    """Colour of each family that occurs."""
    known = {FAMILY_COLOURS.get(facet.family) for facet in analysis.facets if facet.family is not None}
    others = iter([colour for colour in OTHERS if colour not in known] * 4 or OTHERS * 4)
    found: dict[Indices | None, str] = {}
    for facet in analysis.facets:
        if facet.family not in found:
            own = None if facet.family is None else FAMILY_COLOURS.get(facet.family)
            found[facet.family] = NO_FAMILY if facet.family is None else own or next(others)
    return found


def _family_rgb(analysis: Analysis) -> Any:
    colours = family_colours(analysis)
    names = [ROUND, *(colours[facet.family] for facet in analysis.facets)]
    return (255 * np.array([to_rgb(name) for name in names])).astype(np.uint8)


def _family_legend(axes: Axes, analysis: Analysis) -> None:
    for place, (family, colour) in enumerate(family_colours(analysis).items()):
        area = sum(facet.share for facet in analysis.facets if facet.family == family)
        name = "no index" if family is None else f"{{{' '.join(map(str, family))}}}"
        axes.plot(0.1, 0.92 - 0.11 * place, "s", color=colour, markersize=11, transform=axes.transAxes, clip_on=False)
        axes.text(
            1.2, 0.92 - 0.11 * place, f"{name}  {100 * area:.0f} %", transform=axes.transAxes, va="center", fontsize=11
        )


def _name_facets(axes: Axes, analysis: Analysis, view: View, middle: Floats) -> None:
    """Number of every facet that looks at the viewer, at its centre."""
    basis = view.basis()
    for facet in analysis.facets:
        normal = normal_on_image(analysis, facet)
        right, up, towards = basis @ (np.array(facet.centre) - middle)
        if (basis @ normal)[2] > 0.35 and towards > 0:
            axes.text(
                right, up, str(facet.number), ha="center", va="center", fontsize=10, color=INK,
                path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.9)],
            )  # fmt: skip


def normal_on_image(analysis: Analysis, facet: Facet) -> Floats:
    """A facet's normal on the axes of the image."""
    if analysis.frame in analysis.frames:
        return analysis.frames[analysis.frame].seen(np.array(facet.normal))
    return np.array(facet.normal)


@styled
def pole_figure(analysis: Analysis) -> Figure:
    """Where the surface's normals point, weighted by area: stereographic, one disc for each half of the sphere.

    Q, or axis 2 of the grid without geometry, is in the middle; x of the crystal frame points to the right. Facets are rings
    with their indices.
    """
    matrix = analysis.frames["crystal"].matrix if analysis.frames else np.eye(3)
    to_lab = analysis.frames[analysis.frame].matrix.T if analysis.frame in analysis.frames else np.eye(3)
    normals = analysis.surface.normals @ to_lab.T @ matrix.T
    figure = new_figure((11.5, 6.0))
    discs = figure.subplots(1, 2)
    way = np.linspace(-1, 1, DISC)
    x, y = np.meshgrid(way, way)
    square = x**2 + y**2
    directions = np.stack([2 * x, 2 * y, 1 - square], axis=-1) / (1 + square)[..., None]
    density = _density(normals, analysis.surface.areas, np.stack([directions, directions * [1, 1, -1]]))
    top = float(density.max()) or 1.0
    centre = "Q" if analysis.frames else "axis 2"
    for axes, sign, part in zip(discs, (1, -1), density, strict=True):
        shown = np.where(square <= 1, part / top, np.nan)
        axes.imshow(
            np.sqrt(shown),
            origin="lower",
            extent=(-1, 1, -1, 1),
            cmap=named_map("magma_r", 0.0, 0.9, bad="white"),
            vmin=0,
            vmax=1,
        )
        _net(axes)
        for facet in analysis.facets:
            nx, ny, nz = matrix @ np.array(facet.normal)
            if sign * nz < -0.02:
                continue
            px, py = nx / (1 + abs(nz)), ny / (1 + abs(nz))
            axes.plot(px, py, "o", mfc="none", mec="#2a5fa5", markersize=13, mew=1.5)
            axes.text(
                px, py + 0.075, facet.title.strip("()") if facet.hkl else str(facet.number), ha="center", va="bottom",
                fontsize=10, path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )  # fmt: skip
        axes.plot(0, 0, "+", color=ACCENT, markersize=10, mew=2)
        axes.set_title(f"{'towards' if sign > 0 else 'away from'} {centre}")
        axes.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12), aspect="equal")
        blank(axes)
    from matplotlib.colors import PowerNorm

    colour_bar(
        figure, list(discs), named_map("magma_r", 0.0, 0.9), PowerNorm(0.5, 0, 1),
        "surface per solid angle, share of the largest", shrink=0.75,
    )  # fmt: skip
    return figure


def _density(normals: Floats, areas: Floats, directions: Floats) -> Floats:
    """Area per solid angle about each direction, smoothed by `BLUR` degrees."""
    tree = KDTree(normals)
    flat = directions.reshape(-1, 3)
    # on a fine grid of the sphere first, so that a large surface takes no longer than a small one
    index = np.arange(12_000) + 0.5
    z, turn = 1 - 2 * index / 12_000, np.pi * (1 + 5**0.5) * index
    sphere = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)
    grid = KDTree(sphere)
    weight = np.bincount(grid.query(tree.data)[1], areas, minlength=len(sphere))
    width = np.deg2rad(BLUR)
    near = grid.sparse_distance_matrix(grid, 3.5 * width, output_type="coo_matrix").tocsr()
    near.data = np.exp(-0.5 * (near.data / width) ** 2)
    smooth = near @ weight + weight  # a point's distance to itself is 0, which a sparse matrix leaves out
    distance, nearest = grid.query(flat, k=4)
    share = 1 / np.maximum(distance, 1e-6)
    return np.asarray((smooth[nearest] * share).sum(axis=1) / share.sum(axis=1)).reshape(directions.shape[:-1])


def _net(axes: Axes) -> None:
    for polar in (30, 60, 90):
        axes.add_patch(Circle((0, 0), np.tan(np.deg2rad(polar / 2)), fill=False, color="#8a8c98", linewidth=0.6))
        radius = np.tan(np.deg2rad(polar / 2))
        axes.text(radius * 0.707, -radius * 0.707, f"{polar}°", fontsize=8, color="#555566", ha="left", va="top")
    for turn in range(0, 180, 30):
        c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        axes.plot([-c, c], [-s, s], color="#8a8c98", linewidth=0.4)


@styled
def wulff(analysis: Analysis) -> Figure:
    """Wulff plot: distance of each facet from the centre; and its mean strain, both with uncertainties.

    Of a crystal in equilibrium the distances are as the surface energies (Wulff, Z. Kristallogr. 34, 449 (1901)).
    """
    found = sorted(analysis.facets, key=lambda facet: (facet.family is None, facet.family or (9, 9, 9), facet.number))
    has_strain = analysis.image.strain is not None
    figure = new_figure((11.0, 1.6 + 0.34 * len(found)))
    panels = figure.subplots(1, 1 + has_strain, sharey=True, squeeze=False)[0]
    colours = family_colours(analysis)
    places = np.arange(len(found))[::-1]
    left = panels[0]
    distances = [facet.distance.value or 0.0 for facet in found]
    errors = [facet.distance.uncertainty or 0.0 for facet in found]
    left.barh(places, distances, color=[colours[facet.family] for facet in found], height=0.7)
    left.errorbar(distances, places, xerr=errors, fmt="none", color=INK, capsize=3, linewidth=1.2)
    nearest = min(distances)
    for place, distance, error in zip(places, distances, errors, strict=True):
        left.text(distance + error, place, f"  {distance / nearest:.2f}", va="center", fontsize=10)
    left.set_yticks(places, [f"{facet.number}: {facet.title}" if facet.hkl else facet.title for facet in found])
    left.set(xlabel=f"distance from the centre of mass ({analysis.unit})", xlim=(0, 1.18 * max(distances)))
    left.set_title("figures: relative to the nearest facet", fontsize=11)
    if has_strain:
        right = panels[1]
        means = [facet.strain.mean if facet.strain is not None else None for facet in found]
        scale = strain_scale(np.array([mean.value or 0.0 if mean else 0.0 for mean in means]))
        for place, mean, facet in zip(places, means, found, strict=True):
            if mean is not None and mean.value is not None:
                right.errorbar(
                    mean.value * scale.factor, place, xerr=(mean.uncertainty or 0.0) * scale.factor, fmt="o",
                    color=colours[facet.family], capsize=3,
                )  # fmt: skip
        right.axvline(0, color=INK, linewidth=0.6)
        right.set_xlabel(f"mean {scale.title} of the layer below the facet")
    return figure
