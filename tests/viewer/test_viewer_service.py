"""The viewer as a service: who may come in, what it gives away, how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from viewing import Served, viewer

from autophasenn.errors import InputError
from autophasenn.live.ledger import Ledger, ScanRecord
from autophasenn.viewer import browsers, shared
from autophasenn.viewer.app import Viewer
from autophasenn.viewer.loopback import is_loopback
from autophasenn.viewer.results import Limits, read_image
from autophasenn.viewer.server import ServerOptions, serve
from autophasenn.viewer.shared import Shared
from autophasenn.viewer.tokens import token_of_this_account

TOKEN = "a-long-enough-token"


def viewer_of(scans: Path | None = None, results: list[Path] | None = None) -> Viewer:
    """The page of a browser that never comes."""
    from trame.app import get_server

    return Viewer(Shared(scans, results or [], Limits()), get_server(f"test-{uuid.uuid4()}", client_type="vue3"), "key")


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
    for number, of in (1, "older"), (2, "newer"):
        (folder / "good" / f"thumbnail-{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + of.encode())
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
    assert "SameSite=Lax" in headers["Set-Cookie"]
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
        "/thumbnail/../thumbnail-1.png",
        "/thumbnail/good/result.cxi",
        "/thumbnail/ledger.sqlite",
        "/thumbnail/%00/thumbnail-9.png",
        "/thumbnail//etc/thumbnail-9.png",
        "/thumbnail/../thumbnail-9.png",
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


def test_a_picture_that_was_replaced_while_it_was_asked_for_is_answered_with_the_newest(
    guarded: Served, cookie: str
) -> None:
    status, body, _ = ask(guarded, "/thumbnail/good/thumbnail-0.png", Cookie=cookie)
    assert (status, body[8:]) == (200, b"newer")
    assert ask(guarded, "/thumbnail/good/thumbnail-1.png", Cookie=cookie)[1][8:] == b"older"
    assert ask(guarded, "/thumbnail/bad/thumbnail-1.png", Cookie=cookie)[0] == 404


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
        page = viewer_of()
        first = asyncio.ensure_future(page.open([slow]))
        await asyncio.sleep(0.05)
        await page.open([quick])
        was_quick_read.set()
        await first
        await page.close()
        return [image.name for image in page.images]

    monkeypatch.setattr(shared, "read_image", read)
    assert asyncio.run(both()) == ["network"]


def test_another_section_of_the_pattern_begins_at_its_peak_and_doubt_at_a_fixed_uncertainty(
    example_results: Path,
) -> None:
    async def look() -> None:
        page = viewer_of()
        await page.open([example_results / "refined", example_results / "network"])
        assert page.state.largest_spread == 0.3  # rad, whatever the colours span
        page.state.tab, page.state.section = "pattern", 0
        await page.pattern.update()
        assert [shown["index"] for shown in page.state.patterns] == [32, 32]
        page.pattern.set_plane(1, 60)
        await page.pattern.update()
        assert [shown["index"] for shown in page.state.patterns] == [60, 60]
        page.state.section = 1
        await page.pattern.update()
        assert [shown["index"] for shown in page.state.patterns] == [32, 32]
        assert {shown["normal"] for shown in page.state.patterns} == {"column"}
        await page.close()

    asyncio.run(look())


def test_what_was_opened_is_given_back_once_others_were(example_results: Path) -> None:
    deleted = threading.Event()

    async def several() -> None:
        page = viewer_of()
        await page.open([example_results / "refined"])
        scene, window = weakref.ref(page.crystal.scene), page.crystal.scene.window
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
    monkeypatch.setattr(shared, "POLL", 0.01)
    monkeypatch.setattr(shared, "read_image", lambda *_: 1 / 0)

    async def follow() -> None:
        page = viewer_of(watched, [watched / "good"])
        look, looks = page.shared.scans.look, iter([RuntimeError("unforeseen")])
        monkeypatch.setattr(page.shared.scans, "look", lambda: _raise_next(looks) or look())
        page.shared.join(page)
        await page.begin()
        assert page.state.screen == "error"
        assert "log" in page.state.error
        watching = asyncio.ensure_future(page.shared.watch())
        async with asyncio.timeout(60):
            while not page.state.scans_error:
                await asyncio.sleep(0.002)
            while page.state.scans_error or not page.state.scans:
                await asyncio.sleep(0.002)
        watching.cancel()
        page.shared.close()
        await page.close()

    asyncio.run(follow())


def test_an_error_while_drawing_ends_with_the_next_change(
    example_results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def draw() -> None:
        page = viewer_of()
        page.state.ready()  # from now on what changes is heard, as with a browser
        await page.open([example_results / "network"])
        await _settled(page)
        show, errors = page.crystal.scene.show, iter([RuntimeError("unforeseen")])
        monkeypatch.setattr(page.crystal.scene, "show", lambda a: _raise_next(errors) or show(a))
        with page.state:
            page.state.update({"threshold": 0.7, "quantity": "strain"})
        await _settled(page)
        assert "log" in page.state.trouble
        assert page.state.screen == "result"
        assert (page.state.threshold, page.state.quantity) == (0.3, "phase"), "what brought it about does not stay"
        with page.state:
            page.state.quantity = "strain"
        await _settled(page)
        assert page.state.bar["title"] == "Strain along Q (10⁻⁴)"
        await page.close()

    asyncio.run(draw())


async def _settled(page: Viewer) -> None:
    """Until nothing of the page is due any more."""
    async with asyncio.timeout(60):
        while page._due or (page._worker is not None and not page._worker.done()):
            await asyncio.sleep(0.005)


def _raise_next(errors: Iterator[Exception]) -> None:
    for error in errors:
        raise error


def test_the_token_of_an_account_outlives_a_viewer_and_no_other_account_can_read_it(tmp_path: Path) -> None:
    first = token_of_this_account(tmp_path)
    file = tmp_path / "viewer-token"
    assert token_of_this_account(tmp_path) == first
    assert len(first) >= 32
    assert file.stat().st_mode & 0o077 == 0
    file.chmod(0o644)  # others may have read it
    second = token_of_this_account(tmp_path)
    assert second != first
    old = time.time() - 31 * 86400
    os.utime(file, (old, old))
    assert token_of_this_account(tmp_path) != second
    file.unlink()
    (tmp_path / "known").write_text("a-token-that-somebody-chose")
    file.symlink_to(tmp_path / "known")
    assert token_of_this_account(tmp_path) != "a-token-that-somebody-chose"
    file.unlink()
    (tmp_path / "known").unlink()
    elsewhere = tmp_path / "known"
    elsewhere.write_text("no folder")
    assert token_of_this_account(elsewhere) != token_of_this_account(elsewhere), "none can be kept"


def test_whoever_shares_the_machine_needs_the_token_too(one: Served) -> None:
    assert ask(one, "/download/0/result.cxi")[0] == 403
    assert ask(one, "/index.html")[0] == 403


@pytest.fixture(scope="module")
def one(example_results: Path) -> Iterator[Served]:
    with viewer(example_results / "network") as served:
        yield served


def test_a_redirection_leads_to_this_page_and_nowhere_else(guarded: Served) -> None:
    status, _, headers = ask(guarded, f"//evil.example/?token={TOKEN}")
    assert (status, headers["Location"]) == (302, "/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "evil://{host}"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_what_other_pages_load_from_here_is_refused(guarded: Served, cookie: str, headers: dict[str, str]) -> None:
    host = guarded.root.split("//")[1].rstrip("/")
    given = {name: value.format(host=host) for name, value in headers.items()}
    status, _, answered = ask(guarded, "/alive", Cookie=cookie, **given)
    assert status == 403
    assert answered["Cross-Origin-Resource-Policy"] == "same-origin"
    assert ask(guarded, "/alive", Cookie=cookie, Origin=f"http://{host}")[0] == 200


def test_no_more_browsers_come_in_than_the_memory_holds(one: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def come() -> tuple[int | None, str]:
        import aiohttp

        root, token = one.root, one.address.split("token=")[1]
        async with aiohttp.ClientSession(
            cookies={f"autophasenn_viewer_{root.split(':')[2].rstrip('/')}": token}
        ) as session:
            lines = [await session.ws_connect(f"{root}ws") for _ in range(browsers.MOST + 1)]
            message = await lines[-1].receive(timeout=60)
            for line in lines:
                await line.close()
            return message.data, message.extra

    code, words = asyncio.run(come())
    assert code == browsers.TOO_MANY
    assert str(browsers.MOST) in words


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="Others can reach"):
        ServerOptions(host="0.0.0.0", token="")
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


def test_a_damaged_result_is_one_sentence_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "result.cxi").write_bytes(b"no hdf5 at all")
    done = command(str(tmp_path), "--no-browser")
    assert done.returncode == 2
    assert "damaged" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_without_a_result_is_one_sentence(tmp_path: Path) -> None:
    done = command(str(tmp_path), "--no-browser")
    assert done.returncode == 2
    assert "result.cxi" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_viewer_starts_without_torch() -> None:
    code = "import sys, autophasenn.viewer.app, autophasenn.viewer.server; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
