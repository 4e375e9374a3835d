"""Several methods on several sets, in one table: what each finds, how near it comes, how long it takes.

Each method inverts each crystal by itself, so that a run may be ended at any time, gone on with, and added to: more
crystals, sets and methods. All are taken in turns of 1, 1, 2, 4, 8, ... crystals, so that the table compares alike whenever
it ends.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import h5py
import torch

from autophasenn.errors import InputError, PlanError
from autophasenn.evaluation.comparison import Comparison
from autophasenn.evaluation.entrants import ENTRANTS, Entrant, entrants_of
from autophasenn.evaluation.rows import PARAMETERS, Key, Rows, kept_in
from autophasenn.evaluation.scores import METRICS, Numbers
from autophasenn.evaluation.standings import ALL, Standing, standing
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.files.stored import sha256_of
from autophasenn.files.writing import write_atomically
from autophasenn.inversion.methods import Inversion
from autophasenn.inversion.options import words_of
from autophasenn.inversion.prediction import load_predictor
from autophasenn.network.predict import weights_file
from autophasenn.pipeline.benchmark_set import files_of
from autophasenn.pipeline.summary import versions
from autophasenn.progress import Progress, Silent
from autophasenn.report import leaderboard as pages
from autophasenn.workers import computed

TABLES = ("leaderboard.json", "leaderboard.csv", "leaderboard.md", "leaderboard.html", "samples.csv")
"""Written of the rows that are there, whenever a run ends."""


@dataclass(frozen=True)
class Contest:
    """Who is compared on what.

    Parameters
    ----------
    sets : mapping of str to Path
        Dataset files by name.
    methods : tuple of str
        As `entrants.Entrant.of` reads them.
    count : int, optional
        Only the first so many crystals of each set. None: all.
    weights : Path, optional
        Of methods that name no network. None: those of the package.
    network : str, optional
        "unrolled" or "autophasenn", which these must be of.
    seed : int
        Of every inversion.
    device : str
    inversion : Inversion
        What the methods do, but for the starts that they name.
    confidence : bool
        Whether the images of `entrants.JUDGED` get their confidence, as `reconstruct` gives it.

    Raises
    ------
    PlanError
        If a method is not known or named twice, there is no set, or nothing to do.
    """

    sets: Mapping[str, Path]
    methods: tuple[str, ...] = ENTRANTS
    count: int | None = None
    weights: Path | None = None
    network: str | None = None
    seed: int = 0
    device: str = "cpu"
    inversion: Inversion = field(default_factory=Inversion)
    confidence: bool = True

    def __post_init__(self) -> None:
        entrants_of(self.methods)
        if not self.sets:
            raise PlanError("There are no sets to compare on; give dataset files, or the folder of a benchmark set.")
        if self.count is not None and self.count < 1:
            raise PlanError(f"{self.count} crystals cannot be evaluated; give a count of 1 or more.")

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """Who is compared."""
        return entrants_of(self.methods)

    def weights_of(self, entrant: Entrant) -> tuple[Path | None, str | None]:
        """File and network that it begins with, as `load_predictor` takes them."""
        return (self.weights, self.network) if entrant.network is None else (None, entrant.network)

    def comparison(self, name: str, entrant: Entrant) -> Comparison:
        """What is done with each crystal of a set."""
        weights, network = self.weights_of(entrant)
        inversion = entrant.inversion(self.inversion, confidence=self.confidence)
        methods = (entrant.method.value,)
        return Comparison(self.sets[name], methods, weights, (network,), self.seed, self.device, inversion)


def sets_of(paths: list[Path]) -> dict[str, Path]:
    """Name -> dataset file of dataset files and folders of benchmark sets.

    Raises
    ------
    InputError
        If a folder is no benchmark set, or a file of one is not what its manifest says.
    PlanError
        If two sets have the same name.
    """
    sets: dict[str, Path] = {}
    for path in paths:
        for name, file in (files_of(path) if path.is_dir() else {path.stem: path}).items():
            if name in sets or name == ALL:
                raise PlanError(
                    f"Two sets have the name {name!r}, which the table needs to tell them apart; rename one."
                )
            sets[name] = file
    return sets


def compare(
    output: Path,
    contest: Contest,
    *,
    workers: int = 1,
    minutes: float | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run every method on every set, and write ``leaderboard.json``, ``.csv``, ``.md``, ``.html`` and ``samples.csv``.

    Rows are kept in ``rows.jsonl`` as they are done, and the same call goes on from there. A later call may have more
    crystals, sets or methods; the tables show all that were run in the folder.

    Parameters
    ----------
    output : Path
        Folder of the result.
    contest : Contest
    workers : int
        Processes on this machine, each with one thread. Seconds are then those of a busy machine.
    minutes : float, optional
        End after so long, with the tables of what is done by then. None: when all is done.
    overwrite : bool
        May rows be removed that were made with other parameters?
    progress : Progress, optional

    Returns
    -------
    dict
        The content of ``leaderboard.json``.

    Raises
    ------
    PlanError
        If the device is not there, or many processes are asked for and Dask is not installed.
    InputError
        If a dataset or weights cannot be used, or the truth of a dataset is not known.
    OutputError
        If the folder cannot be written to, holds something else, or rows of other parameters.
    """
    progress, began = progress or Silent(), time.monotonic()
    counts = {name: _count(path, contest.count) for name, path in contest.sets.items()}
    for entrant in contest.entrants:  # complains before any work
        if entrant.method.needs_network:
            weights, network = contest.weights_of(entrant)
            load_predictor(weights, contest.device, network)
    with kept_in(output, _parameters(contest), overwrite) as rows:
        try:
            _run(contest, counts, rows, workers, None if minutes is None else began + 60 * minutes, progress)
        finally:
            result = _written(output, contest, rows)
    return result


def _run(
    contest: Contest, counts: Mapping[str, int], rows: Rows, workers: int, end: float | None, progress: Progress
) -> None:
    names = [entrant.name for entrant in contest.entrants]
    wanted = [(s, i, m) for s, count in counts.items() for i in range(count) for m in names]
    total, done = len(wanted), sum(key in rows.done for key in wanted)
    progress.stage("Evaluate")
    progress.advance(done, total)
    for samples in _turns(max(counts.values())):
        for entrant in contest.entrants:
            for name, count in counts.items():
                keys: list[Key] = [(name, index, entrant.name) for index in samples if index < count]
                missing = [range(key[1], key[1] + 1) for key in keys if key not in rows.done]
                if not missing:
                    continue
                task = contest.comparison(name, entrant).block
                for block, content in computed(task, missing, workers, None, {}):
                    rows.add((name, block.start, entrant.name), _numbers(content, entrant))
                    done += 1
                    progress.advance(done, total)
                    if end is not None and time.monotonic() > end:
                        return


def _turns(most: int) -> Iterator[range]:
    """0, 1, 2 to 3, 4 to 7, ... up to `most` crystals."""
    first, last = 0, 1
    while first < most:
        yield range(first, min(last, most))
        first, last = last, 2 * last


def _numbers(content: bytes, entrant: Entrant) -> Numbers:
    """The numbers of the one sample in a block of `Comparison`, without the method in their names."""
    with h5py.File(BytesIO(content), "r") as file:
        (text,) = file["rows"].asstr()
    row = json.loads(text)
    return {name: row.pop(f"{entrant.method.value}_{name}") for name in METRICS} | row


def _count(path: Path, most: int | None) -> int:
    with DatasetFile(path) as dataset:
        if not dataset.has_truth:
            raise InputError(
                f"The dataset {path} has no /objects: without the truth nothing can be said of what is found; evaluate it "
                "alone, which compares chi2."
            )
        return min(len(dataset), most or len(dataset))


def _parameters(contest: Contest) -> dict[str, dict[str, Any]]:
    """Everything that the rows depend on."""
    methods, what = {}, {}
    for entrant in contest.entrants:
        weights = None
        if entrant.method.needs_network:
            path = weights_file(*contest.weights_of(entrant))
            weights = {"file": path.name, "sha256": sha256_of(path)}
        inversion = entrant.inversion(contest.inversion, confidence=contest.confidence)
        methods[entrant.name] = {
            "weights": weights,
            "inversion": repr(inversion),
        }
        what[entrant.name] = words_of(entrant.method, inversion)
    return {
        "common": {"seed": contest.seed, "device": contest.device, "versions": versions()},
        "sets": {name: sha256_of(path) for name, path in contest.sets.items()},
        "methods": methods,
        "what_they_do": what,
    }


def _written(output: Path, contest: Contest, rows: Rows) -> dict[str, Any]:
    """Write the tables of all rows; the content of the JSON file."""
    begun = json.loads((output / PARAMETERS).read_text(encoding="utf-8"))
    there = {(name, method) for name, _, method in rows.done}
    sets, methods = (list(begun[group]) for group in ("sets", "methods"))
    standings = [
        standing(name, method, list(rows.of(name, method).values()))
        for name in sets
        for method in methods
        if (name, method) in there
    ]
    taking_part = [method for method in methods if any(by == method for _, by in there)]
    shared = (
        set.intersection(*({key[:2] for key in rows.done if key[2] == by} for by in taking_part)) if there else set()
    )
    if shared:
        standings += [_overall(method, sorted(shared), rows) for method in taking_part]
    result = {
        "standings": [asdict(each) for each in standings],
        **{group: begun[group] for group in ("what_they_do", "common", "sets", "methods")},
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "system": platform.platform()},
    }
    table = StringIO()
    lines = csv.DictWriter(table, list(Standing.__annotations__), lineterminator="\n")
    lines.writeheader()
    lines.writerows(asdict(each) for each in standings)
    what = result["what_they_do"]
    texts = {
        "leaderboard.json": json.dumps(result, indent=2, allow_nan=False) + "\n",
        "leaderboard.csv": table.getvalue(),
        "leaderboard.md": pages.markdown(result["standings"], what),
        "leaderboard.html": pages.html(result["standings"], what),
        "samples.csv": _samples(rows),
    }
    for name, text in texts.items():
        with write_atomically(output / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return result


def _overall(method: str, crystals: list[tuple[str, int]], rows: Rows) -> Standing:
    """All crystals that every method has inverted: the others, which a run that was ended left to some, would mislead."""
    return standing(ALL, method, [rows.done[(name, index, method)] for name, index in crystals])


def _samples(rows: Rows) -> str:
    names = list(dict.fromkeys(name for row in rows.done.values() for name in row))
    table = StringIO()
    lines = csv.DictWriter(table, ["set", "index", "method", *names], lineterminator="\n")
    lines.writeheader()
    for (of, index, method), numbers in sorted(rows.done.items()):
        lines.writerow({"set": of, "index": index, "method": method} | numbers)
    return table.getvalue()
