"""What every source of simulated crystals offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Complex
from torch import Tensor

Objects = Complex[Tensor, "batch 32 32 32"]
"""Objects rho(r), the middle 32^3 of a 64^3 field of view: largest amplitude 1, phase -G.u."""


@runtime_checkable
class Source(Protocol):
    """Makes crystals. Sample `index` of `seed` is always the same crystal, whatever batch it is drawn in."""

    def objects(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> Objects:
        """The crystals of these indices; complex64 (len(indices), 32, 32, 32) on `device`."""

    def provenance(self) -> dict[str, Any]:
        """Name and every parameter of the source, JSON-serialisable: with the seed it makes the same crystals again."""
