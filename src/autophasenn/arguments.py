"""What a caller in Python gives, made what it should be: paths, arrays, whole numbers; or one sentence on what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from autophasenn.advice import reworded
from autophasenn.errors import AutoPhaseNNError, InputError, PlanError, quoted

P = ParamSpec("P")
T = TypeVar("T")
SWITCHES = {"overwrite", "force", "sum"}
"""Options without a value."""
SHOWN = 80
"""Characters of a value that a sentence quotes."""


def in_python(sentence: str) -> str:
    """A sentence that names options of the command line, with the arguments of Python that they are.

    Examples
    --------
    >>> in_python("say it with --direct-beam, or --overwrite to replace it.")
    'say it with direct_beam, or overwrite=True to replace it.'
    """

    def argument(option: str) -> str:
        name = option.removeprefix("--").removeprefix("no-").replace("-", "_")
        return f"{name}=False" if option.startswith("--no-") else f"{name}=True" if name in SWITCHES else name

    return reworded(sentence, argument)


def raises_in_python(function: Callable[P, T]) -> Callable[P, T]:
    """Let what a function raises speak of arguments where the command line has options: it is called from Python."""

    @wraps(function)
    def called(*given: P.args, **named: P.kwargs) -> T:
        try:
            return function(*given, **named)
        except AutoPhaseNNError as error:
            error.args = (in_python(str(error)),)
            raise

    return called


def path_of(given: object, what: str) -> Path:
    """The path that a word or path names; whether anything is there is not looked at.

    Parameters
    ----------
    given : object
        str, Path or anything else with ``__fspath__``.
    what : str
        Begins the message: ``"The dark field"``.

    Raises
    ------
    InputError
        If it is no path.
    """
    try:
        if isinstance(given, str | PathLike):
            return Path(given)
    except TypeError:  # a path of bytes
        pass
    raise InputError(f"{what} is {shown(given)}; give the path of a file or folder, as a str or Path.")


def optional_path(given: object, what: str) -> Path | None:
    """The same, or None for None."""
    return None if given is None else path_of(given, what)


def array_of(given: object, what: str) -> Any:
    """The array of values in memory; whether its shape and numbers are right is not looked at.

    Parameters
    ----------
    given : object
        Whatever NumPy makes an array of.
    what : str
        Begins the message: ``"The mask"``.

    Returns
    -------
    NumPy array

    Raises
    ------
    InputError
        If NumPy makes none of it.
    """
    import numpy as np

    try:
        return np.asarray(given)
    except Exception as error:  # of whatever converts itself
        raise InputError(
            f"{what} cannot be made an array ({quoted(error, SHOWN)}); give numbers in rows of equal length."
        ) from error


def whole_number(given: object, what: str, least: int, most: int | None = None) -> int:
    """A whole number of Python or NumPy, within its limits.

    Raises
    ------
    PlanError
        If it is none, or outside of them.
    """
    is_whole = isinstance(given, Integral) and not isinstance(given, bool)
    if is_whole and least <= int(given) and (most is None or int(given) <= most):  # type: ignore[call-overload]
        return int(given)  # type: ignore[call-overload]
    legal = f"{least} or more" if most is None else f"{least} to {most}"
    raise PlanError(f"{what} is {shown(given)}; give a whole number, {legal}.")


def indices_of(given: object, what: str) -> tuple[int, int, int]:
    """Three whole numbers, as Miller indices are.

    Raises
    ------
    InputError
        If it is anything else.
    """
    indices = array_of(given, what)
    if indices.shape != (3,) or indices.dtype.kind not in "iu":
        raise InputError(f"{what} is {shown(given)}; give three whole numbers, as (1, 1, 1).")
    h, k, l = indices.tolist()  # noqa: E741  (Miller's own name)
    return h, k, l


def points_of(given: object, what: str, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A list of points, or of several of them, as tuples.

    Parameters
    ----------
    given : object
    what : str
        Begins the message: "planes".
    shape : tuple of int
        Of each: (3,) for a point, (2, 3) for two.

    Raises
    ------
    InputError
        If it is of another shape, or a coordinate is no finite number.
    """
    import numpy as np

    points = array_of(given, f"The {what}")
    if points.shape[:1] == (0,):
        return ()
    if points.shape[1:] != shape or points.dtype.kind not in "iuf" or not np.isfinite(points).all():
        each = "two points of three" if len(shape) > 1 else "three"
        raise InputError(f"The {what} are {shown(given)}; give a list, each of {each} finite numbers.")
    return _as_tuples(points.tolist())


def _as_tuples(values: list[Any]) -> tuple[Any, ...]:
    return tuple(_as_tuples(each) if isinstance(each, list) else each for each in values)


def names_of(given: object, what: str) -> tuple[str, ...]:
    """A sequence of words; one word alone is none.

    Raises
    ------
    PlanError
        If it is no sequence, or holds anything else.
    """
    names = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise PlanError(f"{what} are {shown(given)}; give a list of names.")
    return names


def shown(value: object) -> str:
    """A value in one line, short enough for a sentence."""
    try:
        words = repr(value)
    except Exception:  # of whatever class it is
        words = f"a {type(value).__name__}"
    return quoted(" ".join(words.split()), SHOWN)
