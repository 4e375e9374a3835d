"""The experimental figures: a crystal cut open, and one pattern by every method."""

import json
from pathlib import Path

import numpy as np
import pytest
from compare_methods import ORDER, main

from autophasenn.pipeline.example import EXAMPLE
from autophasenn.report.contour import Body


def test_a_ball_cut_through_its_middle_is_half_a_ball_with_a_flat_face() -> None:
    axes = np.indices((24, 24, 24)) - 12.0
    amplitude = np.clip(8.5 - np.sqrt((axes**2).sum(0)), 0, 1)
    body = Body.of(amplitude, amplitude > 0, {"height": axes[2]}, (1.0, 1.0, 1.0))
    whole, half = body.surface(0.5), body.half(0.5, (0.0, 0.0, 1.0), (0.0, 0.0, 0.0))
    points = np.asarray(half.points)
    assert points[:, 2].max() == pytest.approx(0, abs=1e-4)
    face = np.abs(points[:, 2]) < 1e-4
    assert np.hypot(*points[face, :2].T).min() < 1, "the face is closed"
    assert half.volume == pytest.approx(whole.volume / 2, rel=0.05)
    np.testing.assert_allclose(half["height"], points[:, 2], atol=0.51)


@pytest.mark.slow
def test_one_command_draws_every_method_of_a_measured_pattern(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "quick.yaml"
    plan.write_text("version: 2\nretrieval: {starts: 1, polish: 0, schedule: {repeats: 1}}\nconfidence: {number: 0}\n")
    assert main([str(EXAMPLE), "-o", str(tmp_path / "out"), "--plan", str(plan)]) == 0
    numbers = json.loads((tmp_path / "out" / "methods.json").read_text())
    assert json.loads(capsys.readouterr().out) == numbers
    assert tuple(numbers) == ORDER
    assert numbers["iterative"]["correlation"] == pytest.approx(1)
    assert numbers["refined"]["chi2"] <= numbers["network"]["chi2"]
    assert (tmp_path / "out" / "chi2.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "methods.png").stat().st_size > 10_000


def test_what_cannot_be_compared_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent.npy"), "-o", str(tmp_path / "out")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
