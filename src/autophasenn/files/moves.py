"""Renames that are taken back together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it, all or none; which ones were missing, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for path in reversed(missing):  # one by one: `parents=True` calls itself, and a deep path ends that
            path.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)  # says so where it is a file
    except OSError:
        remove_empty(missing)
        raise
    return missing


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, as far as they are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class Moves:
    """Renames that are taken back when the block fails.

    Attributes
    ----------
    lost : list of (Path, Path)
        Where a file belongs, and where it lies as it could not be moved back.
    """

    def __init__(self) -> None:
        self._moved: list[tuple[Path, Path]] = []
        self._made: list[Path] = []
        self._kept: list[tuple[Path, Path]] = []
        self.lost: list[tuple[Path, Path]] = []

    def move(self, source: Path, target: Path) -> None:
        """Rename a file, in place of one that is there."""
        self._made = make_folder(target.parent) + self._made
        self._moved.append((source, target))  # before: Ctrl-C may come right after the rename
        try:
            source.replace(target)
        except OSError:
            self._moved.pop()
            raise

    def keep(self, path: Path, copy: Path) -> None:
        """Remember a file that is about to be replaced."""
        self._made = make_folder(copy.parent) + self._made
        try:
            copy.hardlink_to(path)
        except OSError:  # a file system without links
            shutil.copyfile(path, copy)
        self._kept.append((path, copy))

    def __enter__(self) -> Moves:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        for source, target in reversed(self._moved):
            if not os.path.lexists(source):
                self._take_back(source, target)
        for path, copy in self._kept:
            self._take_back(path, copy)
            with suppress(OSError):
                if not any(copy == lies for _, lies in self.lost):
                    copy.unlink(missing_ok=True)  # a rename onto another name of the same file does nothing
        remove_empty(self._made)

    def _take_back(self, path: Path, lies: Path) -> None:
        """Go on with the others where one cannot be moved."""
        try:
            lies.replace(path)
        except FileNotFoundError:  # a later one took its place, and was taken back
            return
        except OSError:
            self.lost.append((path, lies))
