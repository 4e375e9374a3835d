"""Where tensors live and are computed: asked for by name, in words, and out of memory."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np  # noqa: F401 - before torch, which imports it from C and drops a Ctrl-C that comes meanwhile
import torch

from autophasenn.errors import PlanError
from autophasenn.machine import physical_cores, processor

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
MOST_THREADS = 4096
SHORTAGES = ("can't allocate memory", "ALLOC_FAILED", "bad_alloc", "could not create a primitive")
"""What an error says where memory ran out that is no error of a kind of its own: of the CPU, NVIDIA and oneDNN."""


def device_of(name: str) -> torch.device:
    """The device of a name, as "cpu", "cuda" or "cuda:1".

    Raises
    ------
    PlanError
        If it is not there.
    """
    try:
        device = torch.device(name)
        torch.ones(1, device=device).sum().item()  # "meta" keeps tensors, and no numbers
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, AttributeError) as error:
        raise PlanError(f"The device {name!r} is not there; use --device cpu, or one torch offers.") from error
    return device


def is_shortage(error: BaseException) -> bool:
    """Does an error say that memory ran out? That of a CPU is a RuntimeError like others."""
    said = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in said for words in SHORTAGES)


def use_threads(number: int | None) -> None:
    """Let torch compute with `number` CPU threads, at least 1; None leaves its own choice, all cores.

    Raises
    ------
    PlanError
        If it is more than any machine has.
    """
    if number is not None:
        if number > MOST_THREADS:
            raise PlanError(
                f"{number} CPU threads are more than any machine has; give as many as it has cores, or none."
            )
        torch.set_num_threads(number)


def side_by_side(function: Callable[[Item], Outcome], items: Sequence[Item], device: torch.device) -> Iterator[Outcome]:
    """What a function gives for each item, in their order; on a CPU several at once, with one thread each.

    Two threads of one operation on a small volume wait for each other more than they gain; two operations do not.

    Parameters
    ----------
    function : callable
        May run in any thread, several times at once.
    items : sequence
    device : torch.device
        That the function computes on; on a GPU one item comes after the other.

    Yields
    ------
    What the function returned, as soon as it and all before are there.
    """
    threads = torch.get_num_threads()
    together = min(threads, len(items))
    if device.type != "cpu" or together < 2:
        yield from map(function, items)
        return
    torch.set_num_threads(1)  # of the threads that are yet to come; that of a thread of OpenMP's is its own
    pool = ThreadPoolExecutor(together, thread_name_prefix="autophasenn")
    try:
        tasks = [pool.submit(contextvars.copy_context().run, function, item) for item in items]
        for task in tasks:
            yield task.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def hardware(device: torch.device) -> str:
    """Name of a GPU; or name, cores and threads in use of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {physical_cores()} cores, {torch.get_num_threads()} threads"
