"""Scans in a folder that is watched, where a scan is no folder of frames: which files hold them, and how far each has come.

What is still written may be read at any moment: nothing here takes longer than to open the file and look at a few names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import h5py

from autophasenn.beamlines.bliss import LINE, BlissScan
from autophasenn.beamlines.fio import read_fio
from autophasenn.errors import InputError
from autophasenn.files.tree import is_stack, node, opened, stacks, text

State = Literal["growing", "still", "complete"]
"""More frames are awaited; nothing tells; all that will ever come is there."""
SIGNATURE = b"\x89HDF\r\n\x1a\n"
WRITERS = 0b101
"""Bits of the consistency flags of a superblock: open for writing, open for SWMR writing."""


@dataclass(frozen=True)
class ScanFile:
    """A scan as it was found.

    Parameters
    ----------
    path : Path
        File or folder that its reader takes.
    state : State
    frames : int
        That are there.
    scan : int, optional
        Its number, where the file holds several.
    size : int
        Bytes of its frames, uncompressed.
    mark : str
        The same as long as nothing was added to it, where files say more than their times do: other scans follow in them.
    stack : (file, dataset), optional
        Where its frames are, one after the other.
    files : tuple of Path
        Those that its frames lie in.
    expected : int, optional
        Frames that it will have, where that was recorded.
    """

    path: Path
    state: State
    frames: int
    scan: int | None = None
    size: int = 0
    mark: str = ""
    stack: tuple[Path, str] | None = None
    files: tuple[Path, ...] = ()
    expected: int | None = None


@dataclass(frozen=True)
class Layout:
    """How the scans of a beamline lie in its folders.

    Parameters
    ----------
    names : re.Pattern
        Of the files that hold or name a scan.
    look : callable
        From such a file, and the detector that was asked for, to the scans in it.
    passed_over : re.Pattern
        Folders in which there are none, but frames of others.
    """

    names: re.Pattern[str]
    look: Callable[[Path, str | None], list[ScanFile]]
    passed_over: re.Pattern[str] = re.compile(r"(?!)")


def is_written(path: Path) -> bool:
    """Has a program the HDF5 file open for writing, as far as it says: by its superblock, or by a lock?

    Source: HDF5 File Format Specification 3.0, section II.A, file consistency flags. A writer that was killed leaves them.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head[:8] == SIGNATURE and len(head) == 12 and head[8] >= 2 and head[11] & WRITERS:
                return True
            return _is_locked(file.fileno())
    except OSError:
        return False


def _is_locked(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a mount without locks
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def look_at_bliss(path: Path, detector: str | None) -> list[ScanFile]:
    """Scans with frames in a file of BLISS; those that are links into a file beside or below it are found there.

    Raises
    ------
    InputError
        If it cannot be read, as in the moment when BLISS writes to it.
    """
    found = []
    with opened(path) as file:
        for name in file:
            match = re.fullmatch(r"(?:.*_)?(\d+)\.1", name)
            link = file.get(name, getlink=True)
            if match is None or (isinstance(link, h5py.ExternalLink) and _is_below(path, link.filename)):
                continue
            group = node(file, name)
            if not isinstance(group, h5py.Group):
                continue
            scan = BlissScan(group, int(match[1]))
            stack = _stack_of_bliss(scan, detector)
            if stack is None or not len(stack):
                continue
            frames, end = int(stack.shape[0]), text(node(group, "end_time"))
            state: State = "growing"
            if scan.is_complete:
                state = "complete" if scan.points == frames else "still"
            mark = f"{group.name} {frames} frames of {stack.shape[1:]}, ended {end or 'not'}"
            place = (Path(stack.file.filename), stack.name)
            found.append(ScanFile(path, state, frames, scan.number, _bytes(stack), mark, place, (place[0],)))
    return found


def _is_below(master: Path, name: str) -> bool:
    """Is the file that a master links to in its folder, or in one below?"""
    target = (master.parent / name).resolve()
    return target.is_file() and master.parent.resolve() in target.parents


def _stack_of_bliss(scan: BlissScan, detector: str | None) -> h5py.Dataset | None:
    """The frames of the detector, or of the first; a scan of counters alone has none, and one that begins has none yet."""
    measured = node(scan.group, "measurement")
    if not isinstance(measured, h5py.Group):
        return None
    for name in measured if detector is None else [detector]:
        try:
            found = node(measured, name)
        except InputError:  # a link to a file that the detector has not written yet
            continue
        if isinstance(found, h5py.Dataset) and is_stack(found):
            return found
    return None


@dataclass(frozen=True)
class OneScan:
    """How a file of one scan is looked at.

    Parameters
    ----------
    ends : tuple of str
        Names in its groups that are written when the scan has ended; none where nothing is.
    """

    ends: tuple[str, ...] = ()

    def __call__(self, path: Path, detector: str | None) -> list[ScanFile]:
        """The scan, if the file has frames.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        with opened(path) as file:
            found = stacks(file)
            if not found:
                return []
            groups = [group for name in file if isinstance(group := node(file, name), h5py.Group)]
            has_ended = any(node(group, end) is not None for group in groups for end in self.ends)
            stack = max(found, key=lambda each: (detector is not None and detector in each.name, _bytes(each)))
            files = (Path(stack.file.filename), *_sources(stack))
            frames, size, place = int(stack.shape[-3]), _bytes(stack), (files[0], stack.name)
        state: State = "still" if has_ended or not self.ends else "growing"
        if any(map(is_written, {path, *files})):
            state = "growing"
        return [ScanFile(path, state, frames, None, size, "", place, files)]


def _sources(stack: h5py.Dataset) -> Iterator[Path]:
    """The files that a virtual data set takes its frames from."""
    if stack.is_virtual:
        for source in stack.virtual_sources():
            if source.file_name != ".":
                yield Path(stack.file.filename).parent / source.file_name


def _bytes(stack: h5py.Dataset) -> int:
    return prod(stack.shape) * stack.dtype.itemsize


def look_at_p10(master: Path, detector: str | None) -> list[ScanFile]:
    """The scan whose master file this is: complete when its log has all points that were commanded, and it as many frames.

    Raises
    ------
    InputError
        If the master or the log cannot be read.
    """
    if detector is not None and master.parent.name != detector:
        return []
    stem = master.name.removesuffix("_master.h5")
    folder = master.parent if master.parent.name == stem else master.parent.parent
    with opened(master) as file:
        group = node(file, "entry/data")
        parts = []
        for name in group if isinstance(group, h5py.Group) else ():
            try:
                part = node(group, name)
            except InputError:  # the detector has linked to a file that it has not begun
                continue
            if isinstance(part, h5py.Dataset) and is_stack(part):
                parts.append((Path(part.file.filename), part.name, int(part.shape[0]), _bytes(part)))
    if not parts:
        return []
    frames, size = sum(part[2] for part in parts), sum(part[3] for part in parts)
    files = (master, *(part[0] for part in parts))
    places = [place / f"{stem}.fio" for place in (master.parent, *master.parents[1:4])]
    log = next((place for place in places if place.is_file()), None)
    state: State = "growing"
    if log is not None:
        files = (*files, log)
        state = _state_by_log(log, frames)
    if any(map(is_written, set(files))):
        state = "growing"
    last = parts[-1]
    return [ScanFile(folder, state, frames, None, size, "", (last[0], last[1]), tuple(dict.fromkeys(files)))]


def _state_by_log(log: Path, frames: int) -> State:
    record = read_fio(log)
    points = len(next(iter(record.columns.values()), ()))
    match = LINE.match(record.command)
    commanded = None if match is None else int(match[2]) + 1
    if points == commanded and frames >= points:
        return "still"
    return "growing" if commanded is not None else "still"


BLISS = Layout(re.compile(r".+\.(h5|hdf5|nx|nxs)", re.I), look_at_bliss, re.compile(r"scan\d+", re.I))
NEXUS = Layout(re.compile(r".+\.(nxs|nx5)", re.I), OneScan(("end_time",)))
LAYOUTS: dict[str, Layout] = {
    "id01": BLISS,
    "id27": BLISS,
    "p10": Layout(re.compile(r".+_\d+_master\.h5"), look_at_p10),
    "nanomax": Layout(re.compile(r"\d{4,}\.(h5|hdf5)"), OneScan(("snapshots/post_scan",))),
    "sixs": Layout(re.compile(r".+\.nxs", re.I), OneScan()),
    "cristal": Layout(re.compile(r".+\.nxs", re.I), OneScan()),
    "28idb": Layout(re.compile(r".+_S\d+_\d+\.h5"), OneScan()),
    "20ide": Layout(re.compile(r".+_\d+\.\w+\.h5"), OneScan()),
    "i16": NEXUS,
    "nexus": NEXUS,
}
"""Beamlines whose scans are files; those of the others are folders of frames, or stand in a SPEC file."""
