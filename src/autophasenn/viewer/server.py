"""The web server of the viewer: an address, a token, files to download, and an end when it is told to."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autophasenn.errors import InputError
from autophasenn.files.guarded import Limits
from autophasenn.live import ledger
from autophasenn.viewer.results import locate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerOptions:
    """Where the page is served, and to whom.

    Parameters
    ----------
    host : str
        Address to listen on. Anything but this machine's own (127.0.0.1) lets others in, who then need the token.
    port : int
        0: any that is free.
    token : str, optional
        What a browser must bring. None: on 127.0.0.1 none is asked for, elsewhere one is made up.
    open_browser : bool
        Open the page in the browser of this machine.
    limits : Limits
        Results larger than this are refused.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    open_browser: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"The port is {self.port}; give one from 1 to 65535, or 0 for any that is free.")
        if self.token is not None and len(self.token) < 8:
            raise InputError("The token has fewer than 8 characters; give a longer one, or none to have one made up.")


def serve(
    path: Path,
    options: ServerOptions,
    other: Path | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show a result, two side by side, or a watcher's table of scans, until SIGTERM or SIGINT.

    Parameters
    ----------
    path : Path
        A result folder, the CXI file in it, or the results folder of a watcher.
    options : ServerOptions
    other : Path, optional
        A second result, to compare.
    on_ready : callable, optional
        Is given the address, the token in it, once the page can be opened.

    Raises
    ------
    InputError
        If there is no such result, or the address cannot be listened on.
    """
    _check_address(options)
    scans = path if (path / ledger.FILE).is_file() else None
    if scans is None:
        locate(path)
    elif other is not None:
        raise InputError(f"{path} is a watcher's folder; choose in its table what to compare, and leave out {other}.")
    if other is not None:
        locate(other)
    asyncio.run(_serve(scans, [] if scans else [path, *([other] if other else [])], options, on_ready))


async def _serve(
    scans: Path | None, results: list[Path], options: ServerOptions, on_ready: Callable[[str], None] | None
) -> None:
    from autophasenn.viewer.app import Viewer
    from autophasenn.viewer.gate import Gate, is_loopback

    is_local = is_loopback(options.host)
    token = options.token or (None if is_local else secrets.token_urlsafe(24))
    gate = Gate(token, only_loopback=is_local)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    # What drawing needs takes a second to import: before anyone waits for a page.
    import pyvista.plotting  # noqa: F401
    import skimage.measure  # noqa: F401

    os.environ["TRAME_ARGS"] = "--server"  # trame reads the command line, which is not its own
    viewer = Viewer(scans, results, options.limits)
    server = viewer.server
    server.controller.on_server_bind.add(lambda bound: _prepare(bound.app, gate, viewer))
    running = asyncio.ensure_future(
        server.start(
            host=options.host, port=options.port, exec_mode="coroutine", thread=True, show_connection_info=False,
            open_browser=False, disable_logging=True, timeout=0,
        )
    )  # fmt: skip
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([server.ready, running, stopping], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    address = _address(options.host, server.port, token)
    for name in ("wslink", "aiohttp.server"):  # they tell in a page of text that a browser was closed
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logger.info("ready at %s", address.split("?")[0])
    if on_ready is not None:
        on_ready(address)
    if options.open_browser:
        import webbrowser

        loop.run_in_executor(None, webbrowser.open, address)
    opening = asyncio.ensure_future(viewer.begin())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    opening.cancel()
    await viewer.close()
    await server.stop()
    await running
    logger.info("stopped")


def _log(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong in the background, on one line; a browser that left is no news."""
    error = context.get("exception")
    if not isinstance(error, ConnectionError):
        logger.error("%s: %r", context.get("message"), error)


def _prepare(app: Any, gate: Any, viewer: Any) -> None:
    from autophasenn.viewer.downloads import routes

    app.middlewares.append(gate.middleware())
    app.add_routes(routes(viewer))


def _address(host: str, port: int, token: str | None) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _check_address(options: ServerOptions) -> None:
    """Say in words why an address cannot be listened on, before anything is loaded."""
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
    except OSError as error:
        raise InputError(
            f"{options.host}:{options.port} cannot be listened on ({error.strerror or error}); choose another --port or "
            "--host."
        ) from error
