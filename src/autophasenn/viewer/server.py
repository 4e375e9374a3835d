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
from typing import TYPE_CHECKING, Any

from autophasenn.errors import InputError
from autophasenn.files.guarded import Limits, opened_result
from autophasenn.live import ledger
from autophasenn.viewer.loopback import is_loopback, origin_of
from autophasenn.viewer.results import locate
from autophasenn.viewer.tokens import SHORTEST, token_of_this_account

if TYPE_CHECKING:
    from autophasenn.viewer.running.workshop import Workshop

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
        What a browser must bring. None: that of this account, which is made up once and kept for it. "": none is asked for,
        on 127.0.0.1 alone; whoever has an account on this machine can then look.
    open_browser : bool
        Open the page in the browser of this machine.
    limits : Limits
        Results larger than this are refused.
    is_embedded : bool
        Give an address for the page of a notebook, which shows it in a frame, or for a proxy: its path holds a key that is
        made up for this viewer and ends with it, and it needs neither token nor cookie.
    embedded_in : str, optional
        Whose pages, beside those of this machine and of the viewer's own host, may show it in a frame:
        ``https://portal.example.org``.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    open_browser: bool = False
    limits: Limits = field(default_factory=Limits)
    is_embedded: bool = False
    embedded_in: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"The port is {self.port}; give one from 1 to 65535, or 0 for any that is free.")
        if self.token and len(self.token) < SHORTEST:
            raise InputError(
                f"The token has fewer than {SHORTEST} characters; give a longer one, or none to have one made up."
            )
        if self.token == "" and not is_loopback(self.host):
            raise InputError(f"Others can reach {self.host}, where a token must be asked for; leave --token out.")
        if self.embedded_in is not None:
            object.__setattr__(self, "embedded_in", origin_of(self.embedded_in))


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
        Is given the address, the token or the key in it, once the page can be opened.

    Raises
    ------
    InputError
        If there is no such result, or the address cannot be listened on.
    """
    check_address(options)
    scans = path if (path / ledger.FILE).is_file() else None
    if scans is None:
        _check_result(path, options.limits)
    elif other is not None:
        raise InputError(f"{path} is a watcher's folder; choose in its table what to compare, and leave out {other}.")
    if other is not None:
        _check_result(other, options.limits)
    asyncio.run(_serve(scans, [] if scans else [path, *([other] if other else [])], options, on_ready))


def serve_runs(
    folder: Path, options: ServerOptions, work: Path | None = None, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serve the page on which the scans of a folder are looked at, masked, phased and compared, until SIGTERM or SIGINT.

    Parameters
    ----------
    folder : Path
        Of scans and files.
    options : ServerOptions
    work : Path, optional
        Folder of the runs; None: ``autophasenn-runs`` in `folder`.
    on_ready : callable, optional
        As `serve`.

    Raises
    ------
    InputError
        If there is no such folder, or the address cannot be listened on.
    OutputError
        If the runs cannot be kept there, or another page works with them.
    """
    from autophasenn.viewer.running.workshop import Workshop

    check_address(options)
    workshop = Workshop(folder, work)
    asyncio.run(_serve(None, [], options, on_ready, workshop))


async def _serve(
    scans: Path | None,
    results: list[Path],
    options: ServerOptions,
    on_ready: Callable[[str], None] | None,
    workshop: Workshop | None = None,
) -> None:
    from aiohttp import web

    from autophasenn.viewer.browsers import Browsers
    from autophasenn.viewer.gate import Gate
    from autophasenn.viewer.shared import Shared

    token = token_of_this_account() if options.token is None else options.token or None
    key = secrets.token_urlsafe(24) if options.is_embedded else None
    gate = Gate(token, only_loopback=is_loopback(options.host), key=key, embedded_in=options.embedded_in)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    # What drawing needs takes a second to import: before anyone waits for a page.
    import pyvista.plotting  # noqa: F401
    import skimage.measure  # noqa: F401

    os.environ["TRAME_ARGS"] = "--server"  # trame reads the command line, which is not its own
    shared = Shared(scans, results, options.limits, workshop)
    browsers = Browsers(shared)
    application = web.Application(middlewares=[gate.middleware()])
    for folder in ("/", *([f"/{key}/"] if key else [])):
        application.add_routes(_routes(browsers, folder))
    runner = web.AppRunner(application, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port).start()
    address = _address(options.host, runner.addresses[0][1], f"{key}/" if key else f"?token={token}" if token else "")
    for name in ("wslink", "aiohttp.server"):  # they tell in a page of text that a browser was closed
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logger.info("ready at %s", _address(options.host, runner.addresses[0][1], ""))
    if on_ready is not None:
        on_ready(address)
    if options.open_browser:
        import webbrowser

        loop.run_in_executor(None, webbrowser.open, address)
    watching = asyncio.ensure_future(shared.watch())
    if workshop is not None:
        workshop.start()
    await stop.wait()
    watching.cancel()
    await browsers.close()
    await runner.cleanup()
    if workshop is not None:
        await workshop.close()
    shared.close()
    logger.info("stopped")


def _routes(browsers: Any, folder: str) -> list[Any]:
    """All that is served, below a folder."""
    from aiohttp import web

    from autophasenn.viewer.downloads import routes
    from autophasenn.viewer.shell import WWW, index, script

    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text=index(), content_type="text/html")

    async def own(_: web.Request) -> web.StreamResponse:
        return web.Response(text=script(), content_type="text/javascript")

    async def alive(_: web.Request) -> web.StreamResponse:
        return web.Response(text="")

    return [
        web.get(folder, page),
        web.get(f"{folder}index.html", page),
        web.get(f"{folder}autophasenn.js", own),
        web.get(f"{folder}alive", alive),
        web.get(f"{folder}ws", browsers.serve),
        web.post(f"{folder}paraview/", alive),  # trame asks which server to talk to, and takes this one if told nothing
        *routes(browsers.shared, browsers.find, folder),
        *(web.static(f"{folder}{name}", where) for name, where in sorted(browsers.assets.items(), reverse=True)),
        web.static(folder, WWW),
    ]


def _log(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong in the background, on one line; a browser that left is no news."""
    error = context.get("exception")
    if not isinstance(error, ConnectionError):
        logger.error("%s: %r", context.get("message"), error)


def _address(host: str, port: int, rest: str) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/{rest}"


def _check_result(path: Path, limits: Limits) -> None:
    """Say in words what is no result, before anything is loaded."""
    with opened_result(locate(path), limits):
        pass


def check_address(options: ServerOptions) -> None:
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
