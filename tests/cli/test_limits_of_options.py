"""Options beyond what anybody means are refused before anything is computed, in the dry run as in the run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from refusing import refusal

from autophasenn.errors import PlanError
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.pipeline.repeated import MOST_SCANS, scan_numbers
from autophasenn.pipeline.source import Source

HUGE = "99999999999999999999"
BEYOND = {
    "scans": (["--sum", "--scans", "1-1000000000"], "--scans 1-1000000000 are more than 1000 scans"),
    "scans by ranges": (["--sum", "--scans", "1-600,1001-1600"], "are more than 1000 scans"),
    "scan of many digits": (["--sum", "--scans", "9" * 5000], "cannot be understood"),
    "iterative starts": (["--method", "iterative", "--starts", "1000000000"], "starts is 1000000000; give 1 to 10000"),
    "predictions": (["--method", "network", "--starts", HUGE], f"starts is {HUGE}; give 1 to 10000"),
    "seed": (["--method", "network", "--seed", str(2**63)], f"The seed {2**63} is not usable"),
    "seed of 77 bits": (["--seed", HUGE + "999"], "(63 bits)"),
    "device without numbers": (["--device", "meta"], "The device 'meta' is not there"),
    "no mask": (["--mask", ""], "Invalid value for --mask: it is empty; give a value, or leave the option out"),
    "no plan": (["--plan="], "Invalid value for --plan: it is empty"),
    "no axes": (["--axes", ""], "Invalid value for --axes: it is empty"),
    "no second input": (["--sum", ""], "Invalid value for an argument: it is empty; give a name"),
    "logarithms too large": (["--values", "log(n)"], "infinitely many photons (taken as natural logarithms"),
    "a unit of nearly nothing": (["--gain", "1e-320"], "infinitely many photons (by preprocess.gain"),
    "a limit below all light": (["--saturation", "1e-300"], "Every lit voxel is taken as full"),
}


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*options: str) -> str:
        words = ["reconstruct", str(EXAMPLE), "-o", str(tmp_path / "out"), "--threads", "1", *options]
        return refusal(words, lambda: list(tmp_path.rglob("*")), monkeypatch, capsys)

    return run


@pytest.mark.parametrize(("options", "words"), BEYOND.values(), ids=BEYOND)
def test_an_option_beyond_its_limits_is_refused_in_the_dry_run_and_the_run(
    refused: Callable[..., str], options: list[str], words: str
) -> None:
    assert words in refused(*options, "--dry-run")
    assert words in refused(*options)


def test_scans_up_to_the_limit_are_taken() -> None:
    assert len(scan_numbers(f"1-{MOST_SCANS}")) == MOST_SCANS
    with pytest.raises(PlanError, match="more than"):
        scan_numbers(f"1-{MOST_SCANS + 1}")


@pytest.mark.parametrize("name", ["input", "beamline", "axes"])
def test_an_empty_word_from_python_is_named_as_empty(name: str) -> None:
    with pytest.raises(PlanError, match=f"{name} is empty; give"):
        Source(**{"input": "scan.npy", name: ""})
