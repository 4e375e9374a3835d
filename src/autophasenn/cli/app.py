"""The application that the commands join, and the exit status that each failure means."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import tempfile
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import autophasenn
from autophasenn.advice import advice_for
from autophasenn.cli.interruption import CTRL_C
from autophasenn.cli.terminal import complain
from autophasenn.errors import AutoPhaseNNError, quoted
from autophasenn.machine import keep_freed_memory
from autophasenn.waiting import load_average, tell_threads

HELP = (
    f"{(autophasenn.__doc__ or '').splitlines()[0]}\n\nA first look: autophasenn reconstruct --example -o result. "
    "From Python: import autophasenn as ap."
)


class Commands(TyperGroup):
    """The commands, none of which takes an empty word: a path of no letters would be the current folder."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first word names, and the words that follow.

        Raises
        ------
        typer.BadParameter
            If one of these, or the value of an option, is empty.
        """
        name, command, words = super().resolve_command(ctx, args)
        takes_value = {
            option: not getattr(each, "is_flag", False)
            for each in getattr(command, "params", ())
            if each.param_type_name == "option"
            for option in each.opts
        }
        for word, former in zip(words, ["", *words], strict=False):
            option, equals, value = word.partition("=")
            if word == "--":
                break
            if word == "" or (equals and value == "" and takes_value.get(option)):
                of = option if equals else former if takes_value.get(former) else None
                rest = "give a value, or leave the option out" if of else "give a name, or leave it out"
                raise typer.BadParameter(f"it is empty; {rest}.", param_hint=of or "an argument")
        return name, command, words


app = typer.Typer(
    cls=Commands,
    help=HELP,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
SECRET = "--token"
"""The option whose value no result may hold."""
ALL_DAY = "watch"
"""The command whose processes stay: how busy the machine is when it begins says nothing of later."""


def main() -> None:
    """Entry point of the console script: 0 when it worked, 2 for what the user can mend, 130 after Ctrl-C.

    Any other exception is a failure of the program: one sentence that names the file with its trace, and status 1.
    """
    # Warnings reach the user through the report; without a handler Python would print them among the progress bars.
    logging.getLogger("autophasenn").addHandler(logging.NullHandler())
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be Unicode
    # The threads of NumPy and SciPy would only get in the way of torch's.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    tell_threads(None if sys.argv[1:2] == [ALL_DAY] else load_average())
    keep_freed_memory()
    with CTRL_C:
        try:
            status = app(prog_name="autophasenn", standalone_mode=False)
        except KeyboardInterrupt:  # before there was a command
            status = INTERRUPTED
        except Exception as error:
            status = INTERRUPTED if CTRL_C.came else _explained(error)
    status = _flushed(status or 0)
    if status == INTERRUPTED:
        complain("interrupted; a first image that was told of is kept, and nothing else that is unfinished.")
    sys.exit(status)


def _explained(error: Exception) -> int:
    """One sentence about why nothing more is done. The exit status."""
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = "autophasenn" if context is None else context.command_path
        complain(f"{error.format_message().replace('Value error, ', '').rstrip('.')}. Try `{command} --help`.")
    elif isinstance(error, AutoPhaseNNError):
        complain(advised(str(error), sys.argv[1] if len(sys.argv) > 1 else ""))
    elif isinstance(error, MemoryError):
        complain(
            "The memory of this machine is used up; cut the scan around its peak, bin it, or take a larger machine."
        )
    else:
        return _reported(error)
    return 2


def advised(sentence: str, command: str) -> str:
    """A sentence for who runs a command: of what it advises, each option is one of that command, or said with its own."""
    return advice_for(sentence, command, _options_of_all())


@cache
def _options_of_all() -> dict[str, list[str]]:
    """Options of each command, in the order of ``--help``."""
    group: Any = typer.main.get_command(app)
    return {
        name: [option for each in its.params for option in (*each.opts, *each.secondary_opts)]
        for name, its in group.commands.items()
    }


def _reported(error: Exception) -> int:
    """One sentence about what nobody expected; its trace is kept in a file. The exit status."""
    if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EBADF) and not error.filename:
        return _unwritten(error)
    name = "the trace cannot be kept"
    with suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix="autophasenn-", suffix=".txt")
        os.close(descriptor)
        with Path(name).open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"autophasenn {autophasenn.__version__}: {command_line()}\n\n")
            traceback.print_exception(error, file=file)
        name = f"the file {name} says where"
    words = f"{type(error).__name__}: {quoted(error)}".removesuffix(": ").rstrip(".")
    complain(f"This is a fault of the program, not yours ({words}); {name}, so please report it with that file.")
    return 1


def _flushed(status: int) -> int:
    """What was printed is only now known to be written: standard output may be full, or closed by whoever read it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        return _unwritten(error) if status == 0 else status
    return status


def _unwritten(error: Exception) -> int:
    reason = getattr(error, "strerror", None) or "it is closed"
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - Python flushes it once more at the end
    complain(f"Standard output cannot be written ({reason}); free some space, or let it go elsewhere.")
    return 2


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
