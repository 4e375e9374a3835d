"""Repeated scans at the terminal and from Python: summed, the one of another crystal left out, said and shown."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import autophasenn as ap
from autophasenn import cli
from autophasenn.errors import InputError, PlanError
from autophasenn.pipeline.result import Result

N = 32


def pattern(seed: int, is_other: bool = False) -> np.ndarray:
    x, y, z = np.meshgrid(*[np.arange(N) - N // 2] * 3, indexing="ij")
    inside = (abs(x) <= 4) & (abs(y) <= (2 if is_other else 5)) & (abs(z) <= (6 if is_other else 3))
    inside &= (x - y + z if is_other else x + y + z) < 8
    intensity = np.abs(np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(inside * np.exp(0.02j * y**2))))) ** 2
    return np.random.default_rng(seed).poisson(1e6 * intensity / intensity.sum()).astype(np.uint32)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for seed in range(3):
        np.save(tmp_path / f"scan{seed}.npy", pattern(seed, is_other=seed == 1))
    return [str(tmp_path / f"scan{seed}.npy") for seed in range(3)]


def run(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["autophasenn", "reconstruct", *words])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    told = capsys.readouterr()
    return int(leaving.value.code or 0), " ".join(told.out.split()), " ".join(told.err.split())


def test_scans_are_summed_with_a_word_on_what_is_left_out(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *files,
        "--sum",
        "-o",
        str(tmp_path / "r"),
        "--method",
        "network",
        "--force",
        "--confidence",
        "0",
        "--no-figures",
    ]
    status, _, err = run(words, monkeypatch, capsys)
    assert status == 0, err
    result = Result.load(tmp_path / "r")
    assert result.report.preprocess["photons"] == pytest.approx(2e6, rel=0.02)
    assert any("2 scans are summed" in sentence for sentence in result.warnings)
    assert any("scan1.npy is left out of the sum" in sentence for sentence in result.warnings)
    assert [each["left_out"] is None for each in result.source["summed"]] == [True, False, True]


def test_several_inputs_that_are_not_to_be_summed_are_a_campaign(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run([*files, "-o", str(tmp_path / "c"), "--dry-run"], monkeypatch, capsys)
    assert status == 0, err
    assert re.search(r"scans\W+3\b", out)
    assert re.search(r"to do\W+3\b", out)
    assert not (tmp_path / "c").exists()


def test_inputs_that_cannot_be_summed_are_refused(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        ([files[0], "--scans", "1-3"], "--scan belongs to a scan folder"),
        ([*files[:2], "--sum", "--workers", "2"], "belong to several scans that are not summed"),
        ([files[0], "--sum"], "There is 1 scan to sum"),
        ([files[0], files[0], "--sum"], "is given twice"),
        ([*files[:2], "--sum"], "No two of the 2 scans show the same crystal"),
        ([files[0], "--sum", "--scans", "3-1"], "write numbers and ranges"),
    ):
        status, _, err = run([*words, "-o", str(tmp_path / "r"), "--dry-run"], monkeypatch, capsys)
        assert status == 2
        assert said in err


def test_python_sums_arrays_files_and_patterns_and_the_result_shows_each(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [pattern(0), files[1], ap.Pattern(pattern(2), name="third")]
    result = ap.reconstruct(several, sum=True, method="network", force=True, confidence=0)
    assert [each.is_used for each in result.repeated] == [True, False, True]
    monkeypatch.setattr(Result, "_draw", lambda *_: ())  # the other figures have tests of their own
    result.save(tmp_path / "r")
    assert (tmp_path / "r" / "scans.png").stat().st_size > 10_000
    with pytest.raises(PlanError, match="the pattern is a list of scans"):
        ap.reconstruct(files[0], sum=True)
    with pytest.raises(InputError, match="No two of the 2 scans"):
        ap.reconstruct(several[:2], sum=True)
