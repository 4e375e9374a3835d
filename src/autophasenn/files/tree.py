"""HDF5 files as beamlines write them: nodes behind links into other files, frames in several data sets, files still
being written; and a sentence for whatever is not there.

Nothing is believed: a link is followed only to a regular file, a virtual data set is read only where its sources are there,
and sizes are held against the memory before anything is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.machine import check_room

MAX_NODES = 50_000
"""After so many groups and data sets the search for frames ends."""
MAX_DEPTH = 30
MAX_LISTED = 8
"""How many names a message lists."""
MAX_LINE = 200
"""Characters of a library's own words that a message quotes."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, for reading; also while a detector or BLISS still writes it.

    Raises
    ------
    InputError
        If it is missing, no regular file, or no HDF5 file; or the library fails while it is read.
    """
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors (bitshuffle, lz4, blosc)

    if not path.exists():
        raise InputError(f"There is no file {path}; check the path.")
    if not path.is_file():
        raise InputError(f"{path} is no file; give the HDF5 file of the scan.")
    try:
        try:
            file = h5py.File(path, "r")
        except BlockingIOError:  # a detector that writes it holds a lock
            file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError(
            f"{path} is truncated or no HDF5 file ({quoted(error)}); copy it again from where it was made."
        ) from error
    try:
        with file:
            yield file
    except AutoPhaseNNError:
        raise
    except (RuntimeError, KeyError, ValueError, TypeError, OSError) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {quoted(error)}); the file is damaged or of a layout that is "
            "not known. Copy it again from where it was made."
        ) from error


def quoted(error: Exception) -> str:
    """What a library said, short enough for a sentence."""
    words = " ".join(str(error).split())
    return words if len(words) <= MAX_LINE else words[: MAX_LINE - 3] + "..."


def node(file: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What is at `name`, behind links into other files too; None where there is nothing.

    Raises
    ------
    InputError
        If a link on the way leads to a file that is missing, or to nothing in it.
    """
    at: h5py.Group | h5py.Dataset = file
    for part in filter(None, name.split("/")):
        if not isinstance(at, h5py.Group):
            return None
        link = at.get(part, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            _check_external(at, part, link)
        try:
            at = at[part]
        except (KeyError, OSError, RuntimeError) as error:
            if isinstance(link, h5py.HardLink):
                raise
            target = f"{link.filename}:{link.path}" if isinstance(link, h5py.ExternalLink) else link.path
            raise InputError(
                f"{at.file.filename} has at {at.name.rstrip('/')}/{part} a link to {target}, where there is nothing; copy "
                "all files of the scan, side by side as they were."
            ) from error
    return at


def _check_external(group: h5py.Group, name: str, link: h5py.ExternalLink) -> None:
    """h5py opens whatever a link names: a missing file ends in an unclear error, a pipe in none."""
    target = Path(group.file.filename).parent / link.filename
    if not (target.is_file() or Path(link.filename).is_file()):
        raise InputError(
            f"{group.file.filename} has at {group.name.rstrip('/')}/{name} a link to the file {link.filename}, which is "
            f"missing; copy it to {target.parent}."
        )


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
    check_room(math.prod(found.shape), str(found.file.filename))
    values = np.asarray(found[()], np.float64).squeeze()
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
        parts = []
        for dataset in self.datasets:
            check_sources(dataset)
            try:
                part = np.asarray(dataset[()])
            except (OSError, RuntimeError) as error:
                raise InputError(
                    f"The frames at {dataset.name} of {dataset.file.filename} cannot be read ({quoted(error)}); the file "
                    "is damaged, or still being written."
                ) from error
            parts.append(part.reshape(-1, *part.shape[-2:]))
        frames = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return frames.astype(frames.dtype.newbyteorder("="), copy=False)


def check_sources(dataset: h5py.Dataset) -> None:
    """Refuse a virtual data set whose sources are gone (they read as zeros) or that is its own source (a crash).

    Raises
    ------
    InputError
        Naming the files that are missing.
    """
    if not dataset.is_virtual:
        return
    folder, missing = Path(dataset.file.filename).parent, list[str]()
    for source in dataset.virtual_sources():
        is_here = source.file_name in (".", dataset.file.filename)
        if is_here and source.dset_name.strip("/") == dataset.name.strip("/"):
            raise InputError(
                f"The data set {dataset.name} of {dataset.file.filename} is its own source; it is damaged."
            )
        if not is_here and not (folder / source.file_name).is_file():
            missing.append(source.file_name)
    if missing:
        names = ", ".join(list(dict.fromkeys(missing))[:MAX_LISTED])
        raise InputError(
            f"The frames at {dataset.name} of {dataset.file.filename} lie in files that are missing: {names}; copy them to "
            f"{folder}."
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
