"""How busy the machine is, and how threads wait there: asked before torch is imported, which must not happen here."""

from __future__ import annotations

import os

IDLE, SPINS = 0.3, "10000"
"""A machine is idle below this load average by core; its threads then turn so many times before they sleep."""


def load_average() -> float | None:
    """Of the last minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def waiting_threads(load_average: float | None, cores: int) -> dict[str, str]:
    """What to tell OpenMP, before torch is imported: spin for a while on an idle machine, sleep on a busy one.

    Spinning threads are the quicker ones (a half) where they are alone, and several times slower where they take the cores
    from others (docs/performance.md). What the user has set stays.
    """
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        return {}
    idle = load_average is not None and load_average < IDLE * cores
    return {"GOMP_SPINCOUNT": SPINS} if idle else {"OMP_WAIT_POLICY": "passive"}
