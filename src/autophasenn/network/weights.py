"""Weights and what must be known of them, in one safetensors file that is loaded without pickle and checked.

The header holds the architecture and its design, the version of the format, the SHA-256 of the tensors and the card: data,
plan, seed, hardware, hours, samples, metrics, known limits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from autophasenn.errors import InputError
from autophasenn.files.boundary import check_regular, reading
from autophasenn.files.writing import write_atomically
from autophasenn.network.architectures import DESIGNS, Design, Network, build

FORMAT = "autophasenn-weights"
VERSION = "2"
"""Of the format and of what the networks compute."""


def save(network: Network, card: Mapping[str, Any], path: str | Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a network's weights, whole or not at all.

    Parameters
    ----------
    network : Network
    card : mapping
        JSON-serialisable; kept as it is.
    path : str or Path
        Ends in ``.safetensors``.
    dtype : torch.dtype
        Of the stored numbers: float16 keeps 11 bits of each, bfloat16 8, float32 all.

    Raises
    ------
    InputError
        If a number is none, or too large for `dtype`.
    OutputError
        If the file cannot be written.
    """
    tensors = {
        name: (value.to(dtype) if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(
                f"The weights {name} hold numbers that {dtype} cannot, or no numbers; save them as float32."
            )
    architecture = next(name for name, design in DESIGNS.items() if isinstance(network.design, design))
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "architecture": architecture,
        "design": json.dumps(asdict(network.design)),
        "sha256": _sha256(tensors),
        "card": json.dumps(dict(card), allow_nan=False),
    }
    with write_atomically(Path(path)) as temporary:
        temporary.write_bytes(to_bytes(tensors, metadata))


def load(path: str | Path, architecture: str | None = None) -> tuple[Network, dict[str, Any]]:
    """The network of a file, in evaluation mode and float32, and its card.

    Parameters
    ----------
    path : str or Path
    architecture : str, optional
        What the network must be; None: whatever it is.

    Raises
    ------
    InputError
        If the file is missing, no weights file, damaged, of another version or of another architecture.
    """
    tensors, metadata = _read(Path(path))
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} holds no weights of autophasenn; give a file that training wrote (best.safetensors).")
    if metadata.get("version") != VERSION:
        raise InputError(
            f"{path} holds weights of version {metadata.get('version')}, and this program reads version {VERSION}; install "
            "the version of autophasenn that wrote it."
        )
    missing = {"architecture", "design", "sha256", "card"} - metadata.keys()
    if missing:
        raise InputError(f"The header of the weights {path} lacks {', '.join(sorted(missing))}; copy the file again.")
    if _sha256(tensors) != metadata["sha256"]:
        raise InputError(f"The weights {path} are damaged: their checksum is wrong. Copy the file again.")
    found = metadata["architecture"]
    if found not in DESIGNS or architecture not in (None, found):
        wanted = architecture or " or ".join(DESIGNS)
        raise InputError(f"{path} holds weights of the architecture {found!r}, not {wanted}; give another file.")
    try:
        network = build(_design(found, metadata["design"]))
        network.load_state_dict(tensors)
        card = json.loads(metadata["card"])
        if not isinstance(card, dict):
            raise ValueError("its card is no mapping")
    except Exception as error:  # of whatever the header makes of the design
        raise InputError(
            f"The weights {path} do not fit the network {found} of this program ({' '.join(str(error).split())[:200]}); "
            "install the version of autophasenn that wrote them."
        ) from error
    return network.eval(), card


def _design(architecture: str, written: str) -> Design:
    design = TypeAdapter(DESIGNS[architecture]).validate_json(written)
    if {"name": design.name, **json.loads(written)} != json.loads(
        json.dumps(asdict(design))
    ):  # a default must not fill in what is missing
        raise ValueError(f"its design is {written}")
    return design


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    check_regular(path, "file of weights")
    with reading(path, "a safetensors file"), safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    """Of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
