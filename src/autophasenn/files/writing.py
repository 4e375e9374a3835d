"""Writes that are whole or not at all.

Everything is first written under a temporary name in the place where it will stay, flushed to the disk, and then
renamed: a crash leaves either the old file or the new one. Of a folder, `report.json` goes first and comes last.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from autophasenn.errors import OutputError
from autophasenn.files.stored import sha256_of

logger = logging.getLogger(__name__)

TEMPORARY = ".writing-"
"""How temporary names begin."""
MANIFEST = "SHA256SUMS"
"""Lists the files of a result with their checksums; ``sha256sum -c SHA256SUMS`` verifies them."""
LAST = "report.json"
"""Is moved into place after all others: where it lies, the result is complete."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_folder(folder: Path, overwrite: bool) -> None:
    """Can a result be written to `folder`? Leaves nothing behind, no folder either.

    Raises
    ------
    OutputError
        If it cannot be made or written to, is a file, or holds something and `overwrite` is False.
    """
    remove_empty(_prepare(folder, overwrite))


@contextmanager
def staged_folder(folder: Path, overwrite: bool = False, *, is_update: bool = False) -> Iterator[Path]:
    """Write all files of a result, or none.

    Yields a temporary folder inside `folder`. When the block ends, its files are moved into place, each by one rename,
    and `report.json` last. Files of a former result that the new one does not have are removed, unless they were
    changed since; files that no result wrote are never touched. When the block fails, `folder` is as it was; when the
    process is killed while files are moved, `folder` holds no `report.json`.

    Parameters
    ----------
    folder : Path
        Where the result shall lie; made if missing.
    overwrite : bool
        Is there leave to replace a former result?
    is_update : bool
        Is the former result an earlier state of this one? Then each of its files is replaced by one rename, so that whoever
        reads the folder finds a whole result at any time; there is no moment without a ``report.json``.

    Yields
    ------
    Path
        An empty folder to write to; may be given subfolders.

    Raises
    ------
    OutputError
        Before any work, as `check_folder`; or if the disk is full or the files cannot be moved.
    """
    overwrite = overwrite or is_update
    made = _prepare(folder, overwrite)
    for left in folder.glob(f"{TEMPORARY}*"):
        logger.warning("%s was left by a run that did not end, or belongs to one that still runs.", left)
    stage = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder))
    try:
        with _full_disk_explained(folder):
            yield stage
            _check_vacant(folder, overwrite)
            _publish(stage, folder, is_update=is_update)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        remove_empty(made)


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Write one file: yields a temporary path of the same suffix beside it, which becomes `path` when the block ends.

    Raises
    ------
    OutputError
        If the disk is full.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        with _full_disk_explained(path):
            yield temporary
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _prepare(folder: Path, overwrite: bool) -> list[Path]:
    """Make the folder if it is missing; the folders that were made. See `check_folder` for what is refused."""
    made: list[Path] = []
    try:
        made += make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
        _check_vacant(folder, overwrite)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(f"The output {folder} is a file or lies in one; give a folder.") from error
    except OSError as error:
        remove_empty(made)
        raise OutputError(
            f"The output folder {folder} cannot be written to ({error.strerror}); give a folder that you may write to."
        ) from error
    return made


def leftovers(path: Path) -> list[Path]:
    """Temporary files of processes that were writing `path` and were killed, or that still write it."""
    name = re.compile(rf"{re.escape(TEMPORARY)}\d+-{re.escape(path.name)}")
    return [left for left in path.parent.iterdir() if name.fullmatch(left.name) and left.is_file()]


def forsaken(path: Path) -> list[Path]:
    """Those of `leftovers` whose process is no more, as far as this machine knows."""
    return [
        left for left in leftovers(path) if not psutil.pid_exists(int(left.name.removeprefix(TEMPORARY).split("-")[0]))
    ]


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it; which ones were missing, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, as far as they are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _check_vacant(folder: Path, overwrite: bool) -> None:
    if overwrite:
        return
    present = sorted(path.name for path in folder.iterdir() if not path.name.startswith(TEMPORARY))
    if present:
        raise OutputError(
            f"The output folder {folder} is not empty (it holds {present[0]}); give another folder, or --overwrite to "
            "replace the result in it."
        )


def _publish(stage: Path, folder: Path, *, is_update: bool) -> None:
    names = sorted(path.relative_to(stage) for path in stage.rglob("*") if path.is_file())
    sums = {str(name): sha256_of(stage / name) for name in names}
    (stage / MANIFEST).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), encoding="utf-8")
    ordered = _report_last([*names, Path(MANIFEST)])
    for name in ordered:
        _flush(stage / name)
    former = _former_files(folder, ordered)
    aside = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder))
    try:
        with _Moves() as moves:
            if is_update:
                _update(moves, stage, folder, aside, ordered, former)
            else:
                _replace(moves, stage, folder, aside, ordered, former)
            _flush(folder)
    except OSError as error:
        raise OutputError(
            f"The result could not be moved into {folder} ({error.strerror}), and what was there is unchanged; give "
            "another output folder."
        ) from error
    else:
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        remove_empty([aside])


def _replace(moves: _Moves, stage: Path, folder: Path, aside: Path, ordered: list[Path], former: list[Path]) -> None:
    """First the former result goes, its report before all; without its report, what a crash leaves is no result."""
    for name in reversed(former):
        moves.move(folder / name, aside / name)
        if str(name) == LAST:
            _flush(folder)
    for name in ordered:
        if str(name) == LAST:
            _flush(folder)
        moves.move(stage / name, folder / name)


def _update(moves: _Moves, stage: Path, folder: Path, aside: Path, ordered: list[Path], former: list[Path]) -> None:
    """Each new file takes the place of the former one; what has no successor goes last."""
    for name in ordered:
        if name in former:
            moves.keep(folder / name, aside / name)
        moves.move(stage / name, folder / name)
    for name in former:
        if name not in ordered:
            moves.move(folder / name, aside / name)


def _former_files(folder: Path, new: list[Path]) -> list[Path]:
    """Files that must go: those that new ones replace, and of a former result those that none does."""
    former = _read_manifest(folder)
    stale = [Path(name) for name in former.keys() - set(map(str, new))]
    unchanged = [name for name in stale if (folder / name).is_file() and sha256_of(folder / name) == former[str(name)]]
    return _report_last([*unchanged, *(name for name in new if (folder / name).is_file())])


def _report_last(names: list[Path]) -> list[Path]:
    return sorted(names, key=lambda name: str(name) == LAST)


class _Moves:
    """Renames that are taken back when the block fails."""

    def __init__(self) -> None:
        self._moved: list[tuple[Path, Path]] = []
        self._made: list[Path] = []
        self._kept: list[tuple[Path, Path]] = []

    def move(self, source: Path, target: Path) -> None:
        self._made = make_folder(target.parent) + self._made
        self._moved.append((source, target))
        source.replace(target)

    def keep(self, path: Path, copy: Path) -> None:
        """Remember a file that is about to be replaced."""
        self._made = make_folder(copy.parent) + self._made
        try:
            copy.hardlink_to(path)
        except OSError:  # a file system without links
            shutil.copyfile(path, copy)
        self._kept.append((path, copy))

    def __enter__(self) -> _Moves:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        for source, target in reversed(self._moved):
            if not source.exists():
                target.replace(source)
        for path, copy in self._kept:
            copy.replace(path)
            copy.unlink(missing_ok=True)  # a rename onto another name of the same file does nothing
        remove_empty(self._made)


def _read_manifest(folder: Path) -> dict[str, str]:
    """Name -> checksum of the files of the result in `folder`; only names inside it."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    entries = [line.split("  ", 1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    inside = {entry[1]: entry[0] for entry in entries if len(entry) == 2}
    return {
        name: digest for name, digest in inside.items() if ".." not in Path(name).parts and not Path(name).is_absolute()
    }


def _flush(path: Path) -> None:
    """Have the file, or the names in the folder, on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _full_disk_explained(target: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not _is_full_disk(error):
            raise
        raise OutputError(
            f"The disk is full: {target} could not be written, and what was there is unchanged. Free some space or "
            "give an output folder on another disk."
        ) from error


def _is_full_disk(error: BaseException | None) -> bool:
    """Does the error, or one that led to it, say so? HDF5 passes the reason on in the text of a RuntimeError."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(os.strerror(code) in str(error) for code in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
