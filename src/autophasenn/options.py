"""YAML text <-> frozen option dataclasses, strict in both directions, with no defaults of its own.

The dataclasses stay plain: a pydantic model that mirrors each is built from its annotations. Where an annotation is a
union of dataclasses (the algorithms of a schedule), the YAML mapping says which one by the key `name`.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from functools import reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, create_model, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from autophasenn.errors import PlanError

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML with 1e-5 a number (as YAML 1.2 has it; 1.1 reads a word) and no key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A dict; raises where a key is given twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key, (key_node, _) in reversed(list(zip(keys, node.value, strict=True))):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"`{key}` is given twice", key_node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


class _Section(BaseModel):
    """What every mapping of a YAML text has in common."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_key(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                near = get_close_matches(str(key), cls.model_fields, n=1)
                hint = f"did you mean `{near[0]}`? It takes" if near else "it takes"
                legal = ", ".join(cls.model_fields) or "none"
                raise PydanticCustomError(
                    "unknown_key",
                    "has no parameter `{key}`; {hint} {legal}",
                    {"key": str(key), "hint": hint, "legal": legal},
                )
        return data


def load(path: Path, kind: type[T], version: int, printed_by: str) -> T:
    """The dataclass `kind` that a versioned YAML file describes; what the file leaves out keeps its default.

    Parameters
    ----------
    path : Path
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
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: the plan cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    mapping = read_mapping(text, str(path))
    found = mapping.pop("version", None)
    if found is None:
        raise PlanError(f"{path}: the version of the plan is missing; add the line `version: {version}`.")
    if found != version or isinstance(found, bool):
        raise PlanError(
            f"{path}: version {found!r} of the plan cannot be read by this program, which reads version {version}; "
            f"compare it with what `{printed_by}` prints."
        )
    return typed(mapping, kind, str(path))


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
        raise PlanError(f"{origin}{line}: this cannot be read as YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise PlanError(f"{origin}: this cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(data, dict):
        raise PlanError(f"{origin}: a mapping `parameter: value` was expected, not {_shown(data)}.")
    return data


def typed(data: dict[Any, Any], kind: type[T], origin: str) -> T:
    """The dataclass `kind` that a mapping describes; what the mapping leaves out keeps its default.

    Parameters
    ----------
    data : dict
        As :func:`read_mapping` gives it.
    kind : type
        A frozen dataclass of numbers, words, tuples, None and further such dataclasses.
    origin : str
        Where the mapping comes from; opens every message.

    Raises
    ------
    PlanError
        If the mapping names a parameter that does not exist, or gives one a value that it cannot have.
    """
    try:
        return _build(_mirror(kind).model_validate(data), kind)
    except ValidationError as error:
        raise PlanError(f"{origin}: {_sentence(error.errors(include_url=False), data)}") from error
    except PlanError as error:
        raise PlanError(f"{origin}: {error}") from error


def commented_yaml(value: Any) -> str:
    """YAML text of a dataclass: every parameter, explained by the docstring of its class.

    What :func:`read_mapping` and :func:`typed` read back is equal to it.
    """
    return "\n".join(_lines(value, type(value))) + "\n"


def _mirror(kind: type, name: str | None = None) -> type[_Section]:
    """The pydantic model with the fields of a dataclass, and with a `name` where a union needs one to choose."""
    hints = get_type_hints(kind)
    columns: dict[str, Any] = {} if name is None else {"name": (Literal[name], ...)}
    for column in fields(kind):
        needed = column.default is MISSING and column.default_factory is MISSING
        columns[column.name] = (_mirror_annotation(hints[column.name]), ... if needed else None)
    return create_model(kind.__name__, __base__=_Section, **columns)


def _mirror_annotation(annotation: Any) -> Any:
    """The annotation with every dataclass replaced by its pydantic model."""
    if is_dataclass(annotation):
        return _mirror(annotation)  # type: ignore[arg-type]
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        choices = _choices(annotation)
        others = [_mirror_annotation(a) for a in arguments if a not in choices]
        if choices:
            named = reduce(or_, [_mirror(choice, choice.__name__) for choice in choices])
            others.append(Annotated[named, Field(discriminator="name")])
        return reduce(or_, others)
    if get_origin(annotation) is tuple:
        items = tuple(a if a is ... else _mirror_annotation(a) for a in arguments)
        return Annotated[tuple[items], Strict(False)]  # type: ignore[valid-type]  # YAML has lists only
    return annotation


def _choices(annotation: Any) -> list[type]:
    """The dataclasses of a union of several; empty where there is nothing to choose."""
    if get_origin(annotation) not in (Union, UnionType):
        return []
    choices = [a for a in get_args(annotation) if is_dataclass(a)]
    return choices if len(choices) > 1 else []  # type: ignore[return-value]


def _build(section: _Section, kind: type[T], path: str = "") -> T:
    """The dataclass of a validated section, given only what the text gave."""
    hints = get_type_hints(kind)
    given = sorted(section.model_fields_set & hints.keys())
    values = {name: _build_value(getattr(section, name), hints[name], f"{path}.{name}".lstrip(".")) for name in given}
    try:
        return kind(**values)
    except PlanError as error:
        raise PlanError(f"{path}: {error}" if path else str(error)) from error


def _build_value(value: Any, annotation: Any, path: str) -> Any:
    if isinstance(value, _Section):
        kinds = {a.__name__: a for a in (annotation, *get_args(annotation)) if is_dataclass(a)}  # type: ignore[union-attr]
        return _build(value, kinds[type(value).__name__], path)  # type: ignore[arg-type]
    if isinstance(value, tuple):
        items = zip(value, _item_annotations(annotation, len(value)), strict=True)
        return tuple(_build_value(item, inner, f"{path}[{i}]") for i, (item, inner) in enumerate(items))
    return value


def _item_annotations(annotation: Any, count: int) -> list[Any]:
    """Annotations of the `count` items of a tuple; of an optional tuple too."""
    for candidate in (annotation, *get_args(annotation)):
        if get_origin(candidate) is tuple:
            items = get_args(candidate)
            if items[-1] is ...:
                return [items[0]] * count
            if len(items) == count:
                return list(items)
    raise TypeError(f"{annotation} is no tuple of {count} items")


def _sentence(errors: list[ErrorDetails], data: Any) -> str:
    """One sentence about the first wrong parameter."""
    first = _path(errors[0], data)
    alike = [error for error in errors if _path(error, data) == first]
    error = errors[0]
    key, context = first or "the plan", error.get("ctx", {})
    match error["type"]:
        case "unknown_key":
            return f"{key} {error['msg']}."
        case "missing":
            return f"{key} is missing."
        case "union_tag_invalid":
            near = get_close_matches(context["tag"], re.findall(r"\w+", context["expected_tags"]), n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else "."
            return f"{key} has the name {context['tag']!r}, and it is one of {context['expected_tags']}{hint}"
        case "union_tag_not_found":
            return f"{key} is {_shown(error['input'])}; it needs a key `name` that says which one."
    wanted = dict.fromkeys(re.sub(r"^(Input|Tuple) should (be|have) ", "", each["msg"]) for each in alike)
    legal = re.sub(r"a valid (dictionary or .*|tuple)", _in_words_of_yaml, " or ".join(wanted))
    return f"{key} is {_shown(error['input'])}; it should be {legal}."


def _in_words_of_yaml(found: re.Match[str]) -> str:
    return "a list" if found[1] == "tuple" else "a mapping `parameter: value`"


def _path(error: ErrorDetails, data: Any) -> str:
    """`a.b[0].c`: the keys on the way to an error, without those that pydantic adds to tell union members apart."""
    path, node = "", data
    for part in error["loc"]:
        if isinstance(node, dict) and (part in node or (error["type"] == "missing" and part == error["loc"][-1])):
            path, node = f"{path}.{part}" if path else str(part), node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            path, node = f"{path}[{part}]", node[part]
    return path


def _shown(value: Any) -> str:
    return textwrap.shorten("null" if value is None else repr(value), 60, placeholder="...")


def _lines(value: Any, annotation: Any) -> Iterator[str]:
    """The lines of a section, its parameters explained by comments."""
    explained = _explanations(type(value))
    hints = get_type_hints(type(value))
    if _choices(annotation):
        yield f"name: {type(value).__name__}"
    said = ""
    for column in fields(value):
        comment = explained.get(column.name, "")
        if comment != said:
            yield from (f"# {line}" for line in textwrap.wrap(comment, 100))
            said = comment
        yield from _entry(column.name, getattr(value, column.name), hints[column.name])


def _entry(key: str, value: Any, annotation: Any) -> Iterator[str]:
    if is_dataclass(value) and (fields(value) or _choices(annotation)):
        yield f"{key}:"
        yield from (f"  {line}" for line in _lines(value, annotation))
    elif isinstance(value, tuple) and value and all(map(is_dataclass, value)):
        yield f"{key}:"
        for item, inner in zip(value, _item_annotations(annotation, len(value)), strict=True):
            first, *others = _lines(item, inner)
            yield f"  - {first}"
            yield from (f"    {line}" for line in others)
    else:
        plain = {} if is_dataclass(value) else list(value) if isinstance(value, tuple) else value
        text = yaml.safe_dump(plain, default_flow_style=True, width=10_000)
        yield f"{key}: {text.removesuffix('...' + chr(10)).strip()}"


def _explanations(kind: type) -> dict[str, str]:
    """What the `Parameters` section of a numpydoc docstring says of each parameter."""
    text = inspect.getdoc(kind) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    found = re.findall(
        r"^(\w+(?:, \w+)*) :[^\n]*\n((?:[ ]+[^\n]*\n?|\n)*)", section[1] if section else "", re.MULTILINE
    )
    return {name: " ".join(words.split()) for names, words in found for name in names.split(", ")}
