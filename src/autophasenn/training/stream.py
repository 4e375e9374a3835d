"""The patterns that a training sees, in batches made ahead by other processes.

Pattern n of a stream depends on its seed and n alone: not on the batch, on the number of processes that make or see the
patterns, or on how often the training was interrupted.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import signal
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from autophasenn.errors import AutoPhaseNNError
from autophasenn.randomness import Stream, generator_of
from autophasenn.training.examples import Patterns, Recorded, Simulated

AHEAD = 2
"""Batches that every process has ready or is making: they bound the memory."""


@dataclass(frozen=True)
class Mixture:
    """Patterns of several sources.

    Parameters
    ----------
    seed : int
    sources : Simulated and Recorded
        Which one a pattern is of is drawn, in proportion to their shares.
    """

    seed: int
    sources: tuple[Simulated | Recorded, ...]

    def source_of(self, index: int) -> int:
        """Place in `sources` of pattern `index`."""
        if len(self.sources) == 1:
            return 0
        shares = torch.tensor([source.share for source in self.sources], dtype=torch.float64).cumsum(0)
        drawn = torch.rand((), generator=generator_of(self.seed, index, Stream.MIXTURE), dtype=torch.float64)
        return int(torch.searchsorted(shares, drawn * shares[-1], right=True))

    def patterns(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Patterns:
        """Patterns `indices`, in that order."""
        chosen = [self.source_of(index) for index in indices]
        counts: dict[int, torch.Tensor] = {}
        measured: dict[int, torch.Tensor] = {}
        for place, source in enumerate(self.sources):
            own = [index for index, choice in zip(indices, chosen, strict=True) if choice == place]
            if own:
                made = source.patterns(self.seed, own, device)
                counts.update(zip(own, made.counts, strict=True))
                measured.update(zip(own, made.measured, strict=True))
        return Patterns(torch.stack([counts[i] for i in indices]), torch.stack([measured[i] for i in indices]))


@dataclass(frozen=True)
class Share:
    """What one of several processes that train together sees of each batch.

    Parameters
    ----------
    batch : int
        Patterns of all of them.
    rank, processes : int
    """

    batch: int
    rank: int = 0
    processes: int = 1

    @property
    def size(self) -> int:
        """Patterns of this process."""
        return self.batch // self.processes

    def indices(self, step: int) -> range:
        """Patterns of the stream that this process sees in a step."""
        first = step * self.batch + self.rank * self.size
        return range(first, first + self.size)


def batches(
    mixture: Mixture, share: Share, steps: range, device: torch.device | str = "cpu", workers: int = 1
) -> Generator[tuple[range, Patterns]]:
    """The patterns of these steps with their indices, on `device`.

    Parameters
    ----------
    mixture : Mixture
    share : Share
    steps : range
    device : torch device
    workers : int
        Processes that make them ahead. 0: they are made here, on `device`, when they are wanted.
    """
    device = torch.device(device)
    if workers == 0:
        for step in steps:
            yield share.indices(step), mixture.patterns(share.indices(step), device)
        return
    loader = DataLoader(
        _Steps(mixture, share),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=AHEAD,
        multiprocessing_context=_context(),
        worker_init_fn=_follow_the_parent,
        pin_memory=device.type == "cuda",
    )
    for step, made in zip(steps, loader, strict=True):
        if isinstance(made, AutoPhaseNNError):
            raise made
        counts, measured = (volumes.to(device, non_blocking=True) for volumes in made)
        yield share.indices(step), Patterns(counts, measured)


Made = tuple[torch.Tensor, torch.Tensor] | AutoPhaseNNError


class _Steps(Dataset[Made]):
    """Step -> its patterns, or what the user can mend; a raised error would arrive with a trace in its sentence."""

    def __init__(self, mixture: Mixture, share: Share) -> None:
        self.mixture, self.share = mixture, share

    def __getitem__(self, step: int) -> Made:
        try:
            made = self.mixture.patterns(self.share.indices(step))
        except AutoPhaseNNError as error:
            return error
        return made.counts, made.measured


def _context() -> multiprocessing.context.BaseContext:
    """Processes forked from one that has imported everything and has no threads: a fork of this one, which has, may hang."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["autophasenn.training.stream"])
    return context


def _follow_the_parent(worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the process that trains; end when that is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(process: multiprocessing.process.BaseProcess) -> None:
    process.join()
    os._exit(1)
