"""How far a command is, for another program."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from autophasenn.cli.journal import OBJECT, journalled
from autophasenn.progress import JOURNAL, Silent, onlooker


def test_stages_steps_and_the_object_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.jsonl"
    monkeypatch.setenv(JOURNAL, str(path))
    rho = torch.randn(4, 5, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    with journalled(Silent()) as progress:
        progress.stage("Refinement")
        for step in range(100):
            progress.advance(step + 1, 100)
        look = onlooker()
        assert look is not None
        look(0.25, lambda: rho)
        look(0.2, lambda: pytest.fail("it is asked for an object not more often than once a second"))
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert told[0] == {"stage": "Refinement"}
    assert {"done": 100, "total": 100} in told
    assert len(told) < 50, "steps that follow each other quickly are not all told"
    assert told[-1] == {"chi2": 0.25}
    with np.load(tmp_path / OBJECT) as sides:
        assert [sides[f"along{axis}"].shape for axis in range(3)] == [(5, 6), (4, 6), (4, 5)]
        np.testing.assert_array_equal(sides["along1"], rho.abs().amax(1))


def test_nobody_is_told_where_nobody_asks_and_a_disk_that_fails_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(JOURNAL, raising=False)
    silent = Silent()
    with journalled(silent) as progress:
        assert progress is silent
        assert onlooker() is None
    monkeypatch.setenv(JOURNAL, str(tmp_path / "no" / "folder"))
    with journalled(silent) as progress:
        progress.stage("Read")
        progress.advance(1, 1)
