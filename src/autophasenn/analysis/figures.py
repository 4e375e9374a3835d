"""The figures of an analysis, each a function of it; and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.figures_facets import facets, pole_figure, wulff
from autophasenn.analysis.profiles import PlaneCut
from autophasenn.analysis.quantity import Floats
from autophasenn.image import CrystalImage
from autophasenn.report.annotations import direction, scale_bar
from autophasenn.report.opengl import NoOpenGLError
from autophasenn.report.scales import Scale, displacement_scale, phase_scale, strain_scale
from autophasenn.report.style import ACCENT, INK, OUTSIDE, colour_bar, frame, named_map, new_figure, save, styled

BLUE, GREY = "#2a5fa5", "#7b7d8c"
COLOURS = ("#2a5fa5", "#d1390b", "#3d8f5f", "#8a4fa3", "#b07d12", "#3a9db0")
"""Of curves and lines that are told apart."""


def write_figures(analysis: Analysis, folder: Path, kinds: Sequence[str] = ("png",)) -> tuple[str, ...]:
    """Draw every figure that applies into a folder that exists.

    Parameters
    ----------
    analysis : Analysis
    folder : Path
    kinds : sequence of str
        ``png``, ``pdf``, ``svg``.

    Returns
    -------
    tuple of str
        A sentence for each figure that this machine cannot draw.
    """
    wanted: dict[str, Callable[[Analysis], Figure]] = {"planes": planes, "profiles": profiles, "amplitude": amplitude}
    if analysis.strain is not None:
        wanted["strain"] = strain
    if analysis.facets:
        wanted |= {"facets": facets, "pole_figure": pole_figure, "wulff": wulff}
    if analysis.dislocations.lines:
        wanted["dislocations"] = dislocations
    if len(analysis.domains.domains) > 1:
        wanted["domains"] = domains
    left_out = []
    for name, draw in wanted.items():
        try:
            figure = draw(analysis)
        except NoOpenGLError as error:
            left_out.append(f"The figure {name} was left out: {error}")
            continue
        for kind in kinds:
            save(figure, folder / f"{name}.{kind}")
    return tuple(left_out)


@styled
def strain(analysis: Analysis) -> Figure:
    """Histogram of the strain in the whole crystal, its surface and its bulk; its mean layer by layer."""
    found = analysis.strain
    assert found is not None
    figure = new_figure((11.0, 4.6))
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    shown = strain_scale(found.histogram.edges)
    factor, unit = shown.factor, shown.title.removeprefix("strain ")
    middles = (found.histogram.edges[1:] + found.histogram.edges[:-1]) / 2 * factor
    for name, counts, colour in (
        ("whole crystal", found.histogram.all, GREY),
        ("surface layer", found.histogram.surface, ACCENT),
        ("bulk", found.histogram.bulk, BLUE),
    ):
        total = counts.sum()
        if total:
            left.stairs(counts / total, found.histogram.edges * factor, color=colour, linewidth=1.8, label=name)
    left.axvline(0, color=INK, linewidth=0.6)
    left.set(xlabel=f"strain along Q {unit}", ylabel="share of the voxels", xlim=(middles[0], middles[-1]))
    left.set_ylim(bottom=0)
    left.legend(loc="upper left")
    layers = [layer for layer in found.layers if layer.strain is not None and layer.strain.mean.value is not None]
    for place, layer in enumerate(layers):
        assert layer.strain is not None
        mean, std = layer.strain.mean, layer.strain.std
        assert mean.value is not None
        right.errorbar(place, mean.value * factor, (std.value or 0) * factor, fmt="none", color="#c3c5d0", linewidth=9)
        right.errorbar(
            place, mean.value * factor, (mean.uncertainty or 0) * factor, fmt="o", color=BLUE, capsize=4, markersize=5
        )
    right.axhline(0, color=INK, linewidth=0.6)
    names = [
        f"{layer.first:.3g}–{layer.last:.3g}" if layer.last is not None else f"> {layer.first:.3g}" for layer in layers
    ]
    right.set_xticks(range(len(layers)), names)
    right.set_xlim(-0.6, len(layers) - 0.4)
    right.set(xlabel=f"depth below the surface ({analysis.unit})", ylabel=f"strain along Q {unit}")
    right.set_title("mean ± its uncertainty\ngrey: standard deviation", fontsize=11)
    return figure


@styled
def amplitude(analysis: Analysis) -> Figure:
    """Histogram of the amplitude inside the support, and the amplitudes at which the surface may be drawn."""
    figure = new_figure((7.0, 4.4))
    axes = figure.subplots()
    inside = analysis.image.amplitude[analysis.image.support]
    axes.hist(inside, bins=64, range=(0, 1), color="#c3c5d0")
    found = analysis.isosurface
    for name, value, colour, style in (
        (f"drawn here: {found.used:.2f}", found.used, ACCENT, "-"),
        (f"half of the plateau: {found.half:.2f}", found.half, BLUE, "--"),
        (f"Otsu: {found.otsu:.2f}", found.otsu, "#3d8f5f", ":"),
        (f"plateau: {found.plateau:.2f}", found.plateau, INK, "-."),
    ):
        axes.axvline(value, color=colour, linestyle=style, linewidth=1.8, label=name)
    axes.set(xlabel="amplitude, share of the largest", ylabel="voxels of the support", xlim=(0, 1))
    figure.legend(loc="outside upper center", ncols=2)  # in the axes it would lie over the lines
    return figure


@styled
def profiles(analysis: Analysis) -> Figure:
    """Amplitude and strain (phase without geometry) along lines through the crystal, with uncertainties."""
    quantity = "strain" if analysis.strain is not None else "phase_rad"
    shown = (
        strain_scale(analysis.image.strain) if analysis.image.strain is not None else phase_scale(analysis.image.phase)
    )
    figure = new_figure((11.0, 4.8))
    left, right = figure.subplots(1, 2)
    for index, profile in enumerate(analysis.profiles):
        colour = COLOURS[index % len(COLOURS)]
        middle = profile.distance - profile.distance.mean()
        values, spread = profile.values[quantity] * shown.factor, profile.values.get(f"{quantity}_spread")
        left.plot(middle, profile.values["amplitude"], color=colour, linewidth=1.6, label=profile.name)
        right.plot(middle, values, color=colour, linewidth=1.6)
        if spread is not None:
            error = spread * shown.factor
            right.fill_between(middle, values - error, values + error, color=colour, alpha=0.18, linewidth=0)
    left.axhline(analysis.isosurface.used, color=INK, linewidth=0.6, linestyle=":")
    right.axhline(0, color=INK, linewidth=0.6)
    distance = f"distance from the middle of the line ({analysis.unit})"
    left.set(xlabel=distance, ylabel="amplitude", ylim=(0, 1.05))
    right.set(xlabel=distance, ylabel=shown.title)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


@styled
def planes(analysis: Analysis) -> Figure:
    """Amplitude, strain and lattice on planes through the crystal (phase and amplitude without geometry)."""
    image, lattice = analysis.image, analysis.lattice
    columns: list[tuple[str, Scale | None]] = [("amplitude", None)]
    if image.strain is None or image.displacement is None:
        columns.append(("phase_rad", phase_scale(image.phase)))
    else:
        columns += [("displacement_nm", displacement_scale(image.displacement)), ("strain", strain_scale(image.strain))]
    has_d = lattice is not None
    count = len(columns) + has_d
    cuts = analysis.cuts
    figure = new_figure((3.4 * count + 0.4, 3.5 * len(cuts) + 0.5))
    grid = figure.subplots(len(cuts), count, squeeze=False)
    for row, plane in enumerate(cuts):
        for column, (name, scale) in enumerate(columns):
            axes = grid[row, column]
            if scale is None:
                colours, values, norm = named_map("bone_r", 0.0, 0.82), plane.values[name], (0.0, 1.0)
            else:
                factor = 1e3 if name == "displacement_nm" else scale.factor
                colours, values = scale.colours, plane.values[name] * np.float32(factor)
                norm = (scale.low, scale.limit)
            _picture(axes, plane, values, colours, norm, analysis)
            if row == 0:
                axes.set_title(scale.title if scale else "amplitude")
            if row == len(cuts) - 1:
                below = list(grid[:, column])
                if scale is None:
                    from matplotlib.colors import Normalize

                    colour_bar(figure, below, colours, Normalize(0, 1), orientation="horizontal", shrink=0.8, pad=0.02)
                else:
                    scale.colour_bar(figure, below, orientation="horizontal", shrink=0.8, pad=0.02)
        grid[row, 0].set_ylabel(plane.name)
        if has_d:
            _draw_lattice(figure, list(grid[:, -1]), row, plane, analysis)
    return figure


def _draw_lattice(figure: Figure, column: list[Axes], row: int, plane: PlaneCut, analysis: Analysis) -> None:
    """d, or the lattice parameter of a cubic crystal, with the reference in the middle of the colours."""
    from matplotlib.colors import Normalize

    lattice = analysis.lattice
    assert lattice is not None
    assert lattice.reference_nm.value is not None
    root = 1.0 if lattice.parameter_map is None else float(np.sqrt(sum(i * i for i in lattice.hkl or (1, 0, 0))))
    middle = lattice.reference_nm.value * root * 10
    values = plane.values["d_nm"] * root * 10
    known = lattice.d_map[np.isfinite(lattice.d_map)] * root * 10
    reach = float(np.quantile(np.abs(known - middle), 0.99)) or 1e-4
    colours = named_map("RdBu_r", 0.08, 0.92)
    _picture(column[row], plane, values, colours, (middle - reach, middle + reach), analysis)
    if row == 0:
        column[0].set_title(f"{'d' if lattice.parameter_map is None else 'lattice parameter'} (Å)")
    if row == len(column) - 1:
        bar = colour_bar(
            figure, column, colours, Normalize(middle - reach, middle + reach), orientation="horizontal", shrink=0.8,
            pad=0.02, extend="both",
        )  # fmt: skip
        bar.set_ticks(
            [middle - reach, middle, middle + reach],
            labels=[f"{v:.4f}" for v in (middle - reach, middle, middle + reach)],
        )


def _picture(
    axes: Axes, plane: PlaneCut, values: Floats, colours: Colormap, limits: tuple[float, float], analysis: Analysis
) -> None:
    half = (values.shape[1] // 2 + 0.5) * plane.step
    axes.imshow(
        values, origin="lower", extent=(-half, half, -half, half), cmap=colours, vmin=limits[0], vmax=limits[1],
        interpolation="nearest",
    )  # fmt: skip
    axes.set_facecolor("white" if limits == (0.0, 1.0) else OUTSIDE)
    window = 0.62 * max(_reach(plane), 2 * plane.step) * 2
    axes.set_xlim(-window, window)
    axes.set_ylim(-window, window)
    frame(axes)
    scale_bar(axes, analysis.unit)
    q = analysis.image.q_direction
    if q is not None:
        seen = (float(q @ plane.right), float(q @ plane.up), float(q @ plane.normal))
        direction(axes, seen, "Q", origin=(0.83 - 0.08 * seen[0], 0.83 - 0.08 * seen[1]), length=0.16)


def _reach(plane: PlaneCut) -> float:
    """How far the crystal reaches from the middle of a plane."""
    inside = np.argwhere(np.isfinite(plane.values["phase_rad"]))
    if len(inside) == 0:
        return plane.step
    return float(np.abs(inside - np.array(plane.values["amplitude"].shape) // 2).max()) * plane.step


def _extent(image: CrystalImage, across: int, up: int) -> tuple[float, float, float, float]:
    """Left, right, lower and upper edge of the grid, unit of the image."""
    left, right, low, high = (
        (edge - 0.5 - image.shape[axis] // 2) * image.spacing[axis]
        for axis in (across, up)
        for edge in (0, image.shape[axis])
    )
    return left, right, low, high


@styled
def dislocations(analysis: Analysis) -> Figure:
    """The lines around which the phase winds, on the outline of the crystal, along each axis."""
    image = analysis.image
    figure = new_figure((12.0, 4.6))
    names = image.axes
    for column, (across, up) in enumerate(((0, 1), (2, 1), (2, 0))):
        axes = figure.add_subplot(1, 3, column + 1)
        normal = 3 - across - up
        shadow = image.support.any(axis=normal)
        shadow = shadow.T if across < up else shadow
        extent = _extent(image, across, up)
        axes.imshow(shadow, origin="lower", extent=extent, cmap=named_map("Greys", 0.0, 0.16), interpolation="nearest")
        for line in analysis.dislocations.lines:
            colour = COLOURS[(line.number - 1) % len(COLOURS)]
            x, y = line.points[:, across], line.points[:, up]
            axes.plot(x, y, color=colour, linewidth=2.2)
            if np.ptp(x) + np.ptp(y) < 4 * max(image.spacing):  # seen from its end
                axes.plot(x.mean(), y.mean(), "o", color=colour, markersize=8)
                continue
            middle = len(x) // 2
            ahead = min(middle + 2, len(x) - 1)
            axes.annotate(
                "",
                (x[ahead], y[ahead]),
                (x[middle], y[middle]),
                arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2},
            )
            burgers = line.burgers_along_q.value
            label = f"{line.number}" if burgers is None or column else f"{line.number}: b·Q̂ {burgers:+.3f} nm"
            axes.plot([], [], color=colour, label=label)
        axes.set(xlabel=f"{names[across]} ({image.unit})", ylabel=f"{names[up]} ({image.unit})", aspect="equal")
        if column == 0:
            handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4)
    return figure


@styled
def domains(analysis: Analysis) -> Figure:
    """Domains on the three planes of the grid through the middle of the crystal."""
    from matplotlib.colors import ListedColormap

    image, labels = analysis.image, analysis.domains.labels
    count = int(labels.max())
    colours = ListedColormap([OUTSIDE, *(COLOURS[i % len(COLOURS)] for i in range(count))])
    figure = new_figure((12.0, 4.6))
    for column, (across, up) in enumerate(((0, 1), (2, 1), (2, 0))):
        axes = figure.add_subplot(1, 3, column + 1)
        normal = 3 - across - up
        section = np.take(labels, image.centre[normal], axis=normal)
        section = section.T if across < up else section
        extent = _extent(image, across, up)
        axes.imshow(
            section, origin="lower", extent=extent, cmap=colours, vmin=-0.5, vmax=count + 0.5, interpolation="nearest"
        )
        axes.set(
            xlabel=f"{image.axes[across]} ({image.unit})", ylabel=f"{image.axes[up]} ({image.unit})", aspect="equal"
        )
        if column == 0:
            for each in analysis.domains.domains:
                axes.plot(
                    [], [], "s", color=COLOURS[(each.number - 1) % len(COLOURS)], label=f"{each.number}: {each.phase}"
                )
            handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4)
    return figure
