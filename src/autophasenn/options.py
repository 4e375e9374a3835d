"""Options: frozen dataclasses with declared limits, and the commented YAML that they are read from and written to.

A limit is declared once, in the annotation of its parameter, and holds wherever the option is made: in Python, where its
class checks it, and in YAML, where pydantic does. Where a parameter may be one of several classes (the algorithms of a
schedule), each has a `name`, by which YAML and stored parameters tell them apart.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from autophasenn.arguments import path_of
from autophasenn.errors import PlanError
from autophasenn.limits import Fault, fault_of, plain, range_in_words

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
"""A share, a correlation or a probability: 0 to 1."""
Fraction = Annotated[float, Gt(0), Lt(1)]
"""Between 0 and 1, and neither."""
Count = Annotated[int, Ge(0)]
Number = Annotated[int, Ge(1)]
"""How many of something of which there must be one."""

Range = tuple[NotNegative, NotNegative]
"""From which something is drawn: least and most."""
PositiveRange = tuple[Positive, Positive]


def _once(function: F) -> F:
    """Ask a class once. (`functools.cache` wants hashable arguments, and mypy does not know that classes are.)"""
    return cache(function)  # type: ignore[return-value]


STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def options(kind: type[T]) -> type[T]:
    """Make a class of options: a frozen dataclass that refuses what its annotations do not allow.

    The annotations may hold limits of `annotated_types` (``Annotated[float, Gt(0)]``, or one of the names above), also
    inside of tuples and optional parameters. Numbers of NumPy become Python's. What only several parameters together can
    break is checked by ``__post_init__``, which runs after types and limits.

    Raises
    ------
    PlanError
        When an option is made whose parameter is of another type, outside of its limits, or no finite number.
    """
    rest = kind.__dict__.get("__post_init__")

    def check(self: Any) -> None:
        for name, annotation in annotations_of(type(self)).items():
            given = getattr(self, name)
            value = plain(given)
            fault = fault_of(name, value, annotation)
            if fault is not None:
                raise PlanError(_sentence_of(fault, type(self)))
            if value is not given:  # numbers of NumPy: they are written into YAML and JSON
                object.__setattr__(self, name, value)
        if rest is not None:
            rest(self)

    kind.__post_init__ = check  # type: ignore[attr-defined]
    kind.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    return dataclass(frozen=True)(kind)


def check_rising(**ranges: tuple[float, float]) -> None:
    """Refuse a range whose least is above its most; each is given by the name of its parameter.

    Raises
    ------
    PlanError
    """
    for name, (least, most) in ranges.items():
        if least > most:
            raise PlanError(f"{name} is drawn from {least:g} to {most:g}; give the least first.")


def load(path: str | Path, kind: type[T], version: int, printed_by: str) -> T:
    """The options that a versioned YAML file describes; what the file leaves out keeps its default.

    Parameters
    ----------
    path : str or Path
    kind : type
        See :func:`typed`.
    version : int
        What the key `version` of the file must be.
    printed_by : str
        The command whose output shows every parameter.

    Raises
    ------
    PlanError
        If the file cannot be read, has another version, names a parameter that does not exist, or gives one a value
        that it cannot have.
    InputError
        If `path` is none.
    """
    path = path_of(path, "The plan")
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for without end
            raise PlanError(f"{path}: the plan cannot be read: it is no file.")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a null character in the name
        raise PlanError(f"{path}: the plan cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    mapping = read_mapping(text, str(path))
    found = mapping.pop("version", None)
    if found is None:
        raise PlanError(f"{path}: the version of the plan is missing; add the line `version: {version}`.")
    if found != version or isinstance(found, bool):
        raise PlanError(
            f"{path}: version {_shown(found)} of the plan cannot be read by this program, which reads version {version}; "
            f"compare it with what `{printed_by}` prints."
        )
    return typed(mapping, kind, str(path))


class _Loader(yaml.SafeLoader):
    """YAML with 1e-5 a number (as YAML 1.2 has it; 1.1 reads a word), no key given twice, no aliases and no tags."""

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """A node; raises where it is an alias, which could expand without end, or lies too deep."""
        event: Any = self.peek_event()
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, f"the alias *{event.anchor} is not allowed", mark)
        self._depth = getattr(self, "_depth", 0) + 1
        if self._depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, "it is nested too deeply", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A dict; raises where a key is given twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key, (key_node, _) in reversed(list(zip(keys, node.value, strict=True))):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"`{key}` is given twice", key_node.start_mark)
        return super().construct_mapping(node, deep)


DEEPEST = 50
"""Levels of a YAML text."""
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_mapping(text: str, origin: str) -> dict[Any, Any]:
    """The mapping that a YAML text holds.

    Parameters
    ----------
    text : str
    origin : str
        Where the text comes from; opens every message.

    Raises
    ------
    PlanError
        If the text is no YAML mapping, or gives a key twice.
    """
    try:
        data = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise PlanError(f"{origin}{line}: this cannot be read as YAML: {_short(error.problem)}.") from error
    except Exception as error:  # the constructors of tags raise whatever Python does
        raise PlanError(f"{origin}: this cannot be read as YAML: {_short(error)}.") from error
    if not isinstance(data, dict):
        raise PlanError(f"{origin}: a mapping `parameter: value` was expected, not {_shown(data)}.")
    return data


def typed(data: dict[Any, Any], kind: type[T], origin: str, what: str = "the plan") -> T:
    """The options that a mapping describes; what the mapping leaves out keeps its default.

    Parameters
    ----------
    data : dict
        As :func:`read_mapping` gives it.
    kind : type
        A class of :func:`options`, of numbers, words, tuples, None and further such classes.
    origin : str
        Where the mapping comes from; opens every message.
    what : str
        What the mapping is, where a message says that it lacks a parameter.

    Raises
    ------
    PlanError
        If the mapping names a parameter that does not exist, or gives one a value that it cannot have.
    """
    try:
        return _adapter(kind).validate_json(json.dumps(data, default=str))  # JSON: lists are tuples, words are words
    except ValidationError as error:
        raise PlanError(f"{origin}: {_sentence(error.errors(include_url=False), data, kind, what)}") from error
    except (TypeError, ValueError) as error:  # keys that are no words, numbers of thousands of digits
        raise PlanError(f"{origin}: {_short(error)}") from error


def commented_yaml(value: Any) -> str:
    """YAML text of options: every parameter, explained by the docstring of its class, with its limits.

    What :func:`read_mapping` and :func:`typed` read back is equal to it.
    """
    return "\n".join(_lines(value)) + "\n"


@_once
def _adapter(kind: Any) -> Any:
    return TypeAdapter(kind)


@_once
def annotations_of(kind: Any) -> dict[str, Any]:
    """The annotation of each parameter of a class of options, its limits included."""
    hints = get_type_hints(kind, include_extras=True)
    return {column.name: hints[column.name] for column in fields(kind)}


def _sentence_of(fault: Fault, kind: type) -> str:
    """A sentence on a value that Python gave; of a number or word it is the one that YAML gets."""
    if not fault.wanted:
        return _refusal(fault.place, fault.value, fault.annotation, kind)
    value = "None" if fault.value is None else _shown(fault.value)
    return f"{fault.place} is {value}; it should be {fault.wanted}."


def _refusal(key: str, value: Any, annotation: Any, kind: type) -> str:
    """A sentence on a value outside of its limits: what it is, what is right, and what the parameter means."""
    meaning = explanations_of(kind).get(key.rsplit(".", 1)[-1].partition("[")[0], "")
    meaning = re.split(r"(?<=[a-z)0-9])[.;:] ", meaning)[0].rstrip(".")
    legal = range_in_words(annotation)
    wanted = f"give {legal}" if legal[:1].isdigit() else f"give a number {legal}" if legal else "give a finite number"
    return f"{key} is {_shown(value)}; {wanted}{f' ({meaning[:1].lower()}{meaning[1:]})' if meaning else ''}."


def _sentence(errors: list[ErrorDetails], data: Any, kind: type, what: str) -> str:
    """One sentence about the first wrong parameter."""
    error = errors[0]
    place = list(_places(error["loc"], data, kind))
    key = place[-1][0] if place else ""
    context = error.get("ctx", {})
    match error["type"]:
        case "unexpected_keyword_argument":
            unknown = str(error["loc"][-1])
            legal = list(annotations_of(place[-1][1] if place and is_dataclass(place[-1][1]) else kind))
            near = get_close_matches(unknown, legal, n=1)
            hint = f"did you mean `{near[0]}`? It takes" if near else "it takes"
            return f"{key or what} has no parameter `{_short(unknown, 60)}`; {hint} {', '.join(legal)}."
        case "missing":
            return f"{f'{key}.' if key else ''}{error['loc'][-1]} is missing."
        case "union_tag_invalid":
            near = get_close_matches(context["tag"], re.findall(r"\w+", context["expected_tags"]), n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else "."
            return f"{key} has the name {_shown(context['tag'])}, and it is one of {context['expected_tags']}{hint}"
        case "union_tag_not_found":
            return f"{key} is {_shown(error['input'])}; it needs a key `name` that says which one."
        case "value_error":  # of a __post_init__
            return f"{key}: {context['error']}" if key else str(context["error"])
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            owner = next((k for _, k in reversed(place[:-1]) if is_dataclass(k)), kind)
            return _refusal(key, error["input"], place[-1][1], owner)  # type: ignore[arg-type]
    alike = [each for each in errors if [p[0] for p in _places(each["loc"], data, kind)] == [p[0] for p in place]]
    wanted = dict.fromkeys(re.sub(r"^(Input|Tuple) should (be|have) ", "", each["msg"]) for each in alike)
    legal_words = " or ".join(wanted)
    legal_words = re.sub(
        r"a valid (dictionary|tuple|array|object)\b|an (object|array)\b", _in_words_of_yaml, legal_words
    )
    legal_words = re.sub(r"a dictionary or an instance of \w+", "a mapping `parameter: value`", legal_words)
    return f"{key or what} is {_shown(error['input'])}; it should be {legal_words}."


def _in_words_of_yaml(found: re.Match[str]) -> str:
    return "a list" if (found[1] or found[2]) in ("tuple", "array") else "a mapping `parameter: value`"


def _places(loc: tuple[int | str, ...], data: Any, kind: Any) -> Iterator[tuple[str, Any]]:
    """``a.b[0].c`` and annotation of each step to an error, without the words that pydantic adds to tell unions apart."""
    path, node, annotation = "", data, kind
    for part in loc:
        chosen = _dataclass_of(annotation, node)
        if isinstance(node, dict) and chosen is not None and part in node and part in annotations_of(chosen):
            path, node, annotation = (
                f"{path}.{part}" if path else str(part),
                node[part],
                annotations_of(chosen)[str(part)],
            )
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            path, node, annotation = f"{path}[{part}]", node[part], _item(annotation)
        else:
            continue
        yield path, _dataclass_of(annotation, node) or annotation


def _dataclass_of(annotation: Any, node: Any) -> Any:
    """The class of options of an annotation; of several that whose `name` a mapping gives."""
    if isinstance(annotation, type) and is_dataclass(annotation):
        return annotation
    found = [each for each in (_dataclass_of(a, node) for a in get_args(annotation)) if each is not None]
    if len(found) > 1 and isinstance(node, dict):
        return next((each for each in found if each.__name__ == node.get("name")), None)
    return found[0] if found else None


def _item(annotation: Any) -> Any:
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is tuple:
            return get_args(part)[0]
    return None


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    try:
        text = "null" if value is None else repr(value)
    except ValueError:  # Python writes out no number of more than 4,300 digits
        text = "a number of thousands of digits"
    return textwrap.shorten(text, 60, placeholder="...")


def _short(words: Any, most: int = 200) -> str:
    return textwrap.shorten(" ".join(str(words).split()), most, placeholder="...")


def _lines(value: Any) -> Iterator[str]:
    """The lines of a section, its parameters explained by comments."""
    explained, said = explanations_of(type(value)), ""
    columns = sorted(fields(value), key=lambda column: column.name != "name")
    for column in columns:
        legal = range_in_words(annotations_of(type(value))[column.name])
        comment = explained.get(column.name, "")
        if comment != said:
            yield from (f"# {line}" for line in textwrap.wrap(comment + (f" [{legal}]" if legal else ""), 100))
            said = comment
        yield from _entry(column.name, getattr(value, column.name))


def _entry(key: str, value: Any) -> Iterator[str]:
    if is_dataclass(value):
        yield f"{key}:"
        yield from (f"  {line}" for line in _lines(value))
    elif isinstance(value, tuple) and value and all(map(is_dataclass, value)):
        yield f"{key}:"
        for item in value:
            first, *others = _lines(item)
            yield f"  - {first}"
            yield from (f"    {line}" for line in others)
    else:
        text = yaml.safe_dump(list(value) if isinstance(value, tuple) else value, default_flow_style=True, width=10_000)
        yield f"{key}: {text.removesuffix('...' + chr(10)).strip()}"


@_once
def explanations_of(kind: Any) -> dict[str, str]:
    """What the `Parameters` sections of the numpydoc docstrings of a class and its bases say of each parameter."""
    explained: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        text = inspect.cleandoc(each.__doc__ or "")
        section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
        found = re.findall(
            r"^(\w+(?:, \w+)*) :[^\n]*\n((?:[ ]+[^\n]*\n?|\n)*)", section[1] if section else "", re.MULTILINE
        )
        explained |= {name: " ".join(words.split()) for names, words in found for name in names.split(", ")}
    return explained
