"""Scans that a SPEC file records while it is written, with EDF frames in a watched folder or one below it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autophasenn.beamlines.edf_folders import SUFFIXES, SpecLayout
from autophasenn.beamlines.id01 import BM02_SPEC, ID01_SPEC
from autophasenn.beamlines.watched import ScanFile, State
from autophasenn.errors import InputError
from autophasenn.files.spec_text import legible

LAYOUTS = {"id01": ID01_SPEC, "bm02": BM02_SPEC}
"""Beamlines that record scans so; ID01 did before 2021."""


@dataclass(frozen=True)
class SpecScans:
    """How a SPEC file is looked at.

    Parameters
    ----------
    folder : Path
        Of the frames, or above them.
    layout : SpecLayout
        Of the beamline.
    """

    folder: Path
    layout: SpecLayout

    def __call__(self, path: Path, detector: str | None) -> list[ScanFile]:
        """The scans with images of which some are there.

        Raises
        ------
        InputError
            If the SPEC file cannot be read.
        """
        from silx.io.specfile import SfErrFileOpen, SpecFile

        images = _images_below(self.folder)
        found: dict[int, ScanFile] = {}
        with legible(path) as text:
            try:
                file = SpecFile(str(text))
            except SfErrFileOpen as error:
                raise InputError(
                    f"{path} is no SPEC file: it has no #S line that opens a scan. Give the beamline's SPEC file."
                ) from error
            for scan, number in zip(file, file.list(), strict=True):
                counter = next((c for c in self.layout.counters if c in scan.labels), None)
                if counter is None:
                    continue
                data = np.asarray(scan.data)
                row = scan.labels.index(counter)
                numbers = data[row].astype(int).tolist() if data.ndim == 2 and row < len(data) else []
                seen = _scan(path, number, str(scan.scan_header_dict.get("S", "")), numbers, images)
                if seen is not None:
                    found[number] = seen  # of several with one number, the last, as the reader takes it
        return list(found.values())


def _scan(path: Path, number: int, command: str, numbers: list[int], images: dict[int, Path]) -> ScanFile | None:
    there = [images[n] for n in numbers if n in images]
    if not there:
        return None
    words = command.split()
    points = int(words[-2]) + 1 if len(words) > 2 and re.fullmatch(r"\d+", words[-2]) else None
    state: State = "still" if points == len(numbers) == len(there) else "growing"
    size = sum(file.stat().st_size for file in there)
    mark = f"scan {number}, {len(there)} frames, {size} bytes, {numbers[0]} to {numbers[-1]}"
    return ScanFile(there[0].parent, state, len(there), number, size, mark, files=(there[-1],), expected=points)


def _images_below(folder: Path) -> dict[int, Path]:
    """EDF frames by their numbers."""
    images: dict[int, Path] = {}
    for place in (folder, *sorted(below for below in folder.iterdir() if below.is_dir())):
        for path in sorted(place.iterdir()):
            if path.name.lower().endswith(SUFFIXES) and (found := re.findall(r"\d+", path.name.split(".")[0])):
                images.setdefault(int(found[-1]), path)
    return images
