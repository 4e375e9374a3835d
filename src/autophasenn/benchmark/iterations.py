"""Speed and memory of phase retrieval, as ratios to the bare Fourier transforms that it cannot do without."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from autophasenn.benchmark.cohere import alternation, compare_with_cohere
from autophasenn.benchmark.timing import Case, alternate, jitter_of, machine
from autophasenn.crystals.shapes import facet_normals, polyhedron
from autophasenn.errors import OutputError, PlanError
from autophasenn.files.writing import write_atomically
from autophasenn.machine import check_room, peak_memory
from autophasenn.phasing.algorithms import HIO
from autophasenn.phasing.engine import retrieve
from autophasenn.phasing.schedule import Block, Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap, autocorrelation_support
from autophasenn.physics.diffraction import count_photons, intensity_of
from autophasenn.physics.fourier import diffract, to_corner
from autophasenn.progress import Progress, Silent
from autophasenn.volumes import SPATIAL, Mask, ObjectVolume, Support, Volume
from autophasenn.waiting import load_average

LARGE_ITERATIONS: dict[str, Any] = {"shape": (100, 250, 250), "iterations": 60, "rounds": 3}
"""Of a pattern that no cache holds."""
ITERATION_GOAL = 1.3
"""One iteration of ER or HIO over the bare pair of transforms."""
SHRINK_WRAP_GOAL = 3.0
"""The same with shrink-wrap every 20 iterations."""
STARTS = 5
PHOTONS = 1e7
GAP = 0.05
"""Share of the detector that the gap hides."""


def benchmark(
    *,
    shape: Sequence[int] = (64, 64, 64),
    threads: int = 2,
    iterations: int = 600,
    rounds: int = 9,
    cohere_environment: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure the loop of phase retrieval against a forward and inverse transform of the same size.

    Parameters
    ----------
    shape : sequence of 3 ints
        Of the pattern in voxels, complex64.
    threads : int
        CPU threads of torch, here and in cohere.
    iterations : int
        Of one timed run of each case; everything that `retrieve` does around the loop is counted too.
    rounds : int
        Each case is timed so often; medians are given.
    cohere_environment : Path, optional
        Virtual environment with cohere_core to compare with, made if it is not there. None: no comparison.
    progress : Progress, optional

    Returns
    -------
    dict
        ``machine``, ``shape``, ``iterations``, ``rounds``, ``pair`` (milliseconds), ``cases`` (each with milliseconds
        of one iteration of one start, ratio to the pair, its spread, goal), ``memory`` (bytes), ``cohere`` (or None),
        ``warnings`` (sentences).

    Raises
    ------
    PlanError
        If a number is out of range, or cohere_core cannot be installed or run.
    """
    if min(shape) < 8 or min(threads, iterations, rounds) < 1:
        raise PlanError(
            f"The benchmark was given size {min(shape)}, threads {threads}, iterations {iterations}, rounds {rounds}; "
            "the size is at least 8 voxels and the others at least 1."
        )
    progress = progress or Silent()
    torch.set_num_threads(threads)
    load = load_average()
    check_room(math.prod(shape), "The benchmark's pattern")
    counts = pattern(shape)

    progress.stage("Memory")
    memory = _memory(counts, iterations)
    progress.stage("Iterations")
    wave = torch.randn((1, *shape), dtype=torch.complex64)
    host = machine(load, jitter_of(lambda: transform_pair(wave)))
    pair, results = alternate(_reference(wave, iterations), _cases(counts, iterations), rounds, progress.advance)
    cohere = None
    if cohere_environment is not None:
        cohere = compare_with_cohere(counts, cohere_environment, threads=threads, progress=progress)
    return {
        "machine": host,
        "shape": list(shape),
        "iterations": iterations,
        "rounds": rounds,
        "pair": pair,
        "cases": results,
        "memory": memory,
        "cohere": cohere,
        "warnings": quietness(host),
    }


def write(path: Path, result: dict[str, Any]) -> None:
    """Write the figures as JSON, replacing the file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        with write_atomically(path) as temporary:
            temporary.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose another place for the figures."
        ) from error


def pattern(shape: Sequence[int]) -> Volume:
    """Counts (n0, n1, n2) of an unstrained polyhedral crystal a third as wide, float32, centred, 1e7 photons."""
    axes = [(torch.arange(n) - n // 2) / n for n in shape]
    positions = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).double()
    normals = torch.cat([facet_normals((1, 1, 1)), facet_normals((1, 0, 0))])
    spread = torch.linspace(0.14, 0.18, len(normals), dtype=torch.float64)
    rho = polyhedron(positions, normals, spread, edge=1 / max(shape)).to(torch.complex64)
    return count_photons(intensity_of(diffract(rho)), PHOTONS, torch.Generator().manual_seed(0))


def transform_pair(wave: ObjectVolume) -> ObjectVolume:
    """The floor of an iteration: a forward and an inverse transform, nothing else."""
    return torch.fft.ifftn(torch.fft.fftn(wave, dim=SPATIAL, norm="ortho"), dim=SPATIAL, norm="ortho")


def plain_loop(modulus: Volume, support: Support, iterations: int, beta: float = 0.9) -> ObjectVolume:
    """HIO as one would write it first, without chi2: the reference for what the loop of `retrieve` gains.

    Parameters
    ----------
    modulus : float tensor (..., n0, n1, n2)
        Measured, in corner order.
    support : bool tensor (..., n0, n1, n2)
        In corner order.
    iterations : int
    beta : float

    Returns
    -------
    complex tensor (..., n0, n1, n2)
    """
    rho = torch.rand(modulus.shape, dtype=torch.complex64) * support
    for _ in range(iterations):
        psi = torch.fft.fftn(rho, dim=SPATIAL, norm="ortho")
        psi = modulus * psi / psi.abs().clamp_min(1e-10)
        projected = torch.fft.ifftn(psi, dim=SPATIAL, norm="ortho")
        rho = torch.where(support, projected, rho - beta * projected)
    return rho


def _reference(wave: ObjectVolume, iterations: int) -> Case:
    pairs = max(1, iterations // 4)

    def run() -> None:
        for _ in range(pairs):
            transform_pair(wave)

    return Case(run, pairs)


def _cases(counts: Volume, iterations: int) -> dict[str, Case]:
    everywhere, gap = torch.ones_like(counts, dtype=torch.bool), _with_gap(counts)
    only_hio = Schedule((Block(HIO(), iterations),), 1, None, break_twin_at=None, average_last=0)
    wrapped = alternation(iterations, ShrinkWrap(every=20))
    corner = to_corner(counts)[None]
    modulus, support = corner.sqrt(), autocorrelation_support(corner, 0.1)

    def ours(schedule: Schedule, measured: Mask = everywhere, starts: int = 1, goal: float | None = None) -> Case:
        def run() -> None:
            retrieve(counts[None], measured[None], schedule, seeds=range(starts))

        return Case(run, starts * schedule.iterations, goal)

    return {
        "ER": ours(error_reduction(iterations), goal=ITERATION_GOAL),
        "HIO": ours(only_hio, goal=ITERATION_GOAL),
        "HIO + ER, shrink-wrap every 20": ours(wrapped, goal=SHRINK_WRAP_GOAL),
        "the same with a detector gap": ours(wrapped, gap, goal=SHRINK_WRAP_GOAL),
        f"the same, {STARTS} starts in a batch": ours(wrapped, starts=STARTS),
        "plain torch loop, HIO": Case(lambda: plain_loop(modulus, support, iterations), iterations),
    }


def _with_gap(counts: Tensor) -> Mask:
    """Mask of a detector whose columns beside the peak are missing, True = measured."""
    measured = torch.ones_like(counts, dtype=torch.bool)
    first, width = counts.shape[-1] // 3, max(1, round(GAP * counts.shape[-1]))
    measured[..., first : first + width] = False
    return measured


def _memory(counts: Volume, iterations: int) -> dict[str, Any]:
    """Peak of the process after one retrieval, and by how much the retrieval raised it."""
    before = psutil.Process().memory_info().rss
    everywhere = torch.ones_like(counts, dtype=torch.bool)
    retrieve(counts[None], everywhere[None], alternation(iterations, ShrinkWrap(every=20)), seeds=[0])
    peak = peak_memory()
    return {
        "peak_bytes": peak,
        "retrieval_bytes": max(0, peak - before),
        "bytes_per_voxel": max(0, peak - before) / counts.numel(),
    }


def quietness(host: dict[str, Any]) -> list[str]:
    """A warning where something else took the cores (`timing.machine`)."""
    if host["quiet"]:
        return []
    load = host["load_average"]
    return [
        f"The machine is not quiet (load average {'unknown' if load is None else f'{load:.1f}'} on {host['cores']} "
        f"cores, a transform takes up to {host['jitter']:.1f} times its usual time): trust the ratios, not the "
        "milliseconds, and repeat when nothing else runs."
    ]
