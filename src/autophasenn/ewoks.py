"""Reconstruction as a task of ewoks workflows (https://ewoks.readthedocs.io): ``autophasenn.ewoks.Reconstruct``."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ewokscore import Task
from ewokscore.model import BaseInputModel, BaseOutputModel
from pydantic import Field

from autophasenn.errors import PlanError, quoted
from autophasenn.inversion.names import SAME_SEED
from autophasenn.pipeline.instrument import Instrument


class Inputs(BaseInputModel):  # type: ignore[misc]
    """What is reconstructed, and how: the words of ``autophasenn reconstruct``."""

    path: str = Field(description="A scan's folder or file, file.h5:/path, or tiled://host:port/path.")
    output: str = Field(description="Folder of the result; created.")
    beamline: str | None = Field(None, description="Whose scan it is, for instance 'id01'; None: a plain file.")
    spec: str | None = Field(None, description="SPEC file with the scan's motors.")
    scan: int | None = Field(None, description="Number of the scan; None: from the name.")
    dark: str | None = Field(None, description="Dark field of the detector.")
    white: str | None = Field(None, description="White field of the detector.")
    mask: str | None = Field(None, description="Mask, True = measured.")
    axes: str | None = Field(None, description="Axes of a plain file, as 'row,column,frame'.")
    instrument: dict[str, Any] = Field(
        {}, description="What is said of the diffractometer, as {'direct_beam': [258.5, 258], 'energy': 9000}."
    )
    method: str = Field("refined", description="refined, adapted, network or iterative.")
    plan: str | None = Field(None, description="File of the parameters; None: the defaults.")
    seed: int = Field(0, description=SAME_SEED)
    device: str = Field("cpu", description="cpu, cuda, cuda:1, ...")
    force: bool = Field(False, description="Phase a pattern of oversampling below 2 all the same.")
    figures: bool = Field(True, description="Draw pictures beside the result.")
    overwrite: bool = Field(False, description="Replace a result that is there.")


class Outputs(BaseOutputModel):  # type: ignore[misc]
    """What came of it."""

    folder: str = Field(description="Folder of the result.")
    status: str = Field(description="The verdict in a word.")
    message: str = Field(description="The verdict in a sentence.")
    report: dict[str, Any] = Field(description="Every number, as report.json has it.")


class Reconstruct(Task, input_model=Inputs, output_model=Outputs):  # type: ignore[misc, call-arg]
    """Turn a Bragg coherent diffraction pattern into an image of the crystal and its strain, and write the result.

    Bad input ends the task with the sentence that the command line would print.
    """

    def run(self) -> None:
        """Read, phase, write."""
        from autophasenn.pipeline.plan import load_plan
        from autophasenn.pipeline.reconstruct import reconstruct_into
        from autophasenn.pipeline.result import Output
        from autophasenn.pipeline.run import Run
        from autophasenn.pipeline.source import Source

        asked = Inputs(**self.get_input_values())
        source = Source(
            asked.path,
            asked.beamline,
            _path(asked.spec),
            asked.scan,
            _path(asked.dark),
            _path(asked.white),
            _path(asked.mask),
            _instrument(asked.instrument),
            asked.axes,
        )
        folder = Path(asked.output)
        result = reconstruct_into(
            Output(folder, asked.overwrite, asked.figures),
            source,
            Run(asked.method, asked.seed, asked.device, force=asked.force),
            None if asked.plan is None else load_plan(Path(asked.plan)),
        )
        self.outputs.folder = str(folder)
        self.outputs.status, self.outputs.message = result.report.status, result.report.message
        self.outputs.report = json.loads((folder / "report.json").read_text(encoding="utf-8"))


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _instrument(said: dict[str, Any]) -> Instrument:
    """A workflow's file holds lists where Python has tuples, and whole numbers where it has others.

    Raises
    ------
    PlanError
        If there is no such option.
    """
    unknown = set(said) - {each.name for each in fields(Instrument)}
    if unknown:
        raise PlanError(
            f"The instrument has no {quoted(min(unknown), 40)!r}; it has "
            f"{', '.join(each.name for each in fields(Instrument))}."
        )
    return Instrument(**{key: _as_python_has_it(value) for key, value in said.items()})


def _as_python_has_it(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_as_python_has_it(each) for each in value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
