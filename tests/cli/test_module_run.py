"""`python -m autophasenn` is the command, where pip put `autophasenn` on no path."""

import subprocess
import sys

import autophasenn


def answer(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "autophasenn", *words], capture_output=True, text=True, check=False)


def test_the_package_runs_as_the_command_does() -> None:
    done = answer("--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: autophasenn " in done.stdout
    assert (autophasenn.__doc__ or "").split()[0] in done.stdout


def test_its_exit_status_is_that_of_the_command() -> None:
    done = answer("reconstruct", "missing.npz", "-o", "nowhere")
    assert done.returncode == 2
    assert "missing.npz" in done.stderr
    assert "Traceback" not in done.stderr
