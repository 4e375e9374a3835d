"""The demonstration shows what a measurement shows: lengths, strain, and the frame of the sample."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 300


@pytest.mark.slow
def test_the_scans_of_the_demonstration_have_strain_and_the_frame_of_the_sample(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "autophasenn.live.demo", "-o", str(tmp_path / "demo"), "--rate", "100"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        try:
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until and len(done := list(tmp_path.rglob("refined/report.json"))) < 2:
                assert demo.poll() is None
                time.sleep(0.5)
        finally:
            demo.send_signal(signal.SIGTERM)
            said = demo.communicate()[0]
    assert len(done) == 2, said
    assert demo.returncode == 0, said
    assert re.search(r"Open http://127\.0\.0\.1:\d+/", said)
    for path in done:
        report = json.loads(path.read_text())
        assert report["d_spacing_nm"] == pytest.approx(0.2335, rel=1e-3)
        assert report["strain"]["std"] > 1e-5
        assert report["geometry"]["sample_rotation"] is not None
