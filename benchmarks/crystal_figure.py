"""The figure that compares the fast source of crystals with a dataset of relaxed ones.

python benchmarks/crystal_figure.py LAMMPS.h5 OUT.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.source import Objects
from autophasenn.crystals.statistics import SCALARS, describe, levelled
from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.report.crystal_statistics import EXAMPLES, Population, crystal_statistics
from autophasenn.report.style import save

PANELS = ("volume", "edge_width", "peak_offset", "phase_range", "phase_rms", "strain_rms", "core_strain_rms")
PERCENTILES = (10, 25, 50, 75, 90)


def population(name: str, objects: Objects) -> Population:
    """What the figure shows of these objects."""
    examples = [levelled(rho)[0] for rho in objects[:EXAMPLES]]
    slices = torch.stack(examples)[:, objects.shape[1] // 2]
    return Population(name, describe(objects), slices.numpy())


def draw(dataset: Path, path: Path, source: Polyhedra | None = None) -> tuple[Population, Population]:
    """Draw the statistics of a dataset's crystals beside those of the polyhedra with the same facets.

    Parameters
    ----------
    dataset : Path
        Dataset file with the truth, of the paper's recipe (cubic axes along the voxels of two lattice constants).
    path : Path
        PNG file to write.
    source : Polyhedra, optional
        None: its defaults.

    Returns
    -------
    (Population, Population)
        Of the dataset, and of the fast source.

    Raises
    ------
    InputError
        If the dataset cannot be read, or holds no objects.
    """
    with DatasetFile(dataset) as file:
        relaxed = file.objects(range(len(file)))
        fast = (source or Polyhedra()).objects(file.description.seed, range(len(file)))
    populations = population("LAMMPS", relaxed), population("fast", fast)
    title = f"{len(relaxed)} crystals relaxed atom by atom, and the same facets in the fast source"
    save(crystal_statistics(*populations, {name: SCALARS[name] for name in PANELS}, title), path)
    return populations


def table(populations: Sequence[Population]) -> str:
    """Percentiles of every number, one row a number and population."""
    rows = ["{:<16} {:<8}".format("", "") + "".join(f"{f'{p} %':>11}" for p in PERCENTILES)]
    for name in SCALARS:
        for each in populations:
            values = np.percentile(each.numbers[name], PERCENTILES)
            rows.append(f"{name:<16} {each.name:<8}" + "".join(f"{value:11.4g}" for value in values))
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> int:
    """Draw and print the table; exit status 2 and one sentence for bad input."""
    try:
        if len(arguments) != 2:
            raise InputError("Give a dataset of relaxed crystals and the PNG file to write, in this order.")
        print(table(draw(Path(arguments[0]), Path(arguments[1]))))
    except AutoPhaseNNError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
