"""The command that opens the page on which scans are looked at, masked, phased and compared."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli.app import app
from autophasenn.errors import InputError, install


@app.command("open")
def open_page(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where scans and files lie.")] = Path(),
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the runs; left out, autophasenn-runs in FOLDER."),
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
    """Choose a scan in the web browser, mask it by hand, phase it, change one thing and compare."""
    if find_spec("trame") is None or find_spec("trame_vtk") is None or find_spec("trame_vuetify") is None:
        raise InputError(f"The viewer is not installed: {install('viewer')}.")

    from autophasenn.live.crew import log_to_stderr
    from autophasenn.viewer.server import ServerOptions, serve_runs

    log_to_stderr("autophasenn.viewer")
    options = ServerOptions(host=host, port=port, token=token, open_browser=not no_browser)
    serve_runs(folder, options, output, lambda address: typer.echo(f"Open {address}  (Ctrl-C ends it)"))
