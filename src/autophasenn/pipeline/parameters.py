"""The plan as a form has it: every parameter with its limits, and the plan's file of those that were changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from autophasenn.errors import PlanError
from autophasenn.limits import range_in_words
from autophasenn.options import annotations_of, explanations_of, read_mapping, typed
from autophasenn.pipeline.plan import VERSION, Plan

ORIGIN = "the plan"
AS_BELOW = "as below"
"""Value of options that may be left out, and are not."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of options, as a form asks for it.

    Parameters
    ----------
    key : str
        Its place, as ``preprocess.hot_contrast``.
    value : str
        As YAML has it, on one line.
    choices : tuple of str
        All that it can be, as YAML has it; empty: numbers, words or a list.
    legal : str
        Its limits in words; empty where there are none.
    meaning : str
    """

    key: str
    value: str
    choices: tuple[str, ...]
    legal: str
    meaning: str


def parameters(value: Any, prefix: str = "") -> Iterator[Parameter]:
    """Every parameter of options, those of options within them too.

    Parameters
    ----------
    value : options
        Whose values are told.
    prefix : str
        Begins every key.
    """
    hints, explained = annotations_of(type(value)), explanations_of(type(value))
    for column in fields(value):
        key, found, annotation = prefix + column.name, getattr(value, column.name), hints[column.name]
        if is_dataclass(found):
            if type(None) in get_args(annotation):
                yield Parameter(key, AS_BELOW, (AS_BELOW, "null"), "", explained.get(column.name, ""))
            yield from parameters(found, f"{key}.")
        elif column.name != "name":  # which of several classes it is: given by what is in its place
            choices = tuple(map(_flow, _choices(annotation)))
            yield Parameter(
                key, _flow(_plain(found)), choices, range_in_words(annotation), explained.get(column.name, "")
            )


def _plain(value: Any) -> Any:
    """Options as mappings and lists."""
    if is_dataclass(value):
        return {column.name: _plain(getattr(value, column.name)) for column in fields(value)}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _choices(annotation: Any) -> list[Any]:
    """All values of an annotation, where they are few: yes or no, or words."""
    if annotation is bool:
        return [True, False]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) in (Union, UnionType) and len(parts) == 1 and (found := _choices(parts[0])):
        return [None, *found]
    return []


@cache
def plan_parameters() -> tuple[Parameter, ...]:
    """Every parameter of a plan, with its default."""
    return tuple(parameters(Plan()))


def refusals(changed: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with changed parameters, a sentence for each that is refused.

    Parameters
    ----------
    changed : mapping
        ``preprocess.hot_contrast`` -> value as YAML has it. What only several of them together break is told of each that
        takes part in it.
    """
    found: dict[str, str] = {}
    for key, text in changed.items():
        try:
            plan_of({key: text})
        except PlanError as error:
            found[key] = str(error).removeprefix(f"{ORIGIN}: ")
    if not found:
        try:
            plan_of(changed)
        except PlanError as error:
            found = dict.fromkeys(changed, str(error).removeprefix(f"{ORIGIN}: "))
    return found


def plan_of(changed: Mapping[str, str]) -> Plan:
    """The plan in which some parameters differ from their defaults.

    Raises
    ------
    PlanError
        If there is no such parameter, or it cannot have this value.
    """
    return typed(_nested(changed), Plan, ORIGIN)


def plan_file(changed: Mapping[str, str]) -> str:
    """The text of a plan's file: the sections in which something differs from the default.

    Raises
    ------
    PlanError
        As :func:`plan_of`.
    """
    plan_of(changed)
    return f"version: {VERSION}\n{yaml.safe_dump(_nested(changed), sort_keys=False)}"


def _nested(changed: Mapping[str, str]) -> dict[str, Any]:
    """The sections of the plan in which something is changed, whole.

    A section that a file gives in part has the defaults of its class elsewhere, and not those of the plan.
    """
    known, plan = {each.key for each in plan_parameters()}, _plain(Plan())
    for key, text in sorted(changed.items(), key=lambda item: item[1] == "null"):  # what is left out takes all with it
        if key not in known:
            raise PlanError(f"{ORIGIN}: there is no parameter {key}; `autophasenn plan` prints all of them.")
        *path, last = key.split(".")
        place = plan
        for part in path:
            place = place[part]
        place[last] = read_mapping(f"{last}: {text}", key)[last]
    return {section: plan[section] for section in dict.fromkeys(key.split(".")[0] for key in changed)}
