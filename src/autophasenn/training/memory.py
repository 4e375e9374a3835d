"""How large a batch fits into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch
from torch import Tensor

from autophasenn.devices import is_shortage
from autophasenn.errors import InputError
from autophasenn.training.machine import started
from autophasenn.training.objective import Objective
from autophasenn.volumes import PATTERN_VOXELS

MARGIN = 1.3
"""Memory of a step over that of what it keeps for its gradients; the rest passes."""


def check_memory(objective: Objective, batch: int, device: torch.device) -> None:
    """Can a batch fit at all?

    Raises
    ------
    InputError
        If what a step keeps for its gradients is more than the memory there is.
    """
    total = memory_of(device)
    if batch * bytes_kept(objective, device) > total:
        raise InputError(_sentence(objective, batch, device))


@contextmanager
def shortage_explained(objective: Objective, batch: int, device: torch.device) -> Iterator[None]:
    """Say which batch would fit where one does not.

    Raises
    ------
    InputError
        If the block runs out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        raise InputError(_sentence(objective, batch, device)) from error


def bytes_kept(objective: Objective, device: torch.device) -> int:
    """Bytes that a step keeps for the gradients of one pattern."""
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    was_training = objective.training
    counts = torch.rand(1, *(PATTERN_VOXELS,) * 3, device=device)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = objective.eval()(counts, counts >= 0, [torch.Generator().manual_seed(0)])
    del losses
    objective.train(was_training)
    weights = {parameter.untyped_storage().data_ptr() for parameter in objective.parameters()}
    return sum(size for place, size in seen.items() if place not in weights)


def memory_of(device: torch.device) -> int:
    """Bytes of a GPU, or of this machine for each of the processes that torchrun started on it."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total) // started("LOCAL_WORLD_SIZE")


def _sentence(objective: Objective, batch: int, device: torch.device) -> str:
    one, total = bytes_kept(objective, device), memory_of(device)
    fits = max(1, int(total / (MARGIN * one)))
    return (
        f"A batch of {batch} patterns a process takes about {batch * one * MARGIN / 1e9:.3g} GB and does not fit into "
        f"{total / 1e9:.3g} GB; about {min(fits, max(1, batch - 1))} patterns would fit, so give a smaller batch."
    )
