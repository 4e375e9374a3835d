"""Scans of a beamline that writes files, in a watched folder and the folders below it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autophasenn.beamlines.watched import Layout, ScanFile
from autophasenn.errors import InputError
from autophasenn.files.boundary import reading
from autophasenn.live.peeking import Peeker
from autophasenn.live.sightings import Sighting

DEPTH = 8
"""Folders below the watched one that are looked into."""
SHARE = 0.05
"""Of the time that may go into listing folders: a tree that takes 1 s to list is listed every 20 s."""
SLOW = 0.5
"""Seconds that listing may take without being held against that share."""
AGAIN = 10.0
"""Seconds after its last change in which a file is looked into anew at every look: clocks of disks are coarse."""


@dataclass
class _Known:
    """A file as it was when it was last looked into."""

    status: tuple[tuple[int, int], ...]
    scans: list[ScanFile]
    since: float
    trouble: str = ""


@dataclass
class ScanFiles:
    """A folder below which scans are files, or folders that a file names.

    Parameters
    ----------
    folder : Path
    prefix : str
        Begins the keys of its scans.
    layout : Layout
        Of the beamline.
    peeker : Peeker
        Looks into the files.
    settle : float
        Seconds without any change after which a scan is complete of whose end nothing tells.
    abandon : float
        The same where more frames are awaited.
    detector : str, optional
        Which detector, where a scan has several.
    results : Path, optional
        Folder that is passed over.
    log : Path, optional
        The only file that is looked into, which names the scans of the folder.
    """

    folder: Path
    prefix: str
    layout: Layout
    peeker: Peeker
    settle: float
    abandon: float
    detector: str | None = None
    results: Path | None = None
    log: Path | None = None
    _known: dict[Path, _Known] = field(default_factory=dict)
    _seen: dict[str, Sighting] = field(default_factory=dict)
    _next: float = 0.0

    def look(self) -> Iterator[Sighting]:
        """All scans that are there now; those of a file that cannot be read now are as they were."""
        began = time.monotonic()
        if began >= self._next:
            files = self._files(self.folder, 0) if self.log is None else [self.log]
            found = {path.resolve(): path for path in files}
            taken = time.monotonic() - began
            for gone in self._known.keys() - found.keys():
                del self._known[gone]
            seen = dict[str, Sighting]()
            for resolved, path in found.items():
                for sighting in self._scans(resolved, path):
                    seen.setdefault(sighting.key, sighting)
            self._seen = seen
            self._next = time.monotonic() + taken * (1 / SHARE - 1) if taken > SLOW else 0.0
        yield from list(self._seen.values())

    def _files(self, folder: Path, depth: int) -> Iterator[Path]:
        try:
            with reading(folder), os.scandir(folder) as listed:
                entries = sorted((entry for entry in listed if not entry.name.startswith(".")), key=lambda e: e.name)
        except InputError:
            if depth == 0:  # the watched folder itself: a mount may be gone
                raise
            return
        for entry in entries:
            path = folder / entry.name
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:
                continue
            if is_file and self.layout.names.fullmatch(entry.name):
                yield path
            elif is_folder and depth < DEPTH and self._may_hold_scans(path):
                yield from self._files(path, depth + 1)

    def _may_hold_scans(self, folder: Path) -> bool:
        return not self.layout.passed_over.fullmatch(folder.name) and folder.resolve() != self.results

    def _scans(self, resolved: Path, path: Path) -> Iterator[Sighting]:
        known, now = self._known.get(resolved), time.monotonic()
        files = {path, *(file for scan in known.scans for file in scan.files)} if known else {path}
        status = _status(files)
        if known is None or known.status != status or now - known.since <= AGAIN:
            scans, trouble = self._peek(path, known)
            files = {path, *(file for scan in scans for file in scan.files)}
            since = now if known is None or known.status != status else known.since
            known = self._known[resolved] = _Known(_status(files), scans, since, trouble)
        if known.trouble and not known.scans:
            # Whoever reads it says what is wrong, once it has been still for long.
            yield self._sighting(path, ScanFile(path, "growing", 0, files=(path,)), several=False)
        several = any(scan.scan is not None for scan in known.scans)
        for scan in known.scans:
            yield self._sighting(path, scan, several)

    def _peek(self, path: Path, known: _Known | None) -> tuple[list[ScanFile], str]:
        try:
            return self.peeker.ask(self.layout.look, path, self.detector), ""
        except InputError as error:
            return (known.scans if known else []), str(error)

    def _sighting(self, path: Path, scan: ScanFile, several: bool) -> Sighting:
        place = scan.path.relative_to(self.folder) if scan.path != self.folder else Path(self.folder.resolve().name)
        name = f"{place.with_suffix('').as_posix()}_{scan.scan}" if several else place.as_posix()
        key = self.prefix + name.replace("/", "__")
        quiet = {"complete": 0.0, "still": self.settle, "growing": self.abandon}[scan.state]
        if scan.mark:
            # Other scans follow in its file, whose times then say nothing of it: it is as new as it was when it became this.
            before = self._seen.get(key)
            is_same = before is not None and before.mark == scan.mark
            newest = before.newest if before is not None and is_same else _newest({path, *scan.files})
            return Sighting(
                key, scan.path, scan.frames, scan.size, newest, quiet, scan.scan, scan.mark, scan.stack, scan.expected
            )
        size = sum(length for length, _ in _status({path, *scan.files}))
        newest = _newest({path, *scan.files})
        return Sighting(key, scan.path, scan.frames, size, newest, quiet, scan.scan, "", scan.stack, scan.expected)


def _status(files: set[Path]) -> tuple[tuple[int, int], ...]:
    """Size and time of each; what is not there has none."""
    found = []
    for file in sorted(files):
        try:
            status = file.stat()
            found.append((status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def _newest(files: set[Path]) -> float:
    return max(changed for _, changed in _status(files)) / 1e9
