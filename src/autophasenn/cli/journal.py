"""Progress for another program: stages, steps and the object of now, in files that the environment names."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autophasenn.progress import JOURNAL, Progress, watched_by

OBJECT = "object.npz"
"""Beside it: the largest amplitude of the object along each of its axes, ``along0``, ``along1``, ``along2``."""
OFTEN, SELDOM = 0.2, 1.0
"""Seconds between two steps that are told, and between two objects."""


class Journal:
    """A `Progress` that tells another one, and a file.

    Parameters
    ----------
    other : Progress
    path : Path
        Lines are added to it: ``{"stage": "Refinement"}``, ``{"done": 30, "total": 400}``, ``{"chi2": 0.012}``. A disk that
        takes no more of them does not stop the work.
    """

    def __init__(self, other: Progress, path: Path) -> None:
        self._other, self._path = other, path
        self._told = self._shown = 0.0

    def stage(self, name: str) -> None:
        """A stage begins."""
        self._other.stage(name)
        self._tell(stage=name)

    def advance(self, done: int, total: int) -> None:
        """So much of the stage is done."""
        self._other.advance(done, total)
        if done == total or time.monotonic() - self._told > OFTEN:
            self._told = time.monotonic()
            self._tell(done=done, total=total)

    def look(self, chi2: float, seen: Callable[[], Any]) -> None:
        """As an `Onlooker`: the object of now, from three sides."""
        if time.monotonic() - self._shown < SELDOM:
            return
        import numpy as np

        amplitude = seen().abs().cpu().numpy()
        temporary = self._path.with_name(f".{OBJECT}")
        with suppress(OSError):
            with temporary.open("wb") as file:
                np.savez(file, **{f"along{axis}": amplitude.max(axis) for axis in range(3)})
            temporary.replace(self._path.with_name(OBJECT))
        if math.isfinite(chi2):
            self._tell(chi2=chi2)
        self._shown = time.monotonic()

    def _tell(self, **what: Any) -> None:
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")


@contextmanager
def journalled(progress: Progress) -> Iterator[Progress]:
    """The same, told to the file too that the environment asks for; as it is where it asks for none."""
    path = os.environ.get(JOURNAL)
    if not path:
        yield progress
        return
    journal = Journal(progress, Path(path))
    with watched_by(journal.look):
        yield journal
