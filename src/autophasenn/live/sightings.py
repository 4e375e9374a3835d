"""What lies in a watched folder at one moment: scans as files, or as folders of frames. Nothing is read, only listed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from autophasenn.errors import InputError
from autophasenn.files.boundary import reading
from autophasenn.files.frames import TIFF_SUFFIXES
from autophasenn.files.readers import HDF5_SUFFIXES, READERS


@dataclass(frozen=True)
class Sighting:
    """A scan as it was seen at one moment.

    Parameters
    ----------
    key : str
        Tells it from all others; also the folder of its results.
    path : Path
        Its folder or file.
    frames : int
        Files in its folder; 0 for a file.
    size : int
        Bytes of it all.
    newest : float
        When the newest of its files was changed, unix seconds of the clock of the disk.
    quiet : float
        Seconds without any change after which it is complete; 0: it is complete as it is.
    scan : int, optional
        Its number, where its file holds several.
    mark : str
        What is the same as long as nothing is added, where the times of its files do not tell.
    stack : (file, dataset), optional
        Where its frames are in an HDF5 file.
    expected : int, optional
        Frames that it will have, where that was recorded.
    """

    key: str
    path: Path
    frames: int
    size: int
    newest: float
    quiet: float
    scan: int | None = None
    mark: str = ""
    stack: tuple[Path, str] | None = None
    expected: int | None = None

    @property
    def name(self) -> str:
        """For people."""
        return self.key.rpartition("/")[2]

    @property
    def fingerprint(self) -> str:
        """The same as long as nothing is added or changed."""
        return self.mark or f"{self.frames} frames, {self.size} bytes, {self.newest:.6f}"


@runtime_checkable
class Place(Protocol):
    """Where scans turn up."""

    def look(self) -> Iterator[Sighting]:
        """All scans that are there now."""
        ...


@dataclass
class Files:
    """A folder in which every file is a scan.

    Parameters
    ----------
    folder : Path
    prefix : str
        Begins the keys of its scans.
    settle : float
        Seconds without growth after which a file is complete.
    abandon : float
        The same for an empty file: it may have been opened and not yet been written to.
    dataset : str, optional
        Name of the counts in HDF5 files; None: files that need such a name are no scans.
    with_suffix : bool
        Whether keys have the suffix of the file.
    """

    folder: Path
    prefix: str
    settle: float
    abandon: float
    dataset: str | None = None
    with_suffix: bool = True

    def look(self) -> Iterator[Sighting]:
        """Files of a kind that holds patterns; hidden ones are still being copied."""
        suffixes = {*READERS, *(HDF5_SUFFIXES if self.dataset else ())}
        for entry in _entries(self.folder):
            name = Path(entry.name)
            if name.suffix.lower() in suffixes and (status := _status(entry)) is not None and entry.is_file():
                quiet = self.settle if status.st_size else self.abandon
                key = self.prefix + (entry.name if self.with_suffix else name.stem)
                yield Sighting(key, self.folder / name, 0, status.st_size, status.st_mtime, quiet)


@dataclass(frozen=True)
class _Listing:
    """What was in a folder when it was last listed; None: no frames."""

    changed: int
    sighting: Sighting | None
    since: float

    def may_grow(self) -> bool:
        """Might a file have grown, or come in the very moment of the listing, which the folder does not tell?"""
        quiet = 0.0 if self.sighting is None else self.sighting.quiet
        return (self.sighting is None or quiet > 0) and time.monotonic() - self.since <= 2 * quiet + 10


@dataclass
class FrameFolders:
    """A folder in which every folder is a scan, one file a frame.

    Parameters
    ----------
    folder : Path
    prefix : str
        Begins the keys of its scans.
    expected : callable
        How many frames the scan in a folder has once it is complete; None where nobody knows.
    settle : float
        Seconds without growth after which a scan is complete that has all its frames, but not all of one size.
    abandon : float
        Seconds without a new frame after which no more are awaited.
    """

    folder: Path
    prefix: str
    expected: Callable[[Path], int | None]
    settle: float
    abandon: float
    _listed: dict[str, _Listing] = field(default_factory=dict)

    def look(self) -> Iterator[Sighting]:
        """Folders that hold frames. One that was complete, or still for long, is listed again only if it got a new file."""
        seen = set()
        for entry in _entries(self.folder):
            if (status := _status(entry)) is None or not entry.is_dir():
                continue
            seen.add(entry.name)
            listing = self._listed.get(entry.name)
            if listing is None or listing.changed != status.st_mtime_ns or listing.may_grow():
                now = (status.st_mtime_ns, self._list(self.folder / entry.name))
                if listing is None or (listing.changed, listing.sighting) != now:
                    listing = self._listed[entry.name] = _Listing(*now, time.monotonic())
            if listing.sighting is not None:
                yield listing.sighting
        for name in self._listed.keys() - seen:
            del self._listed[name]

    def _list(self, folder: Path) -> Sighting | None:
        files = [
            status
            for entry in _entries(folder, missing_ok=True)
            if Path(entry.name).suffix.lower() in TIFF_SUFFIXES and (status := _status(entry)) is not None
        ]
        if not files:
            return None
        sizes, newest = [file.st_size for file in files], max(file.st_mtime for file in files)
        quiet, expected = self.abandon, self.expected(folder)
        if expected == len(files):
            quiet = 0.0 if len(set(sizes)) == 1 and sizes[0] else self.settle
        return Sighting(self.prefix + folder.name, folder, len(files), sum(sizes), newest, quiet, expected=expected)


def look_at(places: Sequence[Place]) -> tuple[dict[str, Sighting], InputError | None]:
    """All scans of some places by their keys, of two with one key the later; and which place is no longer there."""
    seen, missing = dict[str, Sighting](), None
    for place in places:
        try:
            seen |= {sighting.key: sighting for sighting in place.look()}
        except InputError as error:
            missing = error
    return seen, missing


def _entries(folder: Path, missing_ok: bool = False) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, hidden files left aside."""
    try:
        with reading(folder), os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except InputError:
        if not missing_ok:
            raise


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None for what vanished since it was listed."""
    try:
        return entry.stat()
    except OSError:
        return None
