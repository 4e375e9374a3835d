"""One process for one folder: a lock that the system gives back however the process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout


class HeldError(Exception):
    """Another process holds the lock."""


@contextmanager
def held(path: Path, *, wait: float = 0.0, stays: bool = True) -> Iterator[None]:
    """Hold the lock file `path`.

    Parameters
    ----------
    path : Path
    wait : float
        How long to wait for another process, s.
    stays : bool
        Whether the file stays when the block ends, with what was written into it; where not, whoever waits for it sees
        that it went, and makes it anew.

    Raises
    ------
    HeldError
        If another process, or another thread of this one, holds it.
    OSError
        If it cannot be written, or the disk knows no locks.
    """
    if FileLock is SoftFileLock:  # a system that has no locks: the file itself is one
        lock: BaseFileLock = SoftFileLock(path, timeout=wait)
    else:
        lock = FileLock(path, timeout=wait, fallback_to_soft=False, preserve_lock_file=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise HeldError(str(path)) from error
    try:
        yield
    finally:
        if not stays:
            with suppress(OSError):  # Windows removes no file that is open
                path.unlink()  # while it is held: whoever waits for it sees that it has no name any more
        lock.release()
