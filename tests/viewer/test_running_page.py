"""The page that runs, in a real browser: choose, brush, run, stop, run again, compare, copy."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from small_pattern import ALIEN, SIDE, small_pattern
from typer.testing import CliRunner
from viewing import CHROMIUM, FINISHED, findings, page, shoot, view_of, viewer

from autophasenn.cli import app

pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

SCREEN = (1280, 720)


def checksum(result: Path) -> str:
    """Of the object of a result."""
    with h5py.File(result / "result.cxi") as file:
        return hashlib.sha256(np.ascontiguousarray(file["entry_1/image_1/data"][()])).hexdigest()


def set_field(shown: Any, name: str, text: str) -> None:
    field = shown.get_by_role("textbox", name=name, exact=True)
    field.fill(text)
    field.press("Tab")


def state_of(shown: Any, run: str, state: str) -> Any:
    """The row of a run, once it is in that state."""
    row = shown.locator(f"[data-run='{run}']")
    row.locator(".apn-word", has_text=state).wait_for()
    return row


def test_a_scan_is_chosen_brushed_run_stopped_changed_compared_and_copied(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "scan.npy", small_pattern())
    work = tmp_path / "autophasenn-runs"
    with viewer(tmp_path, command="open") as served, page(chromium, served, SCREEN) as shown:
        shown.context.grant_permissions(["clipboard-read", "clipboard-write"])
        shown.get_by_role("button", name="scan.npy").click()
        shown.get_by_text("alien: light of another crystal").wait_for()
        shoot(shown, tmp_path, "running_frames")

        # the alien, which the program finds too, is brushed away by hand
        canvas = shown.locator(".apn-drawn")
        box = canvas.bounding_box()
        across, down = ((ALIEN[axis] + 0.5) / SIDE for axis in (2, 1))
        shown.mouse.move(box["x"] + across * box["width"] - 8, box["y"] + down * box["height"])
        shown.mouse.down()
        shown.mouse.move(box["x"] + across * box["width"] + 8, box["y"] + down * box["height"], steps=3)
        shown.mouse.up()
        shown.get_by_text("masked by hand").wait_for()
        shown.get_by_role("button", name="undo").click()
        shown.get_by_text("masked by hand").wait_for(state="detached")
        shown.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
        shown.get_by_text("masked by hand").wait_for()

        # out of range is said at the field
        shown.get_by_role("combobox", name="Method").select_option("iterative")
        set_field(shown, "Confidence", "99")
        shown.get_by_text("99 is out of range; give 0 to 48.").wait_for()
        shown.get_by_role("button", name="run", exact=True).click()
        shown.get_by_text("Confidence: 99 is out of range").wait_for()
        set_field(shown, "Confidence", "")
        shown.get_by_label("No pictures").check()
        set_field(shown, "Starts", "400")

        # a long run is stopped, and the page survives a reload meanwhile
        shown.get_by_role("button", name="run", exact=True).click()
        state_of(shown, "0001", "running").get_by_text("Phase retrieval").wait_for()
        shoot(shown, tmp_path, "running_run")
        shown.reload()
        shown.get_by_role("button", name="runs (1)").click()
        state_of(shown, "0001", "running").get_by_role("button", name="stop").click()
        state_of(shown, "0001", "stopped").get_by_text("Stopped before there was an image.").wait_for()

        # again with one change
        shown.locator("[data-run='0001']").get_by_role("button", name="take up again").click()
        assert shown.get_by_role("textbox", name="Starts", exact=True).input_value() == "400"
        set_field(shown, "Starts", "2")
        shown.get_by_role("button", name="run", exact=True).click()
        first = state_of(shown, "0002", "done")
        assert "starts 400 → 2" in first.inner_text()
        shown.get_by_role("button", name="settings").click()
        shown.get_by_role("button", name="clear").click()
        shown.get_by_text("masked by hand").wait_for(state="detached")
        shown.get_by_role("button", name="run", exact=True).click()
        second = state_of(shown, "0003", "done")
        assert "no mask by hand" in second.inner_text()
        shoot(shown, tmp_path, "running_runs")

        # what is copied gives the same
        first.get_by_role("button", name="copy as command").click()
        words = shlex.split(shown.evaluate("navigator.clipboard.readText()"))
        assert words[:2] == ["autophasenn", "reconstruct"]
        monkeypatch.chdir(tmp_path)
        assert CliRunner().invoke(app, words[1:]).exit_code == 0
        copied = tmp_path / words[words.index("-o") + 1]
        assert checksum(copied) == checksum(work / "runs" / "0002" / "result")
        assert checksum(copied) != checksum(work / "runs" / "0003" / "result")
        mask = np.load(words[words.index("--mask") + 1])
        assert not mask[:, ALIEN[1], ALIEN[2]].any()
        assert mask[:, SIDE // 2, SIDE // 2].all()
        first.get_by_role("button", name="copy as Python").click()
        script = shown.evaluate("navigator.clipboard.readText()")
        exec(compile(script.replace(copied.name, "of-python"), "script", "exec"), {})
        assert checksum(tmp_path / "of-python") == checksum(copied)

        # two results side by side, and back
        shown.get_by_label("Compare scan.npy · 2").check()
        shown.get_by_label("Compare scan.npy · 3").check()
        shown.get_by_role("button", name="compare the two that are ticked").click()
        view_of(shown)
        assert [shown.locator(".apn-name").nth(i).inner_text() for i in range(2)] == ["scan.npy · 2", "scan.npy · 3"]
        shoot(shown, tmp_path, "running_compared")
        shown.get_by_role("button", name="Runs").click()
        state_of(shown, "0003", "done")


def test_bad_input_is_said_and_nothing_is_lost(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    with viewer(folder, command="open") as served, page(chromium, served, SCREEN, "dark") as shown:
        shown.get_by_text("There are no files in").wait_for()
        np.save(folder / "scan.npy", small_pattern(alien=False))
        np.save(folder / "gone.npy", small_pattern(alien=False))
        shown.get_by_role("button", name="List again").click()
        shown.get_by_role("button", name="gone.npy").wait_for()
        (folder / "gone.npy").unlink()
        shown.get_by_role("button", name="gone.npy").click()
        shown.get_by_text("There is no file").wait_for()
        shown.get_by_role("button", name="scan.npy").click()
        canvas = shown.locator(".apn-drawn")
        canvas.wait_for()

        # a mask that leaves nothing
        shown.get_by_role("button", name="box", exact=True).click()
        place = canvas.bounding_box()
        shown.mouse.move(place["x"] + 1, place["y"] + 1)
        shown.mouse.down()
        shown.mouse.move(place["x"] + place["width"] - 1, place["y"] + place["height"] - 1, steps=2)
        shown.mouse.up()
        shown.get_by_text("Your mask leaves 0 % of the voxels measured").wait_for()
        shown.get_by_role("button", name="run", exact=True).click()
        shown.locator(".apn-bench-side").get_by_text("Your mask leaves 0 %").wait_for()
        shown.get_by_role("button", name="undo").click()
        shown.get_by_text("Your mask leaves 0 %").first.wait_for(state="detached")

        # a parameter out of range, among all of them
        shown.get_by_role("button", name="all parameters").click()
        shown.get_by_role("searchbox", name="Find a parameter").fill("hot_contrast")
        shown.get_by_role("searchbox", name="Find a parameter").press("Enter")
        set_field(shown, "preprocess.hot_contrast", "0.5")
        shown.get_by_text("give a number above 1").wait_for()
        set_field(shown, "preprocess.hot_contrast", "9")
        shown.locator(".apn-changed", has_text="preprocess.hot_contrast").wait_for()
        shoot(shown, tmp_path, "running_expert_dark")
        assert findings(shown) == []

        # a scan that goes while its run begins: the run says so, and the rest stays
        (folder / "scan.npy").unlink()
        shown.get_by_role("button", name="run", exact=True).click()
        state_of(shown, "0001", "failed").get_by_text("There is no file").wait_for()
        shoot(shown, tmp_path, "running_failed_dark")
        assert findings(shown) == []
        shown.get_by_role("button", name="Light page").click()
        shown.get_by_role("button", name="Dark page").wait_for()
        shown.evaluate(FINISHED)
        assert findings(shown) == []
        shown.get_by_role("button", name="settings").click()
        assert shown.get_by_role("textbox", name="preprocess.hot_contrast").input_value() == "9"
