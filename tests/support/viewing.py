"""A viewer in its own process, and a browser that is allowed to talk to nobody else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
SHOTS = os.environ.get("AUTOPHASENN_SCREENSHOTS")
"""Folder of the screenshots; the test's own temporary folder if unset."""
PATIENCE = 90
"""Seconds to wait for what takes one: the machine may be busy."""


class Served:
    """A viewer that runs.

    Parameters
    ----------
    process : subprocess.Popen
    address : str
        With the token, if there is one.
    """

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    @property
    def root(self) -> str:
        """The address without the token."""
        return self.address.split("?")[0]

    def stop(self) -> int:
        """Ask it to end, as a service manager does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)


@contextmanager
def viewer(*arguments: str | Path, command: str = "view") -> Iterator[Served]:
    """Run ``autophasenn view``, or another command that serves a page, and wait for its address."""
    code = "from autophasenn.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, command, *map(str, arguments), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http\S+", line)
        assert found, f"no address: {line!r} {process.stderr.read() if process.stderr else ''}"
        yield Served(process, found[0])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def page(chromium: Any, served: Served, size: tuple[int, int] = (1366, 768), theme: str | None = None) -> Iterator[Any]:
    """A page of the viewer; fails if it asks any other host for anything, or if a script or a request of it fails."""
    context = chromium.new_context(
        viewport={"width": size[0], "height": size[1]}, accept_downloads=True, color_scheme=theme
    )
    context.set_default_timeout(PATIENCE * 1000)
    opened = context.new_page()
    elsewhere: list[str] = []
    failures: list[str] = []

    def guard(route: Any) -> None:
        elsewhere.append(route.request.url)
        route.abort()

    context.route(lambda url: not url.startswith((served.root, "data:", "blob:")), guard)
    opened.on("websocket", lambda socket: None if socket.url.startswith(served.root.replace("http", "ws", 1)) else
              elsewhere.append(socket.url))  # fmt: skip
    opened.on("response", lambda r: failures.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    opened.on("pageerror", lambda error: failures.append(str(error)))
    opened.goto(served.address)
    try:
        yield opened
    except BaseException:
        if SHOTS:
            shoot(opened, Path(SHOTS), f"failed_{time.time_ns()}")
        raise
    finally:
        context.close()
    assert elsewhere == []
    assert failures == [], failures


DRAWN = """() => {
  const image = document.querySelector('.apn-3d img');
  return image && image.naturalWidth > 0 && image.naturalWidth > image.parentElement.clientWidth - 3;
}"""
"""Is there a picture, and not that of a view that has not got its size yet?"""
PIXELS = """
async () => {
  const image = document.querySelector('.apn-3d img');
  const canvas = document.createElement('canvas');
  canvas.width = 160; canvas.height = 120;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, 160, 120);
  return Array.from(context.getImageData(0, 0, 160, 120).data);
}
"""


def shoot(opened: Any, folder: Path, name: str) -> Path:
    """Keep a picture of the page as an artefact."""
    path = (Path(SHOTS) if SHOTS else folder) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=path)
    return path


def view_of(opened: Any) -> Any:
    """The 3-D view as an array (120, 160, 3) of floats, 0 to 255."""
    import numpy as np

    opened.wait_for_function(DRAWN, timeout=PATIENCE * 1000)
    return np.array(opened.evaluate(PIXELS), float).reshape(120, 160, 4)[..., :3]


def wait_for_another_view(opened: Any, before: Any, seconds: float = PATIENCE) -> Any:
    """Until the 3-D view differs from what it was; the new one, once it stands still."""
    import numpy as np

    end = time.monotonic() + seconds
    last = before
    while time.monotonic() < end:
        opened.wait_for_timeout(60)
        now = view_of(opened)
        if np.abs(now - before).max() > 25 and np.abs(now - last).max() < 3:
            return now
        last = now
    raise AssertionError("the view did not change")


MIDDLE = (slice(10, 100), slice(30, 130))
"""Of a 3-D view of 120 x 160 pixels, what the page draws nothing over."""


def seen_view(shown: Any, before: bytes = b"") -> tuple[bytes, Any]:
    """A picture of the 3-D view as the page shows it, whoever draws it, and the same as `view_of` gives it.

    Taken once something is there, other than in `before`, and stands still.
    """
    import numpy as np
    from PIL import Image

    end, last = time.monotonic() + PATIENCE, b""
    while time.monotonic() < end:
        now = shown.locator(".apn-view").screenshot()
        pixels = np.asarray(Image.open(BytesIO(now)).convert("RGB").resize((160, 120)), float)
        if now == last and now != before and pixels[MIDDLE].std() > 10:
            return now, pixels
        last = now
        shown.wait_for_timeout(60)
    raise AssertionError("the page shows no other view that stands still")


def findings(shown: Any) -> list[str]:
    """What axe-core calls critical or serious, with where it is."""
    import axe_playwright_python.sync_playwright as axe

    found = axe.Axe().run(shown).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("critical", "serious")
        for node in each["nodes"]
    ]


FINISHED = """Promise.all(document.getAnimations()
    .filter(each => each.effect.getComputedTiming().endTime !== Infinity)
    .map(each => each.finished.catch(() => 0)))"""
"""Those that go round without end, as of what is at work, are not waited for."""
