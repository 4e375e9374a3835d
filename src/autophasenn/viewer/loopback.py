"""Which addresses are the machine's own."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Is this a name or address of the machine itself, which nobody else can reach?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
