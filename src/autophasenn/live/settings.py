"""How every scan of a watched folder is reconstructed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from autophasenn.errors import PlanError
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source


@dataclass(frozen=True)
class Settings:
    """What holds for every task.

    Parameters
    ----------
    source : Source
        What belongs to every scan; each task gives its input.
    run : Run
        Device, weights, seed and whether coarse patterns are phased; each task gives its method.
    dataset : str, optional
        Name of the counts in HDF5 files.
    plan : Path, optional
    threads : int
        CPU threads.
    figures : bool
        Whether refined results get the figures of ``autophasenn reconstruct``.
    command : str
        The command line, kept with every result; without secrets.

    Raises
    ------
    PlanError
        If the name of a dataset is given for scans of a beamline.
    """

    source: Source = field(default_factory=Source)
    run: Run = field(default_factory=Run)
    dataset: str | None = None
    plan: Path | None = None
    threads: int = 1
    figures: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if self.source.beamline is not None and self.dataset is not None:
            raise PlanError("--dataset belongs to plain files, not to the scan folders of a --beamline; leave one out.")
