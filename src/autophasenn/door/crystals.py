"""Crystals whose truth is known: `simulate` and `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from autophasenn.arguments import (
    indices_of,
    names_of,
    optional_path,
    path_of,
    raises_in_python,
    shown,
    whole_number,
)
from autophasenn.errors import InputError, PlanError
from autophasenn.experiment import experiment, recipes
from autophasenn.experiment.experiment import Samples
from autophasenn.inversion.names import COMPARED
from autophasenn.inversion.options import Inversion
from autophasenn.network.predict import free_memory
from autophasenn.pipeline.plan import Plan, given_plan
from autophasenn.pipeline.run import Run
from autophasenn.progress import Progress

HIGHEST_SEED = 2**32 - 1
"""Of a dataset; see `randomness.generator_of`."""
BYTES_A_SAMPLE = 2**21
"""Counts, mask and object of a simulated sample, and what making it takes beside them."""


@raises_in_python
def simulate(
    count: int = 1,
    *,
    source: str = "polyhedra",
    recipe: str = "paper",
    metal: str | None = None,
    reflection: tuple[int, int, int] | None = None,
    seed: int = 0,
) -> Samples:
    """Simulate crystals and their patterns, in memory; ``autophasenn simulate`` writes datasets of any size.

    Parameters
    ----------
    count : int
    source : str
        ``"polyhedra"``: facets with smooth strain, milliseconds a crystal. ``"lammps"``: metal relaxed atom by atom.
    recipe : str
        ``"paper"``: cubic axes along the voxels, counting noise alone. ``"beamline"``: as measured.
    metal : str, optional
        Ag, Au, Cu, Ni, Pd or Pt; None: gold.
    reflection : 3 ints, optional
        Miller indices; None: 111.
    seed : int
        With its index it makes a sample again.

    Returns
    -------
    Samples
        ``counts`` and ``masks`` (count, 64, 64, 64), and the true ``objects`` (count, 32, 32, 32).

    Raises
    ------
    InputError, PlanError
        If count or seed is no whole number in its range, so many do not fit into the memory, a name is not known, or the
        reflection is none.

    Examples
    --------
    >>> simulate(2, seed=1).counts.shape
    torch.Size([2, 64, 64, 64])
    """
    number, seed = whole_number(count, "count", 1), whole_number(seed, "seed", 0, HIGHEST_SEED)
    for name, word in (("source", source), ("recipe", recipe), ("metal", metal)):
        if not isinstance(word, str | None):
            raise PlanError(f"{name} is {shown(word)}; give a word.")
    fit = free_memory(torch.device("cpu")) // BYTES_A_SAMPLE
    if number > fit:
        raise InputError(
            f"{number} samples do not fit into the memory, and about {fit} would; write them into a file, as `autophasenn "
            "simulate` does."
        )
    crystals, seen = recipes.recipe(
        source, recipe, metal, None if reflection is None else indices_of(reflection, "The reflection")
    )
    return experiment.simulate(crystals, seen, seed, range(number))


@raises_in_python
def evaluate(
    dataset: str | Path,
    output: str | Path,
    *,
    methods: Sequence[str] = COMPARED,
    plan: Plan | str | Path | None = None,
    confidence: bool = False,
    weights: str | Path | None = None,
    network: str | None = None,
    count: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare methods on the patterns of a dataset, in numbers and figures.

    Parameters
    ----------
    dataset : path
        As ``autophasenn simulate`` writes it.
    output : path
        Folder of ``summary.json``, the table of all samples and the figures.
    methods : sequence of str
        As :func:`reconstruct` takes them.
    plan : Plan or path, optional
        What the methods do: their starts, for instance; what comes before and after them is not looked at. None: the
        defaults.
    confidence : bool
        Whether every image gets its confidence, as :func:`reconstruct` gives it, from the orientations of the plan; several
        times as long.
    weights : path, optional
        Of the network; None: those of the package.
    network : str, optional
        ``"unrolled"`` or ``"autophasenn"``, which the weights must be of. None: any; of the package's, ``"unrolled"``.
    count : int, optional
        Only the first so many samples.
    seed : int
        Of the starts.
    device : str
    workers : int
        Processes of one thread each.
    overwrite : bool
        Whether a result that is there may be replaced.
    progress : Progress, optional

    Returns
    -------
    dict
        The content of ``summary.json`` (docs/notebook/evaluation.md).

    Raises
    ------
    InputError, PlanError, OutputError
        If dataset or weights cannot be used, a method is not known, or the folder cannot be written.
    """
    from autophasenn.evaluation.evaluate import Evaluation
    from autophasenn.evaluation.evaluate import evaluate as compare

    if not isinstance(confidence, bool):
        raise PlanError(f"confidence is {shown(confidence)}; give True or False, and the orientations in the plan.")
    run = Run(seed=seed, device=device)
    asked = Evaluation(
        path_of(dataset, "The dataset"),
        names_of(methods, "The methods"),
        optional_path(weights, "The file of weights"),
        network,
        count=None if count is None else whole_number(count, "count", 1),
        seed=int(run.seed),
        device=run.device,
        inversion=_inversion(plan),
        confidence=confidence,
    )
    folder, processes = path_of(output, "The output"), whole_number(workers, "workers", 1)
    return compare(folder, asked, workers=processes, overwrite=overwrite, progress=progress)


def _inversion(plan: Plan | str | Path | None) -> Inversion:
    """What a plan says of the methods."""
    chosen = given_plan(plan) or Plan()
    return Inversion(**{each.name: getattr(chosen, each.name) for each in fields(Inversion)})
