"""Every parameter of a reconstruction, as one value and as one versioned YAML file.

The defaults stand in the option dataclasses, where they are used; this module has none of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autophasenn import options as typed_yaml
from autophasenn.inversion.methods import Inversion
from autophasenn.pipeline.postprocess import Postprocessing
from autophasenn.preprocessing.preprocess import Preprocessing

VERSION = 1
"""Raised when a parameter changes its name or meaning."""


@dataclass(frozen=True)
class Plan(Inversion):
    """What is done to a scan, from raw counts to strain.

    Parameters
    ----------
    preprocess : Preprocessing
        From the frames of a scan to a pattern: corrections, mask, centre, window, binning.
    retrieval : Ensemble
        From the pattern to the object, by --method iterative: how many starts, what is done in which iteration, and what
        is made of them.
    refined : Refined
        The same by --method refined and network: predictions, their refinement, coherence of the beam.
    confidence : Variants
        How far the image of --method refined and network can be believed: how often the pattern is inverted for that.
    adapted : Adaptation
        How the network first learns on from the pattern, by --method adapted.
    postprocess : Postprocessing
        From the object to the crystal's image in the laboratory frame.
    """

    preprocess: Preprocessing = field(default_factory=Preprocessing)
    postprocess: Postprocessing = field(default_factory=Postprocessing)


def load_plan(path: Path) -> Plan:
    """Read a plan; a parameter that the file leaves out keeps its default.

    Parameters
    ----------
    path : Path
        YAML file that :func:`dump_plan` could have written, or part of one; `version` must be given.

    Raises
    ------
    PlanError
        If the file cannot be read, has another version, names a parameter that does not exist, or gives one a value
        that it cannot have.
    """
    return typed_yaml.load(path, Plan, VERSION, "autophasenn plan")


def dump_plan(plan: Plan) -> str:
    """YAML text of a plan: every parameter, explained by a comment. :func:`load_plan` reads it back without loss."""
    return f"version: {VERSION}\n{typed_yaml.commented_yaml(plan)}"


def parameters_of(plan: Plan) -> dict[str, Any]:
    """Every parameter of a plan as plain values that JSON knows, the same that its YAML text has.

    Each algorithm has its `name`, without which ER, SF and DM would be empty and HIO and RAAR would look the same.
    """
    return typed_yaml.read_mapping(dump_plan(plan), "the plan of a reconstruction")
