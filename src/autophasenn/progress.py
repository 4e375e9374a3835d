"""How far long work is, and how long its stages took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

JOURNAL = "AUTOPHASENN_PROGRESS"
"""Variable of the environment that names the file in which a run tells another program how far it is."""
STAGES = ("read", "preprocess", "network", "refine", "first_picture", "confidence", "postprocess", "write", "total")


@runtime_checkable
class Progress(Protocol):
    """Whoever wants to know how far the work is."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def advance(self, done: int, total: int) -> None:
        """So much of the stage is done."""


Onlooker = Callable[[float, Callable[[], Any]], None]
"""Is given chi2 of the best object of an iteration (NaN where it is not computed), and what makes a copy of that object."""
_ONLOOKER: ContextVar[Onlooker | None] = ContextVar("onlooker", default=None)


@contextmanager
def watched_by(onlooker: Onlooker | None) -> Iterator[None]:
    """Let somebody look at the objects of phase retrieval while the block runs; nothing that is found depends on it."""
    token = _ONLOOKER.set(onlooker)
    try:
        yield
    finally:
        _ONLOOKER.reset(token)


def onlooker() -> Onlooker | None:
    """Who looks on now."""
    return _ONLOOKER.get()


class Silent:
    """A `Progress` that says nothing."""

    def stage(self, name: str) -> None:
        """Nothing."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(STAGES))
    began: float = field(default_factory=time.perf_counter)
    within: list[float] = field(default_factory=list)

    @classmethod
    def going_on(cls, seconds: dict[str, float | None]) -> Stopwatch:
        """One that has measured some stages already."""
        return cls(dict(seconds), time.perf_counter() - (seconds["total"] or 0.0))

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the block; a stage within another is not counted twice, and one in two parts is their sum."""
        start = time.perf_counter()
        self.within.append(0.0)
        yield
        taken = time.perf_counter() - start
        self.seconds[stage] = round((self.seconds[stage] or 0.0) + taken - self.within.pop(), 3)
        if self.within:
            self.within[-1] += taken
        self.seconds["total"] = round(time.perf_counter() - self.began, 3)
