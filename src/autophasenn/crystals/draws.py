"""Single random numbers, as Python values: what the conditions of an experiment are made of."""

from __future__ import annotations

import math

import torch


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """A number between `low` and `high`."""
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def log_uniform(generator: torch.Generator, bounds: tuple[float, float]) -> float:
    """A positive number between the bounds, uniform in the logarithm."""
    return math.exp(uniform(generator, math.log(bounds[0]), math.log(bounds[1])))


def three(generator: torch.Generator, low: float, high: float) -> tuple[float, float, float]:
    """A number between `low` and `high` for each axis."""
    return uniform(generator, low, high), uniform(generator, low, high), uniform(generator, low, high)


def happens(generator: torch.Generator, probability: float) -> bool:
    """Whether something of this probability happens."""
    return uniform(generator, 0.0, 1.0) < probability


def choice(generator: torch.Generator, number: int) -> int:
    """A whole number from 0 to ``number - 1``."""
    return int(torch.randint(number, (), generator=generator))
