"""The rows of a comparison over several sets: kept as they are made, a line each, and gone on with after any end."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autophasenn.errors import OutputError, quoted
from autophasenn.evaluation.scores import METRICS, Numbers
from autophasenn.files.guarded import CREATOR
from autophasenn.files.lock import HeldError, held
from autophasenn.files.writing import TEMPORARY, check_folder, write_atomically

FORMAT = f"{CREATOR}-leaderboard"
VERSION = 1
PARAMETERS, ROWS = "parameters.json", "rows.jsonl"
WORDS = "what_they_do"
GROUPS = ("common", "sets", "methods", WORDS)
"""Of the parameters."""
LOCK = f"{TEMPORARY}leaderboard"
Key = tuple[str, int, str]
"""Set, index of the crystal in it, and method."""


class Rows:
    """What is done: the numbers of a method on a crystal, by set, index and method.

    Parameters
    ----------
    path : Path
        A JSON object a line. A line that was torn by a sudden end is taken off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done: dict[Key, Numbers] = {}
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                key, numbers = _row(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise OutputError(
                    f"Line {number} of {quoted(path)} is damaged ({quoted(error)}); take that line out."
                ) from error
            self.done[key] = numbers

    def add(self, key: Key, numbers: Numbers) -> None:
        """Keep a row; it is on the disk when this returns."""
        name, index, method = key
        numbers = _finite(numbers)
        line = json.dumps({"set": name, "index": index, "method": method, "numbers": numbers}) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"{quoted(self._path)} cannot be written ({error.strerror}); free some space, and repeat the command."
            ) from error
        self.done[key] = numbers

    def of(self, name: str, method: str) -> dict[int, Numbers]:
        """Index -> numbers of a method on a set, rising."""
        found = {index: row for (of, index, by), row in self.done.items() if (of, by) == (name, method)}
        return dict(sorted(found.items()))


def _row(said: Any) -> tuple[Key, Numbers]:
    """What a line of the file says.

    Raises
    ------
    ValueError
        If it is no row.
    """
    row = said if isinstance(said, dict) else {}
    name, index, method, numbers = (row.get(each) for each in ("set", "index", "method", "numbers"))
    if not (isinstance(name, str) and isinstance(method, str) and type(index) is int and isinstance(numbers, dict)):
        raise ValueError("it does not say set, index, method and numbers")
    if missing := [each for each in METRICS if each not in numbers]:
        raise ValueError(f"the number {missing[0]} is missing")
    if not all(value is None or isinstance(value, int | float) for value in numbers.values()):
        raise ValueError("what stands in numbers is none")
    return (name, index, method), _finite(numbers)


def _finite(numbers: Numbers) -> Numbers:
    """The same, with None for what is no finite number: JSON knows none, and nothing is counted of it."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in numbers.items()}


@contextmanager
def kept_in(folder: Path, parameters: Mapping[str, Mapping[str, Any]], overwrite: bool) -> Iterator[Rows]:
    """Begin or go on with the rows in a folder.

    Parameters
    ----------
    folder : Path
    parameters : mapping of mappings
        What the rows depend on, and in ``what_they_do`` words, which may be others than they were. Of sets and methods
        there may be more than there were, but those that were there must be the same.
    overwrite : bool
        Whether rows of other parameters may be removed.

    Raises
    ------
    OutputError
        If the folder holds something else, rows of other parameters, or another process works in it.
    """
    path = folder / PARAMETERS
    is_ours = _is_ours(path)
    check_folder(folder, overwrite=is_ours)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with held(folder / LOCK, stays=False):
            former = json.loads(path.read_text(encoding="utf-8")) if is_ours else {}
            differing = _differing(former, parameters)
            if differing is not None and not overwrite:
                raise OutputError(
                    f"{quoted(folder)} was begun with other parameters ({differing}); repeat the command that began it, "
                    "give another output folder, or --overwrite to start anew."
                )
            if differing is not None:
                (folder / ROWS).unlink(missing_ok=True)
                former = {}
            together = {name: former.get(name, {}) | dict(now) for name, now in parameters.items()}
            with write_atomically(path) as temporary:
                text = json.dumps({"format": FORMAT, "version": VERSION} | together, indent=2) + "\n"
                temporary.write_text(text, encoding="utf-8")
            yield Rows(folder / ROWS)
    except HeldError as error:
        raise OutputError(
            f"Another process is writing into {quoted(folder)}; wait for it, or give another output folder."
        ) from error


def _is_ours(path: Path) -> bool:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        is_whole = all(isinstance(said[group], dict) for group in GROUPS)
        return is_whole and (said["format"], said["version"]) == (FORMAT, VERSION)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _differing(former: Mapping[str, Any], now: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The first parameter that is not what it was, in words."""
    as_stored = json.loads(json.dumps(now))
    for group, values in as_stored.items():
        if group == WORDS:
            continue
        for name, value in values.items():
            was = former.get(group, {}).get(name, value)
            if was != value:
                return f"{name} {quoted(was)}, now {quoted(value)}"
    return None
