"""Blocks of a dataset computed here, by processes of this machine, or by a facility's cluster."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from autophasenn.errors import InputError, PlanError

if TYPE_CHECKING:
    from distributed import Client, Future

Task = Callable[[range], bytes]
AHEAD = 2
"""Blocks handed out for every process: one that it computes, one that waits."""
PATIENCE = "30s"
"""How long a scheduler may take to answer."""


def computed(task: Task, blocks: Sequence[range], workers: int, scheduler: str | None) -> Iterator[tuple[range, bytes]]:
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

    Raises
    ------
    PlanError
        If Dask is needed and not installed, or the number of workers is below 1.
    InputError
        If the scheduler does not answer, or its workers lack this package.
    """
    if workers < 1:
        raise PlanError(f"{workers} workers can do no work; give 1 or more.")
    if workers == 1 and scheduler is None:
        for block in blocks:
            yield block, task(block)
        return
    with _client(min(workers, len(blocks)), scheduler) as client:
        yield from _gathered(client, task, blocks)


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
        except ModuleNotFoundError as error:
            raise InputError(
                f"The workers of the scheduler lack {error.name}; install there what is installed here."
            ) from error
        future.release()
        hand_out()
        yield block, content


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise PlanError(
            "Many processes need Dask: pip install 'autophasenn[cluster]', or leave the option out."
        ) from error
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
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        client.run(_leave_ctrl_c_to_the_parent)
        yield client


def _leave_ctrl_c_to_the_parent() -> None:
    """A terminal sends it to every process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
