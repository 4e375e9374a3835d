"""Writes that are whole or not at all.

Everything is first written under a temporary name in the place where it will stay, flushed to the disk, and then
renamed: a crash leaves either the old file or the new one. Of a folder, `report.json` goes first and comes last.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from autophasenn.errors import OutputError, quoted
from autophasenn.files.former import MANIFEST, UNFINISHED, Former, Kind
from autophasenn.files.lock import HeldError, held
from autophasenn.files.moves import Moves, make_folder, remove_empty
from autophasenn.files.stored import sha256_of

TEMPORARY = ".writing-"
"""How temporary names begin."""
LAST = "report.json"
"""Is moved into place after all others: where it lies, the result is complete."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a disk says that knows no locks."""
LOCK = f"{TEMPORARY}lock"
"""Is held while a folder is looked at and while files are moved into it."""
LONG = "x" * 150
PATIENCE = 120.0
"""How long one that moves its files is waited for, s."""


def check_folder(folder: Path, overwrite: bool, kind: Kind | None = None) -> None:
    """Can a result be written to `folder`? Leaves nothing behind, no folder either.

    Parameters
    ----------
    folder : Path
    overwrite : bool
        Is there leave to replace a former result?
    kind : Kind, optional
        What will be written; None: only whether anything can be.

    Raises
    ------
    OutputError
        If it cannot be made or written to, is a file, holds something and `overwrite` is False, or holds a file that no
        former result of this kind consists of, under a name that a result can have.
    """
    remove_empty(_prepare(folder, overwrite, kind))


@contextmanager
def staged_folder(folder: Path, kind: Kind, overwrite: bool = False, *, is_update: bool = False) -> Iterator[Path]:
    """Write all files of a result, or none.

    Yields a temporary folder inside `folder`. When the block ends, its files are moved into place, each by one rename,
    and `report.json` last. Files of a former result that the new one does not have are removed; what no result wrote,
    or was changed since, is never touched. When the block fails, `folder` is as it was; when the process is killed while
    files are moved, `folder` holds no `report.json` or what was there, and the next one may replace what it left. Of
    several that write to one folder each result is whole, and the last one stays.

    Parameters
    ----------
    folder : Path
        Where the result shall lie; made if missing.
    kind : Kind
        What is written.
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
    checked = None if is_update else kind
    overwrite = overwrite or is_update
    made = _prepare(folder, overwrite, checked)
    with ExitStack() as stack:
        stack.callback(remove_empty, made)
        work = stack.enter_context(_workplace(folder))
        stage = work / "new"
        stage.mkdir()
        with _full_disk_explained(folder):
            yield stage
            with _alone_in(folder):
                _check_vacant(folder, overwrite, checked)
                _publish(work, folder, kind, is_update=is_update)


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


def _prepare(folder: Path, overwrite: bool, kind: Kind | None) -> list[Path]:
    """Make the folder if it is missing; the folders that were made. See `check_folder` for what is refused."""
    made: list[Path] = []
    try:
        (folder / LONG).exists()  # says so where the path is too long for the files in it
        made += make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
        with _alone_in(folder):
            _check_vacant(folder, overwrite, kind)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(f"The output {quoted(folder)} is a file or lies in one; give a folder.") from error
    except ValueError as error:
        raise OutputError(
            f"The output folder {quoted(repr(str(folder)))} has a name that no folder can have ({error}); give another."
        ) from error
    except OSError as error:
        remove_empty(made)
        raise OutputError(
            f"The output folder {quoted(folder)} cannot be written to ({error.strerror}); give a folder that you may write "
            "to."
        ) from error
    return made


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let no other process or thread change the folder meanwhile, where its disk knows locks."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder / LOCK, wait=PATIENCE, stays=False))
        except HeldError as error:
            raise OutputError(
                f"Another process has been moving files into {quoted(folder)} for {PATIENCE:.0f} s; end it, or give another "
                "output folder."
            ) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A temporary folder in `folder`, whose lock says that its process lives; those of dead ones are removed."""
    with ExitStack() as alive:
        with _alone_in(folder):  # so that nobody sees it without its lock
            for left in folder.glob(f"{TEMPORARY}*/lock"):
                _remove_dead(left)
            work = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder))
            with suppress(OSError):
                alive.enter_context(held(work / "lock"))
        try:
            yield work
        finally:
            shutil.rmtree(work / "new", ignore_errors=True)
            alive.close()
            with suppress(OSError):
                (work / "lock").unlink()
            (work / MANIFEST).unlink(missing_ok=True)
            remove_empty([work / "former", work])  # what could not be moved back stays in the former


def _remove_dead(lock: Path) -> None:
    with suppress(HeldError, OSError), held(lock):
        shutil.rmtree(lock.parent, ignore_errors=True)


def leftovers(path: Path) -> list[Path]:
    """Temporary files of processes that were writing `path` and were killed, or that still write it."""
    name = re.compile(rf"{re.escape(TEMPORARY)}\d+-{re.escape(path.name)}")
    return [left for left in path.parent.iterdir() if name.fullmatch(left.name) and left.is_file()]


def forsaken(path: Path) -> list[Path]:
    """Those of `leftovers` whose process is no more, as far as this machine knows."""
    return [
        left for left in leftovers(path) if not psutil.pid_exists(int(left.name.removeprefix(TEMPORARY).split("-")[0]))
    ]


def _check_vacant(folder: Path, overwrite: bool, kind: Kind | None) -> None:
    if overwrite:
        if kind is not None:
            Former(folder, kind).check()
        return
    present = sorted(path.name for path in folder.iterdir() if not path.name.startswith(TEMPORARY))
    if present:
        raise OutputError(
            f"The output folder {quoted(folder)} is not empty (it holds {quoted(present[0])}); give another folder, or "
            "--overwrite to replace the result in it."
        )


def _publish(work: Path, folder: Path, kind: Kind, *, is_update: bool) -> None:
    stage, aside = work / "new", work / "former"
    names = sorted(path.relative_to(stage) for path in stage.rglob("*") if path.is_file())
    lines = "".join(f"{sha256_of(stage / name)}  {name}\n" for name in names)
    (stage / MANIFEST).write_text(lines, encoding="utf-8")
    ordered = _report_last([*names, Path(MANIFEST)])
    former = Former(folder, kind)
    if not is_update:
        former.check(map(str, ordered))
    there = [Path(name) for name in former.stale(map(str, ordered))]
    there += [name for name in ordered if (folder / name).is_file() and str(name) != MANIFEST]
    unfinished = work / MANIFEST
    unfinished.write_text(UNFINISHED + (former.lines if former.is_ours else "") + lines, encoding="utf-8")
    for path in (*(stage / name for name in ordered), unfinished):
        _flush(path)
    aside.mkdir()
    moves = Moves()
    try:
        with moves:
            if (folder / MANIFEST).is_file():
                moves.keep(folder / MANIFEST, aside / MANIFEST)
            moves.move(unfinished, folder / MANIFEST)  # whoever comes after a crash knows whose the files are
            _flush(folder)
            if is_update:
                _update(moves, stage, folder, aside, ordered, there)
            else:
                _replace(moves, stage, folder, aside, ordered, there)
            _flush(folder)
    except OSError as error:
        but = "".join(f", but for {path.name}, which lies in {lies.parent}" for path, lies in moves.lost[:1])
        raise OutputError(
            f"The result could not be moved into {quoted(folder)} ({error.strerror}), and what was there is unchanged{but}; "
            "give another output folder."
        ) from error
    else:
        shutil.rmtree(aside, ignore_errors=True)


def _replace(moves: Moves, stage: Path, folder: Path, aside: Path, ordered: list[Path], former: list[Path]) -> None:
    """First the former result goes, its report before all; without its report, what a crash leaves is no result."""
    for name in reversed(_report_last(former)):
        moves.move(folder / name, aside / name)
        if str(name) == LAST:
            _flush(folder)
    for name in ordered:
        if str(name) == LAST:
            _flush(folder)
        moves.move(stage / name, folder / name)


def _update(moves: Moves, stage: Path, folder: Path, aside: Path, ordered: list[Path], former: list[Path]) -> None:
    """Each new file takes the place of the former one; what has no successor goes last."""
    for name in ordered:
        if name in former:
            moves.keep(folder / name, aside / name)
        moves.move(stage / name, folder / name)
    for name in former:
        if name not in ordered:
            moves.move(folder / name, aside / name)


def _report_last(names: list[Path]) -> list[Path]:
    return sorted(names, key=lambda name: str(name) == LAST)


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
