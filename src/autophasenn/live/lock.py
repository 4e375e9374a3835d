"""One watcher, or one campaign, for one results folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from autophasenn.errors import OutputError
from autophasenn.files.lock import HeldError, held

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
            stack.enter_context(held(path))
        except HeldError as error:
            holder = ""
            with suppress(OSError):
                holder = path.read_text(encoding="utf-8").strip()
            raise OutputError(
                f"Another process writes to {folder} ({holder or 'unknown process'}); "
                "end it, or give another results folder."
            ) from error
        except OSError as error:
            raise OutputError(
                f"{path}, which keeps a second process out, cannot be written and locked ({error.strerror or error}); "
                "remove it if none runs, or give a results folder on another disk."
            ) from error
        with suppress(OSError):  # Windows lets nobody write to a file that is locked
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
