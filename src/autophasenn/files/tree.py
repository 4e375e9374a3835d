"""HDF5 files as beamlines write them: nodes behind links into other files, frames in several data sets, files still
being written; and a sentence for whatever is not there.

Nothing is believed: a link is followed only to a regular file, a virtual data set is read only where its sources are there,
and sizes are held against the memory before anything is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from autophasenn.errors import InputError, quoted
from autophasenn.files.boundary import c_library_silenced, check_regular, reading
from autophasenn.files.damaged_hdf5 import check_chunks, check_heaps, memory_bounded, unbounded
from autophasenn.machine import check_room

MAX_NODES = 50_000
"""After so many groups and data sets the search for frames ends."""
MAX_DEPTH = 30
MAX_LISTED = 8
"""How many names a message lists."""
MAX_HOPS = 10
"""Links that are followed from one to the next."""
PLAIN_FILTERS = {1, 2, 3}
"""HDF5's own filters (deflate, shuffle, fletcher32), which print nothing; those of plugins may."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, for reading; also while a detector or BLISS still writes it.

    Raises
    ------
    InputError
        If it is missing, no regular file, or no HDF5 file; or the library fails while it is read.
    """
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors (bitshuffle, lz4, blosc)

    check_regular(path)
    with reading(path, "an HDF5 file"), memory_bounded():
        check_heaps(path)
        try:
            file = h5py.File(path, "r")
        except BlockingIOError:  # a detector that writes it holds a lock
            file = h5py.File(path, "r", locking=False)
        with file:
            yield file


def node(file: h5py.Group, name: str, hops: int = 0) -> h5py.Group | h5py.Dataset | None:
    """What is at `name`, behind links into other files too; None where there is nothing.

    Parameters
    ----------
    file : h5py.Group
    name : str
        Path in it.
    hops : int
        Links that led here.

    Raises
    ------
    InputError
        If a link on the way leads to a file that is missing, to nothing in it, or in a ring.
    """
    at: h5py.Group | h5py.Dataset = file.file if name.startswith("/") else file
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if not isinstance(at, h5py.Group):
            return None
        link = at.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            _check_link(at, part, link, hops + 1)
        at = at[part]
    return at if isinstance(at, h5py.Group | h5py.Dataset) else None


def _check_link(group: h5py.Group, name: str, link: h5py.SoftLink | h5py.ExternalLink, hops: int) -> None:
    """h5py opens whatever a link names: a ring ends in an unclear error, a pipe in none at all."""
    file = group.file.filename
    where = f"{quoted(file)} has at {quoted(group.name.rstrip('/'))}/{quoted(name)} a link"
    if hops > MAX_HOPS:
        raise InputError(f"{where} that leads in a ring; the file is damaged, so copy it again from where it was made.")
    target = link.path
    if isinstance(link, h5py.ExternalLink):
        target = f"{link.filename}:{link.path}"
        other = _beside(file, link.filename)
        if other is None:
            raise InputError(
                f"{where} to the file {quoted(link.filename)}, which is missing; copy it to {Path(file).parent}."
            )
        with opened(other) as inside:
            found = node(inside, link.path, hops) is not None
    else:
        found = node(group, link.path, hops) is not None
    if not found:
        raise InputError(
            f"{where} to {quoted(target)}, where there is nothing; copy all files of the scan, side by side as they were."
        )


def _beside(file: str, name: str) -> Path | None:
    """The file that HDF5 means by a name that stands in another file; None where there is none.

    Raises
    ------
    InputError
        If it is a pipe or a device.
    """
    beside = Path(file)
    for path in (
        beside.parent / name,
        Path(name),
        beside.resolve().parent / name,
    ):  # the last: `file` may be a symbolic link
        if path.exists():
            check_regular(path)
            return path
    return None


def required(file: h5py.Group, names: Sequence[str], what: str, remedy: str = "") -> h5py.Group | h5py.Dataset:
    """The first of `names` that is there.

    Raises
    ------
    InputError
        If none is: what was looked for, where, and what to do.
    """
    for name in names:
        found = node(file, name)
        if found is not None:
            return found
    where = " or ".join(f"{file.name.rstrip('/')}/{name}" for name in names[:3])
    there = ", ".join(list(file)[:MAX_LISTED]) or "nothing"
    advice = remedy or "check that this is a scan of that beamline"
    raise InputError(f"{file.file.filename} has no {what} at {where} ({file.name} holds {there}); {advice}.")


def numbers(found: h5py.Dataset | h5py.Group | None, what: str) -> np.ndarray:
    """A data set of numbers, or the `value` of an NXpositioner: float64, a scalar or one a frame.

    Raises
    ------
    InputError
        If it holds no numbers.
    """
    if isinstance(found, h5py.Group):
        inside = [found[name] for name in ("value", "position", "data") if name in found]
        found = inside[0] if inside else None
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "uifb" or found.shape is None:
        name = getattr(found, "name", "nothing")
        raise InputError(f"The {what} at {name} is no number; check that the file is of that beamline.")
    values = np.asarray(load(found), np.float64).squeeze()
    if values.size == 0:
        raise InputError(f"The {what} at {found.name} of {found.file.filename} is empty; the scan was not recorded.")
    return values


def text(found: h5py.Dataset | h5py.Group | None) -> str:
    """A data set of one string; empty where it is none."""
    if not isinstance(found, h5py.Dataset) or found.size != 1:
        return ""
    value = np.asarray(found[()]).ravel()[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class Frames:
    """Data sets that hold the frames of one detector, in order.

    Parameters
    ----------
    datasets : list of h5py.Dataset
        Each (frames, rows, columns).
    """

    datasets: tuple[h5py.Dataset, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows, columns of all of them together."""
        return sum(d.shape[0] for d in self.datasets), *self.datasets[0].shape[-2:]

    def load(self) -> np.ndarray:
        """All frames, as they are stored, native byte order.

        Raises
        ------
        InputError
            If they differ in size, do not fit the memory, are virtual and their sources are missing, or cannot be read.
        """
        sizes = {d.shape[-2:] for d in self.datasets}
        path = str(self.datasets[0].file.filename)
        if len(sizes) > 1:
            raise InputError(f"The frames in {path} have the sizes {sorted(sizes)}; all frames of a scan are alike.")
        check_room(math.prod(self.shape), path)
        parts = [load(dataset) for dataset in self.datasets]
        parts = [part.reshape(-1, *part.shape[-2:]) for part in parts]
        frames = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return frames.astype(frames.dtype.newbyteorder("="), copy=False)


def load(dataset: h5py.Dataset) -> np.ndarray:
    """All numbers of a data set, as they are stored.

    Raises
    ------
    InputError
        If they do not fit the memory, lie in files that are missing, are no numbers or none at all, or cannot be read.
    """
    file = str(dataset.file.filename)
    where = f"{quoted(dataset.name)} of {quoted(file)}"
    if dataset.shape is None or dataset.dtype.kind not in "biufcV":
        kind = "nothing" if dataset.shape is None else f"values of type {quoted(dataset.dtype)}"
        raise InputError(f"The dataset {where} holds {kind}, not numbers; give another one.")
    # HDF5 holds a whole chunk in memory to read a part of it.
    check_room(max(math.prod(dataset.shape), math.prod(dataset.chunks or (0,))), file)
    check_sources(dataset)
    with reading(where, "a dataset"):
        check_chunks(dataset)
        plain = {dataset.id.get_create_plist().get_filter(i)[0] for i in range(_filters(dataset))} <= PLAIN_FILTERS
        with nullcontext() if plain else c_library_silenced(file), unbounded():
            return np.asarray(dataset[()])


def _filters(dataset: h5py.Dataset) -> int:
    return int(dataset.id.get_create_plist().get_nfilters())


def check_sources(dataset: h5py.Dataset, hops: int = 0) -> None:
    """Refuse a data set whose numbers lie in files that are gone (they read as zeros) or in itself (a crash).

    Parameters
    ----------
    dataset : h5py.Dataset
        Of any kind; only virtual ones and those of external files are looked at.
    hops : int
        Virtual data sets that led here.

    Raises
    ------
    InputError
        Naming the files that are missing.
    """
    file = str(dataset.file.filename)
    where = f"{quoted(dataset.name)} of {quoted(file)}"
    missing = [name for name, *_ in dataset.external or () if _beside(file, name) is None]
    sources: dict[str, list[str]] = {}
    for source in dataset.virtual_sources() if dataset.is_virtual else ():
        first = source.file_name.replace("%b", "0"), source.dset_name.replace("%b", "0")  # %b: one file a block
        sources.setdefault(first[0], []).append(first[1])
    if sources and hops > MAX_HOPS:
        raise InputError(f"The data set {where} is its own source; it is damaged, so copy it again.")
    for name, inner in sources.items():
        path = Path(file) if name == "." else _beside(file, name)
        if path is None:
            missing.append(name)
            continue
        with opened(path) as other:
            for part in dict.fromkeys(inner):
                found = node(other, part)
                if not isinstance(found, h5py.Dataset):
                    raise InputError(
                        f"The data set {where} takes its numbers from {quoted(part)} of {quoted(path)}, where there are "
                        "none; copy all files of the scan, side by side as they were."
                    )
                check_sources(found, hops + 1)
    if missing:
        names = ", ".join(map(quoted, list(dict.fromkeys(missing))[:MAX_LISTED]))
        raise InputError(
            f"The frames at {where} lie in files that are missing: {names}; copy them to {quoted(Path(file).parent)}."
        )


def stacks(group: h5py.Group, *, follow: bool = True) -> list[h5py.Dataset]:
    """All data sets of images below `group`, (frames, rows, columns) or (1, frames, rows, columns), each once.

    Raises
    ------
    InputError
        If a link leads to a file that is missing and nothing was found beside it.
    """
    found: dict[tuple[int, int], h5py.Dataset] = {}
    broken: list[InputError] = []
    waiting: list[tuple[h5py.Group, int]] = [(group, 0)]
    seen: set[tuple[int, int]] = set()
    while waiting and len(seen) < MAX_NODES:
        at, depth = waiting.pop(0)
        for name in at:
            link = at.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink) and not follow:
                continue
            try:
                below = node(at, name)
            except InputError as error:
                broken.append(error)
                continue
            if below is None:
                continue
            info = h5py.h5o.get_info(below.id)
            key = (info.fileno, info.addr)
            if key in seen:
                continue
            seen.add(key)
            if isinstance(below, h5py.Group) and depth < MAX_DEPTH:
                waiting.append((below, depth + 1))
            elif isinstance(below, h5py.Dataset) and is_stack(below):
                found[key] = below
    if broken and not found:
        raise broken[0]
    return list(found.values())


def is_stack(dataset: h5py.Dataset) -> bool:
    """Frames of a detector: numbers, and rows and columns of more than one pixel?"""
    shape = dataset.shape
    if shape is None or dataset.dtype.kind not in "uif" or len(shape) not in (3, 4) or min(shape[-2:]) < 2:
        return False
    return len(shape) == 3 or 1 in shape[:2]
