"""The command that shows results in a web browser."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli.app import app
from autophasenn.errors import InputError, install


@app.command()
def view(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT", help="A result folder, its .cxi file, or the results folder of `autophasenn watch`."
        ),
    ],
    other: Annotated[
        Path | None, typer.Argument(metavar="[OTHER]", help="A second result, to compare side by side.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any that is free.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Others can open the page only if it is not 127.0.0.1.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(help='What a browser must bring. Left out: that of this account, made up once; "": none.'),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser, only print the address.")] = False,
) -> None:
    """Show a result in the web browser: the crystal in 3-D, slices, pattern, numbers."""
    if find_spec("trame") is None or find_spec("trame_vtk") is None or find_spec("trame_vuetify") is None:
        raise InputError(f"The viewer is not installed: {install('viewer')}.")

    from autophasenn.live.crew import log_to_stderr
    from autophasenn.viewer.server import ServerOptions, serve

    log_to_stderr("autophasenn.viewer")
    options = ServerOptions(host=host, port=port, token=token, open_browser=not no_browser)
    serve(result, options, other, lambda address: typer.echo(f"Open {address}  (Ctrl-C ends it)"))
