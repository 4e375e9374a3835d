"""What a watcher's network has learned, as files and in words: the weights in its results folder, and a sentence on them."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER = "learned"
"""In the results folder; without it the network is that of the beginning."""
FACT = "learned"
"""Of the ledger: `Standing` as JSON; empty where the watcher does not learn."""
MOST = 200
"""Files of weights, after which nothing more is learned: 2.3 MB each of the package's network. Reports name them as what
made their images, so none is ever removed."""
FULL = (
    f"learns no further, as there are {MOST} files of weights, which reports name; to go on, give the newest by --weights "
    "and another -o"
)
_NAME = re.compile(r"weights-(\d{4,})\.safetensors")


@dataclass(frozen=True)
class Standing:
    """How far learning has come.

    Parameters
    ----------
    weights : int
        Number of those in use; 0: those of the beginning.
    scans : int
        From which they were learned, one round after the other.
    since : float
        Unix seconds.
    is_full : bool
        Whether there are so many files of weights that nothing more is learned.
    """

    weights: int
    scans: int
    since: float
    is_full: bool = False

    @classmethod
    def read(cls, fact: Any) -> Standing | None:
        """Of a ledger's fact; None where there is none, or another version wrote it."""
        try:
            return cls(**json.loads(fact)).checked()
        except (TypeError, ValueError, OverflowError, OSError):
            return None

    def checked(self) -> Standing:
        """The same, where it can be said.

        Raises
        ------
        TypeError, ValueError, OverflowError, OSError
            If it holds what is no number or no time.
        """
        if min(self.weights, self.scans) < 0 or not self.words:
            raise ValueError(f"{self} is none")
        return self

    @property
    def fact(self) -> str:
        """For the ledger."""
        return json.dumps(asdict(self))

    @property
    def words(self) -> str:
        """For people."""
        if not self.weights:
            return "learns on, nothing kept so far"
        now, since = time.localtime(), time.localtime(self.since)
        is_today = (now.tm_year, now.tm_yday) == (since.tm_year, since.tm_yday)
        moment = time.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M", since)
        said = f"learned from {self.scans} scan{'s' * (self.scans != 1)}, weights {self.weights} since {moment}"
        return f"{said}; {FULL}" if self.is_full else said


def weights_file(folder: Path, number: int) -> Path:
    """Where the weights of a number lie, in the folder of what was learned."""
    return folder / f"weights-{number:04d}.safetensors"


def number_of(file: Path) -> int:
    """Of a file of weights; 0 where no watcher learned them, as far as its name tells."""
    found = _NAME.fullmatch(file.name)
    return 0 if found is None else int(found[1])


def number_in(folder: Path, file: Path) -> int:
    """Of a file of weights; 0 where they were not learned in this folder: a watcher may begin with those of another."""
    return number_of(file) if file.parent == folder else 0


def learned_files(folder: Path) -> list[Path]:
    """All files of weights in the folder of what was learned, the newest first."""
    return sorted(filter(number_of, folder.glob("weights-*.safetensors")), key=number_of, reverse=True)
