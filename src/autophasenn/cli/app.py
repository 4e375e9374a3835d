"""The application that the commands join, and the exit status that each failure means."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

import autophasenn
from autophasenn.cli.terminal import complain
from autophasenn.errors import AutoPhaseNNError
from autophasenn.machine import load_average, waiting_threads

app = typer.Typer(help=autophasenn.__doc__, add_completion=False, pretty_exceptions_enable=False)

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
SECRET = "--token"
"""The option whose value no result may hold."""
ALL_DAY = "watch"
"""The command whose processes stay: how busy the machine is when it begins says nothing of later."""


def main() -> None:
    """Entry point of the console script: 0 when it worked, 2 for what the user can mend, 130 after Ctrl-C.

    Any other exception is a failure of the program; it keeps its trace and leaves with status 1.
    """
    # Warnings reach the user through the report; without a handler Python would print them among the progress bars.
    logging.getLogger("autophasenn").addHandler(logging.NullHandler())
    # The threads of NumPy and SciPy would only get in the way of torch's.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    load = None if sys.argv[1:2] == [ALL_DAY] else load_average()
    os.environ |= waiting_threads(load, os.cpu_count() or 1)
    try:
        status = app(prog_name="autophasenn", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = "autophasenn" if context is None else context.command_path
        complain(f"{error.format_message().rstrip('.')}. Try `{command} --help`.")
        status = 2
    except AutoPhaseNNError as error:
        complain(str(error))
        status = 2
    if status == INTERRUPTED:
        complain("interrupted; an unfinished result is not kept.")
    sys.exit(status)


def command_line() -> str:
    """The words that this process was started with, as every result keeps them: those that anybody may read."""
    pairs = zip(sys.argv, ["", *sys.argv], strict=False)
    return " ".join(word for word, former in pairs if former != SECRET and word.partition("=")[0] != SECRET)


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
