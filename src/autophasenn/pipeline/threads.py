"""How many CPU threads torch takes."""

import torch


def use_threads(number: int | None) -> None:
    """Let torch compute with `number` CPU threads, at least 1; None leaves its own choice, all cores."""
    if number is not None:
        torch.set_num_threads(number)
