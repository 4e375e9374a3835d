"""The command that opens the page on which scans are looked at, masked, phased and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli import serving
from autophasenn.cli.app import app


@app.command("open")
def open_page(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where scans and files lie.")] = Path(),
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the runs; left out, autophasenn-runs in FOLDER."),
    ] = None,
    port: serving.Port = 0,
    host: serving.Host = "127.0.0.1",
    token: serving.Token = None,
    no_browser: serving.NoBrowser = False,
) -> None:
    """Choose a scan in the web browser, mask it by hand, phase it, change one thing and compare."""
    options = serving.server_options(port, host, token, no_browser)

    from autophasenn.viewer.server import serve_runs

    serve_runs(folder, options, output, serving.tell_address)
