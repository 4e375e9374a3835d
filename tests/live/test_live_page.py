"""From the first frame to the image, as somebody sees it who has the page open."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from live_watching import PATIENCE, counts, watching
from mortal import Nursery
from scan_34idc import Beamtime
from viewing import CHROMIUM, Served, browser, page, shoot

from autophasenn.live.pictures import PIXELS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
pytest.importorskip("trame", reason="the extra `viewer` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")


CRYSTAL = f"() => [...document.querySelectorAll('tr img')].some(image => image.naturalWidth === {PIXELS})"
"""Is there a picture as large as that of a crystal? Those of the frames have their size."""


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path, loaded="autophasenn.live.watcher")
    yield made
    made.close()


def test_a_scan_is_seen_from_its_first_frame_to_its_image_and_a_bad_one_with_its_reason(
    tmp_path: Path, nursery: Nursery
) -> None:
    with watching(tmp_path, nursery) as watch:
        frames = counts().astype(np.int32)
        positions = np.linspace(-0.0775, 0.0775, 32)
        scan = Beamtime(watch.data, frames[:0], command="ascan  th -0.0775 0.0775  31 0.25", positions=positions)
        scan.region = "#UIMR5  32 32 64 32 1"
        scan.write()
        bad = watch.data / "Made20-1a_S0056" / "a_0.tif"
        bad.parent.mkdir()
        tifffile.imwrite(bad, frames[0])
        os.utime(bad, (1e9, 1e9))  # nobody awaits more of it
        watch.begin("--beamline", "34idc", "--spec", str(scan.spec), "--abandon", "60", "--port", "0")
        address = wait_for_address(watch.nursery.said)
        with browser() as chromium, page(chromium, Served(None, address)) as opened:
            for index, frame in enumerate(frames[:20]):
                tifffile.imwrite(scan.frame(index), frame)
            row = opened.locator("tr", has_text=scan.name)
            row.get_by_text("arriving", exact=True).wait_for()
            row.locator("img").wait_for()  # the sum of the frames so far
            shoot(opened, tmp_path, "live_arriving")
            for index, frame in enumerate(frames[20:], start=20):
                tifffile.imwrite(scan.frame(index), frame)
            row.get_by_text("refined", exact=True).wait_for()
            opened.wait_for_function(CRYSTAL)
            opened.get_by_text("has no scan 56").first.wait_for(state="attached")
            shoot(opened, tmp_path, "live_refined")
        assert watch.end() == 0


def wait_for_address(said: Path) -> str:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := re.search(r"Open (http\S+)", said.read_text() if said.is_file() else ""):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(said.read_text())
