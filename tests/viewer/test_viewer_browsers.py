"""Several browsers at one viewer: each has its own view, and what one does to itself is no matter of the others."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viewing import CHROMIUM, Served, page, shoot, view_of, viewer, wait_for_another_view

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

SCRIM = ".v-navigation-drawer__scrim:not(.fade-transition-leave-active)"
"""Behind a drawer that is open; that of one that just closes fades for a moment."""
TOKEN = "a-long-enough-token"
WIDTH = """
async () => {
  const image = document.querySelector('.apn-3d img');
  const canvas = document.createElement('canvas');
  canvas.width = image.clientWidth; canvas.height = image.clientHeight;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let left = canvas.width, right = 0, top = canvas.height, bottom = 0;
  for (let y = 0; y < canvas.height; y++) for (let x = 0; x < canvas.width; x++) {
    const at = 4 * (y * canvas.width + x);
    const off = [0, 1, 2].reduce((sum, c) => sum + Math.abs(pixels[at + c] - pixels[c]), 0);
    if (off > 40) {
      left = Math.min(left, x); right = Math.max(right, x + 1); top = Math.min(top, y); bottom = Math.max(bottom, y + 1); }
  }
  return [right - left, bottom - top];
}
"""
"""Width and height of what is drawn, in pixels of the page."""


@pytest.fixture(scope="module")
def one(example_results: Path) -> Iterator[Served]:
    with viewer(example_results / "refined") as served:
        yield served


def size_in_nm(shown: Any) -> np.ndarray:
    """Width and height of the crystal by the scale bar of the page."""
    bar = shown.locator(".apn-view .apn-bar")
    length = float(re.match(r"[\d.]+", bar.inner_text())[0])  # type: ignore[index]
    return np.array(shown.evaluate(WIDTH)) * length / bar.bounding_box()["width"]


def test_browsers_of_different_shapes_have_each_a_true_scale_bar_and_a_view_of_their_own(
    chromium: Any, one: Served, tmp_path: Path
) -> None:
    with page(chromium, one, (1024, 768)) as narrow:
        before = view_of(narrow)
        narrow.get_by_role("group", name="Seen from").get_by_role("button", name="z", exact=True).click()
        wait_for_another_view(narrow, before)
        true = size_in_nm(narrow)
        with page(chromium, one, (2560, 1080), "dark") as wide:
            beginning = view_of(wide)
            wide.get_by_role("group", name="Seen from").get_by_role("button", name="z", exact=True).click()
            wait_for_another_view(wide, beginning)
            np.testing.assert_allclose(size_in_nm(wide), true, rtol=0.04)
            np.testing.assert_allclose(size_in_nm(narrow), true, rtol=0.02)
            np.testing.assert_allclose(true, (189, 130), rtol=0.05)  # nm, of the box around the crystal
            assert np.median(view_of(wide)[:8, :8]) < 40 < np.median(view_of(narrow)[:8, :8])
            wide.get_by_role("tab", name="Slices").click()
            wide.locator(".apn-square").first.wait_for()
            assert narrow.locator(".apn-square").count() == 0, "each has its own tab"
            shoot(wide, tmp_path, "wide")


def test_those_who_follow_see_what_the_presenter_sees_and_nobody_else_does(chromium: Any, one: Served) -> None:
    with page(chromium, one) as presenter, page(chromium, one) as follower, page(chromium, one) as other:
        for shown in (presenter, follower, other):
            view_of(shown)
        presenter.get_by_role("button", name="Share").click()
        presenter.get_by_label("present: those who follow see this view").click()
        presenter.keyboard.press("Escape")
        follower.get_by_role("button", name="Share").click()
        follower.get_by_text("Somebody presents.").wait_for()
        follower.get_by_label("follow the presenter").click()
        follower.get_by_role("main").get_by_text("You follow the presenter.").wait_for()
        before, untouched = view_of(follower), view_of(other)
        presenter.get_by_role("radio", name="Strain along Q (10⁻⁴)").click()
        follower.locator(".apn-title", has_text="Strain along Q (10⁻⁴)").wait_for()
        coloured = wait_for_another_view(follower, before)
        presenter.get_by_role("application").press("ArrowRight")
        wait_for_another_view(follower, coloured)
        presenter.get_by_role("tab", name="Curves").click()
        follower.get_by_role("heading", name="Convergence").wait_for()
        assert np.abs(view_of(other) - untouched).max() < 3
        presenter.close()  # the page's guard closes its context once more, which is no matter
        follower.keyboard.press("Escape")
        follower.get_by_role("main").get_by_text("You follow the presenter.").wait_for(state="detached")


def test_a_link_restores_the_view_and_back_goes_back(chromium: Any, one: Served) -> None:
    with page(chromium, one) as shown:
        before = view_of(shown)
        assert shown.title() == "refined · AutoPhaseNN"
        shown.get_by_role("radio", name="Strain along Q (10⁻⁴)").click()
        strain = wait_for_another_view(shown, before)
        shown.get_by_role("group", name="Cut along").get_by_role("button", name="y", exact=True).click()
        cut = wait_for_another_view(shown, strain)
        shown.get_by_role("application").press("ArrowRight")
        turned = wait_for_another_view(shown, cut)
        shown.wait_for_function("location.hash.includes('cut=1') && location.hash.includes('camera=')")
        shown.wait_for_function(
            "window.settled === location.hash || (window.settled = location.hash, false)", polling=700
        )
        link = shown.url
        shown.get_by_role("tab", name="Slices").click()
        shown.wait_for_url(re.compile("tab=slices"))
        shown.go_back()
        shown.get_by_role("tab", name="Crystal", selected=True).wait_for()
        with page(chromium, Served(one.process, one.address + "#" + link.split("#")[1])) as again:
            restored = wait_for_another_view(again, np.zeros_like(before))
            assert again.get_by_role("radio", name="Strain along Q (10⁻⁴)").is_checked()
            assert np.abs(restored - turned).mean() < 2


@pytest.mark.parametrize(
    "link", ["threshold=nan&cut=9&tab=x&camera=1,2", "camera=0,0,0,0,0,0,0,0,0,0&voxel=a,b", "%00=%ff&" * 900]
)
def test_a_link_of_nonsense_shows_the_result_as_at_first(chromium: Any, one: Served, link: str) -> None:
    with page(chromium, Served(one.process, f"{one.address}#{link}")) as shown:
        assert view_of(shown).std() > 10
        shown.get_by_role("tab", name="Crystal", selected=True).wait_for()


def test_what_a_browser_may_not_write_is_refused_and_reaches_no_other(chromium: Any, one: Served) -> None:
    nonsense = {
        "theme": "<nonsense>", "quantity": "nonsense", "threshold": "high", "cut": {"a": 1}, "place": None, "section": 7,
        "overlays": [{"axes": "data:,", "svg": "<img src=data:, onerror='window.ran = true'>"}],
        "paths": ["<img src=data:,>"], "names": "<script>window.ran = true</script>",
        "trame__template_main": "<div>taken over</div>",
    }  # fmt: skip
    with page(chromium, one) as attacker, page(chromium, one) as other:
        before = view_of(other)
        view_of(attacker)
        for name, value in nonsense.items():
            attacker.evaluate("([name, value]) => trame.state.set(name, value)", [name, value])
        attacker.wait_for_function("trame.state.get('quantity') === 'phase' && trame.state.get('section') === 0")
        attacker.evaluate("trame.trigger('go', ['tab=nonsense&threshold=9'])")
        attacker.get_by_role("radio", name="Strain along Q (10⁻⁴)").click()  # it goes on, for this browser too
        attacker.locator(".apn-title", has_text="Strain along Q (10⁻⁴)").wait_for()
        for shown in (attacker, other):
            assert shown.evaluate("window.ran") is None
        assert other.get_by_role("radio", name="Phase (rad)", exact=True).is_checked()
        assert other.get_by_text("taken over").count() == 0
        assert np.abs(view_of(other) - before).max() < 3


def test_the_page_finds_a_viewer_again_that_was_killed(chromium: Any, example_results: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    arguments = (example_results / "refined", "--port", port)
    with viewer(*arguments) as served:
        context = chromium.new_context(viewport={"width": 1366, "height": 768})
        shown = context.new_page()
        shown.set_default_timeout(90_000)
        shown.goto(served.address)
        view_of(shown)
        shown.get_by_role("radio", name="Strain along Q (10⁻⁴)").click()
        shown.wait_for_url(re.compile("quantity=strain"))
        served.process.kill()
        shown.get_by_role("alert").get_by_text("does not answer").wait_for()
        served.process.wait()
    with viewer(*arguments) as again:  # with the token of this account, which the browser knows
        assert again.address == served.address
        shown.locator(".apn-title", has_text="Strain along Q (10⁻⁴)").wait_for()
        view_of(shown)
        assert shown.get_by_role("alert").count() == 0
    context.close()


def test_a_link_with_the_token_works_when_it_is_clicked_in_another_page(
    chromium: Any, example_results: Path, tmp_path: Path
) -> None:
    with viewer(example_results / "refined", "--token", TOKEN) as served:
        context = chromium.new_context()
        shown = context.new_page()
        mail = served.root.replace("127.0.0.1", "localhost") + "mail"
        html = f"<a href='{served.root}?token={TOKEN}#tab=curves'>the crystal</a>"
        context.route(mail, lambda route: route.fulfill(body=html, content_type="text/html"))
        shown.goto(mail)
        shown.get_by_role("link", name="the crystal").click()
        shown.get_by_role("heading", name="Convergence").wait_for()
        assert "token" not in shown.url
        shown.reload()
        shown.get_by_role("heading", name="Convergence").wait_for()
        # what another page loads from here is refused, whatever cookie the browser has
        shown.goto(mail)
        status = shown.evaluate(
            "address => fetch(address, {mode: 'no-cors', credentials: 'include'}).then(() => 'there', () => 'refused')",
            served.root + "alive",
        )
        assert status == "refused"
        context.close()


def test_a_result_that_is_replaced_is_shown_anew_and_never_mixed(
    chromium: Any, example_results: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "result"
    shutil.copytree(example_results / "network", folder)
    with viewer(folder) as served, page(chromium, served) as shown:
        before = view_of(shown)
        method = shown.locator(".apn-facts tr", has_text="Method").first
        method.get_by_text("network", exact=True).wait_for()
        shutil.copy(example_results / "refined" / "report.json", folder / "report.json")
        beside = folder / "new.cxi"
        shutil.copy(example_results / "refined" / "result.cxi", beside)
        beside.replace(folder / "result.cxi")
        method.get_by_text("refined", exact=True).wait_for()
        wait_for_another_view(shown, before)


@pytest.mark.parametrize("size", [(390, 844), (720, 450)])
def test_on_a_narrow_screen_everything_can_be_seen(
    chromium: Any, one: Served, tmp_path: Path, size: tuple[int, int]
) -> None:
    with page(chromium, one, size) as shown:
        assert view_of(shown).std() > 10
        box = shown.locator(".apn-view").bounding_box()
        assert box["width"] > 0.95 * size[0]
        assert box["height"] > 0.4 * size[1]
        shoot(shown, tmp_path, f"narrow_{size[0]}")
        shown.get_by_role("button", name="Show or hide the controls").click()
        shown.get_by_role("radio", name="Strain along Q (10⁻⁴)").click()
        shown.locator(SCRIM).click(position={"x": size[0] - 20, "y": size[1] / 2})
        shown.locator(".apn-title", has_text="Strain along Q (10⁻⁴)").wait_for()
        shown.get_by_role("button", name="Show or hide the numbers").click()
        shown.get_by_text("correlation of 0.95 or more").wait_for()
        shown.locator(SCRIM).click(position={"x": 20, "y": size[1] / 2})
        shown.get_by_role("tab", name="Slices").click()
        assert shown.locator(".apn-square").first.bounding_box()["width"] >= min(0.85 * size[0], 125)
        wide = shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, "nothing is cut off to the right"
        scale = shown.evaluate("document.querySelector('meta[name=viewport]').content")
        assert "maximum-scale" not in scale, "it may be enlarged by pinching"
