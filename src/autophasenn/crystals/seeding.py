"""Random numbers that depend on nothing but a seed and a place in the dataset, so that any sample replays on any worker."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


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
    """The random generator of sample `index` of the dataset `seed`.

    Devices have number sequences of their own: a sample replays bit by bit on the kind of device that drew it.
    """
    state = np.random.SeedSequence([seed, index, int(stream)]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state) >> 1)  # manual_seed takes 63 bits
