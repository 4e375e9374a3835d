"""The viewer as a service: who may come in, what it gives away, how it ends."""

from __future__ import annotations

import asyncio
import gc
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from viewing import Served, viewer

from autophasenn.errors import InputError
from autophasenn.live.ledger import Ledger, ScanRecord
from autophasenn.viewer import app
from autophasenn.viewer.app import Viewer
from autophasenn.viewer.gate import is_loopback
from autophasenn.viewer.results import Limits, read_image
from autophasenn.viewer.server import ServerOptions, serve

TOKEN = "a-long-enough-token"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def ask(served: Served, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer; redirections are not followed."""
    request = urllib.request.Request(served.root + path.lstrip("/"), headers=headers)
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=90) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read(), dict(answer.headers)


def raw(served: Served, path: str, cookie: str) -> str:
    """The first line of the answer to a path that no client library would send as it is."""
    host, port = served.root.split("//")[1].rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=90) as line:
        line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode()
        )
        return line.makefile("rb").read().decode(errors="replace")


@pytest.fixture(scope="module")
def watched(example_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service") / "watched"
    shutil.copytree(example_results / "network", folder / "good")
    secret = folder.parent / "secret.png"
    secret.write_bytes(b"\x89PNG\r\n\x1a\nTOP SECRET")
    (folder / "linked.png").symlink_to(secret)
    (folder / "text.png").write_text("TOP SECRET")
    with Ledger.open(folder) as ledger:
        ledger.put(ScanRecord("good", "scan", "imaged", result="good"))
    return folder


@pytest.fixture(scope="module")
def guarded(watched: Path) -> Iterator[Served]:
    with viewer(watched, "--token", TOKEN) as served:
        yield served


@pytest.fixture(scope="module")
def cookie(guarded: Served) -> str:
    """What a browser has after it came with the token."""
    status, _, headers = ask(guarded, f"/?token={TOKEN}")
    assert status == 302
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]
    assert TOKEN not in headers["Location"]
    return headers["Set-Cookie"].split(";")[0]


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/ws", "/download/0/result.cxi", "/thumbnail/good/x.png", "/?token=x"]
)
def test_nothing_is_given_without_the_token(guarded: Served, path: str) -> None:
    status, body, _ = ask(guarded, path)
    assert status == 403
    assert b"token" in body


def test_the_page_is_given_with_the_token_and_may_load_from_nowhere_else(guarded: Served, cookie: str) -> None:
    status, body, headers = ask(guarded, "/index.html", Cookie=cookie)
    assert status == 200
    assert b"<html" in body
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_other_web_pages_are_turned_away(guarded: Served, cookie: str) -> None:
    assert ask(guarded, "/index.html", Cookie=cookie, Host="evil.example")[0] == 403
    assert ask(guarded, "/ws", Cookie=cookie, Origin="http://evil.example")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/thumbnail/../secret.png",
        "/thumbnail/..%2fsecret.png",
        "/thumbnail/%2e%2e/secret.png",
        "/thumbnail/good/../../secret.png",
        "/thumbnail//etc/passwd",
        "/thumbnail/linked.png",
        "/thumbnail/text.png",
        "/thumbnail/good/result.cxi",
        "/thumbnail/ledger.sqlite",
        "/thumbnail/%00.png",
        f"/thumbnail/{'x' * 300}.png",
        "/../secret.png",
        "/download/7/result.cxi",
        "/download/0/../../secret.png",
    ],
)
def test_only_pictures_of_the_folder_are_given_as_thumbnails(guarded: Served, cookie: str, path: str) -> None:
    answer = raw(guarded, path, cookie)
    assert answer.split()[1] in ("403", "404"), answer[:200]
    assert "TOP SECRET" not in answer
    assert "root:" not in answer


def test_where_others_can_come_in_a_token_is_made_up_and_sigterm_ends_it_cleanly(example_results: Path) -> None:
    with viewer(example_results / "refined", "--host", "0.0.0.0") as served:
        token = served.address.split("?token=")[1]
        assert len(token) >= 32
        port = served.root.rstrip("/").rsplit(":", 1)[1]
        near = Served(served.process, f"http://127.0.0.1:{port}/")
        assert ask(near, "/index.html")[0] == 403
        assert ask(near, f"/?token={token}")[0] == 302
        assert served.stop() == 0
        assert served.process.stderr is not None
        events = served.process.stderr.read().splitlines()
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d [A-Z]+ \S", event) for event in events), events
        assert "ready at" in events[0]
        assert any("refused GET /index.html" in event for event in events)
        assert events[-1].endswith("stopped")
        assert not any(token in event for event in events)


def test_only_the_machine_itself_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.3", "evil.example", "localhost.evil.example", "")))


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(example_results: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="--port"):
            serve(example_results / "refined", ServerOptions(port=taken.getsockname()[1]))


def test_the_result_that_was_asked_for_last_is_shown_whichever_is_read_first(
    example_results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = example_results / "refined", example_results / "network"
    was_quick_read = threading.Event()

    def read(path: Path, *rest: Any) -> Any:
        if path == slow:
            assert was_quick_read.wait(60)
        return read_image(path, *rest)

    async def both() -> list[str]:
        page = Viewer(None, [], Limits())
        first = asyncio.ensure_future(page.open([slow]))
        await asyncio.sleep(0.05)
        await page.open([quick])
        was_quick_read.set()
        await first
        await page.close()
        return [image.name for image in page.images]

    monkeypatch.setattr(app, "read_image", read)
    assert asyncio.run(both()) == ["network"]


def test_another_section_of_the_pattern_begins_at_its_peak_and_doubt_at_a_fixed_uncertainty(
    example_results: Path,
) -> None:
    async def look() -> None:
        page = Viewer(None, [], Limits())
        await page.open([example_results / "refined", example_results / "network"])
        assert page.state.largest_spread == 0.3  # rad, whatever the colours span
        page.state.tab, page.state.section = "pattern", 0
        await page._update_pattern()
        assert [shown["index"] for shown in page.state.patterns] == [32, 32]
        page.set_plane(1, 60)
        await page._update_pattern()
        assert [shown["index"] for shown in page.state.patterns] == [60, 60]
        page.state.section = 1
        await page._update_pattern()
        assert [shown["index"] for shown in page.state.patterns] == [32, 32]
        assert {shown["normal"] for shown in page.state.patterns} == {"column"}
        await page.close()

    asyncio.run(look())


def test_what_was_opened_is_given_back_once_others_were(example_results: Path) -> None:
    deleted = threading.Event()

    async def several() -> None:
        page = Viewer(None, [], Limits())
        await page.open([example_results / "refined"])
        scene, window = weakref.ref(page.scene), page.scene.window
        await page.open([example_results / "network"])
        window.AddObserver("DeleteEvent", lambda *_: deleted.set())
        del window
        await page.open([example_results / "network"])
        await page.close()
        gc.collect()
        assert scene() is None

    asyncio.run(several())
    assert deleted.is_set()


def test_what_nobody_foresaw_is_said_on_the_page_and_the_table_goes_on(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "POLL", 0.01)
    monkeypatch.setattr(app, "read_image", lambda *_: 1 / 0)

    async def follow() -> None:
        page = Viewer(watched, [watched / "good"], Limits())
        look, looks = page._scans.look, iter([RuntimeError("unforeseen")])
        monkeypatch.setattr(page._scans, "look", lambda: _raise_next(looks) or look())
        await page.begin()
        assert page.state.screen == "error"
        assert "log" in page.state.error
        async with asyncio.timeout(60):
            while not page.state.scans_error:
                await asyncio.sleep(0.002)
            while page.state.scans_error or not page.state.scans:
                await asyncio.sleep(0.002)
        await page.close()

    asyncio.run(follow())


def _raise_next(errors: Iterator[Exception]) -> None:
    for error in errors:
        raise error


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="port"):
        ServerOptions(port=70000)
    with pytest.raises(InputError, match="8 characters"):
        ServerOptions(token="short")


def command(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{before}\nfrom autophasenn.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, "view", *arguments], capture_output=True, text=True, check=False)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    hide = "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'trame' else f(n, *a)"
    done = command(str(tmp_path), before=hide)
    assert done.returncode == 2
    assert "pip install -c constraints.txt -e '.[viewer]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_without_a_result_is_one_sentence(tmp_path: Path) -> None:
    done = command(str(tmp_path), "--no-browser")
    assert done.returncode == 2
    assert "result.cxi" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_viewer_starts_without_torch() -> None:
    code = "import sys, autophasenn.viewer.app, autophasenn.viewer.server; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
