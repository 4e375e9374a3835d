"""What a long simulation has done so far: a folder of blocks beside the dataset file that they will become.

A block appears by one rename or not at all, so that whatever ends the program, what the folder holds is good. The folder
also holds what the blocks were made with: only the same parameters go on with them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autophasenn.errors import OutputError
from autophasenn.files import lock
from autophasenn.files.moves import make_folder, remove_empty
from autophasenn.files.writing import TEMPORARY, leftovers, write_atomically

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
        return not self._blocks()

    @property
    def are_ours(self) -> bool:
        """Has this program begun the folder, or not yet put more than a lock into it?"""
        return (self.folder / PARAMETERS).is_file() or all(
            path.name == LOCK or path.name.startswith(TEMPORARY) for path in self.folder.iterdir()
        )

    def tidy(self) -> None:
        """Remove what killed processes were writing."""
        for left in self.folder.glob(f"{TEMPORARY}*"):
            if left.is_file():
                left.unlink()

    def remove(self) -> None:
        """Remove what this program put into the folder, and the folder if that was all.

        The parameters go after the blocks: whenever the program is killed, the next one sees whose folder it is.
        """
        self.tidy()
        for path in [*self._blocks(), self.folder / PARAMETERS, self.folder / LOCK]:
            path.unlink(missing_ok=True)
        remove_empty([self.folder])

    def _blocks(self) -> list[Path]:
        return [path for path in self.folder.glob("*.h5") if re.fullmatch(r"\d{9,}", path.stem)]


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
        If the folder cannot be made or written to, holds what no simulation put there, belongs to other parameters, or
        another process works in it.
    """
    folder = folder_of(output)
    parts, made = Parts(folder), list[Path]()
    with ExitStack() as stack:
        try:
            made += make_folder(folder)
            _check_ours(parts, output)
            stack.enter_context(lock.held(folder / LOCK))
        except lock.HeldError as error:
            raise OutputError(f"Another process is writing {output}; wait for it, or give another output.") from error
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError(
                f"The output {output} lies in a file, or {folder} is one; give another output."
            ) from error
        except OSError as error:
            remove_empty(made)
            raise OutputError(
                f"The output {output} cannot be written ({error.strerror}); give a folder that you may write to."
            ) from error
        try:
            _agree(folder, parameters)
            parts.tidy()  # the lock says that no other process is at work
            for left in leftovers(output):
                left.unlink()
            yield parts
        finally:
            if folder.exists() and parts.is_empty:
                parts.remove()
            remove_empty(made)


def _check_ours(parts: Parts, output: Path) -> None:
    if not parts.are_ours:
        raise OutputError(
            f"The folder {parts.folder} holds files that no simulation put there, and finished blocks would go into it; "
            f"move it away, or give another output than {output}."
        )


def _agree(folder: Path, parameters: Mapping[str, Any]) -> None:
    path = folder / PARAMETERS
    if not path.exists():
        with write_atomically(path) as temporary:
            temporary.write_text(json.dumps(parameters, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return
    try:
        then = _leaves(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise OutputError(
            f"{path} is damaged, and says no longer what the blocks beside it were made with; remove {folder} to start "
            "anew, or give another output."
        ) from error
    now = _leaves(json.loads(json.dumps(parameters)))
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
