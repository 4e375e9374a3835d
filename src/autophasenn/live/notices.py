"""What the operating system tells of changes in a folder, as a pipe that becomes readable."""

from __future__ import annotations

import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from autophasenn.errors import PlanError, install


class Notices:
    """Changes in a folder while the `with` block runs.

    Parameters
    ----------
    folder : Path, optional
        None: nothing is told.

    Raises
    ------
    PlanError
        If watchfiles is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self.pipes: list[Connection] = []
        self._folder, self._over = folder, threading.Event()
        if folder is not None:
            try:
                import watchfiles  # noqa: F401
            except ModuleNotFoundError as error:
                raise PlanError(f"--notify needs watchfiles: {install('live')}, or leave it out.") from error

    def __enter__(self) -> Notices:
        if self._folder is not None:
            ours, self._theirs = Pipe(duplex=False)
            self.pipes = [ours]
            self._thread = threading.Thread(target=self._listen, args=(self._folder,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self.pipes:
            self._thread.join()
            self._theirs.close()
            self.pipes[0].close()

    def take(self) -> bool:
        """Was there a notice since the last call?"""
        found = False
        for pipe in self.pipes:
            while pipe.poll():
                pipe.recv()
                found = True
        return found

    def _listen(self, folder: Path) -> None:
        from watchfiles import watch

        for _ in watch(folder, stop_event=self._over, debounce=200, rust_timeout=500, raise_interrupt=False):
            self._theirs.send(None)
