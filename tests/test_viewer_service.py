"""The viewer as a service: who may come in, what it gives away, how it ends."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from autophasenn.errors import InputError
from autophasenn.live.ledger import Ledger, ScanRecord
from autophasenn.viewer.gate import is_loopback
from autophasenn.viewer.server import ServerOptions, serve
from viewing import Served, viewer

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
    assert "pip install 'autophasenn[viewer]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_without_a_result_is_one_sentence(tmp_path: Path) -> None:
    done = command(str(tmp_path), "--no-browser")
    assert done.returncode == 2
    assert "result.cxi" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_viewer_starts_without_torch() -> None:
    code = "import sys, autophasenn.viewer.app, autophasenn.viewer.server; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
