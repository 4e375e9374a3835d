"""A number with its unit and how well it is known, and what that rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Quantity:
    """A number with its unit.

    Parameters
    ----------
    value : float, optional
        None: unknown.
    unit : str
        Empty: dimensionless.
    uncertainty : float, optional
        One standard deviation, same unit; None: nothing is known of it.
    basis : str
        What the uncertainty rests on.
    """

    value: float | None
    unit: str = ""
    uncertainty: float | None = None
    basis: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return "unknown"
        unit = f" {self.unit}" if self.unit else ""
        if self.uncertainty is None or not self.uncertainty > 0:
            return f"{self.value:.4g}{unit}"
        digits = max(0, 1 - math.floor(math.log10(self.uncertainty)))
        if abs(self.value) < 1e-3 or abs(self.value) >= 1e6:
            return f"({self.value:.3g} ± {self.uncertainty:.1g}){unit}"
        return f"{self.value:.{digits}f} ± {self.uncertainty:.{digits}f}{unit}"


@dataclass(frozen=True)
class Mean:
    """Mean and standard deviation of a quantity over part of a crystal.

    Parameters
    ----------
    mean, std : Quantity
    voxels : int
        How many were averaged.
    """

    mean: Quantity
    std: Quantity
    voxels: int


ORIENTATIONS = "spread of the reconstructions from several orientations"
"""What most uncertainties rest on."""


def mean_of(
    values: Floats,
    unit: str,
    spread: Floats | None = None,
    cells: float = 1.0,
    factor: float = 1.0,
    rests_on: str = ORIENTATIONS,
) -> Mean:
    """Mean and standard deviation of what is finite, and how well both are known.

    The uncertainty of the mean is the root mean square of `spread` (or, where there is none, the standard deviation) over
    the square root of the number of independent cells; that of the standard deviation is ``std / sqrt(2 N)`` of as many.

    Parameters
    ----------
    values : float array (n,)
    unit : str
        Of the result.
    spread : float array (n,), optional
        One standard deviation of each value, same unit as `values`.
    cells : float
        Voxels in a cell of the resolution, inside which errors are alike.
    factor : float
        From the unit of `values` to `unit`.
    rests_on : str
        What `spread` rests on.
    """
    known = np.isfinite(values)
    count = int(known.sum())
    if count == 0:
        return Mean(Quantity(None, unit), Quantity(None, unit), 0)
    numbers = values[known].astype(np.float64) * factor
    independent = max(1.0, count / max(cells, 1.0))
    std = float(numbers.std())
    error, basis = std, "scatter of the voxels; one reconstruction"
    if spread is not None and bool(np.isfinite(spread[known]).any()):
        error = float(np.sqrt(np.nanmean((spread[known].astype(np.float64) * factor) ** 2)))
        basis = rests_on
    return Mean(
        Quantity(float(numbers.mean()), unit, error / math.sqrt(independent), basis),
        Quantity(std, unit, std / math.sqrt(2 * independent), "sampling"),
        count,
    )


def plain(value: Any) -> Any:
    """Dataclasses, tuples and small arrays as what JSON knows; NaN becomes None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value) if each.repr}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
