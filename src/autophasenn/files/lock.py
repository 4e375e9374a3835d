"""One process for one folder: a lock that the system gives back however the process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout


class HeldError(Exception):
    """Another process holds the lock."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; it stays when the block ends, as another process may be about to take it.

    Raises
    ------
    HeldError
        If another process holds it.
    OSError
        If it cannot be written, or the disk knows no locks.
    """
    if FileLock is SoftFileLock:  # a system that has no locks: the file itself is one
        lock: BaseFileLock = SoftFileLock(path, blocking=False)
    else:
        lock = FileLock(path, blocking=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise HeldError(str(path)) from error
    try:
        yield
    finally:
        lock.release()
