"""A process that a page asks about scans and plans, one line of JSON for a question and one for its answer.

It reads what beamlines wrote, which may end it: the page then begins another one.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from autophasenn.beamlines.registry import BEAMLINES
from autophasenn.errors import AutoPhaseNNError, quoted
from autophasenn.pipeline.first_look import first_look
from autophasenn.pipeline.instrument import Instrument
from autophasenn.pipeline.parameters import plan_file, plan_of, plan_parameters, refusals
from autophasenn.pipeline.scans_in import patterns_in, scans_in
from autophasenn.pipeline.source import FILES, Source


def about(_: dict[str, Any]) -> dict[str, Any]:
    """What there is to choose from."""
    return {
        "parameters": [asdict(each) for each in plan_parameters()],
        "beamlines": [{"name": each.name, "title": each.title, "needs": each.needs} for each in BEAMLINES.values()],
    }


def listed(asked: dict[str, Any]) -> dict[str, Any]:
    """Files of a folder, or with `beamline` its scans; without what lies in the folder `skip`."""
    folder, skip = Path(asked["folder"]), Path(asked["skip"]) if asked.get("skip") else None
    found = scans_in(folder, asked["beamline"], skip) if asked.get("beamline") else patterns_in(folder, skip)
    return {"scans": [asdict(each) for each in found]}


def checked(asked: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with changed parameters of the plan, and the text of its file where nothing is."""
    wrong = refusals(asked["plan"])
    return {"wrong": wrong, "file": "" if wrong or not asked["plan"] else plan_file(asked["plan"])}


def looked(asked: dict[str, Any]) -> dict[str, Any]:
    """Read a scan and leave its frames in the folder `into`."""
    look = first_look(source_of(asked["source"]), plan_of(asked["plan"]), force=bool(asked["force"]))
    look.write(Path(asked["into"]))
    return {}


def source_of(given: dict[str, Any]) -> Source:
    """The source of a mapping of JSON: options by name, those of the diffractometer under `instrument`.

    Raises
    ------
    PlanError
        If options do not go together.
    """
    instrument: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.get("instrument", {}).items()
    }
    rest: dict[str, Any] = {name: Path(value) if name in FILES and value else value for name, value in given.items()}
    rest["instrument"] = Instrument(**instrument)
    return Source(**rest)


QUESTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "about": about, "listed": listed, "checked": checked, "looked": looked,
}  # fmt: skip


def answer(line: str) -> dict[str, Any]:
    """To one question: ``{"answer": ...}``, or ``{"refusal": sentence}``."""
    try:
        asked = json.loads(line)
        return {"answer": QUESTIONS[asked["question"]](asked)}
    except AutoPhaseNNError as error:
        return {"refusal": str(error)}
    except MemoryError:
        return {"refusal": "It does not fit into the memory; cut the scan around its peak, or bin it."}
    except Exception as error:
        traceback.print_exc()
        return {"refusal": f"The program failed on it ({type(error).__name__}: {quoted(error)})."}


def main(questions: IO[str], answers: IO[str]) -> None:
    """Answer until there are no more questions."""
    for line in questions:
        answers.write(json.dumps(answer(line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries that print would be taken for answers
    main(sys.stdin, own)
