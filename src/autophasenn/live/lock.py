"""One watcher for one results folder."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autophasenn.errors import OutputError

FILE = ".watcher"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a results folder for this process; the system gives it back however the process ends.

    Raises
    ------
    OutputError
        If another process holds it.
    """
    with (folder / FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise OutputError(
                f"Another watcher writes to {folder} ({file.read().strip() or 'unknown process'}); end it, or give another "
                "results folder."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
