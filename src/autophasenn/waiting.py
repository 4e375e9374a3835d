"""How threads of OpenMP wait for each other: told by variables of the environment, before torch is imported.

Spinning threads are the quicker ones (a half) where they are alone. Where another program takes a core from one of them, the
others spin until it comes back: a reconstruction then takes up to 30 times as long (docs/notebook/performance.md).
"""

import os
import warnings

IDLE, SPINS = 0.3, "10000"
"""A machine is idle below this load average by core; its threads then turn so many times before they sleep."""
WAITING = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}
"""Variables that tell OpenMP's threads how to wait."""
LONG_SPINS = 10**7
"""Turns after which a thread has held its core for long enough to be in the way of other programs."""
_told: dict[str, str] = {}


def load_average() -> float | None:
    """Of the last minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def waiting_threads(load_average: float | None, cores: int) -> dict[str, str]:
    """What to tell: spin for a while on an idle machine, sleep on a busy one. What the user has set stays."""
    if WAITING & os.environ.keys():
        return {}
    idle = load_average is not None and load_average < IDLE * cores
    return {"GOMP_SPINCOUNT": SPINS} if idle else {"OMP_WAIT_POLICY": "passive"}


def tell_threads(load_average: float | None) -> None:
    """Tell them, or tell them anew, unless the user did."""
    for name, value in _told.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _told.clear()
    _told.update(waiting_threads(load_average, os.cpu_count() or 1))
    os.environ |= _told


def warn_of_spinning(threads: int) -> None:
    """Say on a busy machine that torch was there before anyone could tell its threads; how many it has."""
    load = load_average()
    if threads > 1 and not WAITING & os.environ.keys() and (load is None or load > 1):
        warnings.warn(
            "torch was imported before autophasenn, so that its threads keep their cores while they wait for another, and "
            "this machine is busy: a reconstruction may take many times as long. Import autophasenn first, or set "
            "OMP_WAIT_POLICY=passive.",
            RuntimeWarning,
            stacklevel=4,  # past what turns arguments of Python
        )


def spins_on() -> str | None:
    """The variable, with its value, by which waiting threads of OpenMP keep their cores; None where they sleep soon."""
    for name in sorted(WAITING & os.environ.keys()):
        value = os.environ[name].strip().lower()
        number = int(value) if value.isdigit() else 0
        if value in ("active", "infinite", "infinity") or (name == "GOMP_SPINCOUNT" and number >= LONG_SPINS):
            return f"{name}={os.environ[name]}"
    return None
