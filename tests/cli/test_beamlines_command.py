"""Beamlines and diffractometer options at the terminal."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layouts import Id01Bliss

from autophasenn import cli
from autophasenn.beamlines import BEAMLINES

EXPERIMENT = replace(Id01Bliss.experiment, shape=(64, 64), peak=(32, 32), beam=(500.0, 100.0), frames=49)


def run(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["autophasenn", *words])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    told = capsys.readouterr()
    return int(leaving.value.code or 0), told.out, told.err


@pytest.fixture
def bliss(tmp_path: Path) -> Path:
    return Id01Bliss.write(tmp_path, EXPERIMENT.counts(), EXPERIMENT).path


def test_every_beamline_is_listed_with_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(["beamlines"], monkeypatch, capsys)
    assert status == 0
    for name, beamline in BEAMLINES.items():
        assert name in out
        assert beamline.title in " ".join(out.split())


def test_a_dry_run_says_energy_distance_angles_step_and_d(
    bliss: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "reconstruct",
        str(bliss),
        "--beamline",
        "id01",
        "--scan",
        "12",
        "-o",
        str(tmp_path / "r"),
        "--dry-run",
        "--force",
    ]
    status, out, err = run(words, monkeypatch, capsys)
    assert status == 0, err
    told = " ".join(out.split())
    for expected in ("9000 eV", "0.8 m", "55 x 55 um", "row 500, column 100", "delta 36", "eta 0.01 degrees"):
        assert expected in told
    assert "assumed" not in told
    d = 20 * np.pi / np.linalg.norm(EXPERIMENT.q_lab(24, 32, 32)) * 1e8
    assert f"d: {d:.4g}"[:7] in told
    status, out, err = run([*words, "--direct-beam", "510,90", "--energy", "9100"], monkeypatch, capsys)
    assert "row 510, column 90" in " ".join(out.split())
    assert "9100 eV" in out


def test_a_pair_that_is_none_is_refused(
    bliss: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "reconstruct",
        str(bliss),
        "--beamline",
        "id01",
        "--scan",
        "12",
        "-o",
        str(tmp_path / "r"),
        "--dry-run",
        "--force",
    ]
    status, out, err = run([*words, "--direct-beam", "here"], monkeypatch, capsys)
    assert status == 2
    assert out == ""
    assert "'here' are not two numbers" in err


def test_the_report_and_the_result_file_hold_the_geometry(
    bliss: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import h5py

    words = ["reconstruct", str(bliss), "--beamline", "id01", "--scan", "12", "-o", str(tmp_path / "r")]
    status, _, err = run([*words, "--method", "network", "--force"], monkeypatch, capsys)
    assert status == 0, err
    geometry = json.loads((tmp_path / "r" / "report.json").read_text())["geometry"]
    assert geometry["energy_ev"] == pytest.approx(9000)
    assert geometry["distance_m"] == pytest.approx(0.8)
    assert geometry["pixel_m"] == pytest.approx([55e-6, 55e-6])
    assert geometry["direct_beam"] == {"row": 500.0, "column": 100.0, "assumed": False}
    assert geometry["angles_deg"]["delta"] == 36
    assert geometry["scanned"] == "eta"
    assert geometry["step_deg"] == pytest.approx(0.01)
    assert geometry["q_per_nm"] == pytest.approx(1e-9 * np.linalg.norm(EXPERIMENT.q_lab(24, 32, 32)), rel=1e-3)
    with h5py.File(tmp_path / "r" / "result.cxi") as file:
        entry = file["entry_1/instrument_1"]
        assert entry["source_1/energy"][()] == pytest.approx(9000 * 1.602176634e-19)
        assert entry["detector_1/distance"][()] == pytest.approx(0.8)
        assert entry["detector_1/x_pixel_size"][()] == pytest.approx(55e-6)
        assert entry["detector_1/beam_center_y"][()] == 500
