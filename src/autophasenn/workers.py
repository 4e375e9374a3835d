"""Blocks of a dataset computed here, by processes of this machine, or by a facility's cluster; and its client."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import TYPE_CHECKING, Any

from autophasenn.errors import InputError, PlanError, install

if TYPE_CHECKING:
    from distributed import Client, Future

Task = Callable[[range], bytes]
AHEAD = 2
"""Blocks handed out for every process: one that it computes, one that waits."""
PATIENCE = "30s"
"""How long a scheduler may take to answer."""


def computed(
    task: Task, blocks: Sequence[range], workers: int, scheduler: str | None, versions: Mapping[str, str]
) -> Iterator[tuple[range, bytes]]:
    """Every block with its content, in the order in which they become ready.

    Parameters
    ----------
    task : callable
        Makes one block; can be pickled.
    blocks : sequence of range
    workers : int
        Processes on this machine; 1: this one.
    scheduler : str, optional
        Address of a Dask scheduler that takes the work instead.
    versions : mapping
        Of the packages that must be the same everywhere.

    Raises
    ------
    PlanError
        If Dask is needed and not installed, or the number of workers is below 1.
    InputError
        If the scheduler does not answer or is lost, or it or its workers have other versions.
    """
    if workers < 1:
        raise PlanError(f"{workers} workers can do no work; give 1 or more.")
    if workers == 1 and scheduler is None:
        for block in blocks:
            yield block, task(block)
        return
    if not blocks:
        return
    with _client(min(workers, len(blocks)), scheduler) as client:
        if scheduler is not None:
            _check_versions(client, versions)
        yield from _gathered(client, task, blocks)


@contextmanager
def cluster(scheduler: str, versions: Mapping[str, str]) -> Iterator[Client]:
    """A client of a facility's Dask scheduler.

    Parameters
    ----------
    scheduler : str
        Its address.
    versions : mapping
        Of the packages that must be the same there.

    Raises
    ------
    PlanError
        If Dask is not installed.
    InputError
        If the scheduler does not answer, or it or its workers have other versions.
    """
    with _client(1, scheduler) as client:
        _check_versions(client, versions)
        yield client


def _check_versions(client: Client, versions: Mapping[str, str]) -> None:
    """Other versions could make other samples. Of workers that come later nothing is known yet."""
    for name, here in versions.items():
        try:
            there = client.run(version, name) | {"The scheduler": client.run_on_scheduler(version, name)}
        except PackageNotFoundError as error:
            raise InputError(f"The scheduler or its workers lack {name}; install {name} {here} there.") from error
        for address, found in there.items():
            if found != here:
                raise InputError(f"{address} has {name} {found}, and here is {here}; install the same there.")


def _gathered(client: Client, task: Task, blocks: Sequence[range]) -> Iterator[tuple[range, bytes]]:
    """Only as many blocks are out as keep the processes busy, so that memory stays bounded."""
    from distributed import as_completed

    waiting, ready = iter(blocks), as_completed()
    block_of: dict[Future[bytes], range] = {}

    def hand_out() -> None:
        processes = sum(client.nthreads().values())
        for block in islice(waiting, max(0, AHEAD * max(1, processes) - len(block_of))):
            future = client.submit(task, block, pure=False)
            block_of[future] = block
            ready.add(future)

    hand_out()
    for future in ready:
        block = block_of.pop(future)
        try:
            content = future.result()
        except CancelledError as error:
            raise InputError("The Dask scheduler was lost; start it again.") from error
        future.release()
        hand_out()
        yield block, content


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise PlanError(f"Many processes need Dask: {install('cluster')}, or leave the option out.") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what concerns the user is raised
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise InputError(
                f"No Dask scheduler answers at {scheduler!r} ({error}); give its address, such as tcp://host:8786."
            ) from error
        with client:
            yield client
        return
    with (
        # Dask would have workers hand freed memory back at once, which takes as long as the computing.
        dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1}}),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        client.run(_leave_ctrl_c_to_the_parent)
        yield client


def _leave_ctrl_c_to_the_parent() -> None:
    """A terminal sends it to every process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
