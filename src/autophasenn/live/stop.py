"""SIGTERM and Ctrl-C as a question that the loop asks, and a pipe that wakes it."""

from __future__ import annotations

import signal
import threading
from multiprocessing import Pipe
from types import FrameType
from typing import Any


class Stop:
    """Was this process asked to stop in the `with` block? A second Ctrl-C interrupts."""

    def __init__(self) -> None:
        self.pipe, self._waker = Pipe(duplex=False)
        self.is_asked = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self.pipe.close()
        self._waker.close()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.is_asked:
            self._waker.send(None)
        self.is_asked = True
