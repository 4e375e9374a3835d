"""What runs a training: CPU or GPU, one process or several under torchrun, by Lightning Fabric."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from autophasenn.devices import device_of
from autophasenn.errors import InputError, PlanError


@dataclass(frozen=True)
class Machine:
    """What runs a training; what is trained does not depend on it, but for the last bits.

    Parameters
    ----------
    device : str
        "cpu", "cuda" or "cuda:1". Under torchrun every process takes the GPU of its number.
    workers : int
        Processes that make patterns ahead, for each one that trains. 0: patterns are made where they are used, so on a
        GPU by that GPU.
    """

    device: str = "cpu"
    workers: int = 1


class HalfConvolutions(MixedPrecision):
    """Convolutions in bfloat16 and all else as it is. Fabric itself would round counts to bfloat16 on their way in."""

    def convert_input(self, data: Any) -> Any:
        """As they are."""
        return data

    def convert_output(self, data: Any) -> Any:
        """As they are."""
        return data


def started(name: str) -> int:
    """How many processes torchrun started, of the environment variable WORLD_SIZE (in all) or LOCAL_WORLD_SIZE (here).

    Raises
    ------
    InputError
        If the variable is no number.
    """
    value = os.environ.get(name, "1")
    if not value.isdecimal() or int(value) < 1:
        raise InputError(
            f"The environment variable {name} is {value!r}, no number of processes; unset it, or use torchrun."
        )
    return int(value)


def fabric_of(machine: Machine, precision: str) -> Fabric:
    """Fabric for this machine, one process or one of several that torchrun started.

    Raises
    ------
    InputError
        If torchrun started more processes than there are GPUs.
    PlanError
        If the device is not there, or cannot train.
    """
    device = _device(machine.device)
    processes, local = started("WORLD_SIZE"), started("LOCAL_WORLD_SIZE")
    if device.type == "cuda":
        if local > torch.cuda.device_count():
            raise InputError(
                f"torchrun started {local} processes here, and there are {torch.cuda.device_count()} GPUs; start as many."
            )
        devices: int | list[int] = local if processes > 1 else [device.index or 0]
        torch.backends.cudnn.benchmark = True  # all steps have the same shapes
    else:
        devices = local
    half = HalfConvolutions("bf16-mixed", device.type) if precision == "bf16-mixed" else None
    return Fabric(
        accelerator=device.type,
        strategy="ddp" if processes > 1 else "auto",
        devices=devices,
        num_nodes=processes // local,
        precision="32-true" if half is None else None,
        plugins=None if half is None else [half],
    )


def is_first_process() -> bool:
    """Is this the one of the processes that torchrun started which writes files?"""
    return int(os.environ.get("RANK", 0)) == 0


def _device(name: str) -> torch.device:
    device = device_of(name)
    if device.type not in ("cpu", "cuda"):
        raise PlanError(f"The device {name!r} cannot train; use cpu or cuda.")
    return device
