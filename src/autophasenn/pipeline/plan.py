"""Every parameter of a reconstruction, as one value and as one versioned YAML file.

The defaults stand in the option dataclasses, where they are used; this module has none of its own.
"""

from __future__ import annotations

from dataclasses import field, replace
from pathlib import Path
from typing import Any

from autophasenn.arguments import shown
from autophasenn.errors import PlanError
from autophasenn.inversion.methods import Inversion
from autophasenn.options import commented_yaml, load, options
from autophasenn.pipeline.postprocess import Postprocessing
from autophasenn.preprocessing.options import Preprocessing

VERSION = 2
"""Raised when a parameter changes its name or meaning."""


@options
class Plan(Inversion):
    """What is done to a scan, from raw counts to strain; between its two ends the parameters of :class:`Inversion`.

    Parameters
    ----------
    preprocess : Preprocessing
        From the frames of a scan to a pattern: corrections, mask, centre, window, binning.
    postprocess : Postprocessing
        From the object to the crystal's image in the laboratory frame.
    """

    preprocess: Preprocessing = field(default_factory=Preprocessing)
    postprocess: Postprocessing = field(default_factory=Postprocessing)


def load_plan(path: str | Path) -> Plan:
    """Read a plan; a parameter that the file leaves out keeps its default.

    Parameters
    ----------
    path : str or Path
        YAML file that :func:`dump_plan` could have written, or part of one; `version` must be given.

    Raises
    ------
    PlanError
        If the file cannot be read, has another version, names a parameter that does not exist, or gives one a value
        that it cannot have.
    InputError
        If `path` is none.
    """
    return load(path, Plan, VERSION, "autophasenn plan")


def given_plan(given: object) -> Plan | None:
    """The plan that a caller in Python gives, or the path of; None stays None.

    Raises
    ------
    PlanError
        If it is neither, or see `load_plan`.
    """
    if isinstance(given, Plan | None):
        return given
    if not isinstance(given, str | Path):
        raise PlanError(f"The plan is {shown(given)}; give a Plan, or the path of a plan's file.")
    return load_plan(given)


def with_values(plan: Plan, **said: Any) -> Plan:
    """The plan with what a user says of the frames: `values`, `gain`, `dark_level`, `saturation`; None: as it was.

    Raises
    ------
    PlanError
        If one of them is outside its range.
    """
    given = {name: value for name, value in said.items() if value is not None}
    return replace(plan, preprocess=replace(plan.preprocess, **given)) if given else plan


def dump_plan(plan: Plan) -> str:
    """YAML text of a plan: every parameter, explained by a comment. :func:`load_plan` reads it back without loss."""
    return f"version: {VERSION}\n{commented_yaml(plan)}"
