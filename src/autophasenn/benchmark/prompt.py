"""What a user waits for: `autophasenn reconstruct` from the prompt to its first picture and to all of its files.

autophasenn benchmark [--full] [-o OUT.json]
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from autophasenn.crystals.shapes import facet_normals, polyhedron
from autophasenn.errors import PlanError
from autophasenn.machine import PROGRAM
from autophasenn.physics.diffraction import count_photons, intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.progress import Progress, Silent
from autophasenn.waiting import WAITING

FIRST_PICTURE = re.compile(r"^first picture: .* after ([\d.]+) s", re.MULTILINE)
EXAMPLE = "the bundled example, 64 x 64 x 64"
LARGE_SHAPE, LARGE_OVERSAMPLING, LARGE_PHOTONS = (150, 256, 256), (3.6, 5.1, 3.6), 1e8
LARGE = "a simulated pattern of {} x {} x {}".format(*LARGE_SHAPE)
GOALS = {EXAMPLE: (5.0, 9.0), LARGE: (30.0, None)}
"""Seconds to the first picture and to the files, at most, on 2 cores."""
LARGE_ROUNDS = 1


def benchmark_prompt(*, full: bool = False, rounds: int = 3, progress: Progress | None = None) -> dict[str, Any]:
    """Time the whole command, each time in a fresh process and an empty folder.

    Parameters
    ----------
    full : bool
        A large simulated pattern, too; once.
    rounds : int
        Of the example; medians count. The first, which reads the libraries from the disk, is one of them.
    progress : Progress, optional

    Returns
    -------
    dict
        By what is reconstructed: ``rounds``, ``first_picture_seconds``, ``files_seconds`` (medians), ``peak_bytes``
        (largest, as the report says) and ``goals`` (seconds to the first picture and to the files, or None each).

    Raises
    ------
    PlanError
        If the command fails.
    """
    progress = progress or Silent()
    progress.stage("From the prompt")
    with TemporaryDirectory() as place:
        cases: dict[str, tuple[list[str], int]] = {EXAMPLE: (["--example"], rounds)}
        if full:
            np.save(Path(place) / "large.npy", large_pattern())
            cases[LARGE] = ([str(Path(place) / "large.npy")], LARGE_ROUNDS)
        total, found = sum(number for _, number in cases.values()), dict[str, dict[str, Any]]()
        for name, (words, number) in cases.items():
            runs = []
            for _ in range(number):
                runs.append(timed(words, Path(place) / "result"))
                progress.advance(sum(case["rounds"] for case in found.values()) + len(runs), total)
            found[name] = _medians(runs) | {"goals": GOALS[name]}
    return found


def timed(words: Sequence[str], output: Path) -> dict[str, float]:
    """Run `autophasenn reconstruct` with these words in a process of its own.

    Parameters
    ----------
    words : sequence of str
        All but the output.
    output : Path
        Of the result; replaced.

    Returns
    -------
    dict
        ``first_picture`` and ``files``, seconds from the start of the process; ``peak_bytes``.

    Raises
    ------
    PlanError
        If the command fails, with what it said.
    """
    # The command chooses how its threads wait; what suits the timing of one iteration stays out of it.
    environment = {name: value for name, value in os.environ.items() if name not in WAITING}
    began = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, "reconstruct", *words, "-o", str(output), "--overwrite"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    files = time.perf_counter() - began
    first = FIRST_PICTURE.search(run.stdout + run.stderr)
    if run.returncode != 0 or first is None:
        raise PlanError(f"autophasenn reconstruct {' '.join(words)} failed: {run.stderr.strip() or run.stdout.strip()}")
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return {"first_picture": float(first[1]), "files": files, "peak_bytes": report["peak_memory_bytes"]}


def large_pattern() -> np.ndarray:
    """Counts (150, 256, 256), int32, of a crystal that needs a quarter of these voxels."""
    shape = torch.tensor(LARGE_SHAPE)
    axes = [
        (torch.arange(n) - n // 2) / n * sampling for n, sampling in zip(LARGE_SHAPE, LARGE_OVERSAMPLING, strict=True)
    ]
    positions = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).float()  # in widths of the crystal
    normals = torch.cat([facet_normals((1, 1, 1)), facet_normals((1, 0, 0))]).float()
    spread = torch.linspace(0.42, 0.5, len(normals))
    density = polyhedron(positions, normals, spread, edge=float(1 / (shape / torch.tensor(LARGE_OVERSAMPLING)).max()))
    phase = 1.5 * torch.sin(3 * positions[..., 0]) * torch.cos(4 * positions[..., 2])
    rho = torch.polar(density.float(), phase)
    counts = count_photons(intensity_of(diffract(rho)), LARGE_PHOTONS, torch.Generator().manual_seed(0))
    return counts.numpy().astype(np.int32)


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return {
        "rounds": len(runs),
        "first_picture_seconds": statistics.median(run["first_picture"] for run in runs),
        "files_seconds": statistics.median(run["files"] for run in runs),
        "peak_bytes": max(run["peak_bytes"] for run in runs),
    }
