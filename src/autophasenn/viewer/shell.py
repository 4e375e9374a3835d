"""The first thing that a browser gets: a page that loads trame's scripts, in which everything else is then drawn."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from trame_client.module import vue3

ICON = "data:image/svg+xml," + quote(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M16 2 29 9v14l-13 7L3 23V9z" fill="#1867c0"/>'
    '<path d="M16 2v28M3 9l13 7 13-7" fill="none" stroke="#fff" stroke-width="1.6"/></svg>'
)
"""A crystal."""
STYLE = (
    ".apn-lost { position: fixed; inset: 0 0 auto 0; z-index: 9999; padding: 14px 20px; display: flex; gap: 16px; "
    "align-items: center; justify-content: center; flex-wrap: wrap; font: 1.05rem sans-serif; background: #8a4b00; "
    "color: #fff; } .apn-lost button { font: inherit; padding: 4px 14px; border: 1px solid #fff; border-radius: 4px; "
    "color: #fff; background: none; cursor: pointer; }"
)
"""Of the words that stand over the page when the server does not answer."""
WWW = Path(vue3.www)
"""Folder of trame's scripts."""


@cache
def index() -> str:
    """The page, which may be enlarged by pinching, and says what it is while it loads."""
    theirs = (WWW / "index.html").read_text(encoding="utf-8")
    loads = re.findall(r'<script[^>]*\ssrc="[^"]+"[^>]*></script>|<link[^>]*rel="stylesheet"[^>]*>', theirs)
    opening = re.search(r"<html[^>]*>", theirs)
    return (
        f'<!doctype html>\n{opening[0] if opening else "<html lang=en>"}<head><base href="."><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>AutoPhaseNN</title>'
        f'<link rel="icon" href="{ICON}"><style>{STYLE}</style><script src="autophasenn.js"></script>{"".join(loads)}</head>'
        '<body><div id="app"><div role="status" style="position: fixed; inset: 0; display: flex; align-items: center; '
        'justify-content: center; font: 1.2rem sans-serif; color: #666">Loading the viewer …</div></div>'
        "<noscript>This page needs JavaScript.</noscript></body></html>"
    )


@cache
def script() -> str:
    """What the page does beside trame."""
    return files("autophasenn.viewer").joinpath("autophasenn.js").read_text(encoding="utf-8")
