"""Ctrl-C at any moment ends a command with 130 and one sentence: while it is imported, and where a library swallowed it."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from autophasenn.cli.interruption import CTRL_C, Interruption
from autophasenn.cli.terminal import TerminalProgress
from autophasenn.report.apart import Painter

WHILE_IMPORTED = """
    import signal, sys
    from importlib.abc import MetaPathFinder

    class CtrlC(MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name != where:
                return None
            sys.meta_path.remove(self)
            if how == "as it is":
                signal.raise_signal(signal.SIGINT)
            try:  # as torch does of the NumPy that it imports
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                pass
            raise RecursionError("maximum recursion depth exceeded")

    sys.meta_path.insert(0, CtrlC())
    where, how = sys.argv[1:3]
    sys.argv[1:3] = []
    from autophasenn.cli import main
    main()
"""


@pytest.mark.parametrize(
    ("module", "how"),
    [
        ("autophasenn.cli.options", "as it is"),
        ("autophasenn.cli.doctor", "as it is"),
        ("numpy", "as it is"),
        ("numpy", "swallowed"),
    ],
)
def test_ctrl_c_while_something_is_imported_ends_in_one_sentence(module: str, how: str, tmp_path: Path) -> None:
    program = textwrap.dedent(WHILE_IMPORTED)
    words = ["reconstruct", "--example", "-o", str(tmp_path / "out")]
    run = subprocess.run([sys.executable, "-c", program, module, how, *words], capture_output=True, text=True)
    assert run.returncode == 130, run.stderr
    assert run.stderr.startswith("Error: interrupted")
    assert run.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_numpy_is_there_before_torch_imports_it_from_c() -> None:
    program = "import sys; from autophasenn import devices; print(*(n for n in sys.modules if n in ('numpy', 'torch')))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["numpy", "torch"]


def test_work_that_goes_on_after_ctrl_c_was_swallowed_ends_at_its_next_step() -> None:
    with CTRL_C, TerminalProgress() as progress:
        progress.stage("Read")
        with pytest.raises(KeyboardInterrupt):  # whoever swallows it
            signal.raise_signal(signal.SIGINT)
        for step in (lambda: progress.advance(1, 2), lambda: progress.stage("Write")):
            with pytest.raises(KeyboardInterrupt):
                step()
    progress.stage("of another command")


def test_a_ctrl_c_that_is_ignored_stays_ignored() -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
    try:
        with Interruption() as ctrl_c:
            signal.raise_signal(signal.SIGINT)
            assert not ctrl_c.came
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_the_process_that_draws_never_gets_ctrl_c_and_this_one_still_does() -> None:
    with Painter() as painter:
        assert painter._process is not None
        status = Path(f"/proc/{painter._process.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    kept_off = int(fields["SigBlk"], 16) | int(fields["SigIgn"], 16)
    assert kept_off >> (signal.SIGINT - 1) & 1
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
