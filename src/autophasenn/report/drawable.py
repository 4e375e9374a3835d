"""What figures take of a pattern and of what was found of it: arrays, or tensors of the CPU."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Measured(Protocol):
    """A pattern: counts and mask (n0, n1, n2), and steps in q (3, 3), None where they are not known."""

    @property
    def counts(self) -> Any:
        """Intensity, centred."""

    @property
    def mask(self) -> Any:
        """True = measured."""

    @property
    def reciprocal_steps(self) -> Any:
        """1/m, laboratory frame; row i along axis i."""


@runtime_checkable
class Calculated(Protocol):
    """What was found of it."""

    @property
    def intensity(self) -> Any:
        """Calculated counts (n0, n1, n2)."""

    @property
    def errors(self) -> Any:
        """chi2 (starts, iterations)."""

    @property
    def free_errors(self) -> Any:
        """chi2 on held-out voxels (starts,)."""

    @property
    def free_error(self) -> float:
        """The same of the result."""

    @property
    def best(self) -> int:
        """Which start the result is."""
