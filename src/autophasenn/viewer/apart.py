"""The viewer in a process of its own, so that Python goes on: in a notebook, a console or a script."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Thread
from types import TracebackType

from autophasenn.errors import InputError
from autophasenn.machine import PROGRAM

OPEN = "Open "
"""What the line with the address begins with."""


class ViewerProcess:
    """A page with results, served until it is closed or Python ends.

    Parameters
    ----------
    results : sequence of Path
        One, or two to compare.
    port : int
        0: any that is free.
    open_browser : bool
    kept : TemporaryDirectory, optional
        Holds the results; removed with the page.

    Raises
    ------
    InputError
        If there is no such result, or the page cannot be served.

    Attributes
    ----------
    address : str
        Of the page.
    """

    def __init__(
        self,
        results: list[Path],
        port: int = 0,
        open_browser: bool = True,
        kept: TemporaryDirectory[str] | None = None,
    ) -> None:
        self._kept = kept
        self._reader: Thread | None = None
        words = ["view", *map(str, results), "--port", str(port), *([] if open_browser else ["--no-browser"])]
        # Its complaints go to a file, and what it says later is read and dropped: a page that is full of both would stop.
        self._told = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # closed with the page
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, *words], stdout=subprocess.PIPE, stderr=self._told, text=True
        )
        atexit.register(self.close)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(OPEN):
            self._process.wait()
            self._told.seek(0)
            told = self._told.read().strip().removeprefix("Error: ")
            self.close()
            raise InputError(told or "The viewer ended without a word; run it again.")
        self._reader = Thread(target=self._drop, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.address = line.removeprefix(OPEN).split()[0]

    def __repr__(self) -> str:
        return f"<Viewer at {self.address}>"

    def _repr_html_(self) -> str:
        return f'<a href="{self.address}" target="_blank">{self.address}</a>'

    def __enter__(self) -> ViewerProcess:
        """The page, closed when the `with` block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def _drop(stream: Iterable[str]) -> None:
        with suppress(ValueError, OSError):  # closed meanwhile
            for _ in stream:
                pass

    def wait(self) -> None:
        """Until the page is closed; Ctrl-C closes it."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """End the page."""
        atexit.unregister(self.close)
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        if self._reader is not None:
            self._reader.join()
        for stream in (self._process.stdout, self._told):
            if stream is not None:
                stream.close()
        if self._kept is not None:
            self._kept.cleanup()
