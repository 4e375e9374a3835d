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
IDLE, SPINS = 0.3, "10000"
"""A machine is idle below this load average by core; its threads then turn so many times before they sleep."""
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
    load_average = None if sys.argv[1:2] == [ALL_DAY] else _load_average()
    os.environ |= waiting_threads(load_average, os.cpu_count() or 1)
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


def waiting_threads(load_average: float | None, cores: int) -> dict[str, str]:
    """What to tell OpenMP, before torch is imported: spin for a while on an idle machine, sleep on a busy one.

    Spinning threads are the quicker ones (a half) where they are alone, and several times slower where they take the cores
    from others (docs/performance.md). What the user has set stays.
    """
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        return {}
    idle = load_average is not None and load_average < IDLE * cores
    return {"GOMP_SPINCOUNT": SPINS} if idle else {"OMP_WAIT_POLICY": "passive"}


def _load_average() -> float | None:
    """Of the last minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


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
