"""The whole state of a training in one safetensors file: written atomically, read without pickle, resumed bit by bit.

Every random number of a training comes from its seed and the number of the pattern it is for, so the count of patterns
seen is the state of all generators.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.optim import Optimizer

from autophasenn.errors import InputError
from autophasenn.files.writing import write_atomically

FORMAT = "autophasenn-checkpoint"
VERSION = "1"


@dataclass(frozen=True)
class Course:
    """How far a training is, and what it has been through.

    Parameters
    ----------
    step : int
        Steps done, skipped ones included.
    skipped, skipped_in_a_row : int
        Steps whose loss or gradient was not finite.
    seconds : float
        Time spent in training, validation included.
    validation_losses : tuple of floats
        Of all validations.
    best : float, optional
        The best score of a validation, larger is better.
    interval : tuple of floats
        Sums since the last line of the log: of the losses after every stage, of the gradient's norm, of the steps.
    """

    step: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0
    validation_losses: tuple[float, ...] = ()
    best: float | None = None
    interval: tuple[float, ...] = ()


def save(path: Path, course: Course, network: nn.Module, average: nn.Module, optimiser: Optimizer) -> None:
    """Write a checkpoint; a crash leaves the old one or the new one.

    Raises
    ------
    OutputError
        If the disk is full.
    """
    tensors = {
        **{f"network.{name}": value for name, value in network.state_dict().items()},
        **{f"average.{name}": value for name, value in average.state_dict().items()},
        **{
            f"optimiser.{number}.{name}": value
            for number, state in optimiser.state_dict()["state"].items()
            for name, value in state.items()
        },
    }
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"format": FORMAT, "version": VERSION, "course": json.dumps(asdict(course))}
    with write_atomically(path) as temporary:
        temporary.write_bytes(to_bytes(plain, metadata))


def load(path: Path, network: nn.Module, average: nn.Module, optimiser: Optimizer) -> Course:
    """Bring networks and optimiser to the state of a checkpoint, on whatever device they are.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another version, or of other networks.
    """
    tensors, metadata = _read(path)
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise InputError(
            f"{path} is no checkpoint of version {VERSION} but {metadata.get('format', 'something else')} of version "
            f"{metadata.get('version')}; resume with the program that wrote it."
        )
    try:
        network.load_state_dict(_under("network", tensors))
        average.load_state_dict(_under("average", tensors))
        _load_optimiser(optimiser, _under("optimiser", tensors))
    except (RuntimeError, KeyError, IndexError) as error:
        raise InputError(
            f"The checkpoint {path} belongs to another network or optimiser ({' '.join(str(error).split())[:200]}); resume "
            "with the plan beside it."
        ) from error
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in json.loads(metadata["course"]).items()
    }
    return Course(**fields)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}; give the folder of a training that has written one.")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"The checkpoint {path} is damaged ({error}); resume from another one.") from error


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def _load_optimiser(optimiser: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Moments laid out in memory as their parameters, so that a resumed step runs the same code as one that was not."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        parameter = parameters[int(number)]
        like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
        optimiser.state[parameter][key] = like.copy_(value)
