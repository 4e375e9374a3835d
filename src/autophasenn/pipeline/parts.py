"""What a long simulation has done so far: a folder of blocks beside the dataset file that they will become.

A block appears by one rename or not at all, so that whatever ends the program, what the folder holds is good. The folder
also holds what the blocks were made with: only the same parameters go on with them.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autophasenn.errors import OutputError
from autophasenn.files.writing import TEMPORARY, write_atomically

SUFFIX = ".partial"
PARAMETERS = "parameters.json"
LOCK = "lock"


@dataclass(frozen=True)
class Parts:
    """The blocks of an unfinished dataset, in a folder that this process holds for itself."""

    folder: Path

    def block(self, samples: range) -> Path:
        """Where the block of these samples lies, or will lie."""
        return self.folder / f"{samples.start:09d}.h5"

    def store(self, samples: range, content: bytes) -> None:
        """Keep a finished block; it is on the disk when this returns."""
        with write_atomically(self.block(samples)) as temporary:
            temporary.write_bytes(content)

    @property
    def is_empty(self) -> bool:
        """Is no block finished?"""
        return not any(self.folder.glob("[0-9]*.h5"))

    def remove(self) -> None:
        """Remove the folder and what it holds."""
        shutil.rmtree(self.folder)


def folder_of(output: Path) -> Path:
    """The folder of the blocks of a dataset file."""
    return output.with_name(output.name + SUFFIX)


@contextmanager
def held(output: Path, parameters: Mapping[str, Any]) -> Iterator[Parts]:
    """Begin or go on with the blocks of `output`. A folder without a finished block does not stay.

    Parameters
    ----------
    output : Path
        The dataset file.
    parameters : mapping
        Everything that the content depends on, JSON-serialisable.

    Raises
    ------
    OutputError
        If the folder cannot be made or written to, belongs to other parameters, or another process works in it.
    """
    folder = folder_of(output)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(f"The output {output} lies in a file, or {folder} is one; give another output.") from error
    except OSError as error:
        _remove(made)
        raise OutputError(
            f"The output {output} cannot be written ({error.strerror}); give a folder that you may write to."
        ) from error
    parts = Parts(folder)
    with lock:
        _lock(lock, output)
        try:
            _agree(folder, parameters)
            for left in [*folder.glob(f"{TEMPORARY}*"), *output.parent.glob(f"{TEMPORARY}*-{output.name}")]:
                left.unlink()  # of a process that was killed: the lock says that none is at work
            yield parts
        finally:
            if folder.exists() and parts.is_empty:
                parts.remove()
            _remove(made)


def _lock(file: Any, output: Path) -> None:
    """The lock ends with the process, however that ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"Another process is writing {output}; wait for it, or give another output.") from error


def _agree(folder: Path, parameters: Mapping[str, Any]) -> None:
    path = folder / PARAMETERS
    if not path.exists():
        with write_atomically(path) as temporary:
            temporary.write_text(json.dumps(parameters, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return
    then, now = _leaves(json.loads(path.read_text(encoding="utf-8"))), _leaves(json.loads(json.dumps(parameters)))
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            raise OutputError(
                f"{folder} was begun with other parameters ({name} {then.get(name)}, now {now.get(name)}); repeat the "
                "command that began it, remove that folder to start anew, or give another output."
            )


def _leaves(tree: Any, name: str = "") -> dict[str, Any]:
    """Dotted name -> value of everything in nested mappings."""
    if not isinstance(tree, Mapping):
        return {name: tree}
    return {
        key: value
        for child, below in tree.items()
        for key, value in _leaves(below, f"{name}.{child}".strip(".")).items()
    }


def _remove(folders: list[Path]) -> None:
    """Remove folders, the innermost first, as far as they are there and empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
