"""Random numbers that depend on nothing but a seed and a place in the dataset, so that any sample replays on any worker."""

from __future__ import annotations

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
