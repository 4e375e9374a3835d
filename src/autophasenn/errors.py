"""Exceptions that teach: each message gives the value received, why it is wrong, and what to do.

The command line turns every :class:`AutoPhaseNNError` into one sentence and exit status 2; anything else is a failure
of the program and leaves with status 1.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AutoPhaseNNError(Exception):
    """Base of every error that the user can mend."""


class InputError(AutoPhaseNNError, ValueError):
    """A file, folder or array that cannot be what was asked for: missing, truncated, wrong shape, NaN, no peak."""


class GeometryError(AutoPhaseNNError):
    """Motors or detector settings that describe no rocking scan of a Bragg peak."""


class PlanError(AutoPhaseNNError, ValueError):
    """A parameter outside its legal range, or a key that no parameter has."""


class OutputError(AutoPhaseNNError):
    """A result that cannot be written: it exists already, or the folder is not writable, or the disk is full."""


def install(extra: str) -> str:
    """The command that installs an extra of the package, which comes as source, for an error message."""
    return (
        f"pip install -c constraints.txt -e '.[{extra}]' (in the folder of the source, with the pip of its .venv/bin)"
    )


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Explain what the operating system says against reading `path`, or a file in it, as an :class:`InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or path} cannot be read ({error.strerror or error}); check that it is there, that you may "
            "read it, and that its disk works."
        ) from error
