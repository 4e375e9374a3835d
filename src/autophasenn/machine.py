"""What this machine is, and what a process does on it: cores, memory, and when to stop. Asked before torch is imported."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from autophasenn.errors import InputError

BYTES_PER_VOXEL = 12
"""Of counts while they are read and corrected."""
PROGRAM = "from autophasenn.cli import main; main()"
"""The command line, as ``python -P -c`` runs it in a process of its own; its words follow. ``-P``: no module of the user's
folder takes the place of Python's."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed volumes of up to 32 MiB for the next ones; False where the system has another library.

    A new volume otherwise comes from the system page by page, at each first touch, which costs a transform of 64^3 a tenth
    to a third of its time (docs/notebook/performance.md). What the user has set in the environment stays.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    library = ctypes.CDLL(None)
    m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h; 32 MiB is the most that glibc takes for the second
    return bool(library.mallopt(m_mmap_threshold, 2**25)) and bool(library.mallopt(m_trim_threshold, 2**28))


def give_back_freed_memory() -> bool:
    """Give the system back what glibc keeps of freed memory; False where it has another library, or nothing was kept.

    Between two stages that need other volumes: what is left of the first would be added to the peak of the second.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).malloc_trim(0))


def check_room(voxels: int, name: str) -> None:
    """Refuse counts that this machine's memory cannot hold, before they are read.

    Parameters
    ----------
    voxels : int
    name : str
        Of the file or folder.

    Raises
    ------
    InputError
        With what it takes and what is free.
    """
    needed, free = voxels * BYTES_PER_VOXEL, psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"{name} holds {voxels:.3g} voxels, which take {needed / 2**30:.0f} GiB of memory, and {free / 2**30:.1f} GiB "
            "are free; cut the scan around its peak, or take a larger machine."
        )


def peak_memory() -> int | None:
    """Largest resident memory of this process so far, bytes; None where the system does not tell."""
    with suppress(OSError):  # what `resource` tells on Linux begins with that of the process which began this one
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return getattr(psutil.Process().memory_info(), "peak_wset", None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def physical_cores() -> int | None:
    """Cores, those of hyper-threading not counted; None where the system does not say."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count()


def seconds_since_start() -> float:
    """How long this process has lived: since the command was entered, nearly."""
    return time.time() - psutil.Process().create_time()


class Stop:
    """Asks for a stop once its time is over, or Ctrl-C or SIGTERM came in its `with` block; a second Ctrl-C interrupts.

    Parameters
    ----------
    minutes : float, optional
        None: only signals ask.

    Attributes
    ----------
    signal : int or None
        The signal that asked.
    pipe : Connection
        Readable from the first signal on, so that a loop that waits for something else wakes.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._deadline = None if minutes is None else time.monotonic() + 60 * minutes
        self._former: dict[int, Any] = {}
        self.signal: int | None = None
        self.pipe, self._waker = Pipe(duplex=False)

    def is_asked(self) -> bool:
        """Is it time to stop?"""
        return self.signal is not None or (self._deadline is not None and time.monotonic() > self._deadline)

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self.pipe.close()
        self._waker.close()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            self._waker.send(None)
        self.signal = number
