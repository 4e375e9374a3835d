"""What a folder holds before a result is written there: of a former result what may go, and of the user what may not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py

from autophasenn.errors import OutputError, quoted
from autophasenn.files.guarded import CREATOR
from autophasenn.files.stored import sha256_of

MANIFEST = "SHA256SUMS"
"""Lists the files of a result with their checksums; ``sha256sum -c SHA256SUMS`` verifies them."""
UNFINISHED = f"# {CREATOR} is writing this result\n"
"""Begins the manifest while files are moved; ``sha256sum -c`` passes over it."""


@dataclass(frozen=True)
class Kind:
    """What results of one kind consist of, and how one is told from a folder of somebody else.

    Parameters
    ----------
    names : tuple of str
        Of all files that one can have; those of earlier versions too.
    marks : tuple of str
        Files whose content says that this program wrote them: ``.cxi`` by their `creator`, ``.json`` by `format` or
        `versions`.
    """

    names: tuple[str, ...]
    marks: tuple[str, ...]

    def can_have(self, name: str) -> bool:
        """Can a result of this kind have a file of this name?"""
        return name == MANIFEST or name in self.names

    def spare(self, folder: Path, inputs: Iterable[Path]) -> None:
        """Refuse a folder where a file of the result would replace one that is read.

        Raises
        ------
        OutputError
            If one of the inputs lies there, by whatever name it was given.
        """
        for each in inputs:
            for name in self.names:
                if _is_same(each, folder / name):
                    raise OutputError(
                        f"The input {quoted(each)} lies where the result would be written, as {name} of {quoted(folder)}, "
                        "and would be lost; give another output folder."
                    )


class Former:
    """The result that a folder holds, if it is one: each file that is listed in its manifest and unchanged since.

    Parameters
    ----------
    folder : Path
    kind : Kind
    """

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._folder, self._kind = folder, kind
        self._sums, is_unfinished = _read_manifest(folder / MANIFEST)
        self._digests: dict[str, str] = {}
        self.is_ours = is_unfinished or any(
            self._is_as_written(name) and _is_signed(folder / name) for name in kind.marks
        )

    @property
    def lines(self) -> str:
        """The manifest."""
        return "".join(f"{digest}  {name}\n" for name, digests in self._sums.items() for digest in sorted(digests))

    def check(self, new: Iterable[str] = ()) -> None:
        """Refuse to replace what is not of a former result, under any name that a result can have.

        Parameters
        ----------
        new : iterable of str
            Names of more files that will be written.

        Raises
        ------
        OutputError
            If there is such a file.
        """
        there = {path.name for path in self._folder.iterdir() if self._kind.can_have(path.name)}
        for name in sorted(there | {name for name in new if os.path.lexists(self._folder / name)}):
            if not self.owns(name):
                raise OutputError(
                    f"The output folder {quoted(self._folder)} holds {name}, {self._why(name)}; move it elsewhere, or give "
                    "another output folder."
                )

    def owns(self, name: str) -> bool:
        """Is this file of the former result, and as that was written?"""
        return self.is_ours and (name == MANIFEST or self._is_as_written(name))

    def stale(self, new: Iterable[str]) -> list[str]:
        """Files of the former result which the new one does not have."""
        left = self._sums.keys() - set(new)
        return sorted(name for name in left if self._kind.can_have(name) and self.owns(name))

    def _why(self, name: str) -> str:
        if self.is_ours and name in self._sums:
            return "which was changed after the result in it was written"
        return "which is no file of a former result of this command"

    def _is_as_written(self, name: str) -> bool:
        path = self._folder / name
        if name not in self._sums or path.is_symlink() or not path.is_file():
            return False
        if name not in self._digests:
            self._digests[name] = sha256_of(path)
        return self._digests[name] in self._sums[name]


def _read_manifest(path: Path) -> tuple[dict[str, set[str]], bool]:
    """Name -> checksums, of names inside the folder only; and whether its writer was killed on the way."""
    if path.is_symlink() or not path.is_file():
        return {}, False
    text = path.read_text(encoding="utf-8", errors="replace")
    sums: dict[str, set[str]] = {}
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        if name and ".." not in Path(name).parts and not Path(name).is_absolute():
            sums.setdefault(name, set()).add(digest)
    return sums, text.startswith(UNFINISHED)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them is not there
        return False


def _is_signed(path: Path) -> bool:
    """Does the file say that this program wrote it?"""
    try:
        if path.suffix == ".cxi":
            with h5py.File(path, "r") as file:
                return str(file.attrs.get("creator", "")).startswith(CREATOR)
        said = json.loads(path.read_text(encoding="utf-8"))
        return str(said.get("format", "")).startswith(CREATOR) or CREATOR in said.get("versions", ())
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return False
