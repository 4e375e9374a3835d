"""Who may come in: the token, where requests may come from, and what the browser is told to load from nowhere else."""

from __future__ import annotations

import base64
import errno
import hashlib
import html
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from autophasenn.viewer.loopback import ORIGIN, is_loopback

logger = logging.getLogger(__name__)

HOSTS_OF_NOTEBOOKS = ("localhost", "127.0.0.1")
NOTEBOOKS = " ".join(
    ("'self'", *(f"http://{host}:* https://{host}:*" for host in HOSTS_OF_NOTEBOOKS), "vscode-webview:", "vscode-file:")
)
"""Pages that may show the viewer in themselves, where it has a key: of this machine, and of the proxy that it is behind."""


def _headers(ancestors: str) -> dict[str, str]:
    return {
        # the page and the websocket of this server, and nothing else; vue compiles its templates with eval
        "Content-Security-Policy": (
            "default-src 'self'; script-src 'self' 'unsafe-eval' blob:; worker-src 'self' blob:; "
            "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
            f"connect-src 'self' ws: wss: data: blob:; frame-ancestors {ancestors}; base-uri 'self'; form-action 'self'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }


HEADERS = _headers("'none'")

HERE = "here"
"""In the query of a page that is no stranger's frame."""
GO_ON = (
    "let own = false; try { own = top.location.origin === location.origin; } catch { /* another site's */ } "
    f"if (own) location.replace(location.pathname + '?{HERE}' + location.hash);"
)
"""Of the page that says why nothing is shown: in a tab of its own, and in a page of the same site, the viewer is shown."""
IN_A_STRANGERS_FRAME = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>AutoPhaseNN</title><body style='font: 1.05rem sans-serif; "
    "margin: 2rem; max-width: 46rem'><script>{script}</script><p>The viewer is not shown inside of pages of {origin}, as it "
    "does not know them. Start it with <code>--embed-in {origin}</code> if they may show it, or <a target=_blank "
    "rel=noopener href='?{here}'>open it in a tab of its own</a>.</p></html>"
)

LONGEST_PATH = 200
"""Characters of a path in the log."""
OPENED = ("/", "/index.html")
"""What a link may lead to."""
ELSEWHERE = "This request comes from another web page, which may not use the viewer."

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Gate:
    """What a request must bring.

    Parameters
    ----------
    token : str, optional
        Comes as ``?token=`` once and in a cookie from then on; None: whoever can connect may look.
    only_loopback : bool
        True: the request must name this machine as its host. A web page elsewhere that lets its own name point here
        (DNS rebinding) is turned away.
    key : str, optional
        What begins with it as its folder is given without a token, whatever host and page the request names. A browser sends
        cookies by itself, so that any page could make it ask; a key in the path is sent only by a page that knows it. In the
        frame of a notebook, on another port or behind a proxy, no cookie can be relied on. None: there is none.
    embedded_in : str, optional
        Whose pages, other than those of this machine and of the viewer's own host, may show what has the key in a frame.
    """

    token: str | None
    only_loopback: bool
    key: str | None = None
    embedded_in: str | None = None

    def refusal(self, request: web.Request) -> str | None:
        """Why a request is turned away, in a sentence; None: it may come in."""
        if self.has_key(request):
            return None
        try:
            host, _ = request.host, request.url.port
        except ValueError:
            return "The request names no host; open the viewer with the address that it printed."
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if self.only_loopback and not is_loopback(name):
            return "This viewer answers only to requests for 127.0.0.1; open it with the address that it printed."
        origin = request.headers.get("Origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return ELSEWHERE
        # a link in a mail or an e-log opens the page itself; nothing else of it is anybody's to load
        is_link = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.path in OPENED
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and not is_link:
            return ELSEWHERE
        if self.token is not None and not self._knows(request):
            return "The token is missing or wrong; open the viewer with the whole address that it printed, ?token= included."
        return None

    def has_key(self, request: web.Request) -> bool:
        """Whether the path begins with the key."""
        folder = request.path.lstrip("/").split("/")[0]
        return self.key is not None and secrets.compare_digest(
            folder.encode(errors="surrogateescape"), self.key.encode()
        )

    def _keyed_headers(self) -> dict[str, str]:
        return _headers(NOTEBOOKS if self.embedded_in is None else f"{NOTEBOOKS} {self.embedded_in}")

    def _stranger(self, request: web.Request) -> str | None:
        """The site of the page that leads to this one, where it may not show it in a frame; a frame would stay blank."""
        if request.path not in (f"/{self.key}/", f"/{self.key}/index.html") or HERE in request.query:
            return None
        found = ORIGIN.match(request.headers.get("Referer", ""))
        if found is None or found[0] == self.embedded_in:
            return None
        site = urlsplit(found[0])
        return None if site.netloc == request.host or site.hostname in HOSTS_OF_NOTEBOOKS else found[0]

    def _told(self, request: web.Request) -> str:
        """The path for the log: as it was sent, so on one line, without the key, and not longer than a screen."""
        path = request.raw_path.encode("ascii", "backslashreplace").decode()
        return (path.replace(self.key, "KEY") if self.key else path)[:LONGEST_PATH]

    def _knows(self, request: web.Request) -> bool:
        given = request.query.get("token") or request.cookies.get(_cookie(request)) or ""
        return secrets.compare_digest(given.encode(errors="surrogateescape"), (self.token or "").encode())

    def middleware(self) -> Any:
        """The gate, as the web server takes it."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            refusal = self.refusal(request)
            if refusal is not None:
                logger.warning("refused %s %s from %s", request.method, self._told(request), request.remote)
                return web.Response(status=403, text=refusal, headers=HEADERS)
            is_keyed = self.has_key(request)
            if is_keyed and request.path == f"/{self.key}":  # relative, as there may be a proxy before it
                return web.Response(status=302, headers={"Location": f"{self.key}/"} | HEADERS)
            if self.token is not None and "token" in request.query and not is_keyed:
                # from here on in a cookie: an address with the token in it is copied, photographed and kept in histories
                # Lax, as a Strict one would not be sent with what follows a click in another page
                response: web.StreamResponse = web.Response(status=302, headers={"Location": "/"})
                response.set_cookie(_cookie(request), self.token, httponly=True, samesite="Lax", path="/")
                return response
            if is_keyed and (stranger := self._stranger(request)) is not None:
                return _words_for(stranger)
            try:
                response = await handler(request)
            except ConnectionResetError:
                logger.info("a browser left in the middle of a message")
                return web.Response(status=499)
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                return web.Response(status=404, headers=HEADERS)
            if not response.prepared:
                response.headers.update(self._keyed_headers() if is_keyed else HEADERS)
            return response

        return guard


def _words_for(origin: str) -> web.Response:
    """Why a page of that site shows nothing, and what to do."""
    text = IN_A_STRANGERS_FRAME.format(script=GO_ON, origin=html.escape(origin), here=HERE)
    digest = base64.b64encode(hashlib.sha256(GO_ON.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; frame-ancestors *"
    headers = HEADERS | {"Content-Security-Policy": policy, "Cross-Origin-Resource-Policy": "cross-origin"}
    return web.Response(text=text, content_type="text/html", headers=headers)


def _cookie(request: web.Request) -> str:
    """Browsers share cookies among the ports of a host."""
    return f"autophasenn_viewer_{request.url.port}"
