"""Dataset files written as a stream: any size in bounded memory, by one process or many, resumed after any end.

The content of the file depends on source, experiment, seed and count alone: not on the number of workers, not on how
often the work was interrupted.
"""

from __future__ import annotations

import io
import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from autophasenn.crystals.source import Source
from autophasenn.errors import AutoPhaseNNError, InputError, OutputError, PlanError
from autophasenn.experiment.dataset import DatasetFile, Description, encoded, join
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.files.blocks import Parts, folder_of, held
from autophasenn.files.writing import write_atomically
from autophasenn.progress import Progress, Silent
from autophasenn.workers import computed

BLOCK = 8
"""Samples that are computed and kept together: what a sudden end can cost, a minute of LAMMPS."""
LEAST_BYTES = 10_000
"""Of a sample on the disk; those of the bundled file take 40,000 and more."""
LIBRARIES = ("autophasenn", "torch", "numpy", "scipy", "h5py", "hdf5plugin")
"""Whose versions the bytes of a file may depend on; that of LAMMPS where it is the source."""


@dataclass(frozen=True)
class Simulation:
    """Everything that the samples of a dataset depend on; sent to the workers.

    Parameters
    ----------
    source : Source
    experiment : Experiment
    seed : int
    recipe : str, optional
        Name of source and experiment together (`experiment.recipes`), where they have one.
    """

    source: Source
    experiment: Experiment
    seed: int
    recipe: str | None = None

    def description(self, samples: range) -> Description:
        """What the file of these samples says of itself."""
        provenance: dict[str, Any] = {
            "source": self.source.provenance(),
            "experiment": asdict(self.experiment),
            "versions": self.versions() | {"machine": platform.machine()},
            "indices": [samples.start, samples.stop],
        }
        if self.recipe is not None:
            provenance["recipe"] = self.recipe
        plain = json.loads(json.dumps(provenance))  # as it will be read back: tuples are lists
        return Description(plain["source"]["source"], self.seed, plain)

    def versions(self) -> dict[str, str]:
        """Of the packages that the file may depend on."""
        libraries = [*LIBRARIES, *(["lammps"] if self.source.provenance()["source"] == "lammps" else [])]
        return {name: version(name) for name in libraries}

    def block(self, samples: range) -> bytes:
        """These samples as a small dataset file; the same bytes in every process."""
        with _one_thread():
            made = simulate(self.source, self.experiment, self.seed, samples)
        return encoded(made, self.description(samples))


def write_dataset(
    output: Path,
    count: int,
    simulation: Simulation,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Simulate `count` samples into a dataset file, or go on where the same call was interrupted.

    Finished samples are kept in ``OUTPUT.partial`` until all are there. Then they are copied into one file, for which
    the disk must have room once more.

    Parameters
    ----------
    output : Path
        Ends in ``.h5``.
    count : int
    simulation : Simulation
    workers : int
        Processes on this machine.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the work instead.
    overwrite : bool
        May a file that is there be replaced? It stays until the new one is complete.
    progress : Progress, optional
        Told of every block.

    Raises
    ------
    PlanError
        If a number is below 1, or Dask is needed and not installed.
    InputError
        If the source refuses, or the scheduler does not answer.
    OutputError
        If the file exists, cannot be written, the disk is full, or what is there was begun with other parameters.
    """
    progress = progress or Silent()
    _check(output, count, workers)
    _check_disk(output, count)
    description = simulation.description(range(count))
    if output.exists() and not overwrite and not _was_killed_at_the_very_end(output, description):
        raise OutputError(f"The output {output} exists already; give another name, or --overwrite to replace it.")
    parameters = {"count": count, "block": BLOCK, "seed": simulation.seed}
    with held(output, parameters | {"provenance": description.provenance}) as parts:
        blocks = [range(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]
        missing = [block for block in blocks if not parts.block(block).exists()]
        done = count - sum(map(len, missing))
        progress.stage("Simulate")
        progress.advance(done, count)
        with _resumption_explained(parts):
            for block, content in computed(simulation.block, missing, workers, scheduler, simulation.versions()):
                parts.store(block, content)
                done += len(block)
                progress.advance(done, count)
            progress.stage("Write")
            _join(parts, blocks, output, description, progress)
        parts.remove()


def _check(output: Path, count: int, workers: int) -> None:
    if count < 1:
        raise PlanError(f"{count} samples make no dataset; give a count of 1 or more.")
    if workers < 1:
        raise PlanError(f"{workers} workers can do no work; give 1 or more.")
    if output.suffix != ".h5":
        raise PlanError(f"The output {output} does not end in .h5; a dataset is an HDF5 file.")
    if output.is_dir():
        raise OutputError(f"The output {output} is a folder; give the name of a file.")


def _check_disk(output: Path, count: int) -> None:
    folder = next(path for path in (output.absolute().parent, *output.absolute().parents) if path.is_dir())
    needed, disk = count * LEAST_BYTES, shutil.disk_usage(folder)
    if needed > disk.free and disk.total > 0:  # a system's own folders have no size
        raise OutputError(
            f"{count} samples take at least {needed / 1e9:.3g} GB, and {disk.free / 1e9:.3g} GB are free in {folder}; "
            "give a smaller count, or an output on a larger disk."
        )


def _was_killed_at_the_very_end(output: Path, description: Description) -> bool:
    """Is this dataset there, complete, and only its blocks were not yet removed?"""
    folder = folder_of(output)
    if not folder.is_dir() or not Parts(folder).are_ours:
        return False
    try:
        with DatasetFile(output) as dataset:
            return dataset.description == description
    except InputError:
        return False


def _join(parts: Parts, blocks: list[range], output: Path, description: Description, progress: Progress) -> None:
    with write_atomically(output) as temporary, _Target(temporary) as target:
        for number in join([parts.block(block) for block in blocks], target, description):
            if target.error is not None:
                break
            progress.advance(number, len(blocks))
        if target.error is not None:
            raise target.error


class _Target(io.FileIO):
    """A new file that swallows what the disk refuses, and keeps the first refusal in `error`.

    On a full disk the HDF5 library loses the error in destructors, or ends the process.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self.error is None:
                left = left[super().write(left) or 0 :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def _resumption_explained(parts: Parts) -> Iterator[None]:
    try:
        yield
    except AutoPhaseNNError as error:
        if parts.is_empty:
            raise
        kept = f"What is finished is kept in {parts.folder}; the same command goes on from there."
        raise type(error)(f"{error} {kept}") from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """The last bits of a sum depend on the number of threads."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(former)
