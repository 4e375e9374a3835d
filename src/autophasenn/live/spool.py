"""Frames of a detector stream on disk, one file a frame as it comes, so that a kill loses none that was received.

A scan that is received is a folder of TIFF frames. A beamline's reader takes it as it is; without one it becomes a single
``.npz`` file when it has ended, frames that never came unmeasured.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.files.frames import find_frames, frame_number, read_image
from autophasenn.files.writing import write_atomically

logger = logging.getLogger(__name__)

OPEN = ".scan.json"
"""Lies in the folder of a scan while its frames come."""


@dataclass
class _Scan:
    """A scan that is received."""

    name: str
    folder: Path
    first: int
    expected: int | None
    series: int | None
    last: int
    changed: float

    def save(self) -> None:
        """For whoever goes on with it after a kill."""
        facts = {"name": self.name, "first": self.first, "expected": self.expected, "series": self.series}
        with write_atomically(self.folder / OPEN) as temporary:
            temporary.write_text(json.dumps(facts), encoding="utf-8")


class Spool:
    """Where the frames of one detector stream go; may be used from any thread of one process.

    Parameters
    ----------
    folder : Path
    pack : bool
        Whether a scan that has ended becomes one file.
    abandon : float
        Seconds without a frame after which a scan has ended, where nothing else says so.
    """

    def __init__(self, folder: Path, pack: bool, abandon: float) -> None:
        self.folder, self._pack, self._abandon = folder, pack, abandon
        self._turn = threading.RLock()
        self._scans: dict[str, _Scan] = {}
        self._unkept: list[_Scan] = []
        for packed in folder.glob("*.npz"):  # a kill came between its last byte and the removal of its frames
            shutil.rmtree(packed.with_suffix(""), ignore_errors=True)
        for marker in sorted(folder.glob(f"*/{OPEN}"), key=lambda path: path.stat().st_mtime):
            facts = json.loads(marker.read_text(encoding="utf-8"))
            numbers = [frame_number(path) or 0 for path in marker.parent.glob("[!.]*.tif")]
            last = facts["first"] + max(numbers, default=-1)
            scan = _Scan(folder=marker.parent, **facts, last=last, changed=time.monotonic())
            if scan.name in self._scans:  # it had ended, and could not be packed
                self._unkept.append(self._scans[scan.name])
            self._scans[scan.name] = scan

    @property
    def receiving(self) -> list[str]:
        """Names of the scans that have not ended."""
        return list(self._scans)

    def named_series(self) -> dict[int, str]:
        """Series that have not ended, and the names of their scans."""
        return {scan.series: name for name, scan in self._scans.items() if scan.series is not None}

    def last(self, name: str) -> int | None:
        """Number of the last frame of a scan that has not ended; None where there is none."""
        scan = self._scans.get(safe_name(name))
        return None if scan is None else scan.last

    def begin(self, name: str, first: int, expected: int | None, series: int | None = None) -> None:
        """Begin a scan, unless it has begun; one of another series that has its name has ended.

        Parameters
        ----------
        name : str
            What it is called; a scan that has ended under this name keeps it, and this one gets a number behind.
        first : int
            Number of its first frame.
        expected : int, optional
            How many frames it will have.
        series : int, optional
            By which its frames are known.
        """
        key = safe_name(name)
        with self._turn:
            if key in self._scans and self._scans[key].series == series:
                return
            self.end(key)
            folder, count = self.folder / key, 1
            while folder.exists() or folder.with_name(f"{folder.name}.npz").exists():
                count += 1
                folder = self.folder / f"{key}-{count}"
            folder.mkdir(parents=True)
            self._scans[key] = scan = _Scan(key, folder, first, expected, series, first - 1, time.monotonic())
            scan.save()
            logger.info("%s: begins%s", folder.name, "" if expected is None else f", {expected} frames are expected")

    def frame(self, name: str, number: int, image: Shaped[np.ndarray, "rows columns"]) -> None:
        """Keep a frame of a scan that has begun; the last one that was expected ends it.

        Raises
        ------
        OSError
            If it cannot be written, as when the disk is full.
        """
        import tifffile

        with self._turn:
            scan = self._scans[safe_name(name)]
            index = number - scan.first
            if index < 0:
                return
            path = scan.folder / f"{scan.folder.name}_{index:05d}.tif"
            temporary = path.with_name(f".{path.name}")
            try:
                tifffile.imwrite(temporary, image, photometric="minisblack")
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            scan.last, scan.changed = max(scan.last, number), time.monotonic()
            if scan.expected is not None and index + 1 >= scan.expected:
                self.end(name)

    def end(self, name: str) -> None:
        """A scan has all the frames that it will have."""
        with self._turn:
            scan = self._scans.pop(safe_name(name), None)
            if scan is not None:
                self._close(scan)

    def tidy(self) -> None:
        """End the scans that got no frame for long."""
        with self._turn:
            for name, scan in list(self._scans.items()):
                if time.monotonic() - scan.changed > self._abandon:
                    self.end(name)
            again, self._unkept = self._unkept, []
            for scan in again:
                if time.monotonic() - scan.changed > self._abandon:
                    self._close(scan)
                else:
                    self._unkept.append(scan)

    def _close(self, scan: _Scan) -> None:
        """Make of its frames what a reader takes; where that fails, they stay, and `tidy` tries again."""
        packed = scan.folder.with_name(f"{scan.folder.name}.npz")
        try:
            frames = find_frames(scan.folder) if any(scan.folder.glob("[!.]*.tif")) else []
            due = scan.expected or scan.last - scan.first + 1
            lost = "" if len(frames) >= due else f" of {due}; what did not come is taken as unmeasured"
            logger.info("%s: ended with %d frames%s", scan.folder.name, len(frames), lost)
            if frames and self._pack and not packed.exists():
                _pack(frames, max(due, 1), packed)
            (scan.folder / OPEN).unlink(missing_ok=True)  # from here on nobody packs what is left of it
            if self._pack or not frames:
                shutil.rmtree(scan.folder)
        except (OSError, AutoPhaseNNError) as error:
            logger.error("%s: its frames stay in %s for now: %s", scan.folder.name, scan.folder, error)
            scan.changed = time.monotonic()
            self._unkept.append(scan)


def safe_name(name: str) -> str:
    """A name that a folder can have, whatever a detector calls its scan."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "scan"


def _pack(frames: list[Path], number: int, path: Path) -> None:
    """Write frames into one file, one after the other, so that no more than one is in memory."""
    first = next((image for image in map(_read, frames) if image is not None), None)
    if first is None:
        raise InputError(f"None of the {len(frames)} frames can be read.")
    index_of = {frame_number(frame): frame for frame in frames}
    shape = (number, *first.shape)

    def header(dtype: np.dtype[np.generic]) -> dict[str, object]:
        return {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}

    measured = np.zeros(number, bool)
    with write_atomically(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("counts.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_2_0(file, header(first.dtype))
            for index in range(number):
                frame = index_of.get(index)
                image = None if frame is None else _read(frame, first)
                measured[index] = image is not None
                file.write((np.zeros_like(first) if image is None else image).tobytes())
        if not measured.all():
            with archive.open("mask.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_2_0(file, header(measured.dtype))
                for is_there in measured:
                    file.write(np.full(first.shape, is_there).tobytes())
    newest = max(frame.stat().st_mtime for frame in frames)
    os.utime(path, (newest, newest))  # the scan is as old as its last frame


def _read(path: Path, like: np.ndarray | None = None) -> np.ndarray | None:
    """A frame; None where it cannot be read, or is not like the first."""
    try:
        image = read_image(path, "frame")
    except (OSError, InputError):
        return None
    return image if like is None or (image.shape, image.dtype) == (like.shape, like.dtype) else None
