"""Which addresses are the machine's own, and with what those of a site begin."""

from __future__ import annotations

import ipaddress
import re

from autophasenn.errors import InputError

ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?")
"""What begins the address of a page."""


def is_loopback(host: str) -> bool:
    """Is this a name or address of the machine itself, which nobody else can reach?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origin_of(given: str) -> str:
    """The origin of the pages that somebody gives, as browsers write it.

    Raises
    ------
    InputError
        If it is none, or has a path.
    """
    origin = given.rstrip("/")
    if ORIGIN.fullmatch(origin) is None:
        raise InputError(
            f"Pages of {given!r} cannot be let in; give what their addresses begin with, as https://portal.example.org or "
            "http://localhost:8888."
        )
    return origin.lower()
