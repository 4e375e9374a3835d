"""The benchmark has all its figures; how large they are is the machine's affair and no test's."""

import json
import math
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from autophasenn.benchmark import cohere as benchmark_cohere
from autophasenn.benchmark._cohere_worker import parameters
from autophasenn.benchmark.iterations import alternation, benchmark, pattern, plain_loop, write
from autophasenn.benchmark.prompt import LARGE_SHAPE, benchmark_prompt, large_pattern, timed
from autophasenn.benchmark.timing import Case, alternate, machine
from autophasenn.errors import OutputError, PlanError
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.preprocessing.oversampling import estimate_oversampling


@pytest.fixture(scope="module")
def result() -> dict:
    threads = torch.get_num_threads()
    try:
        return benchmark(shape=(16, 16, 16), threads=1, iterations=10, rounds=2)
    finally:
        torch.set_num_threads(threads)


def test_every_case_has_a_finite_ratio_and_time(result: dict) -> None:
    assert result["shape"] == [16, 16, 16]
    assert math.isfinite(result["pair"]["milliseconds"])
    assert len(result["cases"]) == 6
    for case in result["cases"].values():
        assert case["ratio"] > 0
        assert math.isfinite(case["ratio"])
        assert case["ratio_spread"][0] <= case["ratio"] <= case["ratio_spread"][1]
        assert case["fastest_milliseconds"] <= case["milliseconds"]
        assert case["met"] == (None if case["goal"] is None else case["ratio"] <= case["goal"])


def test_the_goals_of_an_iteration_stand_in_the_result(result: dict) -> None:
    goals = [case["goal"] for case in result["cases"].values()]
    assert goals == [1.3, 1.3, 3.0, 3.0, None, None]


def test_the_machine_and_the_memory_are_named(result: dict) -> None:
    assert result["machine"]["processor"]
    assert result["machine"]["threads"] == 1
    assert "wait_policy" in result["machine"]
    assert result["memory"]["peak_bytes"] > result["memory"]["retrieval_bytes"] >= 0
    assert result["cohere"] is None


def test_a_machine_that_is_not_quiet_is_said_to_be_so() -> None:
    assert machine(0.0, 1.1)["quiet"]
    assert machine(None, 1.1)["quiet"]
    assert not machine(0.0, 2.0)["quiet"]
    assert not machine(1000.0, 1.1)["quiet"]


def test_the_result_is_written_as_json(result: dict, tmp_path: Path) -> None:
    write(tmp_path / "bench.json", result)
    assert json.loads((tmp_path / "bench.json").read_text(encoding="utf-8")) == result


def test_a_place_that_cannot_be_written_is_named(result: dict, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        write(tmp_path / "missing" / "bench.json", result)


def test_a_size_that_is_too_small_is_refused() -> None:
    with pytest.raises(PlanError, match="size 4"):
        benchmark(shape=(4, 4, 4))


def test_the_wait_from_the_prompt_is_that_of_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    (example,) = benchmark_prompt(rounds=1).values()
    assert 0 < example["first_picture_seconds"] < example["files_seconds"]
    assert example["peak_bytes"] > 100 * 2**20
    assert capfd.readouterr() == ("", "")


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"absent\.npy"):
        timed([str(tmp_path / "absent.npy")], tmp_path / "result")


def test_the_large_pattern_is_oversampled_as_it_says() -> None:
    counts = large_pattern().astype(np.float32)
    assert counts.shape == LARGE_SHAPE
    assert counts.sum() == pytest.approx(1e8, rel=1e-3)
    np.testing.assert_allclose(estimate_oversampling(counts, np.ones(counts.shape, bool)), (3.6, 5.1, 3.6), rtol=0.15)


def test_cases_alternate_with_the_reference() -> None:
    order: list[str] = []
    cases = {name: Case(lambda name=name: order.append(name), 1) for name in "ab"}
    alternate(Case(lambda: order.append("."), 1), cases, rounds=2)
    assert "".join(order) == ".ab" + ".a.b." + ".b.a."


def test_no_round_begins_that_would_end_too_late_but_one_is_made() -> None:
    slow = Case(lambda: time.sleep(0.02), 1)
    for most, made in ((0.0, 1), (60.0, 3)):
        _, results = alternate(slow, {"a": slow}, rounds=3, most_seconds=most)
        assert results["a"]["rounds"] == made


def test_the_plain_loop_comes_nearer_to_the_pattern() -> None:
    modulus = torch.fft.ifftshift(pattern((16, 16, 16))).sqrt()[None]
    support = torch.fft.ifftn(modulus.square()).abs()
    support = support >= 0.1 * support.max()

    def misfit(iterations: int) -> float:
        torch.manual_seed(3)
        rho = plain_loop(modulus, support, iterations) * support
        calculated = torch.fft.fftn(rho, dim=(-3, -2, -1), norm="ortho").abs()
        calculated *= (calculated * modulus).sum() / calculated.square().sum()
        return float((calculated - modulus).square().sum() / modulus.square().sum())

    assert misfit(60) < 0.5 * misfit(1)


@pytest.mark.parametrize("iterations", [10, 100, 150, 600])
def test_cohere_does_as_many_iterations_as_we_do(iterations: int) -> None:
    schedule = alternation(iterations, ShrinkWrap(every=20))
    sequence = parameters(schedule.iterations)["algorithm_sequence"]
    theirs = sum(100 * int(n) for n in re.findall(r"(\d+)\*\(80\*HIO\+20\*ER\)", sequence))
    theirs += sum(int(n) for n in re.findall(r"(?:^|\)\+)(\d+)\*HIO$", sequence))
    assert theirs == schedule.iterations == iterations


def test_a_failed_installation_of_cohere_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(command: list[str], environment: dict[str, str] | None = None) -> str:
        raise subprocess.CalledProcessError(1, command, stderr="warning\nERROR: no matching distribution\n")

    monkeypatch.setattr(benchmark_cohere, "_call", fail)
    with pytest.raises(PlanError, match=r"could not be installed .*no matching distribution.*--against") as caught:
        benchmark_cohere.prepare_environment(tmp_path / "env")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "infinite"), ("KMP_BLOCKTIME", "infinite")]
)
def test_waiting_threads_that_keep_their_cores_are_refused_beside_cohere(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(PlanError, match=f"With {name}={value} the waiting threads"):
        benchmark_cohere.compare_with_cohere(pattern((16, 16, 16)), tmp_path, threads=1)


def test_the_comparison_alternates_and_gives_ratios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def run(python: Path, modulus: Path, back_end: str, iterations: int, threads: int) -> dict[str, float]:
        asked.append(back_end)
        return {"seconds": 1e3, "error": 0.1, "peak_bytes": 5}

    monkeypatch.setattr(benchmark_cohere, "prepare_environment", lambda folder: folder)
    monkeypatch.setattr(benchmark_cohere, "_run_cohere", run)
    found = benchmark_cohere.compare_with_cohere(pattern((16, 16, 16)), tmp_path, threads=1, iterations=10, rounds=2)
    assert asked == ["torch", "numpy"] * 2
    assert found["torch"]["milliseconds"] == found["numpy"]["milliseconds"] == pytest.approx(1e5)
    assert found["torch"]["met"]
    assert math.isfinite(found["numpy"]["ratio"])
