"""What is refused before it is phased: too coarse, too little measured, too large, and devices that are not there."""

from __future__ import annotations

import psutil
import torch

from autophasenn.errors import InputError, PlanError
from autophasenn.pipeline.preprocess import Preprocessed

LEAST_OVERSAMPLING = 2.0
"""Below it the autocorrelation wraps around, and the phases are not determined (Miao et al. 1998)."""

LEAST_MEASURED = 0.25
"""Share of the planes across an axis that must hold a measured voxel."""

CPU_BYTES_PER_VOXEL = 110
"""Peak of the whole job for one voxel of the pattern (measured on scan 54), one start at a time."""


def check_fit_to_phase(prepared: Preprocessed, force: bool) -> None:
    """Refuse a pattern that cannot be phased.

    Parameters
    ----------
    prepared : Preprocessed
    force : bool
        Whether one whose phases are not determined is phased all the same.

    Raises
    ------
    InputError
        With the number that is wrong.
    """
    _check_measured(prepared)
    if not force:
        _check_sampling(prepared)
    _check_memory(prepared.pattern.counts.numel())


def memory_gib(voxels: int) -> float:
    """What phasing a pattern of so many voxels takes, GiB."""
    return max(1.0, voxels * CPU_BYTES_PER_VOXEL / 2**30)


def device_of(name: str) -> torch.device:
    """The device of this name.

    Raises
    ------
    PlanError
        If it is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise PlanError(f"The device {name!r} is not there; use --device cpu, or one torch offers.") from error
    return device


def _check_sampling(prepared: Preprocessed) -> None:
    least = min(prepared.oversampling)
    if least < LEAST_OVERSAMPLING:
        axis = prepared.oversampling.index(least)
        remedy = "bin it less" if prepared.binning[axis] > 1 else "measure with finer steps or a longer distance"
        raise InputError(
            f"The pattern has an oversampling of about {least:.2f} along axis {axis}, and below {LEAST_OVERSAMPLING:g} its "
            f"phases are not determined; {remedy}, or phase it all the same with --force."
        )


def _check_measured(prepared: Preprocessed) -> None:
    for axis, size in enumerate(prepared.pattern.shape):
        planes = int(prepared.pattern.mask.movedim(axis, 0).flatten(1).any(1).sum())
        if planes < LEAST_MEASURED * size:
            raise InputError(
                f"Of the {size} planes of the pattern along axis {axis} only {planes} have a measured voxel, too few to "
                "phase; check the mask (True = measured)."
            )


def _check_memory(voxels: int) -> None:
    needed, free = voxels * CPU_BYTES_PER_VOXEL / 2**30, psutil.virtual_memory().available / 2**30
    if needed > free:
        raise InputError(
            f"Phasing {voxels:.3g} voxels takes about {needed:.1f} GiB of memory, and {free:.1f} GiB are free; give "
            "preprocess.shape or preprocess.binning in the plan, or take a larger machine."
        )
