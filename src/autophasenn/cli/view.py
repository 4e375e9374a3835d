"""The command that shows results in a web browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli import serving
from autophasenn.cli.app import app


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
    port: serving.Port = 0,
    host: serving.Host = "127.0.0.1",
    token: serving.Token = None,
    no_browser: serving.NoBrowser = False,
    embed: serving.Embed = False,
    embed_in: serving.EmbedIn = None,
) -> None:
    """Show a result in the web browser: the crystal in 3-D, slices, pattern, numbers."""
    options = serving.server_options(port, host, token, no_browser, embed, embed_in)

    from autophasenn.viewer.server import serve

    serve(result, options, other, serving.tell_address)
