"""What the viewer draws: values, colours and places are those of the result."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from autophasenn.files.cxi_image import CountsPair, read_counts
from autophasenn.report.opengl import NoOpenGLError, off_screen
from autophasenn.report.planes import SECTIONS
from autophasenn.report.words import UNKNOWN
from autophasenn.viewer.figure import view_figure
from autophasenn.viewer.numbers import rows_of, warnings_of
from autophasenn.viewer.overlay import overlay
from autophasenn.viewer.pattern import Part, patterns_of
from autophasenn.viewer.quantities import Quantity, lacking_of, quantities_of
from autophasenn.viewer.results import StoredImage, read_image
from autophasenn.viewer.scene import NEUTRAL, TURN, Appearance, Scene
from autophasenn.viewer.sheet import pattern_figure
from autophasenn.viewer.slices import Drawing, Slices, slices_of

ISOVALUE = 0.3


def ball(
    radius: int = 12, phase: float = 0.0, voxel_size: tuple[float, float, float] | None = (2e-9, 3e-9, 4e-9)
) -> StoredImage:
    """A ball whose amplitude falls linearly, 1 at its middle and 0 at `radius` voxels along each axis."""
    n = 2 * radius + 9
    x, y, z = np.meshgrid(*[np.arange(n) - n // 2] * 3, indexing="ij")
    distance = np.sqrt(x**2 + y**2 + z**2)
    amplitude = np.clip(1 - distance / radius, 0, None).astype(np.float32)
    support = amplitude >= ISOVALUE
    inside = np.where(support, np.float32(1), np.float32(np.nan))
    return StoredImage(
        path=Path("ball"), name="ball", amplitude=amplitude, phase=(inside * phase * x / radius).astype(np.float32),
        support=support, displacement=None, strain=(inside * 1e-4 * y).astype(np.float32),
        phase_spread=(inside * np.abs(z) / radius).astype(np.float32), amplitude_spread=inside * np.float32(0.1),
        voxel_size=voxel_size, scattering_vector=None, report={},
    )  # fmt: skip


@pytest.fixture
def scene() -> Scene:
    image = ball()
    made = Scene([image], quantities_of([image]))
    yield made
    made.close()


def surface(scene: Scene, number: int = 0) -> np.ndarray:
    return np.asarray(scene._meshes[number]["surface"].points)


@pytest.mark.parametrize("threshold", [0.35, 0.5, 0.7])
def test_the_surface_lies_where_the_amplitude_is_the_threshold(scene: Scene, threshold: float) -> None:
    assert scene.show(Appearance(threshold=threshold))[0] > 0
    distance = np.linalg.norm(surface(scene) / (2.0, 3.0, 4.0), axis=1)
    np.testing.assert_allclose(distance, 12 * (1 - threshold), atol=0.2)


def test_a_threshold_that_nothing_reaches_leaves_nothing_and_says_so(scene: Scene) -> None:
    scene.show(Appearance())
    assert scene.show(Appearance(threshold=1.01)) == [0.0]
    assert scene.size_in_bytes() == 0


OBLIQUE = (0.48, -0.6, 0.64)


@pytest.mark.parametrize("normal", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), OBLIQUE])
def test_a_cut_leaves_one_half_and_shows_its_face(scene: Scene, normal: tuple[float, float, float]) -> None:
    scene.show(Appearance(cut=(normal,), place=5.0))
    kept = surface(scene) @ normal
    face = np.asarray(scene._meshes[0]["face"].points)
    np.testing.assert_allclose(face @ normal, 5.0, atol=1e-4)
    scene.show(Appearance(cut=(normal,), place=5.0, is_flipped=True))
    rest = surface(scene) @ normal
    assert kept.max() <= 5.0001
    assert rest.min() >= 4.9999


def test_the_face_of_an_oblique_cut_is_coloured_by_what_is_there(scene: Scene) -> None:
    scene.show(Appearance(quantity="strain", cut=(OBLIQUE,), place=5.0))
    face = scene._meshes[0]["face"]
    # the strain of the ball is 1e-4 of the index along its second axis, whose voxels have 3 nm
    expected = scene.quantities["strain"].rgb(np.asarray(face.points)[:, 1] / 3.0).astype(int)
    inside = np.linalg.norm(np.asarray(face.points) / (2.0, 3.0, 4.0), axis=1) < 7
    assert inside.sum() > 50
    assert np.abs(np.asarray(face.point_data["colour"])[inside].astype(int) - expected[inside]).max() <= 3


def test_each_of_two_crystals_is_cut_along_its_own_direction() -> None:
    images = [ball(), ball(radius=8)]
    scene = Scene(images, quantities_of(images))
    scene.show(Appearance(cut=((1.0, 0.0, 0.0), OBLIQUE), place=2.0))
    for number, normal in enumerate(((1.0, 0.0, 0.0), OBLIQUE)):
        np.testing.assert_allclose(np.asarray(scene._meshes[number]["face"].points) @ normal, 2.0, atol=1e-4)
    scene.close()


def test_the_surface_is_grey_where_the_phase_is_uncertain(scene: Scene) -> None:
    scene.show(Appearance(quantity="strain", largest_spread=0.3))
    colours = np.asarray(scene._meshes[0]["surface"].point_data["colour"])
    height = np.abs(surface(scene)[:, 2]) / 4.0 / 12
    is_grey = (colours == NEUTRAL).all(axis=1)
    assert is_grey[height > 0.4].all()
    assert not is_grey[height < 0.2].any()


def test_both_crystals_are_seen_through_one_camera() -> None:
    images = [ball(), ball(radius=8)]
    scene = Scene(images, quantities_of(images))
    before = scene.orientation()
    scene.turn(TURN, 0.0)
    assert scene.plotter.renderers[0].camera is scene.plotter.renderers[1].camera
    assert not np.allclose(scene.orientation(), before)
    assert np.allclose(scene.orientation() @ scene.orientation().T, np.eye(3))
    scene.close()


def test_what_only_one_of_two_has_is_named_and_each_has_its_own_unit() -> None:
    known, unknown = ball(), replace(ball(voxel_size=None), name="other", strain=None)
    assert lacking_of([known]) == {}
    assert lacking_of([known, unknown]) == {"strain": "Strain along Q is not shown, as other has none."}
    scene = Scene([known, unknown], quantities_of([known, unknown]))
    bars = [overlay(scene, image, number) for number, image in enumerate((known, unknown))]
    assert [bar["bar_text"].split()[1] for bar in bars] == ["nm", "voxels"]
    scene.show(Appearance())
    sizes = [np.ptp(surface(scene, number), axis=0).max() for number in (0, 1)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.35), "a ball in voxels is as large as one in nm"
    # the bar of each is as long, beside its crystal, as it says: the radius of the balls is 4 nm x 8.4 and 8.4 voxels
    height = 2 * float(scene.camera.parallel_scale)
    for bar, size, true in zip(bars, sizes, (2 * 4 * 8.4, 2 * 8.4), strict=True):
        drawn = bar["bar"] / 100 * height
        assert drawn / size == pytest.approx(float(bar["bar_text"].split()[0]) / true, rel=0.05)
    scene.close()


def test_a_length_in_voxels_and_one_in_nm_are_drawn_at_scales_of_their_own() -> None:
    known, unknown = slices_of([ball(), replace(ball(voxel_size=None), name="other")])
    assert known.side == slices_of([ball()])[0].side
    assert unknown.side == slices_of([ball(voxel_size=None)])[0].side


def test_the_picture_for_a_slide_has_a_scale_bar_for_each_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    write = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: figures.append(figure) or write(figure, *a, **k))
    strain, picture = quantities_of([ball()])["strain"], np.zeros((60, 80, 3), np.uint8)
    for pixels in ([(2.0, "nm"), (0.5, "voxels")], [(2.0, "nm"), (2.0, "nm")]):
        view_figure(picture, strain, ["one", "two"], Appearance(), pixels, "light")
    for figure, expected in zip(figures, (["20 nm", "5 voxels"], ["20 nm"]), strict=True):
        axes = figure.axes[0]
        said = [text.get_text() for text in axes.texts if text.get_text().split()[-1] in ("nm", "voxels")]
        assert said == expected
        lengths = [float(np.ptp(line.get_xdata())) for line in axes.lines]
        assert lengths == pytest.approx([10.0] * len(expected))  # pixels


def test_pictures_are_drawn_on_this_machine_where_it_can(scene: Scene) -> None:
    try:
        with off_screen():
            pass
    except NoOpenGLError as error:
        pytest.skip(str(error))
    scene.background("dark")
    scene.show(Appearance(quantity="strain"))
    picture = scene.picture()
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
    assert tuple(picture[2, 2]) == (0x14, 0x16, 0x1C)
    assert np.abs(middle.astype(int) - picture[2, 2]).max() > 50
    png = view_figure(picture, scene.quantities["strain"], ["ball"], Appearance(), [(1.0, "nm")], "dark")
    assert png.startswith(b"\x89PNG")


def test_a_small_phase_is_drawn_about_zero_and_a_large_one_in_a_circle() -> None:
    small, large = (quantities_of([ball(phase=p)])["phase"] for p in (1.0, 6.0))
    assert not small.is_cyclic
    assert small.low == -small.high
    assert large.is_cyclic
    assert large.high == pytest.approx(np.pi)
    same = large.rgb(np.array([-3.1, 2 * np.pi - 3.1], np.float32))
    np.testing.assert_array_equal(same[0], same[1])


def test_strain_is_coloured_symmetrically_about_zero() -> None:
    strain = quantities_of([ball()])["strain"]
    assert strain.low == -strain.high
    assert strain.unit == "10⁻⁴"
    rgb = strain.rgb(np.array([-strain.high, 0, strain.high], np.float32)).astype(int)
    assert np.ptp(rgb[1]) < 8, "zero has no hue"
    assert rgb[0][2] > rgb[0][0], "compression is blue"
    assert rgb[2][0] > rgb[2][2], "tension is red"


def test_two_results_share_their_scales() -> None:
    images = [ball(phase=0.2), ball(phase=1.2)]
    assert quantities_of(images)["phase"].high == pytest.approx(quantities_of(images[1:])["phase"].high)
    one, two = slices_of([ball(), ball(radius=6)])
    assert one.side == two.side


@pytest.fixture
def slices() -> tuple[Slices, Quantity]:
    image = ball()
    return slices_of([image])[0], quantities_of([image])["strain"]


def test_the_value_under_the_pointer_is_that_of_the_voxel_there(slices: tuple[Slices, Quantity]) -> None:
    cut, strain = slices
    for number, plane in enumerate(cut.planes):
        across, up = 0.6, 0.45
        crosshair = cut.voxel_at(plane, cut.start, across, up)
        drawn = cut.drawn(crosshair, Drawing(strain, ISOVALUE))[number]
        middle = [n // 2 for n in cut.image.support.shape]
        offset = np.array(crosshair.voxel) - middle
        assert offset[plane.normal] == 0
        assert offset[plane.across] * cut.image.spacing[plane.across] == pytest.approx(
            (across - 0.5) * cut.side, abs=cut.image.spacing[plane.across]
        )
        assert offset[plane.up] * cut.image.spacing[plane.up] == pytest.approx(
            (0.5 - up) * cut.side, abs=cut.image.spacing[plane.up]
        )
        said = cut.said(crosshair, strain)
        assert f"{strain.said(float(offset[1]))}" in said
        assert "nm" in said
        assert drawn["picture"].startswith("data:image/png;base64,")


def test_a_place_outside_the_crystal_has_no_strain(slices: tuple[Slices, Quantity]) -> None:
    cut, strain = slices
    outside = cut.voxel_at(cut.planes[0], cut.start, 0.01, 0.01)
    assert "outside the crystal" in cut.said(outside, strain)


def test_the_crosshair_stays_in_the_volume(slices: tuple[Slices, Quantity]) -> None:
    cut, _ = slices
    shape = cut.image.amplitude.shape
    assert cut.start.moved(0, -7, shape).voxel[0] == 0
    assert cut.start.moved(2, 10**6, shape).voxel[2] == shape[2] - 1


def test_without_geometry_lengths_are_voxels() -> None:
    image = ball(voxel_size=None)
    cut = slices_of([image])[0]
    crosshair = cut.start.moved(2, 5, image.shape)
    first, second, _ = crosshair.voxel
    # the index in the file, as numpy counts
    assert cut.said(crosshair, quantities_of([image])["strain"]).startswith(f"voxel [{first}, {second}, 5]")
    drawn = cut.drawn(crosshair, Drawing(quantities_of([image])["phase"], ISOVALUE))
    assert drawn[0]["bar_text"].endswith("voxels")
    assert [each["at"] for each in drawn] == [f"index {crosshair.voxel[plane.normal]}" for plane in cut.planes]


@pytest.mark.parametrize("section", range(3))
def test_the_counts_under_the_pointer_are_those_of_the_voxel_there(example_results: Path, section: int) -> None:
    pattern = read_counts(example_results / "refined" / "result.cxi")
    (view,) = patterns_of([pattern])
    down, across = SECTIONS[section].down, SECTIONS[section].across
    voxel = [0, 0, 0]
    voxel[3 - down - across], voxel[down], voxel[across] = 30, 33, 31
    said = view.said(section, 30, (31 + 0.5) / 64, (33 + 0.5) / 64)
    assert f"frame {voxel[0]}, row {voxel[1]}, column {voxel[2]}, (" in said
    assert f"measured {pattern.counts[tuple(voxel)]:.0f} counts" in said.replace("\N{NARROW NO-BREAK SPACE}", "")
    assert len(view.drawn(section, 30)["pictures"]) == 3


def counts_pair(shape: tuple[int, int, int], brightest: float, unit: str = "1/nm", step: float = 0.01) -> CountsPair:
    counts = np.ones(shape, np.float32)
    counts[tuple(n // 2 for n in shape)] = brightest
    return CountsPair(counts, counts, np.ones(shape, bool), np.full(3, step), unit)


def pixel(data: str) -> np.ndarray:
    """The pixels of a picture on the page."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))))


def test_two_patterns_share_their_colours_and_their_scale() -> None:
    small, large = patterns_of([counts_pair((16, 20, 24), 1e3), counts_pair((40, 60, 72), 1e5)])
    assert small.scales() == large.scales()
    one, two = small.drawn(0, small.peak(0)), large.drawn(0, large.peak(0))
    # a count has the same colour in both, and a voxel the same size on the page
    np.testing.assert_array_equal(pixel(one["pictures"][0])[0, 0], pixel(two["pictures"][0])[0, 0])
    assert not np.array_equal(pixel(one["pictures"][0])[10, 12], pixel(two["pictures"][0])[30, 36])
    assert (one["width"] / 24, one["height"] / 20) == pytest.approx((two["width"] / 72, two["height"] / 60))
    assert (one["ratio"], one["bar"], one["bar_text"]) == (two["ratio"], two["bar"], two["bar_text"])
    assert two["width"] == two["height"] == 100
    assert small.said(0, 8, 0.02, 0.5) == "outside of this pattern"
    assert "row 10, column 12" in small.said(0, 8, 0.5 + 0.5 / 72, 0.5 + 0.5 / 60)


def test_patterns_in_several_units_have_each_their_own_scale() -> None:
    known, unknown = patterns_of([counts_pair((16, 20, 24), 1e3), counts_pair((40, 60, 72), 1e5, "voxels", 1.0)])
    assert [view.drawn(0, 3)["width"] for view in (known, unknown)] == [100, 100]
    assert unknown.beside(known, 0, 2) == unknown.peak(0)


@pytest.mark.parametrize("section", range(3))
@pytest.mark.parametrize("part", [Part(), Part(4.0, 0.55, 0.4)])
def test_a_tick_lies_where_q_is_as_far_from_the_peak_as_it_says(section: int, part: Part) -> None:
    small, large = patterns_of([counts_pair((16, 20, 24), 1e3), counts_pair((40, 61, 72), 1e5, step=0.02)])
    plane = SECTIONS[section]
    for view in (small, large):
        drawn, box = view.drawn(section, 3, part), view.box(section, part)
        for edge, axis, start, length in (
            ("across", plane.across, "left", "width"),
            ("down", plane.down, "top", "height"),
        ):
            count, step = view.pattern.counts.shape[axis], view.pattern.steps[axis]
            assert len(drawn[f"q_{edge}"]) >= 2
            for tick in drawn[f"q_{edge}"]:
                # the middle of voxel i lies (i - n // 2) steps from that of the peak
                index = count * (tick["at"] - box[start]) / box[length] - 0.5
                assert (index - count // 2) * step == pytest.approx(float(tick["text"].replace("−", "-")), abs=1e-9)
    unknown = patterns_of([counts_pair((16, 20, 24), 1e3, "voxels", 1.0)])[0].drawn(section, 3)
    assert (unknown["q_unit"], unknown["q_across"], unknown["q_down"]) == ("", [], [])


def test_a_pattern_for_a_slide_has_the_same_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    write = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: figures.append(figure) or write(figure, *a, **k))
    views, part = patterns_of([counts_pair((16, 20, 24), 1e3)]), Part(2.0, 0.5, 0.4)
    pattern_figure(views, 0, [8], part, ["one"], "light", "png")
    axes = figures[0].axes[0]
    low, high = axes.get_xlim()
    drawn = {label.get_text(): 100 * (label.get_position()[0] - low) / (high - low) for label in axes.get_xticklabels()}
    for tick in views[0].drawn(0, 8, part)["q_across"]:
        assert drawn[tick["text"]] == pytest.approx(tick["at"])
    assert axes.get_xlabel().endswith("nm⁻¹")


def test_every_plane_of_both_patterns_can_be_seen_and_the_other_goes_as_far_from_its_peak() -> None:
    small, large = patterns_of([counts_pair((16, 20, 24), 1e3), counts_pair((40, 60, 72), 1e5, step=0.005)])
    for section in range(3):
        for view in (small, large):
            planes = {view.drawn(section, index)["index"] for index in range(view.last(section) + 1)}
            assert planes == set(range(view.pattern.counts.shape[SECTIONS[section].normal]))
    assert large.beside(small, 0, small.peak(0) + 3) == large.peak(0) + 6  # voxels of half the length
    assert small.beside(large, 0, 0) == max(0, small.peak(0) - 10)


def test_a_power_of_ten_is_multiplied_by() -> None:
    assert quantities_of([ball()])["strain"].said(4.31) == "4.31 × 10⁻⁴"
    assert quantities_of([ball()])["phase_spread"].said(0.2) == "0.2 rad"


def test_what_a_report_does_not_know_is_called_unknown(example_results: Path) -> None:
    image = read_image(example_results / "refined")
    rows = {row["name"]: row["value"] for row in rows_of(image)}
    assert float(rows["χ²"]) == pytest.approx(image.report["chi2"], rel=0.01)
    assert rows["Voxel"] == f"{image.spacing[0]:.3g} nm"
    assert rows["Size"] == f"{' × '.join(f'{edge:.0f}' for edge in image.extent)} nm"
    assert rows["Pattern"] == "64 × 64 × 64"
    assert rows["Checksum"].removesuffix(" …") == image.report["input"]["sha256"][:12]
    assert f"torch {image.report['versions']['torch']}" in rows["Versions"]
    for name in ("Photons", "Oversampling", "Binning", "Starts", "Detector voxel", "|Q|", "Input", "Not measured"):
        assert rows[name] != UNKNOWN, name
    assert all(row["meaning"] for row in rows_of(image))
    empty = {row["name"]: row["value"] for row in rows_of(ball())}
    assert {value for name, value in empty.items() if name != "Size"} == {UNKNOWN}
    assert warnings_of(ball()) == []
