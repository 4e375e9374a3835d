"""How soon a scan is seen, and what a burst of scans takes: a watcher as a process of its own, asked as the page asks it.

python benchmarks/live_speed.py [--scans 200] [--scan FOLDER --spec FILE --dark FILE --white FILE] [-o bench_live.json]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from autophasenn.errors import InputError
from autophasenn.live.ledger import FILE, Ledger, ScanRecord
from autophasenn.live.simulated import frames_of, replay_files
from autophasenn.machine import processor
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.waiting import load_average

SIZES = (24, 32, 40, 48)
"""Edges of the patterns of a burst; from 24 voxels on the network takes them."""
BROKEN = ("empty.npy", "cut.npz", "noise.npy", "flat.npy", "words.npz")
HAS_PAGE = find_spec("trame") is not None
GOALS = {"seconds_to_image": 5.0, "seconds_to_refined": 60.0}


class Watched:
    """A watcher at work, and the most memory that it and all its processes held, looked at every second.

    Parameters
    ----------
    root : Path
        Gets the folders ``data`` and ``results``.
    options : sequence of str
        Of ``autophasenn watch``.
    """

    def __init__(self, root: Path, options: Sequence[str]) -> None:
        self.data, self.results = root / "data", root / "results"
        self.data.mkdir()
        self.peak, self.peak_of_one, self._weighed = 0, 0, 0.0
        page = ("--port", "0") if HAS_PAGE else ("--no-page",)
        words = ["watch", str(self.data), "-o", str(self.results), *page, *options]
        with (root / "log").open("wb") as log:
            program = "from autophasenn.cli import main; main()"
            self.process = subprocess.Popen([sys.executable, "-c", program, *words], stdout=log, stderr=log)
        self.log = root / "log"

    def scans(self) -> list[ScanRecord]:
        """As the page reads them."""
        with Ledger.open(self.results) as ledger:
            return ledger.scans()

    def wait(self, is_reached: Callable[[], bool], seconds: float) -> float:
        """Unix time at which something was reached.

        Raises
        ------
        InputError
            If the watcher ends, or it takes too long.
        """
        until = time.monotonic() + seconds
        while not is_reached():
            if self.process.poll() is not None or time.monotonic() > until:
                raise InputError(f"The watcher did not get there; it said:\n{self.log.read_text()}")
            if time.monotonic() > self._weighed + 1:  # it takes the system a while to tell
                self._weigh()
            time.sleep(0.05)
        return time.time()

    def is_ready(self) -> bool:
        """Are both of its workers waiting for scans, and the page for browsers?"""
        log = self.log.read_text()
        is_page_ready = " ready at " in log or not HAS_PAGE
        return (self.results / FILE).is_file() and log.count(" ready after ") == 2 and is_page_ready

    def memory_of_page(self) -> int | None:
        """Bytes of the process that serves the page; None where what it needs is not installed."""
        for process in self._processes():
            if any(socket.status == psutil.CONN_LISTEN for socket in process.net_connections("inet")):
                return _size(process)
        return None

    def _processes(self) -> list[psutil.Process]:
        watcher = psutil.Process(self.process.pid)
        return [watcher, *watcher.children(recursive=True)]

    def _weigh(self) -> None:
        sizes = list(map(_size, self._processes()))
        self.peak, self.peak_of_one = max(self.peak, sum(sizes)), max(self.peak_of_one, *sizes)
        self._weighed = time.monotonic()


def _size(process: psutil.Process) -> int:
    """Bytes; those that processes share are counted once, where the system tells."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss)
    except psutil.Error:
        return 0  # it has just ended


@contextmanager
def watched(*options: str) -> Iterator[Watched]:
    """A watcher that is ready, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        watch = Watched(Path(folder), options)
        try:
            watch.wait(watch.is_ready, 300.0)
            yield watch
        finally:
            watch.process.send_signal(signal.SIGTERM)
            watch.process.wait()


def latency(scan: Path, spec: Path, dark: Path | None, white: Path | None, rate: float = 100.0) -> dict[str, Any]:
    """Seconds from the last frame of a rocking scan on disk to its first and to its refined image."""
    options = ["--beamline", "34idc", "--spec", str(spec)]
    for name, file in (("--dark", dark), ("--white", white)):
        options += [name, str(file)] if file else []
    with watched(*options) as watch:
        frames = frames_of(scan)
        replay_files(watch.data, scan.name, frames, rate)
        last = time.time()

        def has(*states: str) -> Callable[[], bool]:
            return lambda: any(each.state in states for each in watch.scans())

        seen = watch.wait(has("imaged", "refined", "failed"), 600.0)
        refined = watch.wait(has("refined", "failed"), 1200.0)
        (record,) = watch.scans()
        if record.reason is not None or record.thumbnail is None or not (watch.results / record.thumbnail).is_file():
            raise InputError(f"{scan} was not reconstructed: {record.reason}")
        return {
            "scan": scan.name,
            "frames": len(frames),
            "seconds_to_image": seen - last,
            "seconds_to_refined": refined - last,
            "chi2": record.chi2,
            "peak_bytes": watch.peak,
        }


def burst(number: int, *options: str) -> dict[str, Any]:
    """What becomes of so many scans that are there at once, five of them broken."""
    with watched("--abandon", "5", *options) as watch:
        names = _drop(watch.data, number)
        began = time.time()

        def states() -> Counter[str]:
            return Counter(scan.state for scan in watch.scans())

        imaged = watch.wait(lambda: sum(states()[state] for state in ("imaged", "refined", "failed")) == number, 3600.0)
        done = watch.wait(lambda: sum(states()[state] for state in ("refined", "failed")) == number, 7200.0)
        scans = watch.scans()
        listed = {scan.name for scan in scans}
        return {
            "scans": number,
            "states": dict(states()),
            "lost": sorted(set(names) - listed),
            "without_reason": [scan.name for scan in scans if scan.state == "failed" and not scan.reason],
            "seconds_to_all_images": imaged - began,
            "seconds_to_all_refined": done - began,
            "peak_bytes": watch.peak,
            "peak_bytes_of_one_process": watch.peak_of_one,
            "bytes_of_page": watch.memory_of_page(),
        }


def _drop(folder: Path, number: int) -> list[str]:
    """Write patterns, counted anew from the bundled one, and every way in which a file can be broken once."""
    generator = np.random.default_rng(1)
    stored = np.load(EXAMPLE)
    counts, others = stored["counts"], {name: stored[name] for name in ("reciprocal_steps", "scattering_vector")}
    names = []
    for index in range(number - len(BROKEN)):
        half = SIZES[index % len(SIZES)] // 2
        middle = counts[(slice(32 - half, 32 + half),) * 3]
        pattern = generator.poisson(middle * generator.uniform(0.2, 1)).astype(np.uint32)
        names.append(f"scan_{index:04d}.npz")
        np.savez(folder / names[-1], counts=pattern, **others)
    (folder / "empty.npy").write_bytes(b"")
    (folder / "cut.npz").write_bytes(EXAMPLE.read_bytes()[:40_000])
    np.save(folder / "noise.npy", generator.poisson(3, (32, 32, 32)))
    np.save(folder / "flat.npy", np.ones((32, 32)))
    (folder / "words.npz").write_text("no archive")
    return [*names, *BROKEN]


def main() -> None:
    """Measure, and print or write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=200, help="of a burst; 0: none")
    parser.add_argument("--scan", type=Path, help="folder of a rocking scan of 34-ID-C")
    for name in ("--spec", "--dark", "--white"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    load = load_average()
    found: dict[str, Any] = {"processor": processor(), "cores": os.cpu_count(), "load_average": load, "goals": GOALS}
    if asked.scan is not None:
        found["latency"] = latency(asked.scan, asked.spec, asked.dark, asked.white)
    if asked.scans:
        found["burst"] = burst(asked.scans)
    text = json.dumps(found, indent=2)
    print(text)
    if asked.output is not None:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
