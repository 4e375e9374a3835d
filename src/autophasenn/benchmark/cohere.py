"""The same retrieval by cohere_core, in an environment of its own, alternated with ours."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autophasenn.benchmark.timing import Case, milliseconds
from autophasenn.errors import PlanError
from autophasenn.phasing.algorithms import ER, HIO
from autophasenn.phasing.engine import retrieve
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.progress import Progress, Silent
from autophasenn.volumes import Volume
from autophasenn.waiting import WAITING, spins_on

COHERE = "4.5.4"
GOALS = {"torch": 3.0, "numpy": 10.0}
"""How many times as long as ours cohere's iteration takes at least, by its back end."""
ITERATIONS = 600
ROUNDS = 3

_WORKER = Path(__file__).with_name("_cohere_worker.py")
_BACK_END = {"torch": "torch", "numpy": "np"}


def alternation(iterations: int, shrink_wrap: ShrinkWrap | None) -> Schedule:
    """Four fifths HIO, one fifth ER, in 100s where that divides, nothing else but shrink-wrap."""
    repeats = max(1, iterations // 100)
    er = max(1, iterations // repeats // 5)
    blocks = (Block(HIO(), max(1, iterations // repeats - er)), Block(ER(), er))
    return Schedule(blocks, repeats, shrink_wrap, break_twin_at=None, average_last=0)


def compare_with_cohere(
    counts: Volume,
    environment: Path,
    *,
    threads: int,
    iterations: int = ITERATIONS,
    rounds: int = ROUNDS,
    ours: Case | None = None,
    goals: Mapping[str, float] = GOALS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Time cohere_core on the CPU with torch and with numpy: same pattern, iterations, shrink-wrap every 20, threads.

    Each round runs ours, torch, ours, numpy, ours; a ratio is to the mean of ours before and after. Ours counts
    everything that `retrieve` does; of cohere only its iterations count.

    Parameters
    ----------
    counts : float tensor (n0, n1, n2)
    environment : Path
        Virtual environment; made, with cohere_core in it, if it is not there.
    threads : int
    iterations, rounds : int
    ours : Case, optional
        What else takes the place of all the iterations, as a prediction does: times then are of a whole retrieval. None:
        the same retrieval by our engine, and times are of an iteration.
    goals : mapping, optional
        By back end, the least ratio that is asked for.
    progress : Progress, optional

    Returns
    -------
    dict
        ``version``, ``iterations``, ``rounds``, ``ours`` and, by back end, ``milliseconds`` of one iteration, ``ratio``
        (cohere over ours, median of the rounds), ``ratio_spread``, ``goal``, ``met``, ``error`` (cohere's own),
        ``peak_bytes``.

    Raises
    ------
    PlanError
        If cohere_core cannot be installed, or fails, or this process's waiting threads would take a core from it.
    """
    if set_to_spin := spins_on():
        raise PlanError(
            f"With {set_to_spin} the waiting threads of this program take a core from cohere_core, which then needs "
            "up to three times as long; leave it unset for the comparison."
        )
    progress = progress or Silent()
    progress.stage(f"Install cohere_core {COHERE}")
    python = prepare_environment(environment)
    progress.stage("cohere_core")
    everywhere = torch.ones_like(counts, dtype=torch.bool)[None]
    schedule = alternation(iterations, ShrinkWrap(every=20))
    unit = schedule.iterations if ours is None else 1
    ours = ours or Case(lambda: retrieve(counts[None], everywhere, schedule, seeds=[0]), unit)
    our_times: list[float] = []
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in goals}
    with tempfile.TemporaryDirectory() as folder:
        modulus = Path(folder) / "modulus.npy"
        np.save(modulus, counts.sqrt().numpy())
        for done in range(rounds):
            our_times.append(milliseconds(ours))
            for name in goals:
                run = _run_cohere(python, modulus, name, schedule.iterations, threads)
                our_times.append(milliseconds(ours))
                theirs = 1e3 * run["seconds"] / unit
                ratio = 2 * theirs / (our_times[-2] + our_times[-1])
                runs[name].append(run | {"milliseconds": theirs, "ratio": ratio})
            progress.advance(done + 1, rounds)
    return {
        "version": COHERE,
        "iterations": schedule.iterations,
        "rounds": rounds,
        "ours": {"milliseconds": statistics.median(our_times)},
        **{name: _summary(runs[name], goal) for name, goal in goals.items()},
    }


def prepare_environment(environment: Path) -> Path:
    """The Python of a virtual environment that has cohere_core and the torch of this process; made if missing.

    Raises
    ------
    PlanError
        If it cannot be made.
    """
    python = environment.absolute() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = {"cohere_core": COHERE, "torch": torch.__version__.partition("+")[0]}
    if python.is_file() and _installed(python, wanted):
        return python
    try:
        _call([sys.executable, "-m", "venv", str(environment)])
        packages = [f"{name}=={version}" for name, version in wanted.items()]
        _call([str(python), "-m", "pip", "install", "--quiet", *packages])
    except (OSError, subprocess.CalledProcessError) as error:
        raise PlanError(
            f"cohere_core {COHERE} could not be installed into {environment} ({_last_line(error)}); the comparison needs "
            "a package index. Give an environment that has it with --cohere-env, or leave --against out."
        ) from error
    return python


def _installed(python: Path, wanted: dict[str, str]) -> bool:
    ask = "import sys; from importlib.metadata import version; print(*[version(n).split('+')[0] for n in sys.argv[1:]])"
    try:
        return _call([str(python), "-I", "-c", ask, *wanted]).split() == list(wanted.values())
    except (OSError, subprocess.CalledProcessError):
        return False


def _run_cohere(python: Path, modulus: Path, back_end: str, iterations: int, threads: int) -> dict[str, float]:
    own = {name: value for name, value in os.environ.items() if name not in WAITING}  # as its user has it
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    arguments = [str(modulus), _BACK_END[back_end], str(iterations), str(threads)]
    try:
        # -I: the modules beside the script are not to be found by cohere's own imports.
        said = _call([str(python), "-I", str(_WORKER), *arguments], own | counts | {"MPLBACKEND": "Agg"})
        result: dict[str, float] = json.loads(said.splitlines()[-1])
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError) as error:
        raise PlanError(
            f"cohere_core {COHERE} with {back_end} did not finish its run ({_last_line(error)}). Remove its environment "
            "so that it is made anew, or leave --against out."
        ) from error
    return result


def _call(command: list[str], environment: dict[str, str] | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def _last_line(error: BaseException) -> str:
    """What a failed command said last, or the error itself."""
    said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    return said[-1] if said else type(error).__name__


def _summary(runs: list[dict[str, float]], goal: float) -> dict[str, Any]:
    ratios = [run["ratio"] for run in runs]
    ratio = statistics.median(ratios)
    return {
        "milliseconds": statistics.median(run["milliseconds"] for run in runs),
        "ratio": ratio,
        "ratio_spread": [min(ratios), max(ratios)],
        "goal": goal,
        "met": ratio >= goal,
        "error": runs[-1]["error"],
        "peak_bytes": max((run["peak_bytes"] for run in runs if run["peak_bytes"] is not None), default=None),
    }
