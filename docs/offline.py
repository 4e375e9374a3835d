"""What a built page loads must lie beside it: a link that is followed may lead elsewhere, a script or picture may not."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

FOREIGN = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
IN_STYLES = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
LOADED = {
    **dict.fromkeys(
        ("script", "img", "iframe", "embed", "audio", "video", "source", "track", "input"), ("src", "srcset", "poster")
    ),
    **dict.fromkeys(("image", "use"), ("href", "xlink:href")),
    "object": ("data",),
    "base": ("href",),
}
NOT_LOADED = {"canonical", "alternate", "author", "license", "next", "prev", "index", "search", "copyright"}
"""What a `link` may point to without that anything is fetched."""


class _Page(HTMLParser):
    """Collects what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        names = LOADED.get(tag, ())
        kinds = set(given.get("rel", "").lower().split())
        if tag == "link" and not (kinds and kinds <= NOT_LOADED):
            names = ("href",)
        for name in names:  # a srcset lists addresses
            each = given.get(name, "").split(",") if name == "srcset" else [given.get(name, "")]
            self.foreign += [address.split()[0] for address in each if FOREIGN.match(address)]
        self.foreign += IN_STYLES.findall(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        self.foreign += IN_STYLES.findall(data) if self.get_starttag_text() and self.lasttag == "style" else []


def foreign(folder: Path) -> list[str]:
    """What pages and style sheets load from another server.

    Parameters
    ----------
    folder : Path
        Of a built manual.

    Returns
    -------
    list of str
        ``page: address``, in order.
    """
    found = []
    for path in sorted([*folder.rglob("*.html"), *folder.rglob("*.css")]):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".css":
            addresses = IN_STYLES.findall(text)
        else:
            page = _Page()
            page.feed(text)
            addresses = page.foreign
        found += [f"{path.relative_to(folder).as_posix()}: {address}" for address in addresses]
    return found


def refuse_foreign(folder: Path) -> None:
    """Raise where a page needs another server.

    Raises
    ------
    RuntimeError
        With the first pages and addresses.
    """
    found = foreign(folder)
    if found:
        raise RuntimeError(f"The built pages load {len(found)} things from other servers: {'; '.join(found[:5])}.")
