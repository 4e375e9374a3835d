"""What people who do not see the page, or see little of it, find there: the rules of axe-core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from viewing import CHROMIUM, FINISHED, Served, findings, page, view_of, viewer

from autophasenn.live.ledger import Ledger, ScanRecord

pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
TABS = {
    "Crystal": ".apn-3d img",
    "Slices": ".apn-plot img",
    "Pattern": "[data-pattern='0-2'] img",
    "Curves": ".apn-curve img",
    "Analysis": ".apn-gallery img",
}
"""What stands there once a tab is drawn."""


@pytest.fixture(scope="module")
def two(example_results: Path) -> Iterator[Served]:
    with viewer(example_results / "network", example_results / "refined") as served:
        yield served


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_tab_has_critical_or_serious_findings(chromium: Any, two: Served, theme: str) -> None:
    with page(chromium, two, theme=theme) as shown:
        view_of(shown)
        for tab, drawn in TABS.items():
            shown.get_by_role("tab", name=tab).click()
            shown.locator(drawn).first.wait_for()
            # colours that still fade say nothing of those that stay
            shown.evaluate(FINISHED)
            assert findings(shown) == [], tab


def test_the_table_of_scans_has_no_critical_or_serious_findings(chromium: Any, tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        for number, state in enumerate(("arriving", "waiting", "running", "imaged", "refined", "failed")):
            ledger.put(ScanRecord(state, f"scan_{number:04d}", state, "Frame 17 is truncated.", 64, time.time()))
    with viewer(tmp_path) as served, page(chromium, served) as shown:
        shown.get_by_text("6 scans in").wait_for()
        assert findings(shown) == []
        shown.get_by_role("button", name="Dark page").click()
        shown.get_by_role("button", name="Light page").wait_for()
        shown.evaluate(FINISHED)
        assert findings(shown) == []


def test_the_structure_of_the_page_is_named(chromium: Any, two: Served) -> None:
    with page(chromium, two) as shown:
        view_of(shown)
        assert shown.get_by_role("heading", level=1).inner_text() == "network | refined"
        for name in ("Controls", "Numbers"):
            shown.get_by_role("navigation", name=name).wait_for()
        for name in ("Cut along", "Seen from"):
            shown.get_by_role("group", name=name).get_by_role("button", name="y", exact=True).wait_for()
        assert shown.get_by_role("status").get_by_text("Drawing").count() == 0, "that is over"
        shown.get_by_role("img", name="The crystal, drawn on the server").wait_for()
