"""Where tensors live and are computed: asked for by name, and out of memory."""

from __future__ import annotations

import torch

from autophasenn.errors import PlanError

SHORTAGES = ("can't allocate memory", "ALLOC_FAILED")
"""What an error says where memory ran out that is no error of a kind of its own: of the CPU, and of NVIDIA's libraries."""


def device_of(name: str) -> torch.device:
    """The device of a name, as "cpu", "cuda" or "cuda:1".

    Raises
    ------
    PlanError
        If it is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise PlanError(f"The device {name!r} is not there; use --device cpu, or one torch offers.") from error
    return device


def is_shortage(error: BaseException) -> bool:
    """Does an error say that memory ran out? That of a CPU is a RuntimeError like others."""
    said = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in said for words in SHORTAGES)
