"""Where libraries that read files are entered: whatever comes out of one is an error that says what to do.

h5py, NumPy, zipfile, tifffile and SciPy raise what their decoders do on damaged files (`KeyError`, `zlib.error`,
`tokenize.TokenError`, `RecursionError`, `MemoryError`, ...). No list of them would ever be complete, so none is kept.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autophasenn.errors import AutoPhaseNNError, InputError, quoted

logger = logging.getLogger(__name__)


class _Chatter(logging.Handler):
    """What a library logs about files goes to the debug log of this package."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record once more, as a detail."""
        logger.debug("%s: %s", record.name, record.getMessage())


_tifffile = logging.getLogger("tifffile")
_tifffile.addHandler(_Chatter())
_tifffile.propagate = False  # else Python prints its warnings on standard error


@contextmanager
def reading(path: str | Path, kind: str = "") -> Iterator[None]:
    """Explain whatever goes wrong while `path`, or a file in it, is read. Warnings of libraries go to the debug log.

    Python's warnings and the process's standard error belong to all threads, so that only where one alone runs are those of
    libraries kept from them.

    Parameters
    ----------
    path : str or Path
    kind : str
        What is expected there ("a NumPy array"); left out where the block opens files of several kinds.

    Raises
    ------
    InputError
        In place of any exception that is not of this package, lack of memory included; `KeyboardInterrupt` and
        `SystemExit` pass.
    """
    said: list[warnings.WarningMessage] = []
    try:
        with _recorded(said):
            yield
    except AutoPhaseNNError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{quoted(path)} needs more memory than there is ({quoted(error) or 'no more'}); cut the scan around its "
            "peak or take a larger machine, and if it is not that large, copy it again from where it was made."
        ) from error
    except OSError as error:
        if error.errno is None:  # a library's, not the system's
            raise _damaged(path, kind, error) from error
        raise InputError(
            f"{quoted(error.filename or path)} cannot be read ({quoted(error.strerror or error)}); check that it is there, "
            "that you may read it, and that its disk works."
        ) from error
    except Exception as error:
        raise _damaged(path, kind, error) from error
    finally:
        for warning in said:
            logger.debug("%s: %s", path, warning.message)


@contextmanager
def _recorded(said: list[warnings.WarningMessage]) -> Iterator[None]:
    if threading.active_count() > 1:
        yield
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            said += told


def _damaged(path: str | Path, kind: str, error: Exception) -> InputError:
    words = quoted(error) or type(error).__name__
    if isinstance(error, KeyError | IndexError | RecursionError):  # whose words alone say little
        words = f"{type(error).__name__}: {words}"
    return InputError(
        f"{quoted(path)} cannot be read{kind and f' as {kind}'} ({words}); the file is truncated, damaged or no "
        f"{kind.partition(' ')[2] or 'file of that kind'}, so copy it again from where it was made."
    )


def check_regular(path: Path, what: str = "file") -> None:
    """Refuse what is no file on a disk, before it is opened: opening a pipe waits for ever.

    Raises
    ------
    InputError
        If there is nothing, a folder, a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a name with a null character
        raise InputError(f"There is no {what} {quoted(path)}; check the path.") from error
    except OSError as error:
        raise InputError(f"The {what} {quoted(path)} cannot be read ({error.strerror}); check the path.") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{quoted(path)} cannot be read: it is a folder, and a {what} was expected.")
    if not stat.S_ISREG(mode):
        raise InputError(f"{quoted(path)} cannot be read: it is a pipe or a device; give a {what} that lies on a disk.")


@contextmanager
def c_library_silenced(path: str | Path) -> Iterator[None]:
    """Keep what a C library prints on the standard error of the process, past Python, for the debug log.

    Only around short calls: until they return, nobody else's words on standard error are seen either. One thread at a time:
    two that put it back in another order would lose it.
    """
    with _stderr, _silenced(path):
        yield


_stderr = threading.RLock()


@contextmanager
def _silenced(path: str | Path) -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        with tempfile.TemporaryFile() as told:
            os.dup2(told.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
                told.seek(0)
                for line in told.read().decode(errors="replace").splitlines():
                    logger.debug("%s: %s", path, line)
    finally:
        os.close(kept)
