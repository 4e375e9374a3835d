"""Which scans and patterns lie in a folder."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tifffile

from autophasenn.beamlines import beamline as known_beamline
from autophasenn.beamlines.watched import LAYOUTS, Layout
from autophasenn.errors import InputError
from autophasenn.files.boundary import reading
from autophasenn.files.frames import TIFF_SUFFIXES
from autophasenn.files.readers import HDF5_SUFFIXES, READERS

DEPTH = 4
"""Folders below the one that is asked for in which scans and files are looked for."""
MOST = 500
"""Scans that are listed."""
IMAGES = (".tif", ".tiff", ".edf", ".edf.gz", ".cbf", ".npz")
LEAST_IMAGES = 4
"""Images in a folder that may be the frames of a scan."""


@dataclass(frozen=True)
class Listed:
    """A scan or a file.

    Parameters
    ----------
    input : str
        What its reader is given.
    name : str
        Relative to the folder.
    about : str
        Its frames or its size.
    scan : int, optional
        Its number, where the file holds several.
    """

    input: str
    name: str
    about: str
    scan: int | None = None


def patterns_in(folder: Path, skip: Path | None = None) -> list[Listed]:
    """Files in a folder and below that may hold a pattern, by name; a folder of single frames is one scan, of a beamline.

    Parameters
    ----------
    folder : Path
    skip : Path, optional
        Folder that is passed over, as that of results.

    Raises
    ------
    InputError
        If the folder cannot be listed.
    """
    files = Layout(re.compile(rf".+({'|'.join(map(re.escape, {*READERS, *HDF5_SUFFIXES}))})", re.I), lambda *_: [])
    found = (path for path in _below(folder, files, skip) if path.is_file())
    return list(itertools.islice(_without_frames(found, folder), MOST))


def _without_frames(found: Iterable[Path], root: Path) -> Iterator[Listed]:
    for parent, paths in itertools.groupby(found, key=lambda path: path.parent):
        files = list(paths)
        frames = [path for path in files if path.suffix.lower() in TIFF_SUFFIXES]
        if parent != root and len(frames) >= LEAST_IMAGES and _is_one_frame(frames[0]) and _is_one_frame(frames[-1]):
            about = f"{len(frames)} frames of a scan: say whose it is"
            yield Listed(str(parent), parent.relative_to(root).as_posix(), about)
            files = [path for path in files if path not in frames]
        yield from (Listed(str(path), path.relative_to(root).as_posix(), _size(path)) for path in files)


def _is_one_frame(path: Path) -> bool:
    """Whether a TIFF file is a single image, and no stack; of one that cannot be read nobody knows."""
    try:
        with reading(path, "a TIFF file"), tifffile.TiffFile(path) as file:
            return len(file.series) == 1 and len(file.series[0].shape) == 2
    except InputError:
        return False


def scans_in(folder: Path, beamline: str, skip: Path | None = None) -> list[Listed]:
    """Scans of a beamline in a folder and below.

    Parameters
    ----------
    folder : Path
    beamline : str
        A name of `autophasenn beamlines`.
    skip : Path, optional
        As `patterns_in`.

    Raises
    ------
    InputError
        If the beamline is not known, or the folder cannot be listed.
    """
    layout = LAYOUTS.get(known_beamline(beamline).name)
    found: dict[tuple[str, int | None], Listed] = {}
    for path in _below(folder, layout, skip):
        for each in _frame_folders(path, folder) if layout is None else _in_file(path, folder, layout):
            found.setdefault((each.input, each.scan), each)
            if len(found) >= MOST:
                return list(found.values())
    return list(found.values())


def _below(folder: Path, layout: Layout | None, skip: Path | None, depth: int = 0) -> Iterator[Path]:
    """Folders (for scans that are folders of frames), or files that a layout names; those of a folder before those below."""
    if layout is None:
        yield folder
    try:
        entries = _entries(folder)
    except InputError:
        if depth == 0:
            raise
        return
    folders = [path for path in entries if path.is_dir()]
    if layout is not None:
        yield from (path for path in entries if layout.names.fullmatch(path.name) and path not in folders)
    for path in folders:
        if depth < DEPTH and path != skip and not (layout and layout.passed_over.fullmatch(path.name)):
            yield from _below(path, layout, skip, depth + 1)


def _entries(folder: Path) -> list[Path]:
    with reading(folder), os.scandir(folder) as listed:
        return sorted(folder / entry.name for entry in listed if not entry.name.startswith("."))


def _frame_folders(path: Path, root: Path) -> Iterator[Listed]:
    with reading(path), os.scandir(path) as listed:
        images = sum(entry.name.lower().endswith(IMAGES) for entry in listed)
    if images >= LEAST_IMAGES and path != root:
        yield Listed(str(path), path.relative_to(root).as_posix(), f"{images} images")


def _in_file(path: Path, root: Path, layout: Layout) -> Iterator[Listed]:
    name = path.relative_to(root).as_posix()
    try:
        with reading(path):
            found = layout.look(path, None)
    except InputError as error:
        yield Listed(str(path), name, str(error))
        return
    for each in found:
        number = "" if each.scan is None else f" #{each.scan}"
        state = "" if each.state != "growing" else ", still written"
        yield Listed(str(each.path), name + number, f"{each.frames} frames{state}", each.scan)


def _size(path: Path) -> str:
    try:
        return f"{path.stat().st_size / 1e6:.3g} MB"
    except OSError:
        return "gone"
