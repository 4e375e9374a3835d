"""A training from its plan file to its folder."""

from __future__ import annotations

from pathlib import Path

from autophasenn.errors import AutoPhaseNNError, PlanError
from autophasenn.options import commented_yaml, load
from autophasenn.progress import Progress, Silent
from autophasenn.training.checkpoint import Course
from autophasenn.training.machine import Machine, is_first_process
from autophasenn.training.plan import TrainingPlan
from autophasenn.training.run_folder import RunFolder
from autophasenn.training.trainer import fit

VERSION = 1
"""Of the plan file; raised when a parameter changes its name or meaning."""


def load_training_plan(path: Path) -> TrainingPlan:
    """Read the plan of a training; a parameter that the file leaves out keeps its default.

    Raises
    ------
    PlanError
        If the file cannot be read, has another version, names a parameter that does not exist, or gives one a value
        that it cannot have.
    """
    return load(path, TrainingPlan, VERSION, "autophasenn plan --training")


def dump_training_plan(plan: TrainingPlan) -> str:
    """YAML text of a plan, every parameter explained. :func:`load_training_plan` reads it back without loss."""
    return f"version: {VERSION}\n{commented_yaml(plan)}"


def train(
    output: Path | None,
    plan: Path | None,
    resume: Path | None,
    machine: Machine | None = None,
    *,
    minutes: float | None = None,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Begin a training, or go on with one.

    Parameters
    ----------
    output : Path, optional
        Folder of a new training.
    plan : Path, optional
        Its plan. Where a training is resumed it must be the plan of that, or left out.
    resume : Path, optional
        Folder of a training that was begun.
    machine : Machine, optional
    minutes : float, optional
        Stop after so long, to be resumed.
    progress : Progress, optional

    Returns
    -------
    dict
        What to tell about it: folder, samples seen, best score, and how to go on if it is not at its end. Empty in all
        processes but the first.

    Raises
    ------
    PlanError
        If the arguments or the plan make no sense together, or the training diverges.
    InputError, OutputError
        See `training.trainer.fit`.
    """
    progress = progress if progress is not None and is_first_process() else Silent()
    if resume is not None:
        if output is not None and output.resolve() != resume.resolve():
            raise PlanError(f"A training that is resumed stays where it is: leave out -o, or give {resume} there too.")
        folder = RunFolder.existing(resume)
        parameters = load_training_plan(folder.plan)
        if plan is not None and load_training_plan(plan) != parameters:
            raise PlanError(f"{plan} is not the plan of the training in {resume}; leave out --plan, or begin another.")
    elif output is None or plan is None:
        raise PlanError("A new training needs a plan and a folder: give --plan and -o, or --resume one that was begun.")
    else:
        parameters = load_training_plan(plan)
        folder = RunFolder(output)
        if is_first_process():
            folder = RunFolder.create(output, dump_training_plan(parameters))
    progress.stage("Train")
    try:
        course = fit(parameters, folder, machine, minutes=minutes, on_progress=progress.advance)
    except AutoPhaseNNError:
        if resume is None and is_first_process():
            folder.discard()
        raise
    return _facts(course, parameters, folder) if is_first_process() else {}


def _facts(course: Course, plan: TrainingPlan, folder: RunFolder) -> dict[str, object]:
    facts: dict[str, object] = {
        "folder": str(folder.path),
        "samples": f"{min(course.step * plan.batch, plan.samples)} of {plan.samples}",
    }
    if course.best is not None:
        facts[f"best_{plan.validation.best_by}"] = abs(course.best)
    if course.step < plan.steps:
        facts["go_on_with"] = f"autophasenn train --resume {folder.path}"
    return facts
