"""The watcher's benchmark counts what becomes of every scan, and the memory of every process."""

from pathlib import Path

import pytest
from live_speed import BROKEN, HAS_PAGE, burst
from live_watching import QUICK


@pytest.mark.slow
def test_a_burst_leaves_no_scan_behind(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(QUICK)
    found = burst(8, "--plan", str(plan), "--poll", "0.1", "--threads", "1")
    assert found["states"] == {"refined": 8 - len(BROKEN), "failed": len(BROKEN)}
    assert found["lost"] == found["without_reason"] == []
    assert found["seconds_to_all_images"] <= found["seconds_to_all_refined"]
    assert 1e8 < found["peak_bytes_of_one_process"] < found["peak_bytes"] < 8e9
    assert (found["bytes_of_page"] is None) == (not HAS_PAGE)
    assert (found["bytes_of_page"] or 0) < 1e9
