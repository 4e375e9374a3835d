"""Random numbers that depend on nothing but a seed and a place in the dataset, so that any sample replays on any worker."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
import torch

from autophasenn.errors import InputError


class Stream(IntEnum):
    """What the numbers are for. A change in how many numbers one part draws leaves the other parts as they were."""

    CRYSTAL = 0
    VIEW = 1
    EXPERIMENT = 2
    COUNTING = 3
    AUGMENTATION = 4
    MIXTURE = 5
    START = 6
    RETRIEVAL = 7
    RANDOM_START = 8
    EVEN_DENSITY = 9


def generator_of(seed: int, index: int, stream: Stream, device: torch.device | str = "cpu") -> torch.Generator:
    """The random generator of sample `index` of the dataset `seed`, each a whole number of 32 bits.

    Devices have number sequences of their own: a sample replays bit by bit on the kind of device that drew it.

    Raises
    ------
    InputError
        If `seed` or `index` is negative or longer: NumPy splits longer ones into words of 32 bits, so that the seed
        ``2**32 + 5`` would draw the numbers of another seed and index.
    """
    for name, number in (("seed", seed), ("index", index)):
        if not 0 <= number < 2**32:
            raise InputError(f"The {name} {number} is not usable; give a whole number from 0 to {2**32 - 1}.")
    state = np.random.SeedSequence([seed, index, int(stream)]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state) >> 1)  # manual_seed takes 63 bits


def seed_of(seed: int, index: int, stream: Stream, bits: int = 63) -> int:
    """The seed of part `index` of work that has one seed for all, for whatever takes a seed itself.

    Parameters
    ----------
    seed : int
        0 or more, however large.
    index : int
        0 or more.
    stream : Stream
    bits : int
        At most so many has the result.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(stream), index))
    return int(sequence.generate_state(1, np.uint64)[0]) >> (64 - bits)


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


def check_range(name: str, bounds: tuple[float, float], most: float = 1e12) -> None:
    """Raise an `InputError` where `log_uniform` cannot draw between the bounds, or they exceed `most`."""
    low, high = bounds
    if not 0 < low <= high <= most:
        raise InputError(
            f"{name} is drawn from {low:g} to {high:g}; the bounds must be positive, rise, and not exceed {most:g}. "
            "Give the least first."
        )


def check_positive(name: str, *values: float) -> None:
    """Raise an `InputError` for a value that is not a positive, finite number."""
    for value in values:
        if not 0 < value < math.inf:
            raise InputError(f"{name} is {value:g}; give a positive, finite number.")
