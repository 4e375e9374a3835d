"""What a working process of a campaign does: load the network once, then turn one scan after the other into a result."""

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from autophasenn.campaign.measured import Measured, measured
from autophasenn.files.convention import RESULT
from autophasenn.files.writing import TEMPORARY
from autophasenn.live.work import Outcome, attempted, outcome_of, remove, serve
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source


@dataclass(frozen=True)
class Settings:
    """What holds for every scan.

    Parameters
    ----------
    run : Run
    plan : Plan
    threads : int
        CPU threads of a process.
    figures : bool
        Whether each result gets its figures.
    command : str
        The command line, kept with every result.
    """

    run: Run = field(default_factory=Run)
    plan: Plan = field(default_factory=Plan)
    threads: int = 1
    figures: bool = True
    command: str = ""


@dataclass(frozen=True)
class Task:
    """One scan.

    Parameters
    ----------
    key : str
    source : Source
    output, picture : Path
        Folder of the result, and PNG file of the crystal.
    """

    key: str
    source: Source
    output: Path
    picture: Path


@dataclass(frozen=True)
class Reconstructed(Outcome):
    """A result, and what the table says of it."""

    numbers: Measured = field(default_factory=Measured)


def work(orders: Connection, settings: Settings, niceness: int) -> None:
    """Answer every `Task` with its `Reconstructed`, or the `Outcome` that says why there is none."""
    serve(orders, lambda: Doing(settings), niceness)


class Doing:
    """A process with the network, loaded where the method needs it.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    InputError, PlanError
        If weights or device are not what they should be.
    """

    def __init__(self, settings: Settings) -> None:
        from autophasenn.devices import use_threads

        use_threads(settings.threads)
        self._settings = settings
        self._predictor = settings.run.predictor() if settings.run.needs_network else None

    def warm_up(self) -> None:
        """Nothing: the first scan may wait for what it loads."""

    def outcome(self, task: Task) -> Outcome:
        """Reconstruct a scan; whatever is wrong with it is said, not raised."""
        return attempted(lambda: self._reconstruct(task))

    def _reconstruct(self, task: Task) -> Outcome:
        from autophasenn.live.pictures import draw_crystal
        from autophasenn.pipeline.reconstruct import inputs_of, reconstruct
        from autophasenn.pipeline.result import Output

        settings = self._settings
        for left in task.output.glob(f"{TEMPORARY}*"):  # of a process that was killed at this very result
            remove(left)
        Output(task.output, overwrite=True).check(inputs_of(task.source, settings.run))
        result = reconstruct(
            task.source, settings.run, settings.plan, predictor=self._predictor, command=settings.command
        )
        result = result.save(task.output, overwrite=True, figures=settings.figures)
        draw_crystal(task.output / RESULT, task.picture)
        said = outcome_of(result.report, 0)
        return Reconstructed(
            chi2=said.chi2,
            chi2_free=said.chi2_free,
            strain_std=said.strain_std,
            confidence=said.confidence,
            numbers=measured(result.image, result.report, result.source),
        )
