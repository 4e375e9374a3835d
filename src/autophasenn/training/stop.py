"""When a training stops before its end: after some minutes, or when a signal asks for it."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any


class Stop:
    """Asks for a stop once its time is over, or Ctrl-C or SIGTERM came in its `with` block; a second Ctrl-C interrupts.

    Parameters
    ----------
    minutes : float, optional
        None: only signals ask.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._deadline = None if minutes is None else time.monotonic() + 60 * minutes
        self._former: dict[int, Any] = {}
        self.signal: int | None = None

    def is_asked(self) -> bool:
        """Is it time to stop?"""
        return self.signal is not None or (self._deadline is not None and time.monotonic() > self._deadline)

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
