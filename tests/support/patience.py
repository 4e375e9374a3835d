"""A block that may not take for ever."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def at_most(seconds: float, error: BaseException) -> Iterator[None]:
    """Raise an error where the block takes longer, even where it waits for a lock."""

    def alarm(number: int, frame: object) -> None:
        raise error

    former = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
