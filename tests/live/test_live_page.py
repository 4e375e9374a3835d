"""From the first frame to the image, as somebody sees it who has the page open."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from growing import GrowingBliss
from live_watching import PATIENCE, counts, watching
from mortal import Nursery
from scan_34idc import Beamtime
from viewing import CHROMIUM, Served, page, shoot

from autophasenn.live.pictures import PIXELS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
pytest.importorskip("trame", reason="the extra `viewer` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")


CRYSTAL = f"() => [...document.querySelectorAll('tr img')].some(image => image.naturalWidth === {PIXELS})"
"""Is there a picture as large as that of a crystal? Those of the frames have their size."""


CRYSTALS = CRYSTAL.replace("some(", "filter(") + ".length === 2"


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path, loaded="autophasenn.live.watcher")
    yield made
    made.close()


def test_a_scan_is_seen_from_its_first_frame_to_its_image_and_a_bad_one_with_its_reason(
    tmp_path: Path, nursery: Nursery, chromium: Any
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
        with page(chromium, Served(None, address)) as opened:
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


def test_a_growing_file_of_bliss_and_a_stream_of_an_eiger_are_seen_from_their_first_frames_to_their_images(
    tmp_path: Path, nursery: Nursery, chromium: Any
) -> None:
    pytest.importorskip("zmq", reason="the extra `live` is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    np.save(tmp_path / "pattern.npy", counts())
    with watching(tmp_path, nursery) as watch:
        watch.begin("--beamline", "id01", "--zmq", address, "--port", "0")
        served = Served(None, wait_for_address(watch.nursery.said))
        with page(chromium, served) as opened:
            scan = GrowingBliss(watch.data / "sample_0001" / "sample_0001.h5", 7, 18 + 0.005 * np.arange(32))
            for frame in counts()[:20]:
                scan.frame(frame)
            bliss = opened.locator("tr", has_text="sample_0001__sample_0001_7")
            bliss.get_by_text("arriving", exact=True).wait_for()
            bliss.locator("img").wait_for()
            words = ["zmq", address, "--scan", str(tmp_path / "pattern.npy"), "--name", "eiger", "--codec", "bslz4"]
            detector = subprocess.Popen([sys.executable, "-m", "autophasenn.live.simulated", *words, "--rate", "8"])
            try:
                eiger = opened.locator("tr", has_text="eiger")
                eiger.get_by_text("arriving", exact=True).wait_for()
                eiger.locator("img").wait_for()
                shoot(opened, tmp_path, "live_bliss_and_eiger_arriving")
                for frame in counts()[20:]:
                    scan.frame(frame)
                scan.end()
                bliss.get_by_text("refined", exact=True).wait_for()
                eiger.get_by_text("refined", exact=True).wait_for()
                opened.wait_for_function(CRYSTALS)
                shoot(opened, tmp_path, "live_bliss_and_eiger_refined")
                assert detector.wait() == 0
            finally:
                detector.kill()
                detector.wait()
        assert {scan.frames for scan in watch.scans().values()} == {32}
        assert watch.end() == 0


def wait_for_address(said: Path) -> str:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := re.search(r"Open (http\S+)", said.read_text() if said.is_file() else ""):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(said.read_text())
