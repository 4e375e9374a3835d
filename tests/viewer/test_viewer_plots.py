"""What stands beside the pictures: profiles, histograms, curves, differences, films, tables."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autophasenn.errors import InputError
from autophasenn.files.cxi import read_result
from autophasenn.files.cxi_image import read_counts
from autophasenn.files.guarded import Limits
from autophasenn.live.ledger import ScanRecord
from autophasenn.physics.metrics import radial_prtf as radial_prtf_of_tensors
from autophasenn.viewer import plots
from autophasenn.viewer.curves import radial_prtf, read_curves
from autophasenn.viewer.difference import difference_of
from autophasenn.viewer.film import film
from autophasenn.viewer.numbers import numbers_csv
from autophasenn.viewer.pattern import Part, patterns_of
from autophasenn.viewer.profile import profile_of, spread_of
from autophasenn.viewer.quantities import quantities_of
from autophasenn.viewer.results import StoredImage, read_image
from autophasenn.viewer.scans import arranged, as_csv, row_of
from autophasenn.viewer.sheet import pattern_figure, slices_figure
from autophasenn.viewer.slices import Drawing, Window, slices_of

SPACING = np.array([2.0, 3.0, 4.0])
"""nm"""


def block(phase: float = 0.0, moved: int = 0, shape: tuple[int, int, int] = (40, 36, 32)) -> StoredImage:
    """A block of 16 x 12 x 10 voxels with a corner cut off, whose strain rises by 1e-4 a nm along x."""
    x, y, z = np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij")
    x = x - moved
    support = (np.abs(x) <= 8) & (np.abs(y) <= 6) & (np.abs(z) <= 5) & (x + y + z <= 12)
    inside = np.where(support, np.float32(1), np.float32(np.nan))
    return StoredImage(
        path=Path("block"), name="block", amplitude=support.astype(np.float32),
        phase=(inside * (phase + 0.1 * y)).astype(np.float32), support=support,
        strain=(inside * 1e-4 * SPACING[0] * x).astype(np.float32), voxel_size=(2e-9, 3e-9, 4e-9),
    )  # fmt: skip


def test_a_profile_has_the_values_along_its_line_and_the_distance_in_nm() -> None:
    image = block()
    strain = quantities_of([image])["strain"]
    found = profile_of(image, strain.volumes[0], ((-10.0, 0.0, 0.0), (10.0, 0.0, 0.0)))
    np.testing.assert_allclose(found.distance[[0, -1]], (0, 20))
    np.testing.assert_allclose(found.values, np.linspace(-10, 10, found.values.size), atol=1e-3)  # 10⁻⁴
    np.testing.assert_allclose(found.amplitude, 1)
    slanted = profile_of(image, strain.volumes[0], ((0.0, 0.0, 0.0), (6.0, 9.0, 8.0)))
    assert slanted.distance[-1] == pytest.approx(np.sqrt(36 + 81 + 64))
    np.testing.assert_allclose(slanted.values[-1], 6, atol=1e-3)
    out = profile_of(image, strain.volumes[0], ((0.0, 0.0, 0.0), (30.0, 0.0, 0.0)))
    assert np.isnan(out.values[-1])
    assert out.amplitude[-1] == 0


def test_a_profile_of_angles_is_not_drawn_through_zero_where_they_turn_over() -> None:
    image = block()
    angles = np.where(np.arange(40)[:, None, None] < 20, np.float32(3.1), np.float32(-3.1)) * np.ones(
        image.shape, np.float32
    )
    found = profile_of(image, angles, ((-10.0, 0.0, 0.0), (10.0, 0.0, 0.0)), is_cyclic=True)
    assert np.abs(found.values).min() > 3.0


def test_a_histogram_counts_every_voxel_inside_the_surface() -> None:
    image = block()
    strain = quantities_of([image])["strain"]
    spread = spread_of(image, strain, 0, 0.3)
    inside = image.strain[image.support] * 1e4
    assert spread.share.sum() == pytest.approx(100)
    assert (spread.mean, spread.std) == pytest.approx((inside.mean(), inside.std()), rel=1e-4)
    dim = replace(
        image, amplitude=image.amplitude * np.where(np.arange(40)[:, None, None] < 20, 1, 0.2).astype(np.float32)
    )
    half = spread_of(dim, strain, 0, 0.3)
    assert half.mean == pytest.approx(inside[inside < 0].mean(), rel=1e-4), "the surface leaves the other half out"


def test_the_difference_of_two_results_is_found_whatever_their_place_and_constant_phase() -> None:
    first, second = block(), block(phase=2.0, moved=3)
    zero = difference_of(first, second)
    assert zero.name == "block − block"
    np.testing.assert_array_equal(zero.support, first.support)
    np.testing.assert_allclose(zero.phase[zero.support], 0, atol=1e-5)
    np.testing.assert_allclose(zero.strain[zero.support], 0, atol=1e-9)
    assert np.isnan(zero.phase[~zero.support]).all()
    more = replace(second, strain=second.strain + np.float32(3e-4))
    np.testing.assert_allclose(difference_of(first, more).strain[zero.support], -3e-4, rtol=1e-3)


def test_what_has_no_common_unit_or_place_is_not_subtracted() -> None:
    with pytest.raises(InputError, match="geometry"):
        difference_of(block(), replace(block(), voxel_size=None, strain=None))


def test_the_prtf_without_torch_is_that_of_the_physics() -> None:
    import torch

    generator = np.random.default_rng(3)
    shape = (12, 16, 20)
    prtf = generator.uniform(0, 1, shape).astype(np.float32)
    counts = generator.poisson(3.0, shape).astype(np.float32)
    measured = generator.uniform(size=shape) > 0.1
    steps = np.array([[2e6, 1e5, 0], [0, 3e6, 2e5], [1e5, 0, 2.5e6]])
    for given, scale in ((steps, 1e-9), (None, 1.0)):
        tensors = (torch.from_numpy(prtf), torch.from_numpy(counts), torch.from_numpy(measured))
        q, value = radial_prtf_of_tensors(*tensors, None if given is None else torch.from_numpy(given))
        ours = radial_prtf(prtf, np.where(measured, counts, 0), given)
        np.testing.assert_allclose(ours[0], q * scale, rtol=1e-6)
        np.testing.assert_allclose(ours[1], value, rtol=1e-6)


def test_the_curves_are_those_of_the_result(example_results: Path) -> None:
    path = example_results / "refined" / "result.cxi"
    stored = read_result(path).reconstruction
    report = read_image(example_results / "refined").report
    found = read_curves(path, report, Limits())
    assert found.best == stored.best
    assert len(found.errors) == len(stored.errors)
    errors = stored.errors[stored.best].numpy()
    np.testing.assert_allclose(found.errors[found.best], errors[np.isfinite(errors) & (errors > 0)], rtol=1e-6)
    assert found.chi2_noise == report["chi2_noise"]
    for theme in ("light", "dark"):
        assert plots.address(plots.convergence(theme, ["refined"], [found])).startswith("data:image/svg+xml;base64,")
    with_prtf = replace(found, prtf=(np.linspace(0.1, 1, 5), np.linspace(1, 0.2, 5)))
    axes = plots.transfer("dark", ["refined"], [with_prtf]).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.linspace(1, 0.2, 5))
    rows = list(csv.reader(io.StringIO(plots.table({"χ²": found.errors[0], "q": np.array([1.0])}))))
    assert len(rows) == 1 + len(found.errors[0])
    assert rows[1][1] == "1"
    assert rows[-1][1] == ""


def test_what_is_zoomed_stays_under_the_pointer_and_inside_of_the_picture() -> None:
    image = block()
    slices = slices_of([image])[0]
    plane, window = slices.planes[0], Window()
    at = slices.voxel_at(plane, slices.start, 0.7, 0.4)
    for _ in range(6):
        window = window.zoomed(1.25, slices.from_middle(at), slices.side)
        across, up = (
            slices.voxel_at(plane, slices.start, 0.7, 0.4, window).voxel[axis] for axis in (plane.across, plane.up)
        )
        assert abs(across - at.voxel[plane.across]) <= 1
        assert abs(up - at.voxel[plane.up]) <= 1
    drawn = slices.drawn(slices.start, Drawing(quantities_of([image])["strain"], 0.3, window))[0]
    assert drawn["bar"] / 100 * slices.side / window.zoom == pytest.approx(float(drawn["bar_text"].split()[0]))
    assert window.zoomed(1e-9, (0.0, 0.0, 0.0), slices.side) == Window()


def test_a_pattern_that_is_zoomed_says_the_counts_of_the_same_voxel(example_results: Path) -> None:
    (view,) = patterns_of([read_counts(example_results / "network" / "result.cxi")])
    before = view.said(0, 32, 0.7, 0.3)
    part = Part().zoomed(1.25, 0.7, 0.3).zoomed(1.25, 0.7, 0.3)
    assert view.said(0, 32, 0.7, 0.3, part) == before
    share = view.bar_length(0, part)
    assert share[2] == pytest.approx(share[0] / view.bar_length(0)[0] * view.bar_length(0)[2] * part.zoom)
    assert part.zoomed(1e-9, 0.5, 0.5) == Part()


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_slices_and_patterns_are_files_for_a_paper(example_results: Path, kind: str, start: bytes) -> None:
    images = [block(), block(moved=2)]
    slices = slices_of(images)
    strain = quantities_of(images)["strain"]
    drawings = [Drawing(strain, 0.3, Window().zoomed(2.0, (0.0, 0.0, 0.0), slices[0].side))] * 2
    body = slices_figure(slices, [each.start for each in slices], drawings, ["one", "two"], "dark", kind)
    assert body.startswith(start)
    views = patterns_of([read_counts(example_results / "network" / "result.cxi")])
    assert pattern_figure(views, 1, [32], Part().zoomed(2.0, 0.4, 0.5), ["one"], "light", kind).startswith(start)


def test_a_film_turns_once_and_has_a_true_scale_bar() -> None:
    pictures = [np.full((240, 320, 3), 20 * number, np.uint8) for number in range(4)]
    with Image.open(io.BytesIO(film(pictures, 0.5, "nm", "dark"))) as shown:
        assert shown.n_frames == 4
        assert shown.info["loop"] == 0
        shown.seek(2)
        frame = np.asarray(shown.convert("RGB")).astype(int)
    bar = (frame[229] > 200).all(axis=1)
    assert bar.sum() * 0.5 == pytest.approx(20, abs=0.5)  # nm: the bar is a quarter of 120 nm at most


RECORDS = [
    ScanRecord("c", "scan_10", "refined", None, 64, 3.0, chi2=0.02, strain_std=4e-4, seconds_to_image=2.0),
    ScanRecord("b", "scan_9", "failed", "=cmd()", 12, 2.0),
    ScanRecord("a", "scan_2", "imaged", None, 70, 1.0, chi2=0.01),
]


@pytest.mark.parametrize(
    ("by", "is_descending", "wanted", "expected"),
    [
        ("", False, "", "cba"),
        ("name", False, "", "abc"),
        ("name", True, "", "cba"),
        ("chi2", False, "", "acb"),
        ("chi2", True, "", "cab"),
        ("frames", True, "", "acb"),
        ("strain", False, "", "cba"),
        ("", False, "SCAN_ refined", "c"),
        ("", False, "cmd", "b"),
        ("", False, "nowhere", ""),
    ],
)
def test_the_table_is_sorted_and_searched(by: str, is_descending: bool, wanted: str, expected: str) -> None:
    assert "".join(row["key"] for row in arranged(RECORDS, by, is_descending, wanted)) == expected


def test_a_row_tells_frames_to_come_and_seconds_that_count_from_the_watchers_start() -> None:
    arriving = ScanRecord("d", "scan_11", "arriving", frames=63, arrived=100.0, counted_from=100.0, expected=64)
    rows = {
        each.key: row_of(each)
        for each in (
            arriving,
            replace(arriving, key="complete", frames=64),
            replace(arriving, key="unknown", expected=None),
            replace(arriving, key="in time", state="imaged", seconds_to_image=4.0),
            replace(arriving, key="late", state="imaged", seconds_to_image=4.0, counted_from=350.0),
        )
    }
    assert [rows[key]["frames"] for key in ("d", "complete", "unknown")] == ["63 of 64", "64", "63"]
    assert [rows[key]["seconds"] for key in ("d", "in time", "late")] == ["–", "4.0", "4.0 *"]
    assert rows["late"]["state"] == "first image", "no word of the program's own"
    assert arranged([arriving, replace(arriving, key="e", state="imaged")], "", False, "first image")[0]["key"] == "e"
    assert rows["d"]["arrived"] == time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(100.0))


def test_tables_for_a_spreadsheet_hold_the_numbers_as_they_are_and_run_nothing() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(RECORDS))))
    assert [row["name"] for row in rows] == ["scan_10", "scan_9", "scan_2"]
    assert float(rows[0]["strain_std"]) == 4e-4
    assert rows[1]["reason"] == "'=cmd()"
    assert rows[1]["chi2"] == ""
    facts = [{"name": "χ²", "values": ["0.01", "=x"], "meaning": "misfit"}]
    assert list(csv.reader(io.StringIO(numbers_csv(["one", "two"], facts)))) == [
        ["number", "one", "two", "meaning"],
        ["χ²", "0.01", "'=x", "misfit"],
    ]
