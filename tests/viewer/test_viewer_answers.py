"""Answers in the viewer: facets and defect lines on the crystal, the analysis beside it, the series as slider and plot."""

import asyncio
import json
import shutil
import uuid
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaged import Q_GOLD, image_of, octahedron, turned_onto_q
from viewing import CHROMIUM, FINISHED, findings, page, viewer

from autophasenn.analysis.analyse import Analysis, analyse
from autophasenn.analysis.figures_facets import family_colours
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.subject import Subject
from autophasenn.campaign.measured import Measured
from autophasenn.image import CrystalImage
from autophasenn.live.ledger import Ledger, ScanRecord
from autophasenn.viewer.app import Viewer
from autophasenn.viewer.marks import FACING, Marks, strain_of_facets
from autophasenn.viewer.quantities import held_to, quantities_of
from autophasenn.viewer.results import Limits, StoredImage, read_image
from autophasenn.viewer.scans import Scans, arranged
from autophasenn.viewer.scene import Appearance, Scene
from autophasenn.viewer.series import axes_in, numbers_in, places, points_of
from autophasenn.viewer.shared import Shared
from autophasenn.viewer.views import View

Q = Q_GOLD * np.array([0.0, 1.0, 0.0])


def stored(image: CrystalImage) -> StoredImage:
    known = {each.name: getattr(image, each.name) for each in fields(CrystalImage)}
    return StoredImage(**known, path=Path("crystal"), name="crystal")


@pytest.fixture(scope="module")
def crystal() -> tuple[StoredImage, Analysis]:
    """An octahedron with a dislocation along z, and its analysis."""

    def displacement(r: np.ndarray) -> np.ndarray:
        return -np.arctan2(r[..., 1] + 20.0, r[..., 0] - 10.0) / Q_GOLD

    image = image_of(*_bodies(), displacement=displacement, q=Q, rotation=turned_onto_q((1, 1, 1), Q, 25.0))
    return stored(image), analyse(Subject(image), AnalysisOptions(hkl=(1, 1, 1)))


def _bodies() -> tuple[np.ndarray, np.ndarray]:
    normals, distances = octahedron()
    return normals, 70.0 * distances


def test_every_facet_is_coloured_by_its_family_and_its_strain_where_it_lies(
    crystal: tuple[StoredImage, Analysis],
) -> None:
    image, analysis = crystal
    marks = Marks.of(analysis)
    centres = np.array([facet.centre for facet in analysis.facets])
    assert len(centres) >= 8
    assert marks.numbers_at(centres).tolist() == [facet.number for facet in analysis.facets]
    scene = Scene([image], quantities_of([image]))
    scene.mark([marks])
    for facets in ("families", "strain"):
        scene.show(Appearance(facets=facets))
        mesh = scene._meshes[0]["surface"]
        nearest = [int(np.linalg.norm(np.asarray(mesh.points) - centre, axis=1).argmin()) for centre in centres]
        seen = np.asarray(mesh.point_data["colour"])[nearest]
        if facets == "families":
            expected = marks.families[[facet.number for facet in analysis.facets]]
            assert len({tuple(colour) for colour in expected.tolist()}) == len({f.family for f in analysis.facets}) > 1
        else:
            scale = strain_of_facets([marks])
            expected = scale.rgb(np.array([f.strain.mean.value * 1e4 for f in analysis.facets], np.float32))
            assert scale.title == "Mean strain below each facet (10⁻⁴)"
        np.testing.assert_array_equal(seen, expected)
    scene.close()


def test_names_are_written_on_the_facets_that_look_at_the_viewer_and_on_their_side_of_a_cut(
    crystal: tuple[StoredImage, Analysis],
) -> None:
    image, analysis = crystal
    scene = Scene([image], quantities_of([image]))
    scene.mark([Marks.of(analysis)])
    scene.look("z")
    names = {name.words: place for _, name, place in scene.names(Appearance(facets="families"))}
    facing = [facet for facet in analysis.facets if facet.normal[2] >= FACING]
    assert set(names) == {facet.title.strip("()").replace("-", "−") for facet in facing}
    half = scene.camera.parallel_scale
    for facet in facing:
        place = names[facet.title.strip("()").replace("-", "−")]
        np.testing.assert_allclose(place, np.array(facet.centre)[:2] / half, atol=1e-6)
    kept = scene.names(Appearance(facets="families", cut=((1.0, 0.0, 0.0),), place=0.0))
    assert kept
    assert all(name.place[0] <= 0 for _, name, _ in kept)
    assert scene.names(Appearance()) == []
    scene.close()


def test_a_defect_line_is_drawn_where_it_is_with_its_burgers_component_inside_of_what_is_seen_through(
    crystal: tuple[StoredImage, Analysis],
) -> None:
    image, analysis = crystal
    (line,) = analysis.dislocations.lines
    scene = Scene([image], quantities_of([image]))
    scene.show(Appearance(has_lines=True))
    assert "lines" not in scene._meshes[0]  # before it is analysed
    scene.mark([Marks.of(analysis)])
    scene.show(Appearance(has_lines=True, opacity=0.4))
    tube = np.asarray(scene._meshes[0]["lines"].points)
    np.testing.assert_allclose(tube[:, :2].mean(axis=0), (10.0, -20.0), atol=5.0)
    assert scene._actors[0]["surface"].prop.opacity == 0.4
    ((_, name, _),) = scene.names(Appearance(has_lines=True))
    assert name.words == f"line 1: b·Q̂ {line.burgers_along_q.value:+.3f} nm".replace("-", "−")
    scene.show(Appearance())
    assert not scene._actors[0]["lines"].visibility
    scene.close()


def campaign(folder: Path, result: Path) -> Path:
    """Three scans at rising temperature, the table of their series, and one that failed."""
    for name in ("cold", "warm", "hot"):
        shutil.copytree(result, folder / name)
    report = json.loads((folder / "hot" / "report.json").read_text())
    (folder / "hot" / "report.json").write_text(json.dumps({**report, "status": "uncertain"}))
    with Ledger.open(folder) as ledger:
        for number, (name, strain) in enumerate((("cold", 1e-4), ("warm", 2e-4), ("hot", 4e-4)), 7):
            ledger.put(
                ScanRecord(name, f"scan {number}", "refined", None, 64, float(number), result=name, strain_std=strain,
                           number=number)
            )  # fmt: skip
        ledger.put(ScanRecord("bad", "scan 10", "failed", "It has no frames.", 0, 10.0, number=10))
        ledger.note("numbers/warm", json.dumps(Measured("unchecked", values={"d_nm": 0.2355}).to_json()))
    (folder / "campaign.csv").write_text(
        "scan,name,status,message,crystal,is_twin,strain_rms,strain_rms_error,facet_1_strain,result,temperature,time\n"
        "7,scan 7,reconstructed,,A,False,0.0001,0.00001,0.0003,cold,300,2026-01-01T10:00:00\n"
        "8,scan 8,unchecked,,A,False,0.0002,0.00002,0.0002,warm,400,2026-01-01T11:30:00\n"
        "9,scan 9,uncertain,,A,False,0.0004,,0.0001,hot,500,2026-01-01T13:00:00\n"
    )
    return folder


def test_a_series_has_the_numbers_of_its_table_and_ledger_against_scan_time_and_metadata(
    tmp_path: Path, example_results: Path
) -> None:
    scans = Scans(campaign(tmp_path, example_results / "network"))
    scans.look()
    entries = scans.entries
    assert {key: entry.status for key, entry in entries.items() if entry.status} == {
        "cold": json.loads((tmp_path / "cold" / "report.json").read_text())["status"],
        "warm": "unchecked", "hot": "uncertain",
    }  # fmt: skip
    against = places(scans.records, entries, "temperature")
    points = points_of(entries, against, "strain_rms")
    assert [(p.x, round(p.y, 9), p.is_doubtful) for p in points.values()] == [
        (300, 1.0, False), (400, 2.0, True), (500, 4.0, True),
    ]  # fmt: skip
    assert points["cold"].error == pytest.approx(0.1)
    assert points["hot"].error is None
    assert places(scans.records, entries, "scan") == {"cold": 7, "warm": 8, "hot": 9, "bad": 10}
    assert places(scans.records, entries, "time") == {"cold": 0.0, "warm": 1.5, "hot": 3.0}
    assert [each["value"] for each in axes_in(entries)] == ["scan", "time", "temperature"]
    assert {"strain_rms", "facet_1_strain"} <= {each["value"] for each in numbers_in(entries)}
    assert entries["warm"].values["d_nm"] == 0.2355
    verdicts = {key: entry.status for key, entry in entries.items()}
    assert [row["key"] for row in arranged(scans.records, "verdict", True, "", verdicts)] == [
        "hot", "warm", "cold", "bad",
    ]  # fmt: skip
    colours = {row["key"]: row["verdict_colour"] for row in arranged(scans.records, "", False, "", verdicts)}
    assert colours == {"cold": "success", "warm": "info", "hot": "warning", "bad": ""}
    scans.close()


def test_what_a_watcher_made_has_the_time_of_the_last_frame_as_an_axis(tmp_path: Path, example_results: Path) -> None:
    shutil.copytree(example_results / "network", tmp_path / "a")
    with Ledger.open(tmp_path) as ledger:
        for key, arrived in (("a", 1.8e9), ("b", 1.8e9 + 1800)):
            ledger.put(ScanRecord(key, key, "imaged", None, 64, arrived, result="a", strain_std=1e-4))
    scans = Scans(tmp_path)
    scans.look()
    assert [each["value"] for each in axes_in(scans.entries)] == ["scan", "time"]
    assert places(scans.records, scans.entries, "time") == {"a": 0.0, "b": 0.5}
    scans.close()


def test_a_table_of_a_series_that_is_written_anew_is_read_anew(tmp_path: Path, example_results: Path) -> None:
    scans = Scans(campaign(tmp_path, example_results / "network"))
    scans.look()
    assert scans.look() is None
    table = tmp_path / "campaign.csv"
    table.write_text(table.read_text().replace("0.0004,,", "0.00045,,"))
    assert scans.look() == set()
    assert scans.entries["hot"].values["strain_rms"] == 0.00045
    scans.close()


def test_in_a_series_equal_colours_are_equal_values(example_results: Path) -> None:
    image = read_image(example_results / "network")
    before = quantities_of([image])
    doubled = {"strain": 2 * image.strain, "displacement": 2 * image.displacement}
    known = {each.name: getattr(image, each.name) for each in fields(StoredImage)}
    after = held_to(before, quantities_of([StoredImage(**{**known, **doubled})]))
    assert (after["strain"].low, after["strain"].high) == (before["strain"].low, before["strain"].high)
    assert after["strain"].is_cut
    np.testing.assert_array_equal(after["strain"].volumes[0], 2 * before["strain"].volumes[0])


def test_facets_of_a_series_keep_their_colours(crystal: tuple[StoredImage, Analysis]) -> None:
    _, analysis = crystal
    marks = Marks.of(analysis)
    before = strain_of_facets([marks])
    after = strain_of_facets([replace(marks, strain=1.5 * marks.strain)], before)
    assert (after.low, after.high, after.is_cut) == (before.low, before.high, True)
    np.testing.assert_allclose(after.volumes[0], 1.5 * before.volumes[0], rtol=1e-6)
    families = [(3, 1, 1), (2, 1, 0), (1, 1, 1), (3, 3, 1)]
    many = [replace(analysis.facets[0], hkl=family) for family in families]
    found = family_colours(replace(analysis, facets=tuple(many)))
    assert len(set(found.values())) == len(families)
    assert found == family_colours(replace(analysis, facets=tuple(reversed(many))))


@pytest.mark.parametrize("link", ["hkl=1%201", "hkl=0%200%200", "material=Unobtainium", "quantity_of_series=nothing"])
def test_what_no_analysis_can_be_asked_is_passed_over(link: str) -> None:
    assert View.of_link(link).choices == {}
    assert View.of_link("hkl=-1,1,1").choices == {"hkl": "-1 1 1"}


def test_a_reflection_that_d_contradicts_is_said_on_the_page_and_the_next_one_is_analysed(
    example_results: Path,
) -> None:
    async def asked() -> None:
        from trame.app import get_server

        shown = Viewer(Shared(None, [], Limits()), get_server(f"test-{uuid.uuid4()}", client_type="vue3"), "key")
        await shown.open([example_results / "network"])
        state = shown.state
        state.update({"facets": "families", "material": "Au", "hkl": "2 2 0"})
        assert await shown.analysis.update()
        assert "2 2 0" in state.analysis_error
        assert shown.crystal.painted == "none"
        state.update({"hkl": "1 1 1"})
        assert await shown.analysis.update()
        assert state.analysis_error == ""
        assert not await shown.analysis.update()  # once for one surface
        shown.crystal.mark(shown.analysis.marks)
        assert shown.crystal.painted == "families"
        assert shown.crystal.legend()["legend"][0]["words"].startswith("{1 1 1}")
        png = await shown.crystal.figure("png")
        assert png.startswith(b"\x89PNG")
        await shown.close()

    asyncio.run(asked())


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_facets_analysis_and_series_in_the_browser(chromium: Any, example_results: Path, tmp_path: Path) -> None:
    pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    folder = campaign(tmp_path / "campaign", example_results / "network")
    with viewer(folder) as served, page(chromium, served) as shown:
        shown.locator("[data-scan='hot'] .apn-warning", has_text="uncertain").wait_for()
        shown.get_by_role("button", name="scan 7", exact=True).click()
        shown.get_by_role("button", name="families").click()
        shown.locator(".apn-families", has_text="%").wait_for()
        shown.locator(".apn-mark").first.wait_for()
        shown.get_by_role("tab", name="Analysis").click()
        shown.locator(".apn-gallery img[alt='Pole figure']").wait_for()
        assert shown.locator(".apn-answers tbody tr").count() >= 4
        with shown.expect_download() as got:
            shown.get_by_role("link", name="facets (CSV)").click()
        assert "normal_laboratory_x" in Path(got.value.path()).read_text()
        shown.get_by_role("tab", name="Series").click()
        shown.locator(".apn-series-plot img").wait_for()
        shown.evaluate(FINISHED)
        assert findings(shown) == []
        slider = shown.get_by_label("Scan of the series").first
        slider.focus()
        slider.press("ArrowRight")
        shown.locator(".apn-series", has_text="scan 8 (2 of 3)").wait_for()
        shown.get_by_role("heading", name="scan 8").wait_for()
        assert "facets=families" in shown.url
