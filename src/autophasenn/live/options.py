"""What the watcher may be told; the only place of these defaults."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from autophasenn.beamlines import expected_frames
from autophasenn.beamlines.watched import LAYOUTS, Layout
from autophasenn.beamlines.watched_spec import LAYOUTS as SPEC_LAYOUTS
from autophasenn.beamlines.watched_spec import SpecScans
from autophasenn.errors import InputError, PlanError
from autophasenn.inversion.learning import Learning
from autophasenn.live.crew import Limits
from autophasenn.live.peeking import Peeker
from autophasenn.live.scan_files import ScanFiles
from autophasenn.live.settings import Settings
from autophasenn.live.sightings import Files, FrameFolders, Place

MEMORY_SHARE = 0.4
"""Of the machine's memory that a working process may hold; there are two."""
LONGEST = 86_400
"""Seconds between two looks."""
SCANS = "scans/"
"""Begins the keys of the scans in the watched folder."""
NO_FILES = re.compile(r"(?!)")
SPOOL = "frames"
"""Folder in the results folder where frames of detector streams are kept."""


@dataclass(frozen=True)
class Watch:
    """What is watched, and how.

    Parameters
    ----------
    folder : Path, optional
        Holds scans; None: only detector streams bring them.
    results : Path
        Everything that is written goes there.
    settings : Settings
        How scans are reconstructed.
    poll : float
        Seconds between two looks.
    settle : float
        Seconds without growth after which a file is complete.
    abandon : float
        Seconds without a new frame after which no more are awaited, where the beamline does not tell how many there are;
        also how long an empty file may be written to.
    once : bool
        Leave when everything that is there is done.
    retry : bool
        Try the scans that failed once more.
    notify : bool
        Let the system tell of changes; works in folders of this machine only.
    largest : float
        GiB of the largest scan that is taken.
    time_limit : float
        Seconds for one image of a scan.
    memory_limit : float, optional
        GiB for each of the two processes that make them; None: `MEMORY_SHARE` of what the machine has.
    advised : callable
        Says a sentence in the words of whoever reads it: with options that the watcher has.
    streams : tuple of str
        Detector streams that bring scans too (pva, zmq).
    learning : Learning, optional
        How the network learns on from the scans; None: it does not.

    Raises
    ------
    PlanError
        If a value is outside its range, or options do not go together.
    """

    folder: Path | None
    results: Path
    settings: Settings
    poll: float = 0.5
    settle: float = 2.0
    abandon: float = 60.0
    once: bool = False
    retry: bool = False
    notify: bool = False
    largest: float = 8.0
    time_limit: float = 900.0
    memory_limit: float | None = None
    advised: Callable[[str], str] = str
    streams: tuple[str, ...] = ()
    learning: Learning | None = None

    def __post_init__(self) -> None:
        for name in ("poll", "largest", "time_limit", "memory_limit"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise PlanError(f"--{name.replace('_', '-')} is {value:g}; it must be above 0.")
        if self.poll > LONGEST:
            raise PlanError(
                f"--poll is {self.poll:g}; the watcher looks at least once a day: give {LONGEST} s or less."
            )
        for name in ("settle", "abandon"):
            if not getattr(self, name) >= 0:
                raise PlanError(f"--{name} is {getattr(self, name):g}; it must be 0 or more.")
        if self.notify and self.folder is None:
            raise PlanError("--notify is of changes in a folder, and only detector streams are watched; leave it out.")
        if self.folder is None and not self.streams:
            raise PlanError("There is nothing to watch; give a folder, or a detector stream (--pva, --zmq).")
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"There is no folder {self.folder} to watch; give the folder in which scans turn up.")
        if self.folder is not None and self.folder.resolve() == self.results.resolve():
            raise PlanError(f"{self.results} is watched and cannot hold the results too; give another -o.")

    def spool(self, stream: str) -> Path:
        """Where the frames of a detector stream are kept."""
        return self.results / SPOOL / stream

    @property
    def packs_streams(self) -> bool:
        """Does a scan of a stream become one file, since no beamline's reader takes it as a folder of frames?"""
        beamline = self.settings.source.beamline
        return beamline is None or beamline.lower() in {*LAYOUTS, *SPEC_LAYOUTS}

    def limits(self) -> Limits:
        """What one scan may take."""
        if self.memory_limit is not None:
            return Limits(self.time_limit, _bytes(self.memory_limit))
        return Limits(self.time_limit, int(MEMORY_SHARE * psutil.virtual_memory().total))

    @property
    def largest_bytes(self) -> int:
        """Of a scan that is taken."""
        return _bytes(self.largest)

    def is_of_beamline(self, key: str, source: Path) -> bool:
        """Is a scan read by the beamline's reader? What a stream wrote is a file of this package, unless it is a folder."""
        return self.settings.source.beamline is not None and (key.startswith(SCANS) or source.is_dir())

    def places(self, peeker: Peeker) -> list[Place]:
        """Where scans turn up; `peeker` looks into files that hold several."""
        source, places = self.settings.source, list[Place]()
        if self.folder is not None and source.beamline is None:
            places.append(Files(self.folder, SCANS, self.settle, self.abandon, self.settings.dataset))
        if self.folder is not None and source.beamline is not None:
            places.append(self._place_of(source.beamline.lower(), self.folder, peeker))
        for stream in self.streams:
            # A folder that becomes a file is never complete: what receives it makes that in one step.
            abandon = math.inf if self.packs_streams else self.abandon
            places.append(FrameFolders(self.spool(stream), f"{stream}/", self._expected, self.settle, abandon))
            places.append(Files(self.spool(stream), f"{stream}/", 0.0, 0.0, with_suffix=False))
        return places

    def _place_of(self, beamline: str, folder: Path, peeker: Peeker) -> Place:
        """Where the scans of a beamline turn up: files, or folders of frames."""
        source, results = self.settings.source, self.results.resolve()
        layout, log = LAYOUTS.get(beamline), None
        if beamline in SPEC_LAYOUTS and source.spec is not None:
            layout, log = Layout(NO_FILES, SpecScans(folder, SPEC_LAYOUTS[beamline])), source.spec
        if layout is None:
            return FrameFolders(folder, SCANS, self._expected, self.settle, self.abandon)
        detector = source.instrument.detector
        return ScanFiles(folder, SCANS, layout, peeker, self.settle, self.abandon, detector, results, log)

    def _expected(self, folder: Path) -> int | None:
        source = self.settings.source
        if source.beamline is None:
            return None
        return expected_frames(source.beamline, folder, spec=source.spec)


def _bytes(gibibytes: float) -> int:
    """As whole bytes; of infinitely many, more than there are."""
    return int(min(gibibytes * 2**30, sys.maxsize))
