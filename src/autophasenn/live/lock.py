"""One watcher for one results folder."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from autophasenn.errors import OutputError

FILE = ".watcher"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a results folder for this process; the system gives it back however the process ends.

    Raises
    ------
    OutputError
        If another process holds it, or its disk lets nobody hold it.
    """
    path = folder / FILE
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("a+", encoding="utf-8"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        except BlockingIOError as error:
            raise OutputError(
                f"Another watcher writes to {folder} ({path.read_text(encoding='utf-8').strip() or 'unknown process'}); "
                "end it, or give another results folder."
            ) from error
        except OSError as error:
            raise OutputError(
                f"{path}, which keeps a second watcher out, cannot be written and locked ({error.strerror or error}); "
                "remove it if no watcher runs, or give a results folder on another disk."
            ) from error
        yield
