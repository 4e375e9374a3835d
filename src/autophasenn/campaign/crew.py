"""Who reconstructs the scans of a campaign: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import psutil

from autophasenn.campaign.work import Doing, Settings, Task, work
from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.live.crew import Limits, Worker
from autophasenn.live.work import Outcome
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import FILES, Source
from autophasenn.workers import cluster

if TYPE_CHECKING:
    from distributed import Client, Future

MEMORY_SHARE = 0.9
"""Of the machine's memory that all processes together may hold."""


@runtime_checkable
class Crewman(Protocol):
    """Whoever has one scan at a time."""

    task: Task | None
    connection: Connection
    """Can be read when `answer` has something new to say."""

    @property
    def is_free(self) -> bool:
        """Can it take a task?"""

    def give(self, task: Task) -> None:
        """Begin a task."""

    def answer(self) -> Outcome | None:
        """What became of its task, once that is known."""

    def end(self) -> None:
        """Stop, whatever it is at."""


Crew = Sequence[Crewman]


@contextmanager
def processes(settings: Settings, number: int) -> Iterator[Crew]:
    """So many processes of this machine; where the device is ``cuda``, they have its GPUs in turn."""
    memory = int(MEMORY_SHARE * psutil.virtual_memory().total / max(number, 1))
    limits = Limits(math.inf, memory, "take fewer --workers, or bin the scan")
    devices = devices_of(settings.run, number)
    yield [
        Worker[Task](f"worker {i}", replace(settings, run=replace(settings.run, device=device)), limits, target=work)
        for i, device in enumerate(devices, 1)
    ]


def devices_of(run: Run, workers: int, gpus: int | None = None) -> list[str]:
    """The device of each worker: in turn the GPUs of this machine (`gpus` of them, else counted) where it is ``cuda``."""
    if run.device != "cuda":
        return [run.device] * workers
    if gpus is None:
        import torch

        gpus = torch.cuda.device_count()
    return [f"cuda:{i % max(gpus, 1)}" for i in range(workers)]


@contextmanager
def cluster_of(scheduler: str, settings: Settings, scans: int) -> Iterator[Crew]:
    """All that a Dask cluster has: every scan is handed out at once, and its scheduler keeps what waits.

    Raises
    ------
    PlanError
        If Dask is not installed.
    InputError
        If no scheduler answers at this address, or this package has another version there.
    """
    weights = settings.run.weights
    everywhere = replace(settings, run=replace(settings.run, weights=None if weights is None else weights.resolve()))
    with cluster(scheduler, {"autophasenn": version("autophasenn")}) as client:
        yield [_OfCluster(client, everywhere) for _ in range(scans)]


class _OfCluster:
    """One scan that a cluster works on. Workers see the files of this machine under the same names."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self._future: Future[Outcome] | None = None
        self.task: Task | None = None
        self.connection, self._bell = Pipe(duplex=False)

    @property
    def is_free(self) -> bool:
        return self.task is None

    def give(self, task: Task) -> None:
        self.task = task
        there = replace(
            task, source=absolute(task.source), output=task.output.resolve(), picture=task.picture.resolve()
        )
        self._future = self._client.submit(work_on, self._settings, there, pure=False)
        self._future.add_done_callback(self._ring)

    def _ring(self, _: object) -> None:
        with suppress(OSError):  # nobody waits any more
            self._bell.send(None)

    def answer(self) -> Outcome | None:
        while self.connection.poll():
            self.connection.recv()
        future, task = self._future, self.task
        if future is None or task is None or not future.done():
            return None
        self._future = self.task = None
        try:
            return future.result()
        except AutoPhaseNNError:  # no work can be done there: no weights, no such device
            raise
        except CancelledError as error:
            raise InputError("The Dask scheduler was lost; start it again, and repeat the command.") from error
        except Exception as error:
            return Outcome(f"It was given up: the cluster could not work on it ({type(error).__name__}: {error}).")
        finally:
            future.release()

    def end(self) -> None:
        if self._future is not None:
            with suppress(Exception):  # the scheduler may be gone
                self._future.cancel()
        self.connection.close()
        self._bell.close()


_LOADED: list[tuple[Settings, Doing]] = []
_TURN = threading.Lock()


def work_on(settings: Settings, task: Task) -> Outcome:
    """One scan, in a process of a cluster, which keeps the network for the next one."""
    with _TURN:
        if not _LOADED or _LOADED[0][0] != settings:
            _LOADED[:] = [(settings, Doing(settings))]
        doing = _LOADED[0][1]
    return doing.outcome(task)


def absolute(source: Source) -> Source:
    """The same files by names that hold in any folder."""
    here = Path.cwd()
    files = {name: here / path for name in FILES if (path := getattr(source, name)) is not None}
    return replace(source, input=None if source.input is None else str(here / source.input), **files)
