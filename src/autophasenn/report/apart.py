"""Figures drawn by a process of its own, which imports what it needs while torch is imported and the phasing goes on.

Nothing heavy is imported here, so that it can begin first of all.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from autophasenn.report.portfolio import Portfolio

T = TypeVar("T")
BEGIN = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from {__name__} import serve; serve()"
"""What the process runs. Ctrl-C is for the process that asks, which ends this one.

``-P``: else a ``signal.py`` in the folder where the user stands would be run in place of Python's own."""


class Painter:
    """A process that draws figures; where it cannot be had, or fails, they are drawn here.

    Use it as a context: the process ends with the block, and with this process however that ends.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        quiet = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name not in os.environ}
        with suppress(OSError), _ctrl_c_held():
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", BEGIN],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | quiet,
            )  # fmt: skip

    def __enter__(self) -> Painter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def draw(self, portfolio: Portfolio, folder: Path) -> tuple[str, ...]:
        """As :meth:`Portfolio.draw`; returns when all is drawn."""
        try:
            return self._asked(portfolio, folder)
        except (OSError, EOFError, pickle.PickleError, _NotDrawnError):
            self.close()
            return portfolio.draw(folder)  # and whatever is wrong shows here

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _asked(self, portfolio: Portfolio, folder: Path) -> tuple[str, ...]:
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise _NotDrawnError
        pickle.dump((portfolio, folder.resolve()), self._process.stdin, pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()
        left_out: tuple[str, ...] | None = pickle.load(self._process.stdout)
        if left_out is None:
            raise _NotDrawnError
        return left_out


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """A process begun now never gets Ctrl-C, not even while Python begins in it; this one gets it after the block."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


class _NotDrawnError(Exception):
    """The other process could not."""


def serve() -> None:
    """What the process does: import, then draw whatever comes until nothing more does."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what libraries print is no answer
    import_all()
    from autophasenn.report.portfolio import Studio

    with suppress(EOFError, BrokenPipeError), Studio() as studio:
        while True:
            portfolio, folder = pickle.load(sys.stdin.buffer)
            left_out = _tried(lambda: studio.draw(portfolio, folder))  # noqa: B023 - called at once
            pickle.dump(left_out, answers)
            answers.flush()
            if not portfolio.is_whole:
                _tried(lambda: studio.draw_ahead(portfolio))  # noqa: B023


def import_all() -> None:
    """Import what figures need, before there is anything to draw."""
    for name in ("aliens", "confidence", "convergence", "isosurface", "overview", "pattern", "prtf", "slices"):
        import_module(f"autophasenn.report.{name}")
    getattr(import_module("pyvista"), "Plotter")  # noqa: B009 - imports VTK


def _tried(draw: Callable[[], T]) -> T | None:
    """None: it failed; whoever asked draws it again, and sees why."""
    try:
        return draw()
    except Exception:
        return None
