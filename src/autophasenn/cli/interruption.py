"""Ctrl-C, which libraries lose: what a library imports in C may swallow it, and goes on with half of a module."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """Notes in its `with` block that Ctrl-C came, beside raising KeyboardInterrupt as ever.

    Torch imports NumPy from C and drops whatever that raises: of a KeyboardInterrupt all that is left is a NumPy without
    its inside, whose next import fails in ways of its own (RecursionError, AttributeError).

    Attributes
    ----------
    came : bool
        Did Ctrl-C come since the block began?
    """

    def __init__(self) -> None:
        self.came = False
        self._is_ours = False

    def __enter__(self) -> Interruption:
        is_main = threading.current_thread() is threading.main_thread()
        self.came = False
        self._is_ours = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._is_ours:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.came = False

    def raise_if_lost(self) -> None:
        """Between two steps of the work: a Ctrl-C that came and after which the work still goes on was swallowed.

        Raises
        ------
        KeyboardInterrupt
            If it was.
        """
        if self.came:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.default_int_handler(number, frame)


CTRL_C = Interruption()
"""That of the command which this process runs."""
