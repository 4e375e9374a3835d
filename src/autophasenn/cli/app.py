"""The application that the commands join, and the exit status that each failure means."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

import autophasenn
from autophasenn.errors import AutoPhaseNNError
from autophasenn.terminal import complain

app = typer.Typer(help=autophasenn.__doc__, add_completion=False, pretty_exceptions_enable=False)

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


def main() -> None:
    """Entry point of the console script: 0 when it worked, 2 for what the user can mend, 130 after Ctrl-C.

    Any other exception is a failure of the program; it keeps its trace and leaves with status 1.
    """
    # Warnings reach the user through the report; without a handler Python would print them among the progress bars.
    logging.getLogger("autophasenn").addHandler(logging.NullHandler())
    # Threads that spin while they wait make a busy machine several times slower (docs/performance.md). Must be set before
    # torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        status = app(prog_name="autophasenn", standalone_mode=False)
    except typer.TyperException as error:
        complain(f"{error.format_message().rstrip('.')}. Try `autophasenn --help`.")
        status = 2
    except AutoPhaseNNError as error:
        complain(str(error))
        status = 2
    if status == INTERRUPTED:
        complain("interrupted; an unfinished result is not kept.")
    sys.exit(status)


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"autophasenn {autophasenn.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass
