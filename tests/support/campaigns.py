"""Campaigns that take seconds: small scans of a heated crystal, and a plan of few iterations."""

from pathlib import Path

import h5py
from drifting_series import Step, heating, write_series

from autophasenn.campaign.campaign import Campaign
from autophasenn.image import CrystalImage
from autophasenn.phasing.algorithms import ER, HIO
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source

QUICK = Plan(
    retrieval=Ensemble(starts=2, polish=10, schedule=Schedule((Block(HIO(), 80), Block(ER(), 20)), 1, average_last=5))
)
SIZE = 32
BAD = 4
"""The scan in the middle, whose detector is not in the file."""
NUMBERS = tuple(range(1, 8))


def heated(path: Path) -> tuple[list[Step], dict[int, CrystalImage]]:
    """Six scans of a crystal that is heated, and a bad one in the middle; the truth by number."""
    steps = [Step(n if n < BAD else n + 1, *_rest(step)) for n, step in enumerate(heating(6), 1)]
    truth = write_series(path, steps, size=SIZE)
    with h5py.File(path, "r+") as file:
        file.copy("1.1", f"{BAD}.1")
        del file[f"{BAD}.1/measurement/eiger"]
    return steps, truth


def _rest(step: Step) -> tuple[float, float, float, int, float]:
    return step.temperature_k, step.expansion, step.strength, step.crystal, step.photons


def campaign(path: Path, folder: Path, numbers: tuple[int, ...] = NUMBERS, **more: object) -> Campaign:
    """Scans of the file, by the quick plan."""
    sources = tuple(Source(str(path), beamline="id01", scan=number) for number in numbers)
    return Campaign(sources, folder, Run("iterative"), QUICK, figures=False, **more)  # type: ignore[arg-type]
