"""Which addresses are the machine's own, and with what those of a site begin."""

from __future__ import annotations

import ipaddress
import re

from autophasenn.errors import InputError, quoted

ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
"""What begins the address of a page."""
STANDARD = {"http": 80, "https": 443}
"""Ports that browsers leave out."""
LONGEST = 253
"""Characters of a host's name (RFC 1035)."""


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
    origin = given.rstrip("/").lower()
    scheme, _, site = origin.partition("://")
    host, _, port = site.partition(":")
    if ORIGIN.fullmatch(origin) is None or len(host) > LONGEST or not 0 < int(port or 1) < 2**16:
        raise InputError(
            f"Pages of {quoted(repr(given))} cannot be let in; give what their addresses begin with, as "
            "https://portal.example.org or http://localhost:8888."
        )
    return f"{scheme}://{host}" if int(port or -1) == STANDARD[scheme] else origin
