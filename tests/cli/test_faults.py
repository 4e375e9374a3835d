"""What nobody expected, and what the command line or the environment cannot mean, is one sentence too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from refusing import refusal

import autophasenn
from autophasenn import cli

EXAMPLE = ("reconstruct", "--example", "--method", "iterative", "--threads", "1", "--dry-run")


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    script = "from autophasenn import cli; cli.main()"
    return subprocess.run([sys.executable, "-c", script, *words], stderr=subprocess.PIPE, text=True, **options)


def test_a_fault_of_the_program_is_one_sentence_that_names_the_file_with_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("a tensor of no shape\nand more lines")

    monkeypatch.setattr(sys.modules["autophasenn.cli.app"], "app", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["autophasenn", "view", "--token", "secret"])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    said = capsys.readouterr()
    (kept,) = tmp_path.glob("autophasenn-*.txt")
    assert leaving.value.code == 1
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "RuntimeError: a tensor of no shape)" in said.err
    assert str(kept) in said.err
    text = kept.read_text()
    assert "Traceback (most recent call last)" in text
    assert autophasenn.__version__ in text
    assert "secret" not in text


def test_memory_that_runs_out_is_no_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(sys.modules["autophasenn.cli.app"], "app", fail)
    assert "memory of this machine is used up" in refusal(["plan"], lambda: None, monkeypatch, capsys)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_said(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*EXAMPLE, "-o", str(tmp_path / "out"), stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Standard output cannot be written (No space left on device)")
    assert done.stderr.count("\n") == 1


def test_a_closed_standard_output_is_no_fault(tmp_path: Path) -> None:
    done = run(*EXAMPLE, "-o", str(tmp_path / "out"), stdout=None, preexec_fn=lambda: os.close(1))
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 2)


def test_a_reader_of_the_output_that_leaves_ends_it_without_a_word(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = run(*EXAMPLE, "-o", str(tmp_path / "out"), stdout=write)
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((*EXAMPLE, "--threads", "1000000000000"), "1000000000000 CPU threads"),
        ((*EXAMPLE, "--device", "hpu"), "The device 'hpu' is not there"),
        ((*EXAMPLE, "--method", "network", "--weights", "absent.safetensors"), "There is no file of weights"),
        ((*EXAMPLE, "--method", "network", "--weights", __file__), "as a safetensors file"),
        (("benchmark", "--size", "1000000"), "GiB of memory"),
    ],
    ids=["threads", "device", "absent weights", "text for weights", "benchmark's size"],
)
def test_what_no_machine_can_do_is_refused_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal([*words, "-o", "out"], lambda: list(tmp_path.iterdir()), monkeypatch, capsys)
