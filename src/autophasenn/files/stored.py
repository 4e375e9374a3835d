"""What a pattern file holds, before it is checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class StoredPattern:
    """The arrays of a pattern file, as stored.

    Parameters
    ----------
    counts : array
        Of any shape and type; `files.readers` checks it.
    mask : array, optional
        True or 1 = measured.
    reciprocal_steps, scattering_vector : array, optional
        1/m, laboratory frame.
    recorded : dict
        ``energy_ev``, ``distance_m``, ``pixel_m`` (row, column), where the file has them.
    warnings : tuple of str
        Sentences about what was assumed.
    """

    counts: np.ndarray
    mask: np.ndarray | None = None
    reciprocal_steps: np.ndarray | None = None
    scattering_vector: np.ndarray | None = None
    recorded: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def sha256_of(path: Path) -> str:
    """SHA-256 checksum of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
