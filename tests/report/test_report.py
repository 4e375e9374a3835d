"""Figures of a result: honest colours, exact scale bars, no state left behind."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import pyvista
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from skimage.color import rgb2lab

from autophasenn.errors import InputError, OutputError
from autophasenn.image import CrystalImage
from autophasenn.physics.fourier import diffract
from autophasenn.report import isosurface as isosurface_module
from autophasenn.report import opengl, scales, style
from autophasenn.report.aliens import aliens
from autophasenn.report.annotations import SCALE_BAR
from autophasenn.report.confidence import spread_map
from autophasenn.report.convergence import convergence
from autophasenn.report.isosurface import BACK, FRONT, CrystalViews, isosurface
from autophasenn.report.numbers import Distribution, Report
from autophasenn.report.overview import key_numbers, overview
from autophasenn.report.pattern import pattern_comparison
from autophasenn.report.planes import GRID_PLANES, LAB_PLANES, Plane
from autophasenn.report.prtf import prtf
from autophasenn.report.slices import slices
from autophasenn.report.surface import Renderer, View, render, surface_of
from autophasenn.volumes import Pattern, Reconstruction


def faceted_crystal(size: int = 48, phase_range: float = 4.0, voxel: float | None = 5e-9) -> CrystalImage:
    """A truncated octahedron with soft edges; its phase spans `phase_range` from the middle outwards."""
    x, y, z = np.meshgrid(*[np.arange(size) - size // 2 + 0.3] * 3, indexing="ij")
    radius = 0.34 * size
    distance = np.maximum(
        (np.abs(x) + np.abs(0.9 * y + 0.2 * x) + np.abs(z)) / math.sqrt(3) - 0.8 * radius,
        np.maximum.reduce([np.abs(x), np.abs(0.9 * y + 0.2 * x), np.abs(z)]) - 0.85 * radius,
    )
    amplitude = (1 / (1 + np.exp(distance / 0.6)) * (1 + 0.05 * np.sin(0.5 * x + 0.4 * z))).astype(np.float32)
    amplitude /= amplitude.max()
    support = amplitude > 0.1
    phase = phase_range * np.sin(1.6 * x / radius) * np.cos(0.9 * z / radius) * np.exp(-((y / radius) ** 2))
    inside = np.where(support, 1.0, np.nan)
    if voxel is None:
        return CrystalImage(amplitude, (phase * inside).astype(np.float32), support)
    q = np.array([0.54, 0.22, -0.15]) / 0.6 * 2.6911e10
    displacement = -phase / np.linalg.norm(q)
    gradient = np.gradient(displacement, voxel)
    strain = inside * sum(component * g for component, g in zip(q / np.linalg.norm(q), gradient, strict=True))
    fields = [(field * inside).astype(np.float32) for field in (phase, displacement, strain)]
    return CrystalImage(amplitude, fields[0], support, fields[1], fields[2], (voxel, voxel, voxel), q)


def measured_pattern(image: CrystalImage, photons: float = 1e7, steps: bool = True) -> tuple[Pattern, Reconstruction]:
    """The image's noisy pattern with a cross-shaped detector gap, and a reconstruction that explains it."""
    generator = torch.Generator().manual_seed(3)
    rho = torch.from_numpy(image.amplitude * np.exp(1j * np.nan_to_num(image.phase))).to(torch.complex64)
    wave = diffract(rho)
    wave = wave * (photons / wave.abs().square().sum()).sqrt()
    counts = torch.poisson(wave.abs().square(), generator=generator)
    mask = torch.ones(counts.shape, dtype=torch.bool)
    third = counts.shape[1] // 3
    mask[:, third : third + 2] = False
    mask[:, :, -third : -third + 2] = False
    counts[~mask] = 0
    rows = torch.eye(3, dtype=torch.float64) * torch.tensor([0.6, 1, 1]) * 2 * math.pi / (5e-9 * counts.shape[1])
    errors = (
        0.3 * torch.exp(-torch.arange(300) / 60)[None] * (1 + 0.3 * torch.rand(5, 300, generator=generator)) + 0.004
    )
    free = torch.tensor([0.0123, 0.0098, 0.0151, 0.0101, 0.021])
    pattern = Pattern(counts, mask, rows if steps else None, torch.tensor(image.scattering_vector) if steps else None)
    return pattern, Reconstruction(rho, rho.abs() > 0.1, wave, wave.abs().square(), errors, free, best=1)


CRYSTAL = faceted_crystal(40)
IN_VOXELS = faceted_crystal(40, 2.0, None)
PATTERN, RECONSTRUCTION = measured_pattern(CRYSTAL)
REPORT = Report(
    chi2=0.0051, voxel_size_nm=(5.0, 5.0, 5.0), resolution_is_bound=False, strain=Distribution(mean=1e-6, std=3.4e-4)
)
FREQUENCIES = np.linspace(0.01, 0.6, 30) * 1e9
PRTF = 1 / (1 + (FREQUENCIES / 4e8) ** 6)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure as matplotlib held it when it was written, the file, and whether anything was left behind."""

    figure: Figure
    path: Path
    is_clean: bool


def draw(function: Callable[[], Figure], path: Path) -> Drawn:
    """Draw with few pixels: nothing here depends on how many there are."""

    def state() -> tuple[Any, ...]:
        return plt.get_fignums(), dict(matplotlib.rcParams), dict(os.environ)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "DPI", _DPI)
        before = state()
        figure = function()
        style.save(figure, path)
        return Drawn(figure, path, state() == before)


_DPI = 50


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Drawn]:
    """The figure of a name in FIGURES or RENDERED, drawn once."""
    folder = tmp_path_factory.mktemp("figures")
    return functools.cache(lambda name: draw({**FIGURES, **RENDERED}[name], folder / f"{name}.png"))


@pytest.fixture
def has_opengl() -> None:
    """Skips where nothing can be rendered."""
    try:
        with opengl.off_screen():
            pass
    except opengl.NoOpenGLError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def without_opengl(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a driver."""
    monkeypatch.setattr(opengl.sys, "platform", "linux")
    monkeypatch.setattr(opengl, "_has_egl_device", lambda: False)
    monkeypatch.setattr(opengl, "_has_library", lambda name: False)


def alien_figure() -> Figure:
    mask = np.zeros(PATTERN.shape, dtype=bool)
    mask[4:8, 30:33, 5:9] = True
    return aliens(PATTERN.counts.numpy(), mask, [(5.5, 31.0, 6.5)])


UNCERTAIN = dataclasses.replace(
    CRYSTAL, phase_spread=0.02 * np.abs(CRYSTAL.phase), amplitude_spread=np.where(CRYSTAL.support, 0.01, np.nan)
)
FIGURES: dict[str, Callable[[], Figure]] = {
    "slices": lambda: slices(CRYSTAL),
    "slices in voxels": lambda: slices(IN_VOXELS),
    "uncertainties": lambda: spread_map(UNCERTAIN, title="a sphere"),
    "pattern": lambda: pattern_comparison(PATTERN, RECONSTRUCTION),
    "convergence": lambda: convergence(RECONSTRUCTION, chi2_noise=0.003),
    "prtf": lambda: prtf(FREQUENCIES, PRTF, 1.5e-8),
    "aliens": alien_figure,
}
RENDERED: dict[str, Callable[[], Figure]] = {
    "isosurface": lambda: isosurface(CRYSTAL),
    "isosurface in voxels": lambda: isosurface(IN_VOXELS),
    "overview": lambda: overview(CRYSTAL, PATTERN, RECONSTRUCTION, REPORT, title="Gold"),
    "overview in voxels": lambda: overview(IN_VOXELS, PATTERN, RECONSTRUCTION, Report()),
}


def assert_is_a_picture(result: Drawn) -> None:
    with Image.open(result.path) as picture:
        assert picture.format == "PNG"
        np.testing.assert_allclose(picture.size, result.figure.get_size_inches() * _DPI, atol=1)
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 50
    assert 0.01 < (pixels != 255).any(1).mean() < 0.99
    assert result.is_clean


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_png_and_leaves_nothing_behind(name: str, drawn: Callable[[str], Drawn]) -> None:
    assert_is_a_picture(drawn(name))


@pytest.mark.usefixtures("has_opengl")
@pytest.mark.parametrize("name", RENDERED)
def test_a_rendered_figure_is_a_png_and_leaves_nothing_behind(name: str, drawn: Callable[[str], Drawn]) -> None:
    assert_is_a_picture(drawn(name))


def scale_bars(figure: Figure) -> list[tuple[Any, Any, str]]:
    """Axes, bar and label of every scale bar."""
    found = []
    for axes in figure.axes:
        for bar in axes.patches:
            if bar.get_gid() == SCALE_BAR:
                (label,) = (text.get_text() for text in axes.texts if text.get_position()[0] == bar.get_x())
                found.append((axes, bar, label))
    return found


RECIPROCAL = 2 * math.pi / (5 * 40)


@pytest.mark.parametrize(
    ("name", "panels", "expected_unit", "voxels"),
    [
        ("slices", 12, "nm", [5.0]),
        ("slices in voxels", 6, "voxels", [1.0]),
        ("uncertainties", 12, "nm", [5.0]),
        ("aliens", 3, "voxels", [1.0]),
        ("pattern", 9, "nm⁻¹", [RECIPROCAL, 0.6 * RECIPROCAL, 0.6 * RECIPROCAL]),
    ],
)
def test_a_scale_bar_is_as_long_as_it_says(
    name: str, panels: int, expected_unit: str, voxels: list[float], drawn: Callable[[str], Drawn]
) -> None:
    bars = scale_bars(drawn(name).figure)
    assert len(bars) == panels
    for (axes, bar, label), voxel in zip(bars, itertools.cycle(voxels), strict=False):
        number, unit = label.split(" ")
        assert float(number) == pytest.approx(bar.get_width())
        (image,) = axes.images
        left, right, *_ = image.get_extent()
        assert unit == expected_unit
        assert (right - left) / image.get_array().shape[1] == pytest.approx(voxel)
        drawn_width = bar.get_window_extent().width / axes.get_window_extent().width
        assert drawn_width == pytest.approx(bar.get_width() / np.ptp(axes.get_xlim()), rel=1e-3)


@pytest.mark.parametrize("extent", [0.0013, 0.7, 1.0, 9.99, 480.0, 3.3e4])
def test_a_round_length_is_1_2_or_5_and_near_the_share_asked_for(extent: float) -> None:
    length = scales.round_length(extent, 0.3)
    assert float(f"{length:.6e}".split("e")[0]) in (1, 2, 5)
    assert 0.3 * extent / 2.5 < length <= 0.3 * extent * (1 + 1e-6)


@pytest.mark.usefixtures("has_opengl")
def test_a_rendered_length_is_true() -> None:
    """A ball of 300 nm measures 300 nm in the picture, whichever way it is seen."""
    grid = np.arange(40) - 19.5
    x, y, z = np.meshgrid(grid * 10, grid * 10, grid * 12, indexing="ij")
    amplitude = np.clip(0.3 + (150 - np.sqrt(x**2 + y**2 + z**2)) / 40, 0, 1).astype(np.float32)
    ball = CrystalImage(amplitude, np.zeros_like(amplitude), amplitude > 0.05, voxel_size=(1e-8, 1e-8, 1.2e-8))
    surface = surface_of(ball)
    colours = np.zeros((surface.mesh.n_points, 3), dtype=np.uint8)
    for picture in render(surface, colours, (FRONT, BACK), 200.0, 400):
        shape = (picture < 128).any(-1)
        for axis in (0, 1):
            assert shape.any(axis).sum() * 2 * 200.0 / 400 == pytest.approx(300, abs=4)


@pytest.mark.usefixtures("has_opengl")
def test_every_view_of_every_quantity_is_a_picture_of_its_own() -> None:
    figure = isosurface(CRYSTAL)
    pictures = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(pictures) == 6
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one.astype(int) - other).mean() > 2
    for phase, strain in zip(pictures[:3], pictures[3:], strict=True):  # the same crystal in other colours
        assert ((phase < 255).any(-1) == (strain < 255).any(-1)).mean() > 0.99


@pytest.mark.usefixtures("has_opengl")
def test_the_surface_is_computed_once_for_all_figures_that_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    computed, rendered = [], []
    surface_of_image, render_once = isosurface_module.surface_of, Renderer._look
    monkeypatch.setattr(isosurface_module, "surface_of", lambda *a: computed.append(a) or surface_of_image(*a))
    monkeypatch.setattr(Renderer, "_look", lambda self, view: rendered.append(view) or render_once(self, view))
    with CrystalViews(CRYSTAL) as views:
        overview(CRYSTAL, PATTERN, RECONSTRUCTION, REPORT, views=views)
        isosurface(CRYSTAL, views=views)
    assert len(computed) == 1
    assert len(rendered) == 6  # the two of the overview are among them


def test_an_image_of_one_reconstruction_has_no_map_of_its_uncertainty() -> None:
    with pytest.raises(InputError, match=r"confidence\.number"):
        spread_map(CRYSTAL)


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.SVG", b"<?xml")])
def test_a_figure_can_be_kept_for_a_screen_and_for_print(name: str, begins: bytes, tmp_path: Path) -> None:
    style.save(prtf(FREQUENCIES, PRTF, 1.5e-8), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.png, \.pdf, \.svg"):
        style.save(prtf(FREQUENCIES, PRTF, 1.5e-8), tmp_path / "a.docx")


@pytest.mark.usefixtures("has_opengl")
def test_a_view_shows_right_and_up_where_its_basis_says() -> None:
    """A rod along +x beside a ball lies to the right when seen from downstream, and upwards where x is up."""
    amplitude = np.zeros((31, 31, 31), dtype=np.float32)
    amplitude[5:25, 13:18, 13:18] = 1
    amplitude[5:10, 8:23, 8:23] = 1
    surface = surface_of(CrystalImage(amplitude, np.zeros_like(amplitude), amplitude > 0))
    colours = np.zeros((surface.mesh.n_points, 3), dtype=np.uint8)
    views = (View("", (0.0, 0.0, 1.0)), View("", (0.0, 1.0, 0.0), up=(1.0, 0.0, 0.0)))
    from_downstream, from_above = ((p < 200).any(-1) for p in render(surface, colours, views, 16.0, 64))
    assert from_downstream[:, :32].sum() > 1.2 * from_downstream[:, 32:].sum()
    assert from_above[32:].sum() > 1.2 * from_above[:32].sum()


@pytest.mark.parametrize("view", [FRONT, BACK, View("", (0.2, -1.0, 0.1), up=(0.0, 0.0, 1.0))])
def test_a_view_is_a_rotation(view: View) -> None:
    basis = view.basis()
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(basis) == pytest.approx(1)
    assert basis[1] @ np.array(view.up) > 0


@pytest.mark.parametrize("plane", LAB_PLANES + GRID_PLANES)
def test_right_up_and_towards_the_viewer_are_right_handed(plane: Plane) -> None:
    right, up = np.eye(3)[plane.across], np.eye(3)[plane.up]
    assert plane.towards_viewer(np.cross(right, up)) == (0, 0, 1)
    assert plane.towards_viewer(right) == (1, 0, 0)


def test_a_slice_shows_x_to_the_right_and_y_upwards(drawn: Callable[[str], Drawn]) -> None:
    shown = drawn("slices").figure.axes[0].images[0]
    middle = np.abs(CRYSTAL.amplitude - shown.get_array().T[:, :, None]).sum((0, 1)).argmin()
    np.testing.assert_array_equal(shown.get_array(), CRYSTAL.amplitude[:, :, middle].T)
    assert shown.origin == "lower"


SLOPE = 0.3
"""Phase in rad a voxel along x: from -4 to 4 rad across the crystal."""
RAMP = np.angle(np.exp(1j * SLOPE * (np.arange(40)[:, None, None] - 20.0) * np.ones((40, 40, 40)))).astype(np.float32)
WRAPPED = dataclasses.replace(CRYSTAL, phase=np.where(CRYSTAL.support, RAMP, np.nan).astype(np.float32))


def steepest_colour_change(mesh: Any, phase: np.ndarray) -> int:
    """Largest difference of a colour channel (0 to 255) along an edge of the triangles."""
    faces = np.asarray(mesh.faces).reshape(-1, 4)[:, 1:]
    rgb = scales.phase_scale(WRAPPED.phase, wrap=True).rgb(phase).astype(int)
    return max(int(np.abs(rgb[faces[:, i]] - rgb[faces[:, i - 1]]).max()) for i in range(3))


def test_the_surface_has_no_rainbow_where_the_phase_wraps() -> None:
    assert np.nanmax(WRAPPED.phase) > 2.9
    assert np.nanmin(WRAPPED.phase) < -2.9
    surface = surface_of(WRAPPED)
    assert steepest_colour_change(surface.mesh, surface.phase) < 60

    grid = pyvista.ImageData(dimensions=RAMP.shape)
    grid["amplitude"], grid["phase"] = CRYSTAL.amplitude.ravel(order="F"), RAMP.ravel(order="F")
    seam = grid.contour([0.3], scalars="amplitude")
    assert steepest_colour_change(seam, np.asarray(seam["phase"])) > 100, "this test would not see a seam"


def test_the_phase_of_a_surface_is_that_of_the_voxels_beneath_it() -> None:
    surface = surface_of(WRAPPED)
    difference = np.exp(1j * (surface.phase - SLOPE * np.asarray(surface.mesh.points)[:, 0] / 5))
    # where the surface is outside the support the phase is that of a voxel next to it
    assert np.abs(np.angle(difference / difference.mean())).max() < SLOPE


def test_specks_far_from_the_crystal_are_left_out() -> None:
    amplitude, support = CRYSTAL.amplitude.copy(), CRYSTAL.support.copy()
    amplitude[1, 1, 1] = 1
    support[1, 1, 1] = True
    amplitude[-2, 2, 2] = 1
    with_specks = surface_of(dataclasses.replace(CRYSTAL, amplitude=amplitude, support=support))
    np.testing.assert_allclose(with_specks.mesh.bounds, surface_of(CRYSTAL).mesh.bounds, atol=1e-3)


def test_a_surface_is_closed_at_the_edge_of_the_array() -> None:
    full = np.ones((8, 8, 8), dtype=np.float32)
    surface = surface_of(CrystalImage(full, np.zeros_like(full), full > 0))
    assert surface.mesh.n_open_edges == 0


def test_an_image_below_the_isovalue_has_no_surface() -> None:
    dim = dataclasses.replace(CRYSTAL, amplitude=0.1 * CRYSTAL.amplitude)
    with pytest.raises(InputError, match=r"0\.3 or more .*0\.1"):
        isosurface(dim)


@pytest.mark.usefixtures("without_opengl")
def test_without_opengl_the_isosurface_says_what_to_install_and_the_overview_does_without(
    tmp_path: Path,
) -> None:
    with pytest.raises(opengl.NoOpenGLError, match="libegl1"):
        isosurface(CRYSTAL)
    result = draw(RENDERED["overview"], tmp_path / "overview.png")
    assert result.path.exists()
    assert "surface" not in result.figure.axes[0].get_title()


def test_the_cyclic_map_closes_and_has_one_lightness() -> None:
    colours = style.cyclic_map()(np.linspace(0, 1, 200))[:, :3]
    np.testing.assert_allclose(colours[0], colours[-1], atol=2 / 255)
    assert np.ptp(rgb2lab(colours)[:, 0]) < 6


@pytest.mark.parametrize(
    ("reach", "wrap", "limit", "is_cyclic", "title"),
    [
        (0.41, False, 0.5, False, "phase (rad)"),
        (2.5, False, math.pi, True, "phase (rad)"),
        (4.3, False, 5, False, "phase, unwrapped (rad)"),
        (4.3, True, math.pi, True, "phase (rad)"),
    ],
)
def test_the_phase_is_drawn_so_that_it_shows(
    reach: float, wrap: bool, limit: float, is_cyclic: bool, title: str
) -> None:
    phase = np.linspace(-reach, 0.3 * reach, 1000)
    phase[::10] = np.nan
    scale = scales.phase_scale(phase, wrap=wrap)
    assert (scale.limit, scale.is_cyclic, scale.title) == (pytest.approx(limit), is_cyclic, title)
    assert (scale.norm.vmin, scale.norm.vmax) == (-scale.limit, scale.limit)


@pytest.mark.parametrize(("strain", "title", "limit"), [(3.1e-4, "strain (10⁻⁴)", 4), (0.021, "strain (%)", 2.4)])
def test_strain_is_symmetric_about_zero_in_a_unit_of_its_size(strain: float, title: str, limit: float) -> None:
    values = np.full(1000, strain)
    values[0] = -50 * strain
    scale = scales.strain_scale(values)
    assert (scale.title, scale.limit, scale.extend) == (title, pytest.approx(limit), "both")
    assert scale.norm(scale.values(np.zeros(1))) == 0.5
    np.testing.assert_allclose(scale.rgb(np.zeros(1)), 247, atol=2)


@pytest.mark.parametrize("nothing", [np.full(5, np.nan), np.zeros(0), np.zeros(5)])
def test_a_field_of_nothing_still_has_a_scale(nothing: np.ndarray) -> None:
    assert scales.strain_scale(nothing).limit == 1
    assert scales.phase_scale(nothing).limit == 1


def test_nan_is_drawn_as_the_neutral_colour_and_zero_is_not(drawn: Callable[[str], Drawn]) -> None:
    neutral = np.round(np.array(to_rgb(style.OUTSIDE)) * 255)
    for scale in (scales.strain_scale(CRYSTAL.strain), scales.phase_scale(CRYSTAL.phase, wrap=True)):
        np.testing.assert_allclose(scale.rgb(np.array([np.nan]))[0], neutral, atol=1)
        assert np.abs(scale.rgb(np.zeros(1))[0] - neutral).max() > 20
    amplitude, *_, strain = (axes.images[0].get_array() for axes in drawn("slices").figure.axes[:4])
    assert not np.ma.masked_invalid(strain)[amplitude < 0.1].count()
    assert np.ma.masked_invalid(strain)[amplitude > 0.2].count() == (amplitude > 0.2).sum()


def test_without_geometry_there_are_voxels_and_a_note(drawn: Callable[[str], Drawn]) -> None:
    figure = drawn("slices in voxels").figure
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["amplitude", "phase (rad)"]
    assert "no strain" in figure.get_suptitle()
    assert all(label.endswith("voxels") for _, _, label in scale_bars(figure))


def test_an_empty_support_can_be_drawn(tmp_path: Path) -> None:
    nothing = np.full(CRYSTAL.phase.shape, np.nan, dtype=np.float32)
    empty = dataclasses.replace(
        CRYSTAL, support=np.zeros_like(CRYSTAL.support), phase=nothing, displacement=nothing, strain=nothing
    )
    assert draw(lambda: slices(empty), tmp_path / "slices.png").is_clean


def test_measured_and_calculated_counts_share_one_scale_and_gaps_are_not_zero(drawn: Callable[[str], Drawn]) -> None:
    measured, calculated, residual = (drawn("pattern").figure.axes[3 * row].images[0] for row in range(3))
    assert measured.norm.vmax == calculated.norm.vmax == float(PATTERN.counts.max())
    assert measured.norm.vmin == calculated.norm.vmin > 0
    assert residual.norm.vmin == -residual.norm.vmax
    gap = ~PATTERN.mask[PATTERN.shape[0] // 2].numpy()
    for image in (measured, residual):
        np.testing.assert_array_equal(np.ma.getmaskarray(np.ma.masked_invalid(image.get_array())), gap)
    assert np.isfinite(calculated.get_array()).all()
    np.testing.assert_allclose(measured.cmap(np.nan)[:3], to_rgb(style.UNMEASURED))


def test_a_pattern_much_shorter_along_one_axis_is_stretched_and_says_so(tmp_path: Path) -> None:
    counts, mask = PATTERN.counts[16:24], PATTERN.mask[16:24]
    result = draw(lambda: aliens(counts.numpy(), ~mask.numpy(), []), tmp_path / "aliens.png")
    across, frames = (axes.get_xlabel() for axes in result.figure.axes[:2])
    assert across == "column →"
    assert frames == "frame →\n(stretched × 2.5)"
    assert result.figure.axes[1].get_aspect() == pytest.approx(1 / 2.5)


def test_starts_are_listed_by_rank_and_the_best_is_bold(drawn: Callable[[str], Drawn]) -> None:
    legend, _ = drawn("convergence").figure.legends
    assert [text.get_text().split(":")[0] for text in legend.get_texts()] == [f"start {i}" for i in (1, 3, 0, 2, 4)]
    widths = [line.get_linewidth() for line in legend.get_lines()]
    assert widths[0] > 2 * max(widths[1:])


def test_a_refinement_on_two_grids_is_drawn_stage_by_stage_with_the_noise_of_the_full_grid_only_there(
    tmp_path: Path,
) -> None:
    stages = [("prediction", 1), ("coherent beam", 9), ("full resolution", 5), ("likelihood", 5)]
    found = dataclasses.replace(
        RECONSTRUCTION, errors=torch.full((1, 20), 0.1), free_errors=torch.tensor([0.104]), free_error=0.0054, best=0
    )
    result = draw(lambda: convergence(found, chi2_noise=0.003, stages=stages), tmp_path / "convergence.png")
    score, noise = result.figure.legends
    assert [text.get_text() for text in score.get_texts()] == [
        "χ² of fitted voxels:\nnetwork prediction,\nthen its refinement"
    ]
    assert score.get_title().get_text() == "result: 0.0054\n(χ² of held-out voxels)"
    assert "full grid" in noise.get_texts()[0].get_text()
    (axes,) = result.figure.axes
    curve, level, *marks = axes.get_lines()
    assert np.isnan(np.asarray(curve.get_ydata())).nonzero()[0].tolist() == [10]
    np.testing.assert_array_equal(level.get_xdata(), (10, 21))
    assert [np.asarray(line.get_xdata())[0] for line in marks] == [1.5, 10.5, 15.5]
    names = [text.get_text().replace("\n", " ") for text in axes.texts]
    assert names == ["coherent beam", "full resolution", "likelihood"]


def test_starts_that_stopped_early_are_ranked_by_their_last_error(tmp_path: Path) -> None:
    errors = torch.full((9, 20), 0.1)
    errors[:, 10:] = float("nan")
    errors[7, 9] = 0.01
    errors[3] = float("nan")
    many = dataclasses.replace(RECONSTRUCTION, errors=errors, free_errors=torch.full((9,), float("nan")), best=7)
    (legend,) = draw(lambda: convergence(many), tmp_path / "convergence.png").figure.legends
    assert legend.get_texts()[0].get_text() == "start 7: 0.01"
    assert len(legend.get_texts()) == 6
    assert "6 of 9" in legend.get_title().get_text()


@pytest.mark.parametrize(
    ("resolution", "in_voxels", "words"),
    [
        (1.5e-8, False, "resolution 15 nm"),
        (2 * math.pi / FREQUENCIES[-1], False, "better than 10.5 nm"),
        (None, False, "no resolution"),
        (3.0, True, "resolution 3 voxels"),
    ],
)
def test_the_resolution_is_read_off_where_the_prtf_crosses(
    resolution: float | None, in_voxels: bool, words: str, tmp_path: Path
) -> None:
    frequencies = np.linspace(0.1, math.pi, 30) if in_voxels else FREQUENCIES
    result = draw(lambda: prtf(frequencies, PRTF, resolution, in_voxels=in_voxels), tmp_path / "prtf.png")
    axes = result.figure.axes[0]
    assert words in axes.get_title() + " ".join(text.get_text() for text in axes.texts)
    if resolution is not None:
        line = axes.lines[2].get_xdata()[0]
        assert line == pytest.approx(2 * math.pi / (resolution if in_voxels else resolution * 1e9))


def test_every_cluster_is_outlined_and_numbered_in_every_projection(drawn: Callable[[str], Drawn]) -> None:
    boxes = [((5, 9), (30, 33)), ((4, 8), (30, 33)), ((4, 8), (5, 9))]
    for axes, (across, down) in zip(drawn("aliens").figure.axes[:3], boxes, strict=True):
        (outline,) = axes.collections
        box = outline.get_datalim(axes.transData).extents
        np.testing.assert_allclose(box, [across[0], down[0], across[1], down[1]], atol=1e-6)
        assert "1" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("worst", [4.3e-4, 0.01234])
def test_no_line_of_the_slide_leaves_it_however_long_its_numbers_are(worst: float) -> None:
    long = dataclasses.replace(
        REPORT,
        chi2=1.2345e-30,
        chi2_free=1.234e-5,
        chi2_noise_free=2.345e-5,
        voxel_size_nm=(10.12, 11.34, 12.56),
        displacement_nm=Distribution(p1=-12.345, p99=23.456),
        strain=Distribution(mean=-worst, std=worst),
    )
    figure = overview(CRYSTAL, PATTERN, RECONSTRUCTION, long)
    said = {line for pair in key_numbers(long) for line in pair}
    lines = [text for axes in figure.axes for text in axes.texts if text.get_text() in said]
    assert len(lines) == 2 * len(key_numbers(long))
    right = figure.bbox.x1
    assert max(text.get_window_extent().x1 for text in lines) <= right
    assert min(text.get_fontsize() for text in lines) >= 7  # still read from a slide
    strain = lines[[text.get_text() for text in lines].index(dict(key_numbers(long))["strain (10⁻⁴)"])]
    assert strain.get_fontsize() > 11  # beside others of 13 points


def test_key_numbers_have_units_and_leave_the_unknown_out() -> None:
    assert key_numbers(REPORT) == [("χ²", "0.0051"), ("voxel", "5 nm"), ("strain (10⁻⁴)", "0.01 (spread 3.4)")]
    assert key_numbers(Report(d_spacing_nm=0.23348)) == [("d spacing", "0.23348 nm")]
