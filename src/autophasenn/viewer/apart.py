"""The viewer in a process of its own, so that Python goes on: in a notebook, a console or a script."""

from __future__ import annotations

import atexit
import html
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Thread
from types import TracebackType
from urllib.parse import urlsplit

from autophasenn.errors import InputError
from autophasenn.machine import PROGRAM

OPEN = "Open "
"""What the line with the address begins with."""
HUB = "JUPYTERHUB_SERVICE_PREFIX"
"""Variable of the environment with the path below which a JupyterHub shows a user's server."""
PORT = "{port}"
PROXY = re.compile(r"(?:https?:/)?/[^/\\]")
HEIGHT = 720
"""Pixels of the page in a notebook."""


def is_in_notebook() -> bool:
    """Is this Python the kernel of a notebook, which shows a page in the cell?"""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None and "spyder_kernels" not in sys.modules


def proxy_of(given: str | None) -> str | None:
    """Where a browser reaches a port of this machine, with ``{port}`` in its place; None: at the port itself.

    Parameters
    ----------
    given : str, optional
        ``/proxy/{port}/``, as jupyter-server-proxy has it; None: through that where Python runs in a JupyterHub.

    Raises
    ------
    InputError
        If it has no place for the port, or is no address.
    """
    if given is None:
        return f"{os.environ[HUB].rstrip('/')}/proxy/{PORT}/" if os.environ.get(HUB) else None
    if not (isinstance(given, str) and PORT in given and PROXY.match(given)):
        raise InputError(f"The proxy is {given!r}; give where it shows a port of this machine, as '/proxy/{PORT}/'.")
    return given


class ViewerProcess:
    """A page with results, served until it is closed or Python ends.

    Parameters
    ----------
    results : sequence of Path
        One, or two to compare.
    port : int
        0: any that is free.
    open_browser : bool, optional
        None: where the page is neither shown by a notebook nor reached through a proxy.
    proxy : str, optional
        As `proxy_of` gives it.
    kept : TemporaryDirectory, optional
        Holds the results; removed with the page.

    Raises
    ------
    InputError
        If there is no such result, or the page cannot be served.

    Attributes
    ----------
    address : str
        Of the page, with a key that ends with it: a notebook that is kept and sent on gives nothing away.
    """

    def __init__(
        self,
        results: list[Path],
        port: int = 0,
        open_browser: bool | None = None,
        proxy: str | None = None,
        kept: TemporaryDirectory[str] | None = None,
    ) -> None:
        self._kept = kept
        self._reader: Thread | None = None
        if open_browser is None:
            open_browser = proxy is None and not is_in_notebook()
        words = ["view", *map(str, results), "--embed", "--port", str(port)] + ["--no-browser"] * (not open_browser)
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
        if proxy is not None:
            found = urlsplit(self.address)
            self.address = proxy.replace(PORT, str(found.port)).rstrip("/") + found.path

    def __repr__(self) -> str:
        return f"<Viewer at {self.address}>"

    def _repr_html_(self) -> str:
        if self._process.poll() is not None:
            return "<p>This page of the viewer is closed; show the result again.</p>"
        address = html.escape(self.address)
        return (
            f'<p><a href="{address}" target="_blank" rel="noopener">Open in a tab of its own</a> (as long as this Python '
            f'runs)</p><iframe src="{address}" title="AutoPhaseNN viewer" width="100%" height="{HEIGHT}" '
            'style="border: 1px solid #8888" allow="fullscreen; clipboard-write"></iframe>'
        )

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
        """Until the page is closed, whose address is printed; Ctrl-C closes it."""
        print(f"{OPEN}{self.address}")
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
