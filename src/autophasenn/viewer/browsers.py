"""Every browser that comes gets a page of its own: its window, camera, tab and theme, in this one process."""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import cached_property
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

from autophasenn.viewer.app import Viewer
from autophasenn.viewer.page import Page
from autophasenn.viewer.shared import Shared
from autophasenn.viewer.writable import Guard

logger = logging.getLogger(__name__)

MOST = 24
"""Browsers at one time; each holds the surfaces that it looks at."""
LARGEST_MESSAGE = 2**24
"""Bytes, of a browser's."""
BEAT = 30
"""Seconds between two signs of life."""
TOO_MANY = 4001
"""Code of a connection that is closed because there are too many."""


class Browsers:
    """All browsers that look at one viewer.

    Parameters
    ----------
    shared : Shared
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self._numbers = count()
        self._open: dict[str, Viewer] = {}
        self._sockets: set[web.WebSocketResponse] = set()

    def find(self, key: str) -> Viewer | None:
        """The page of a browser, by the key that is in the addresses of its downloads."""
        return self._open.get(key)

    @cached_property
    def assets(self) -> dict[str, str]:
        """Folders of the files that every page loads, by where they are served."""
        server = self._server()
        viewer = Viewer(self.shared, server, "")
        Page(viewer)
        viewer.bench.close()
        _forget(server)
        return {name: found[0] if isinstance(found, tuple) else found for name, found in server.serve.items()}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Talk to one browser until it goes."""
        socket = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE, heartbeat=BEAT)
        await socket.prepare(request)
        if len(self._open) >= MOST:
            await socket.close(
                code=TOO_MANY, message=f"{MOST} browsers look at this viewer already; close one.".encode()
            )
            return socket
        key, server = secrets.token_urlsafe(12), self._server()
        theme = "dark" if request.query.get("theme") == "dark" else "light"
        viewer = Viewer(self.shared, server, key, theme)
        viewer.page = Page(viewer)
        self._open[key] = viewer
        self._sockets.add(socket)
        self.shared.join(viewer)
        try:
            await self._talk(server, viewer, socket)
        finally:
            self._sockets.discard(socket)
            self.shared.leave(viewer)
            del self._open[key]
            await viewer.close()
            await server.stop()
            _forget(server)
        return socket

    async def _talk(self, server: Any, viewer: Viewer, socket: web.WebSocketResponse) -> None:
        endpoints: list[Any] = []

        def bound(made: Any) -> None:
            endpoints.append(made["ws"])
            Guard(server).bind(made["ws"])

        server.controller.on_server_bind.add(bound)
        server.start(
            backend="generic", exec_mode="task", thread=True, show_connection_info=False, open_browser=False,
            disable_logging=True, timeout=0,
        )  # fmt: skip
        await server.ready
        line = await endpoints[0].connect()

        async def send(is_binary: bool, message: bytes | str) -> None:
            if not socket.closed:
                await (socket.send_bytes(message) if is_binary else socket.send_str(message))  # type: ignore[arg-type]

        line.on_message(send)
        beginning = asyncio.ensure_future(viewer.begin())
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    await line.send(True, message)
        except ConnectionResetError:
            logger.info("a browser left in the middle of a message")
        finally:
            beginning.cancel()
            line.closed = True

    def _server(self) -> Any:
        from trame.app import get_server

        return get_server(f"autophasenn-{next(self._numbers)}", client_type="vue3")

    async def close(self) -> None:
        """Say goodbye to all."""
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"The viewer was stopped.")


def _forget(server: Any) -> None:
    """Have trame give back what it keeps for each name of a server."""
    from trame.app import core
    from trame_vtk.modules import vtk

    core.AVAILABLE_SERVERS.pop(server.name, None)
    vtk.HELPERS_PER_SERVER.pop(server.name, None)
