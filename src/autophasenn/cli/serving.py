"""What the commands that open a page share: its options, and what must be installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from autophasenn.errors import InputError, install

if TYPE_CHECKING:
    from autophasenn.viewer.server import ServerOptions

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any that is free.")]
Host = Annotated[str, typer.Option(help="Address to listen on. Others can open the page only if it is not 127.0.0.1.")]
Token = Annotated[
    str | None,
    typer.Option(help='What a browser must bring. Left out: that of this account, made up once; "": none.'),
]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Open no browser, only print the address.")]
Embed = Annotated[
    bool,
    typer.Option(
        "--embed", help="Print an address that works inside another page, as a notebook's, and behind a proxy."
    ),
]
EmbedIn = Annotated[
    str | None,
    typer.Option(
        "--embed-in", metavar="SITE", help="As --embed, in pages of another site: https://portal.example.org."
    ),
]


def server_options(
    port: int,
    host: str,
    token: str | None,
    no_browser: bool,
    is_embedded: bool = False,
    embedded_in: str | None = None,
) -> ServerOptions:
    """Where the page is served, and what it takes; its log goes to standard error.

    Raises
    ------
    InputError
        If the viewer is not installed, or what is given makes no sense.
    """
    if any(find_spec(name) is None for name in ("trame", "trame_vtk", "trame_vuetify")):
        raise InputError(f"The viewer is not installed: {install('viewer')}.")

    from autophasenn.live.crew import log_to_stderr
    from autophasenn.viewer.server import ServerOptions

    log_to_stderr("autophasenn.viewer")
    return ServerOptions(
        host=host, port=port, token=token, open_browser=not no_browser,
        is_embedded=is_embedded or embedded_in is not None, embedded_in=embedded_in,
    )  # fmt: skip


def tell_address(address: str) -> None:
    """The line that a person, and a program that began the command, reads."""
    typer.echo(f"Open {address}  (Ctrl-C ends it)")
