"""The page in a real browser, which may talk to nobody but the viewer."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viewing import CHROMIUM, MIDDLE, Served, page, seen_view, shoot, view_of, viewer, wait_for_another_view

from autophasenn.live.ledger import Ledger, ScanRecord

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

SCREENS = {"laptop": (1366, 768), "beamline": (2560, 1440)}
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def one(example_results: Path) -> Iterator[Served]:
    with viewer(example_results / "refined") as served:
        yield served


@pytest.fixture
def opened(chromium: Any, one: Served) -> Iterator[Any]:
    with page(chromium, one) as shown:
        view_of(shown)
        shown.get_by_role("button", name="whole").click()
        shown.get_by_role("radio", name="Phase (rad)", exact=True).click()
        yield shown


def test_a_result_is_there_within_seconds_and_its_threshold_moves(
    chromium: Any, one: Served, tmp_path: Path, record_property: Any
) -> None:
    began = time.perf_counter()
    assert one.address.startswith("http://127.0.0.1:")
    assert "token=" in one.address, "other accounts of this machine cannot come in"
    with page(chromium, one) as shown:
        before = view_of(shown)
        record_property("seconds to the first view", round(time.perf_counter() - began, 2))
        assert before.std() > 10, "the view is blank"
        slider = shown.get_by_role("slider", name="Amplitude of the surface")
        slider.focus()
        for _ in range(25):
            slider.press("ArrowRight")
        after = wait_for_another_view(shown, before)
        record_property("seconds to a moved threshold", round(time.perf_counter() - began, 2))
        assert (after < 250).any(axis=2).sum() < (before < 250).any(axis=2).sum(), "a higher threshold shows less"
        shoot(shown, tmp_path, "threshold")
        slider.press("Home")
        for _ in range(20):
            slider.press("ArrowRight")


def test_a_cut_goes_along_q_along_any_direction_and_across_the_line_of_sight(opened: Any, tmp_path: Path) -> None:
    seen = [view_of(opened)]
    opened.get_by_role("group", name="Cut along").get_by_role("button", name="Q", exact=True).click()
    seen.append(wait_for_another_view(opened, seen[-1]))
    opened.get_by_text("at Q = 0 nm").wait_for()
    shoot(opened, tmp_path, "cut_along_q")
    opened.get_by_role("group", name="Cut along").get_by_role("button", name="other").click()
    field = opened.get_by_role("textbox", name="direction x, y, z")
    field.fill("0 -1 1")
    field.press("Enter")
    seen.append(wait_for_another_view(opened, seen[-1]))
    opened.get_by_text("at (0, −1, 1): 0 nm").wait_for()
    opened.wait_for_function("location.hash.includes('cut=other') && location.hash.includes('direction=0%20-1%201')")
    field.fill("0 0 0")  # no direction: what was there stays
    field.press("Enter")
    opened.get_by_text("at (0, −1, 1): 0 nm").wait_for()
    opened.get_by_role("button", name="across the line of sight").click()
    flat = wait_for_another_view(opened, seen[-1])
    shoot(opened, tmp_path, "cut_across_the_line_of_sight")
    assert "at (0, −1, 1)" not in opened.get_by_role("navigation", name="Controls").inner_text()
    assert np.abs(flat - seen[0]).max() > 25


def test_cutting_and_colouring_by_strain_change_the_picture(opened: Any, tmp_path: Path) -> None:
    whole = view_of(opened)
    opened.get_by_role("button", name="x", exact=True).first.click()
    cut = wait_for_another_view(opened, whole)
    opened.get_by_text("at x = 0 nm").wait_for()
    opened.get_by_role("radio", name="Strain along Q (10⁻⁴)").click()
    strain = wait_for_another_view(opened, cut)
    opened.locator(".apn-title", has_text="Strain along Q (10⁻⁴)").wait_for()
    opened.get_by_label("show the other half").click()
    wait_for_another_view(opened, strain)
    shoot(opened, tmp_path, "cut_strain")
    place = opened.get_by_role("slider", name="Place of the cut")
    flipped = view_of(opened)
    place.press("End")
    opened.get_by_text("Nothing of refined has an amplitude").wait_for()
    wait_for_another_view(opened, flipped)
    shoot(opened, tmp_path, "nothing_left")
    opened.get_by_label("show the other half").click()


def test_the_crystal_turns_by_keyboard_and_by_mouse(opened: Any) -> None:
    before = view_of(opened)
    view = opened.get_by_role("application")
    view.press("ArrowRight")
    turned = wait_for_another_view(opened, before)
    box = view.bounding_box()
    opened.mouse.move(box["x"] + 300, box["y"] + 300)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 420, box["y"] + 330, steps=4)
    opened.mouse.up()
    dragged = wait_for_another_view(opened, turned)
    bar = opened.locator(".apn-view .apn-bar")
    text = bar.inner_text()
    view.press("+")
    wait_for_another_view(opened, dragged)
    assert text.endswith("nm")
    opened.get_by_role("button", name="corner").click()


def test_the_browser_draws_what_the_server_draws(opened: Any, tmp_path: Path) -> None:
    opened.get_by_label("draw in the browser").click()
    opened.locator(".apn-3d canvas").wait_for()
    _, local = seen_view(opened)
    shoot(opened, tmp_path, "drawn_in_the_browser")
    opened.get_by_label("draw in the browser").click()
    remote = view_of(opened)
    assert np.abs(local[MIDDLE] - remote[MIDDLE]).mean() < 4


def test_the_colours_follow_while_the_browser_draws_and_after_it(chromium: Any, one: Served) -> None:
    received: list[float] = []
    with page(chromium, one) as shown:
        shown.on("websocket", lambda socket: socket.on("framereceived", lambda _: received.append(time.monotonic())))
        shown.reload()
        view_of(shown)
        switch, title = shown.get_by_label("draw in the browser"), shown.locator(".apn-title:visible")
        for is_on in (True, False):
            switch.set_checked(is_on)
            before, _ = seen_view(shown)
            for name in ("Strain along Q (10⁻⁴)", "Phase (rad)"):
                shown.get_by_role("radio", name=name, exact=True).click()
                title.get_by_text(name, exact=True).wait_for(timeout=10_000)
                before, _ = seen_view(shown, before)
            counted = len(received)
            shown.wait_for_timeout(1000)
            assert len(received) - counted < 5, "nothing is sent while nothing changes"


def test_a_slice_says_the_value_under_the_pointer_with_its_unit(opened: Any, tmp_path: Path) -> None:
    opened.get_by_role("tab", name="Slices").click()
    square = opened.locator("[data-plane='0-1']")
    square.hover()
    said = opened.locator(".apn-said")
    said.get_by_text("rad, amplitude").wait_for()
    assert said.inner_text().startswith("x ")
    assert " nm: " in said.inner_text()
    box = square.bounding_box()
    opened.mouse.move(box["x"] + 4, box["y"] + 4)
    said.get_by_text("outside the crystal").wait_for()
    place = opened.locator(".apn-value", has_text="y = ")
    before = place.inner_text()
    opened.locator("[data-plane='0-0']").click(position={"x": box["width"] / 2, "y": box["height"] / 3})
    opened.wait_for_function("t => !document.body.innerText.includes(t)", arg=before)
    shoot(opened, tmp_path, "slices")
    opened.get_by_role("tab", name="Crystal").click()


def test_the_pattern_says_counts_measured_and_calculated(opened: Any, tmp_path: Path) -> None:
    opened.get_by_role("tab", name="Pattern").click()
    panel = opened.locator("[data-pattern='0-0']")
    panel.hover()
    opened.locator(".apn-said").get_by_text("calculated").wait_for()
    assert "measured" in opened.locator(".apn-said").inner_text()
    opened.get_by_role("button", name="frame–row").click()
    opened.get_by_text("column 32", exact=True).wait_for()
    shoot(opened, tmp_path, "pattern")
    opened.get_by_role("button", name="detector").click()
    opened.get_by_role("tab", name="Crystal").click()


def test_what_is_shown_can_be_taken_away(opened: Any, example_results: Path, tmp_path: Path) -> None:
    taken = {}
    for name in ("PNG", "CXI", "VTK"):
        with opened.expect_download() as download:
            opened.get_by_role("link", name=name).click()
        taken[name] = download.value
    refined = example_results / "refined"
    assert Path(taken["CXI"].path()).read_bytes() == (refined / "result.cxi").read_bytes()
    assert Path(taken["VTK"].path()).read_bytes() == (refined / "crystal.vti").read_bytes()
    assert taken["CXI"].suggested_filename == "refined.cxi"
    picture = Path(taken["PNG"].path()).read_bytes()
    assert picture.startswith(PNG)
    (tmp_path / "view.png").write_bytes(picture)


@pytest.mark.parametrize("screen", SCREENS)
def test_both_themes_on_both_screens(chromium: Any, one: Served, tmp_path: Path, screen: str) -> None:
    with page(chromium, one, SCREENS[screen]) as shown:
        light = view_of(shown)
        assert np.median(light[:8, :8]) > 250
        shoot(shown, tmp_path, f"light_{screen}")
        shown.get_by_role("button", name="Dark page").click()
        dark = wait_for_another_view(shown, light)
        assert np.median(dark[:8, :8]) < 40
        shoot(shown, tmp_path, f"dark_{screen}")
        shown.get_by_role("button", name="Light page").click()
        wait_for_another_view(shown, dark)
        wide = shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, "nothing is cut off to the right"


def fact(shown: Any, name: str) -> Any:
    """The row of that name in the table of facts; the words of other rows may hold the same name."""
    return shown.locator(".apn-facts tr").filter(has=shown.get_by_text(name, exact=True))


def test_two_results_turn_together(chromium: Any, example_results: Path, tmp_path: Path) -> None:
    two = [example_results / name for name in ("network", "refined")]
    with viewer(*two) as served, page(chromium, served, theme="dark") as shown:
        shown.get_by_role("button", name="Light page").wait_for()
        before = view_of(shown)
        assert np.median(before[:8, :8]) < 40, "the first picture is as dark as the browser would have it"
        with shown.expect_download() as download:
            shown.get_by_role("link", name="PNG").click()
        assert download.value.suggested_filename == "network_and_refined.png"
        shoot(shown, tmp_path, "compared")
        assert [shown.locator(".apn-name").nth(i).inner_text() for i in range(2)] == ["network", "refined"]
        assert fact(shown, "Method").locator("td").all_inner_texts()[1:] == ["network", "refined"]
        shown.get_by_role("application").press("ArrowRight")
        after = wait_for_another_view(shown, before)
        moved = np.abs(after - before).max(axis=2) > 25
        assert moved[:, :80].any()
        assert moved[:, 80:].any()
        shown.get_by_role("tab", name="Slices").click()
        shown.locator(".apn-square").nth(5).wait_for()
        assert shown.locator(".apn-square").count() == 6
        shoot(shown, tmp_path, "compared_slices")


SECONDS_TO_A_PICTURE = """async () => {
  const source = () => document.querySelector('.apn-3d img').src;
  const before = source(), began = performance.now();
  const key = new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true});
  document.querySelector('[role=application]').dispatchEvent(key);
  while (source() === before && performance.now() < began + 5000) await new Promise(requestAnimationFrame);
  return (performance.now() - began) / 1000;
}"""


def test_a_picture_is_sent_once_it_is_encoded_and_not_half_a_second_later(opened: Any) -> None:
    seconds = []
    for _ in range(6):
        wait_for_another_view(opened, np.full((120, 160, 3), -100.0))  # it stands still
        opened.wait_for_timeout(700)
        seconds.append(opened.evaluate(SECONDS_TO_A_PICTURE))
    assert min(seconds) < 0.4, seconds


OVERLAPS = """() => [...document.querySelectorAll('.apn-panel')].flatMap(panel => {
  const boxes = [...panel.querySelectorAll('.apn-q')].map(each => each.getBoundingClientRect()).filter(box => box.width);
  return boxes.filter((a, i) => boxes.some((b, j) => j > i &&
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)).length;
})"""


def test_two_results_are_readable_on_a_small_laptop(chromium: Any, example_results: Path, tmp_path: Path) -> None:
    two = [example_results / name for name in ("network", "refined")]
    with viewer(*two) as served, page(chromium, served, (1280, 720)) as shown:
        shown.get_by_role("tab", name="Slices").click()
        plot = shown.locator(".apn-plot img")
        plot.wait_for()
        box = plot.bounding_box()
        assert min(box["width"], box["height"]) > 180, "the histogram"
        assert shown.evaluate(
            "[...document.querySelectorAll('.apn-room')].every(e => e.scrollHeight <= e.clientHeight)"
        )
        for name in shown.locator(".apn-cell > .text-truncate").all():
            assert name.evaluate("e => e.scrollWidth <= e.clientWidth"), f"{name.inner_text()} is clipped"
        shown.get_by_role("tab", name="Pattern").click()
        shown.locator(".apn-q-across").first.wait_for()
        assert sum(shown.evaluate(OVERLAPS)) == 0, "names of ticks lie over each other"
        shown.get_by_role("tab", name="Analysis").click()
        table = shown.locator(".apn-wide").first
        table.wait_for()
        assert table.evaluate("e => e.scrollWidth <= e.clientWidth"), "columns of the facets are out of sight"
        shoot(shown, tmp_path, "two_on_a_small_laptop")


@pytest.fixture
def watched(example_results: Path, tmp_path: Path) -> Path:
    """A watcher's folder with a good scan, a damaged result, a failure and one that still arrives."""
    folder = tmp_path / "watched"
    for name in ("good", "damaged"):
        shutil.copytree(example_results / "network", folder / name)
    (folder / "damaged" / "result.cxi").write_bytes(b"no hdf5")
    (folder / "good" / "thumbnail.png").write_bytes(_small_png())
    with Ledger.open(folder) as ledger:
        now = time.time()
        image = {"seconds_to_image": 1.4, "chi2": 0.004, "chi2_free": 0.04, "strain_std": 4e-4, "confidence": 0.9}
        good = ScanRecord("good", "scan_0054", "imaged", frames=64, arrived=now - 9, result="good", **image)
        ledger.put(replace(good, thumbnail="good/thumbnail.png"))
        ledger.put(ScanRecord("damaged", "scan_0055", "imaged", None, 64, now - 8, 1.5, result="damaged"))
        ledger.put(ScanRecord("failed", "scan_0056", "failed", "Frame 17 is truncated; copy it again.", 64, now - 7))
        ledger.put(ScanRecord("arriving", "scan_0057", "arriving", None, 12, now, expected=64))
    return folder


def _small_png() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def test_the_table_of_scans_opens_results_tells_reasons_and_keeps_up(
    chromium: Any, watched: Path, example_results: Path, tmp_path: Path
) -> None:
    with viewer(watched, "--token", "a-long-enough-token") as served, page(chromium, served) as shown:
        shown.get_by_text("4 scans in watched").wait_for()
        shown.get_by_text("1 arriving, 2 first image, 1 failed", exact=True).wait_for()
        assert "token" not in shown.url, "the token does not stay in the address"
        damaged = shown.locator("[data-scan='damaged']")
        assert damaged.locator(".apn-number").all_inner_texts() == ["64", "–", "–", "–", "–", "1.5", "–"]
        assert time.strftime("%Y-%m-%d ") in damaged.inner_text()
        shown.locator("[data-scan='arriving']", has_text="12 of 64").wait_for()
        row = shown.locator("[data-scan='failed']")
        assert "Frame 17 is truncated; copy it again." in row.inner_text()
        shown.wait_for_function("document.querySelector(\"[data-scan='good'] img\").naturalWidth === 8")
        shoot(shown, tmp_path, "scans")
        with Ledger.open(watched) as ledger:
            ledger.change("arriving", frames=40, state="waiting")
            shown.locator("[data-scan='arriving']", has_text="40").wait_for()
            shown.get_by_text("scan_0055").click()
            shown.get_by_role("alert").get_by_text("damaged").wait_for()
            shoot(shown, tmp_path, "error")
            shown.get_by_role("button", name="Scans").click()
            shown.get_by_text("scan_0054").click()
            view_of(shown)
            assert "network" in fact(shown, "Method").inner_text()
            # the refined image of the scan that is on the page takes the place of the first one by itself
            shutil.copytree(example_results / "refined", watched / "good_refined")
            ledger.change("good", state="refined", result="good_refined", chi2=0.003)
            fact(shown, "Method").get_by_text("refined", exact=True).wait_for()


def test_a_folder_without_scans_says_so(chromium: Any, tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    with viewer(tmp_path) as served, page(chromium, served) as shown:
        shown.get_by_text("No scans yet").wait_for()
        shoot(shown, tmp_path, "no_scans")
        with Ledger.open(tmp_path) as ledger:
            ledger.put(ScanRecord("first", "scan_0001", "arriving", frames=3, arrived=time.time()))
        shown.get_by_text("scan_0001").wait_for()
