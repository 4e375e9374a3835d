"""The viewer in the cell of a notebook: a frame in a page of another port, or behind a proxy with a path."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import make_mocked_request
from viewing import CHROMIUM, DRAWN, PATIENCE, shoot, viewer

import autophasenn as ap
from autophasenn.viewer import apart
from autophasenn.viewer.apart import ViewerProcess
from autophasenn.viewer.gate import Gate
from autophasenn.viewer.server import ServerOptions
from autophasenn.viewer.tokens import token_of_this_account

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")


@pytest.fixture(scope="module")
def shown(example_results: Path) -> Iterator[ViewerProcess]:
    with ap.view(example_results / "refined", open_browser=False) as served:
        yield served


class _Notebook(BaseHTTPRequestHandler):
    """A page with the output of one cell."""

    instead: ClassVar[dict[int, str]] = {}
    """By port, what a page shows in place of what it was made with."""

    def __init__(self, cell: str, *given: Any) -> None:
        self.cell = self.instead.get(given[-1].server_address[1], cell)
        super().__init__(*given)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"<!doctype html><title>A notebook</title><main>{self.cell}</main>".encode())

    def log_message(self, *_: object) -> None:
        """Nothing of it belongs among the results of the tests."""


@contextmanager
def notebook(cell: str) -> Iterator[int]:
    """Port of a page that shows the output of a cell, whatever name of this machine is asked for."""
    with ThreadingHTTPServer(("0.0.0.0", 0), partial(_Notebook, cell)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def frame(chromium: Any, address: str) -> Iterator[tuple[Any, Any]]:
    """A page and the frame of the viewer in it."""
    context = chromium.new_context(viewport={"width": 1200, "height": 840})
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto(address)
    page.locator("iframe").wait_for()
    try:
        yield page, page.locator("iframe").element_handle().content_frame()
    finally:
        context.close()


def look_around(page: Any, inner: Any) -> None:
    """The crystal is drawn, the tabs can be opened, and a file can be taken away."""
    inner.wait_for_function(DRAWN, timeout=PATIENCE * 1000)
    before = page.evaluate("history.length")
    inner.get_by_role("tab", name="Slices").click()
    inner.locator(".apn-plot img").wait_for()
    inner.wait_for_function("location.hash.includes('tab=slices')")
    assert page.evaluate("history.length") == before, "Back is the notebook's"
    with page.expect_download() as download:
        inner.get_by_role("link", name="JSON").click()
    assert download.value.suggested_filename == "refined.json"


@needs_chromium
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_cell_shows_the_viewer_in_a_page_of_another_port(
    chromium: Any, shown: ViewerProcess, host: str, tmp_path: Path
) -> None:
    # localhost and 127.0.0.1 are two sites: no cookie would be sent from one to the other
    assert urlsplit(shown.address).hostname == "127.0.0.1"
    with (
        notebook(shown._repr_html_()) as port,
        frame(chromium, f"http://{host}:{port}") as (page, inner),
    ):
        look_around(page, inner)
        shoot(page, tmp_path, f"notebook_{host}")
        with page.expect_popup() as tab:
            page.get_by_role("link", name="Open in a tab of its own").click()
        tab.value.wait_for_function(DRAWN, timeout=PATIENCE * 1000)


@needs_chromium
def test_a_page_of_another_host_shows_why_it_does_not_show_the_viewer_and_a_way_out(
    chromium: Any, shown: ViewerProcess, tmp_path: Path
) -> None:
    with (
        notebook(shown._repr_html_()) as port,
        frame(chromium, f"http://127.0.0.2:{port}") as (page, inner),
    ):
        stranger = f"http://127.0.0.2:{port}"
        inner.get_by_text(f"--embed-in {stranger}", exact=True).wait_for()
        assert inner.locator(".apn-3d, [role=status]").count() == 0
        shoot(page, tmp_path, "in_a_frame_of_another_host")
        for door in (page.get_by_role("link", name="in a tab of its own"), inner.get_by_role("link")):
            with page.expect_popup() as tab:
                door.click()
            tab.value.wait_for_function(DRAWN, timeout=PATIENCE * 1000)


@needs_chromium
def test_a_page_that_was_let_in_shows_the_viewer(chromium: Any, example_results: Path) -> None:
    with notebook("") as port:
        site = f"http://127.0.0.2:{port}"
        with viewer(example_results / "refined", "--embed-in", f"{site}/") as served:
            cell = f'<iframe src="{served.address}" width="1100" height="800"></iframe>'
            with notebook(cell) as other, frame(chromium, f"http://127.0.0.2:{other}") as (_, inner):
                inner.get_by_text("is not shown inside of pages of").wait_for()
            _Notebook.instead[port] = cell
            with frame(chromium, site) as (_, inner):
                inner.wait_for_function(DRAWN, timeout=PATIENCE * 1000)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://portal.example.org:443/", "https://portal.example.org"),
        ("HTTP://Portal.example.org:80", "http://portal.example.org"),
        ("http://portal.example.org:443", "http://portal.example.org:443"),
        ("https://portal.example.org:8443", "https://portal.example.org:8443"),
    ],
)
def test_a_site_is_written_as_browsers_write_it(given: str, origin: str) -> None:
    assert ServerOptions(embedded_in=given).embedded_in == origin


@pytest.mark.parametrize(
    "site",
    [
        "portal.example.org",
        "https://a.org/path",
        "*",
        "https://a.org; script-src *",
        "",
        "https://a.org:0",
        "https://a.org:65536",
        "https://a.org:" + 5000 * "1",
        f"https://{5000 * 'a'}.org",
    ],
)
def test_what_begins_no_address_is_let_in_nowhere(site: str) -> None:
    with pytest.raises(ap.InputError, match="give what their addresses begin with") as told:
        ServerOptions(embedded_in=site)
    assert len(str(told.value)) < 400


async def _proxy(viewer: int, cell: str) -> Any:
    """A hub with the output of a cell, which shows a port of this machine below /user/me/proxy/; an aiohttp AppRunner."""
    from aiohttp import ClientSession, WSMsgType, web

    async def pass_on(source: Any, sink: Any) -> None:
        async for message in source:
            if message.type is WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                await sink.send_str(message.data)
        await sink.close()

    async def forward(request: Any) -> Any:
        address = f"http://127.0.0.1:{viewer}/{request.match_info['rest']}"
        # the name of the proxy as the host, as a hub's would be, and the page's as the origin
        headers = {n: v for n, v in request.headers.items() if n.lower() in ("host", "origin", "sec-fetch-site")}
        headers |= {"Host": "hub.example.org"}
        async with ClientSession() as session:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                socket = web.WebSocketResponse(max_msg_size=0)
                await socket.prepare(request)
                async with session.ws_connect(address, headers=headers, max_msg_size=0) as inner:
                    await asyncio.gather(pass_on(socket, inner), pass_on(inner, socket))
                return socket
            async with session.request(request.method, address, headers=headers) as answer:
                kept = ("Content-Type", "Content-Security-Policy", "Content-Disposition")
                said = {name: answer.headers[name] for name in kept if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=said)

    async def page(_: Any) -> Any:
        return web.Response(text=f"<!doctype html><main>{cell}</main>", content_type="text/html")

    application = web.Application()
    application.add_routes([web.get("/", page), web.route("*", f"/user/me/proxy/{viewer}/{{rest:.*}}", forward)])
    runner = web.AppRunner(application, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


@contextmanager
def hub(viewer: int, cell: str) -> Iterator[int]:
    """Port of such a proxy."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(_proxy(viewer, cell), loop).result(PATIENCE)
    try:
        yield runner.addresses[0][1]
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@needs_chromium
def test_behind_a_proxy_with_a_path_all_is_asked_for_below_that_path(
    chromium: Any, example_results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(apart.HUB, "/user/me/")
    with ap.view(example_results / "refined", open_browser=False) as page_of_hub:
        viewer = int(page_of_hub.address.split("/")[4])
        assert page_of_hub.address.startswith(f"/user/me/proxy/{viewer}/")
        with hub(viewer, page_of_hub._repr_html_()) as port, frame(chromium, f"http://127.0.0.1:{port}") as seen:
            look_around(*seen)


def status(address: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_without_its_key_the_page_of_a_notebook_is_closed(shown: ViewerProcess) -> None:
    parts = urlsplit(shown.address)
    root, key = f"http://{parts.netloc}", parts.path.strip("/")
    for path in ("", "alive", "ws", f"{key[:-1]}/", f"{key}x/alive", f"x/{key}/alive", f"alive?token={key}"):
        assert status(f"{root}/{path}") == 403, path
    assert status(f"{shown.address}alive", Host="hub.example.org", Origin="https://hub.example.org") == 200
    assert status(shown.address.rstrip("/")) == 200, "the slash may be left out"
    assert status(shown.address + "a" * 5000) == 404
    assert status(f"{root}/alive", Cookie=f"autophasenn_viewer_{parts.port}=\xe9\xff") == 403
    assert status(f"{root}/alive", Host=f"[::1:{parts.port}") in (400, 403)


def test_the_log_has_no_line_of_a_request_and_no_key(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate("token", only_loopback=True, key="KEYKEYKEY")
    request = make_mocked_request("GET", "/%0aINFO%20ready/x/KEYKEYKEY/" + "a" * 5000, headers={"Host": "127.0.0.1:1"})
    with ThreadPoolExecutor() as elsewhere:  # the browser of other tests has a loop running here
        answer = elsewhere.submit(asyncio.run, gate.middleware()(request, None)).result()
    assert answer.status == 403
    (line,) = caplog.messages
    assert "\n" not in line
    assert "KEYKEYKEY" not in line
    assert len(line) < 300


def test_a_notebook_that_is_sent_on_holds_no_token(shown: ViewerProcess, example_results: Path) -> None:
    kept = token_of_this_account()
    assert kept not in f"{shown._repr_html_()} {shown!r}"
    with ap.view(example_results / "refined", open_browser=False) as other:
        assert urlsplit(other.address).path != urlsplit(shown.address).path, "each has a key of its own"
    assert "closed" in other._repr_html_()
    assert "iframe" not in other._repr_html_()


@pytest.mark.parametrize("proxy", ["/proxy/", "proxy/{port}/", "javascript:{port}", "//evil/{port}/"])
def test_a_proxy_without_a_place_for_the_port_is_refused_before_anything_is_served(
    proxy: str, example_results: Path
) -> None:
    with pytest.raises(ap.InputError, match=r"'/proxy/\{port\}/'"):
        ap.view(example_results / "refined", proxy=proxy)
