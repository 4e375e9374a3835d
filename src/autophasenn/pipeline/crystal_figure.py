"""The figure that compares the fast source of crystals with a dataset of relaxed ones.

python -m autophasenn.pipeline.crystal_figure LAMMPS.h5 OUT.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from autophasenn.crystals.dataset import DatasetFile
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.source import Objects
from autophasenn.crystals.statistics import SCALARS, describe, levelled
from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.report.crystal_statistics import EXAMPLES, Population, crystal_statistics

PANELS = ("volume", "edge_width", "peak_offset", "phase_range", "phase_rms", "strain_rms", "core_strain_rms")
FAST_SEED = 1
"""Of the crystals that the figure makes; any other gives the same distributions."""


def population(name: str, objects: Objects) -> Population:
    """What the figure shows of these objects."""
    examples = [levelled(rho)[0] for rho in objects[:EXAMPLES]]
    slices = torch.stack(examples)[:, objects.shape[1] // 2]
    return Population(name, describe(objects), slices.numpy())


def draw(dataset: Path, path: Path, source: Polyhedra | None = None) -> None:
    """Draw the statistics of a dataset's crystals beside those of as many polyhedra.

    Parameters
    ----------
    dataset : Path
        Dataset file with the truth, of the paper's recipe (cubic axes along the voxels of two lattice constants).
    path : Path
        PNG file to write.
    source : Polyhedra, optional
        None: its defaults.

    Raises
    ------
    InputError
        If the dataset cannot be read, or holds no objects.
    """
    with DatasetFile(dataset) as file:
        relaxed = file.objects(range(len(file)))
    fast = (source or Polyhedra()).objects(FAST_SEED, range(len(relaxed)))
    crystal_statistics(
        population("LAMMPS", relaxed),
        population("fast", fast),
        {name: SCALARS[name] for name in PANELS},
        path,
        f"{len(relaxed)} crystals relaxed atom by atom, and as many of the fast source",
    )


def main(arguments: Sequence[str]) -> int:
    """Draw; exit status 2 and one sentence for bad input."""
    try:
        if len(arguments) != 2:
            raise InputError("Give a dataset of relaxed crystals and the PNG file to write, in this order.")
        draw(Path(arguments[0]), Path(arguments[1]))
    except AutoPhaseNNError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
