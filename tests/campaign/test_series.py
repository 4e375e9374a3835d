"""Images of a series on one scale: twins alike, aligned, crystals told apart; plots, page, film and volumes of it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from campaigns import QUICK
from drifting_series import heating, write_series
from PIL import Image

from autophasenn.analysis.series import match, moved, place, turned
from autophasenn.campaign.measured import Measured
from autophasenn.campaign.series import Series
from autophasenn.campaign.table import NUMBERS, Row, as_csv, axis, column, read_metadata, with_change_of_d
from autophasenn.campaign.written import Wanted, check_formats, html_of
from autophasenn.campaign.written import write_series as write_files
from autophasenn.errors import InputError, PlanError
from autophasenn.image import CrystalImage
from autophasenn.live.ledger import Ledger, ScanRecord
from autophasenn.pipeline.reconstruct import reconstruct
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.report.series import spread_evenly
from autophasenn.report.words import with_error


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[CrystalImage]:
    """The true images of three scans of one crystal, and of two other ones."""
    steps = heating(3)
    steps += [replace(steps[1], number=4 + i, crystal=30 + i) for i in range(2)]
    truth = write_series(tmp_path_factory.mktemp("series") / "s.h5", steps, size=32)
    return [truth[step.number] for step in steps]


def inside(image: CrystalImage) -> np.ndarray:
    values = image.strain[image.support]
    return values[np.isfinite(values)]


def odd(image: CrystalImage) -> CrystalImage:
    """The image on the grid of a series, whose numbers of voxels are odd."""
    return place([image])[0].image


def test_the_twin_that_is_like_the_reference_is_taken_and_laid_onto_it(images: list[CrystalImage]) -> None:
    first = odd(images[0])
    given = turned(moved(odd(images[1]), (1.3, -2.0, 0.6)))
    placed = place([first, given])[1]
    assert placed.is_twin
    assert not placed.is_guess
    assert placed.crystal == "A"
    # A crystal that was moved by s and turned lies at -s, so that the twin of it lies at s: it is moved back by that.
    np.testing.assert_allclose(np.array(placed.shift) / first.spacing, (-1.3, 2.0, -0.6), atol=0.15)
    _, placed, right = place([first, given, odd(images[1])])
    assert placed.is_twin
    assert not right.is_twin
    both = right.image.support & placed.image.support
    assert both.sum() > 0.93 * right.image.support.sum()
    difference = (right.image.strain - placed.image.strain)[both]
    assert np.nanstd(difference) < 0.5 * np.nanstd(right.image.strain[both])


def test_the_twin_changes_the_sign_of_phase_and_displacement_and_not_of_strain(images: list[CrystalImage]) -> None:
    image = odd(images[2])
    twin = turned(image)
    np.testing.assert_array_equal(twin.strain[::-1, ::-1, ::-1], image.strain)
    np.testing.assert_array_equal(twin.displacement[::-1, ::-1, ::-1], -image.displacement)
    # Strain is the gradient of the displacement along Q, of the twin too.
    direction = image.q_direction
    for each in (image, twin):
        gradient = np.stack(np.gradient(each.displacement, *each.voxel_size))
        along = np.tensordot(direction, gradient, 1)
        known = np.isfinite(along) & np.isfinite(each.strain)
        assert np.corrcoef(along[known], each.strain[known])[0, 1] > 0.99
    with pytest.raises(InputError, match="give odd numbers of voxels"):
        turned(replace(image, **dict.fromkeys(("displacement", "strain")), amplitude=image.amplitude[1:],
                       phase=image.phase[1:], support=image.support[1:]))  # fmt: skip


def test_images_of_one_crystal_are_told_from_those_of_others(images: list[CrystalImage]) -> None:
    placed = place(images, reference=1)
    assert [each.crystal for each in placed] == ["A", "A", "A", "B", "C"]
    assert min(each.alike for each in placed[:3]) > 0.97
    assert max(each.alike for each in placed[3:]) < 0.85
    other = replace(images[0], scattering_vector=images[0].scattering_vector * 1.15)  # the next reflection
    assert [each.crystal for each in place([images[0], other])] == ["A", "B"]


def test_all_images_lie_on_one_grid_of_the_coarsest_voxels(images: list[CrystalImage]) -> None:
    finer = replace(images[1], voxel_size=tuple(0.8 * edge for edge in images[1].voxel_size))
    placed = place([images[0], finer])
    assert {each.image.shape for each in placed} == {placed[0].image.shape}
    assert placed[0].image.voxel_size == placed[1].image.voxel_size
    assert placed[1].image.voxel_size[0] == pytest.approx(max(images[0].voxel_size))
    volume = int(placed[1].image.support.sum()) * np.prod(placed[1].image.spacing)
    assert volume == pytest.approx(finer.volume, rel=0.04)
    assert inside(placed[0].image).std() == pytest.approx(inside(images[0]).std(), rel=0.1)


def test_images_with_and_without_geometry_are_not_compared(images: list[CrystalImage]) -> None:
    bare = replace(images[1], voxel_size=None, scattering_vector=None, strain=None, displacement=None)
    assert [each.crystal for each in place([bare, bare])] == ["A", "A"]
    with pytest.raises(InputError, match="Some images of the series have a geometry and others none"):
        place([images[0], bare])
    assert match(odd(bare), odd(bare)).correlation == pytest.approx(1)


# The table


def row(number: int, **more: object) -> Row:
    values = {"d_nm": 0.2 + 1e-5 * number, "strain_rms": 1e-4 * number}
    given = {
        "status": "reconstructed",
        "values": values,
        "errors": {"d_nm": 3e-7},
        "metadata": {"T sample": 300.0 + number, "T stage": 290.0},
    }
    called = {"name": f"s {number}", "number": number, "crystal": "A"}
    return Row(f"s{number}", **{**called, **given, **more})  # type: ignore[arg-type]


def test_the_change_of_d_is_told_against_the_reference_with_both_uncertainties() -> None:
    rows = with_change_of_d([row(0), row(1), row(2, crystal="B")], "s0")
    assert rows[0].values["d_change"] == 0
    assert rows[1].values["d_change"] == pytest.approx(5e-5)
    assert rows[1].errors["d_change"] == pytest.approx(np.sqrt(2) * 3e-7 / 0.2)
    assert "d_change" not in rows[2].values  # of another crystal there is none


def test_an_axis_is_found_by_any_part_of_a_name_that_is_its_own() -> None:
    rows = [row(3, metadata={"T sample": 303.0, "T stage": 290.0, "time": "2026-05-04T10:00:00"}), row(5)]
    assert axis(rows, "scan") == ("scan", [3.0, 5.0])
    assert axis(rows, "t SAMPLE") == ("T sample", [303.0, 305.0])
    assert axis(rows, "stage") == ("T stage", [290.0, 290.0])
    assert axis(rows, "time") == ("time since the first scan (h)", [0.0, None])
    assert axis(rows, "strain")[1] == pytest.approx([3.0, 5.0])
    assert axis([row(1), row(1)], "scan")[1] == [1.0, 2.0]  # numbers that tell nothing apart
    for name, said in (("t s", "may be T sample, T stage"), ("potential", "No scan has potential among its metadata")):
        with pytest.raises(PlanError, match=said):
            axis(rows, name)
    with pytest.raises(PlanError, match="No scan says when it was taken"):
        axis([row(1)], "time")
    assert column("volume").name == "volume_nm3"
    with pytest.raises(PlanError, match="There is no number size to plot; choose from confidence, d, expansion"):
        column("size")


def test_a_csv_holds_formulas_as_text_and_a_metadata_of_the_same_name_once_more() -> None:
    lines = as_csv([row(1, name="=SUM(A1)", metadata={"status": 4.0})]).splitlines()
    assert "'=SUM(A1)" in lines[1]
    assert lines[0].count("status") == 2
    assert "recorded status" in lines[0]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_of_metadata_may_come_from_any_spreadsheet(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "m.csv"
    lines = [("scan", "T", "gas"), ("7", "300.5", "argon"), ("Scan_8", "", "air")]
    path.write_text("\ufeff" + "\n".join(separator.join(line) for line in lines) + "\n\n", encoding="utf-8")
    assert read_metadata(path) == {"7": {"T": 300.5, "gas": "argon"}, "scan_8": {"gas": "air"}}


def test_a_table_of_metadata_that_is_none_is_refused(tmp_path: Path) -> None:
    for content, said in ((b"", "has no columns"), (b"scan\n1\n", "has no columns"), (b"scan,T\n1,2\n1,3\n", "twice"),
                          (b"\xff\xfe\x00\x9d", "it is no text")):  # fmt: skip
        (tmp_path / "m.csv").write_bytes(content)
        with pytest.raises(InputError, match=said):
            read_metadata(tmp_path / "m.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_metadata(tmp_path / "none.csv")


def test_numbers_are_told_to_two_digits_of_their_uncertainty() -> None:
    assert with_error(2.3425428, 2.1e-6, 6) == "2.3425428 ± 0.0000021"
    assert with_error(2392.2, 18.4, 4) == "2392 ± 18"
    assert with_error(-0.5, None, 2) == "−0.50"
    assert with_error(0.0, 0.0, 3) == "0"


# What is written


class Balanced(HTMLParser):
    """Tags that are opened and not closed, and addresses of anything outside of the file."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.outside += [value for name, value in attrs if name == "src" and value and not value.startswith("data:")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def series_of(images: list[CrystalImage], folder: Path) -> Series:
    placed = {f"s{n}": each for n, each in enumerate(place(images), 1)}
    rows = [
        replace(
            row(n),
            crystal=placed[f"s{n}"].crystal,
            result=folder / f"s{n}",
            status={2: "uncertain", 3: "unchecked"}.get(n, "reconstructed"),
        )
        for n in range(1, len(images) + 1)
    ]
    failed = Row("s9", "<b>9</b>", 9, "failed", "The file is <gone>.")
    return Series(folder, tuple(with_change_of_d([*rows, failed], "s1")), ("A note.",), "s1", placed)


def test_a_series_leaves_a_page_that_needs_no_other_file(images: list[CrystalImage], tmp_path: Path) -> None:
    series = series_of(images, tmp_path)
    written = write_files(series, Wanted(("expansion", "strain"), "T sample", formats=("png", "svg")))
    assert {path.name for path in written} == {
        *("campaign.csv", "campaign.html", "images.png", "aligned.h5", "film.gif"),
        *(f"{name}_against_T_sample.{kind}" for name in ("d_change", "strain_rms") for kind in ("png", "svg")),
    }
    assert not list(tmp_path.rglob(".writing-*"))
    html = (tmp_path / "campaign.html").read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(html)
    assert parser.open == parser.outside == []
    assert html.count("<tr>") == 1 + len(series.rows)
    assert "&lt;b&gt;9&lt;/b&gt;" in html
    assert "The file is &lt;gone&gt;." in html
    assert len(re.findall("data:image/png", html)) == 3
    assert len(re.findall("data:image/gif", html)) == 1


def test_a_film_has_a_frame_for_every_scan_of_the_crystal_and_they_differ(
    images: list[CrystalImage], tmp_path: Path
) -> None:
    write_files(series_of(images, tmp_path), Wanted(("strain",)))
    with Image.open(tmp_path / "series" / "film.gif") as film:
        assert film.n_frames == 3
        frames = []
        for number in range(3):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB"), np.int16))
    assert np.abs(frames[0] - frames[2]).mean() > 0.1
    with h5py.File(tmp_path / "series" / "aligned.h5") as file:
        data = file[f"{file.attrs['default']}/series"]
        assert data.attrs["signal"] == "strain"
        assert data["strain"].shape == (3, len(data["x"]), len(data["y"]), len(data["z"]))
        assert [name.decode() for name in data["name"]] == ["s 1", "s 2", "s 3"]
        assert data["x"].attrs["units"] == "nm"


def test_points_of_different_crystals_are_not_joined_and_doubtful_ones_are_hollow(
    images: list[CrystalImage], tmp_path: Path
) -> None:
    (axes,) = series_of(images, tmp_path).plot("strain", "T sample").axes
    joined = [line for line in axes.lines if len(line.get_xdata()) > 1 and line.get_linestyle() == "-"]
    assert sorted(list(line.get_xdata()) for line in joined)[0] == [301.0, 302.0, 303.0]
    assert {len(line.get_xdata()) for line in joined} == {3}
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in hollow] == [[302.0, 303.0]]
    assert {text.get_text() for text in axes.get_legend().get_texts()} >= {"crystal A", "crystal B", "crystal C"}
    with pytest.raises(PlanError, match=r"No scan of .* has both volume and scan"):
        series_of(images, tmp_path).plot("volume")


def test_formats_that_are_none_are_refused_and_of_many_images_evenly_spread_ones_are_shown() -> None:
    check_formats(("png", "pdf"))
    for formats in (("bmp",), ()):
        with pytest.raises(PlanError, match="Plots cannot be written as"):
            check_formats(formats)
    assert spread_evenly(3, 5) == [0, 1, 2]
    shown = spread_evenly(100, 5)
    assert (shown[0], shown[-1], len(shown)) == (0, 99, 5)


def test_the_results_of_a_watcher_are_a_series_too(tmp_path: Path) -> None:
    """They have no numbers in the ledger; those come from the results."""
    write_series(tmp_path / "s.h5", heating(2), size=32)
    with Ledger.open(tmp_path) as ledger:
        for number in (1, 2):
            source = Source(str(tmp_path / "s.h5"), beamline="id01", scan=number)
            reconstruct(source, Run("iterative"), QUICK).save(tmp_path / f"scan{number}", figures=False)
            record = ScanRecord(f"scans/{number}.npy", f"{number}.npy", "refined", source=f"/data/{number}.npy")
            ledger.put(replace(record, result=f"scan{number}", number=number))
        ledger.put(ScanRecord("scans/3.npy", "3.npy", "failed", reason="It is empty.", source="/data/3.npy", number=3))
        ledger.note(NUMBERS + "scans/3.npy", json.dumps(Measured("poor").to_json()))
    series = Series.load(tmp_path)
    assert [row.status for row in series.rows] == ["reconstructed", "reconstructed", "failed"]
    assert series.rows[2].message == "It is empty."
    report = json.loads((tmp_path / "scan1" / "report.json").read_text())
    assert series.rows[0].values["d_nm"] == report["d_spacing_nm"]
    assert 0 < series.rows[0].errors["d_nm"] < 1e-4 * report["d_spacing_nm"]
    assert "strain_rms" not in series.rows[0].errors  # of one reconstruction nobody knows
    assert [row.crystal for row in series.rows] == ["A", "A", ""]
    assert series.rows[1].metadata["temperature"] == pytest.approx(320, abs=0.1)
    assert series.notes[0] == "3 scans: 2 reconstructed, 1 failed."
    assert "scan" in html_of(series)
    with pytest.raises(InputError, match="There is no scan 12 in this campaign"):
        Series.load(tmp_path, reference=12)
    with pytest.raises(InputError, match="cannot be the reference: it is failed"):
        Series.load(tmp_path, reference="3.npy")
    with pytest.raises(InputError, match="is no campaign"):
        Series.load(tmp_path / "scan1")
