"""Timing by ratio: every case between two runs of one reference, in alternated rounds, medians of the ratios.

Milliseconds differ from machine to machine and from minute to minute; what disturbs a case usually disturbs the
reference beside it too.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from autophasenn.machine import processor

QUIET_JITTER = 1.5
"""90th over 10th percentile of one short operation repeated: above it something else takes the cores."""
QUIET_LOAD = 0.5
"""Load average by core when the benchmark begins."""


@dataclass(frozen=True)
class Case:
    """Something to time.

    Parameters
    ----------
    run : callable
        Does `iterations` iterations.
    iterations : int
        What its time is divided by.
    goal : float, optional
        Largest ratio to the reference that is asked for.
    """

    run: Callable[[], object]
    iterations: int
    goal: float | None = None


def milliseconds(case: Case) -> float:
    """Wall time of one iteration."""
    began = time.perf_counter()
    case.run()
    return 1e3 * (time.perf_counter() - began) / case.iterations


def alternate(
    reference: Case,
    cases: Mapping[str, Case],
    rounds: int,
    tell: Callable[[int, int], None] | None = None,
    most_seconds: float = math.inf,
) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Time cases against a reference that runs before and after each; every second round in reverse order.

    Parameters
    ----------
    reference : Case
    cases : mapping of name to Case
    rounds : int
        At least 1; the first run of each case, which allocates and plans, is not counted.
    tell : callable, optional
        Told the rounds done and their total.
    most_seconds : float
        No round begins that would end later than this, if it took as long as the longest so far; one is made in any case.

    Returns
    -------
    reference : dict
        ``milliseconds`` of one iteration, median, and ``fastest_milliseconds``.
    results : dict of name to dict
        ``rounds``, ``milliseconds`` and ``ratio`` (medians over the rounds), ``fastest_milliseconds``, ``ratio_spread``
        (least, largest), ``goal``, ``met``.
    """
    began = time.perf_counter()
    for case in (reference, *cases.values()):
        case.run()
    names = list(cases)
    references: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in cases}
    ratios: dict[str, list[float]] = {name: [] for name in cases}
    longest = 0.0
    for done in range(rounds):
        begun = time.perf_counter()
        if done and begun - began + longest > most_seconds:
            break
        before = milliseconds(reference)
        references.append(before)
        for name in names if done % 2 == 0 else reversed(names):
            taken, after = milliseconds(cases[name]), milliseconds(reference)
            times[name].append(taken)
            ratios[name].append(2 * taken / (before + after))
            references.append(after)
            before = after
        longest = max(longest, time.perf_counter() - begun)
        if tell is not None:
            tell(done + 1, rounds)
    results = {name: _result(times[name], ratios[name], cases[name].goal) for name in cases}
    return _times(references), results


def _result(times: list[float], ratios: list[float], goal: float | None) -> dict[str, Any]:
    ratio = statistics.median(ratios)
    return {
        "rounds": len(ratios),
        **_times(times),
        "ratio": ratio,
        "ratio_spread": [min(ratios), max(ratios)],
        "goal": goal,
        "met": None if goal is None else ratio <= goal,
    }


def _times(times: list[float]) -> dict[str, float]:
    return {"milliseconds": statistics.median(times), "fastest_milliseconds": min(times)}


def machine(load_average: float | None, jitter: float) -> dict[str, Any]:
    """The machine in words, and whether it had time for the benchmark.

    Parameters
    ----------
    load_average : float, optional
        Of the last minute when the benchmark began; None where the system does not say.
    jitter : float
        As :func:`jitter_of` finds it.
    """
    cores = os.cpu_count() or 1
    return {
        "processor": processor(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY") or f"spin count {os.environ.get('GOMP_SPINCOUNT')}",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_average": load_average,
        "jitter": jitter,
        "quiet": jitter <= QUIET_JITTER and (load_average is None or load_average <= QUIET_LOAD * cores),
    }


def jitter_of(run: Callable[[], object], repeats: int = 100) -> float:
    """90th over 10th percentile of the times of `run`."""
    case = Case(run, 1)
    run()
    deciles = statistics.quantiles([milliseconds(case) for _ in range(repeats)], n=10)
    return deciles[-1] / deciles[0]
