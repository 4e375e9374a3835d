"""Whether a value is of the type, and within the limits, that the annotation of its parameter declares.

As strict as pydantic is where plans are read from YAML, but for values that Python made: a number of NumPy or PyTorch counts
as Python's, a tuple is no list, and an option is of its class.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt

SCALARS = {bool: "a valid boolean", int: "a valid integer", float: "a valid number", str: "a valid string"}
"""What each is called, in the words of the sentences on YAML."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a value.

    Parameters
    ----------
    place : str
        The parameter, or the item of it: ``shape[1]``.
    value : object
    annotation : object
        What the value does not keep.
    wanted : str
        What it should be, in words; empty of a number that is outside of its limits, or not finite.
    """

    place: str
    value: Any
    annotation: Any
    wanted: str = ""


def plain(value: Any) -> Any:
    """A number, word or truth value as Python's own, whatever library or class it is of; tuples with all their items."""
    if type(value) is tuple:
        items = tuple(map(plain, value))
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    if value is None or type(value) in SCALARS or is_dataclass(value):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # of NumPy, of PyTorch and their like
        value = value.item()
    if type(value) in SCALARS:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    try:
        return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value
    except OverflowError:
        return math.inf


def fault_of(place: str, value: Any, annotation: Any) -> Fault | None:
    """What is wrong with a value, as :func:`plain` gives it; None: nothing.

    Parameters
    ----------
    place : str
        The name of the parameter.
    value : object
    annotation : object
        Made of numbers, words, tuples, mappings, None, ``Literal``, classes, and limits of `annotated_types`.
    """
    return next(_faults(place, value, annotation), None)


def _faults(place: str, value: Any, annotation: Any) -> Iterator[Fault]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        found = fault_of(place, value, inner[0])
        if found is not None:
            yield found if found.wanted or found.place != place else Fault(place, value, annotation)
        elif not all(_keeps(value, limit) for limit in inner[1:]):
            yield Fault(place, value, annotation)
    elif origin in (Union, UnionType):
        yield from _faults_of_choice(place, value, annotation)
    elif origin is tuple and isinstance(value, tuple):
        if inner[-1] is not ... and len(inner) != len(value):
            yield Fault(place, value, annotation, f"a tuple of {len(inner)}")
        of_items = [inner[0]] * len(value) if inner[-1] is ... else inner
        for index, (item, of_item) in enumerate(zip(value, of_items, strict=True)):
            yield from _faults(f"{place}[{index}]", item, of_item)
    elif isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _faults(f"a name in {place}", key, inner[0])
            yield from _faults(f"{place}.{key}", plain(item), inner[1])
    elif not _is_of(value, annotation):
        yield Fault(place, value, annotation, in_words(annotation))
    elif annotation is float and not _is_finite(value):
        yield Fault(place, value, annotation)


def _faults_of_choice(place: str, value: Any, annotation: Any) -> Iterator[Fault]:
    """Of the one whose type the value has; where it has none of them, they are all named."""
    choices = [each for each in get_args(annotation) if each is not NoneType]
    if value is None and NoneType in get_args(annotation):
        return
    faults = [fault_of(place, value, each) for each in choices]
    if None in faults:
        return
    found = [fault for fault in faults if fault is not None]
    near = found if len(found) == 1 else [fault for fault in found if not fault.wanted]
    yield near[0] if near else Fault(place, value, annotation, in_words(annotation))


def _is_of(value: Any, annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return any(value == each and type(value) is type(each) for each in get_args(annotation))
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, get_origin(annotation) or annotation)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _keeps(value: Any, limit: Any) -> bool:
    match limit:
        case Gt(gt=bound):
            return bool(value > bound)
        case Ge(ge=bound):
            return bool(value >= bound)
        case Lt(lt=bound):
            return bool(value < bound)
        case Le(le=bound):
            return bool(value <= bound)
    return True


def in_words(annotation: Any) -> str:
    """What an annotation allows, but for its limits: "a valid integer", "a tuple", "'root' or 'poisson'", "a Schedule"."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return in_words(inner[0])
    if origin is Literal:
        return _listed(list(map(repr, inner)))
    if origin in (Union, UnionType):
        choices = [in_words(each) for each in inner if each is not NoneType]
        return choices[0] if len(choices) == 1 else _listed([re.sub(r"^an? (?=[A-Z])", "", each) for each in choices])
    if origin is tuple:
        return "a tuple"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a dictionary"
    return SCALARS.get(annotation) or f"{'an' if annotation.__name__[0] in 'AEIOU' else 'a'} {annotation.__name__}"


def _listed(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def range_in_words(annotation: Any) -> str:
    """The limits of an annotation in words: "0 to 1", "above 0", "1 or more"; empty where there are none."""
    for part in (annotation, *get_args(annotation)):
        bounds = [limit for limit in get_args(part)[1:] if isinstance(limit, BaseMetadata)]
        if get_origin(part) is not Annotated or not bounds:
            continue
        low = next((b for b in bounds if isinstance(b, Gt | Ge)), None)
        high = next((b for b in bounds if isinstance(b, Lt | Le)), None)
        least = None if low is None else low.gt if isinstance(low, Gt) else low.ge
        most = None if high is None else high.lt if isinstance(high, Lt) else high.le
        if low is None:
            return f"below {most}" if isinstance(high, Lt) else f"{most} or less"
        if high is None:
            return f"above {least}" if isinstance(low, Gt) else f"{least} or more"
        if isinstance(low, Ge) and isinstance(high, Le):
            return f"{least} to {most}"
        if isinstance(low, Gt) and isinstance(high, Lt):
            return f"between {least} and {most}"
        return f"above {least}, up to {most}" if isinstance(low, Gt) else f"from {least}, below {most}"
    return ""
