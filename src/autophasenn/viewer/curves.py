"""How a result was reached: chi2 of every start against the iteration, and the phase retrieval transfer function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.files.convention import DETECTOR, NANOMETRE, PROCESS
from autophasenn.files.guarded import Limits, opened_result
from autophasenn.image import Floats

RESOLUTION_LEVEL = 1 / math.e
"""Of the PRTF, at which the resolution is read off."""


@dataclass(frozen=True, eq=False)
class Curves:
    """What is plotted of one result.

    Parameters
    ----------
    errors : list of float array (iterations,)
        chi2 of each start, as long as it ran.
    best : int
        The start that was chosen.
    chi2_noise : float, optional
        What counting noise alone gives a perfect object.
    prtf : tuple of two float arrays (shells,), optional
        |q| and PRTF; None: there was one start.
    q_unit : str
    is_refined : bool
        Whether the only curve begins with a prediction and goes on with its refinement.
    """

    errors: list[Floats]
    best: int
    chi2_noise: float | None
    prtf: tuple[Floats, Floats] | None
    q_unit: str
    is_refined: bool = False


def read_curves(path: Path, report: dict[str, Any], limits: Limits) -> Curves:
    """Read the curves of a result file.

    Parameters
    ----------
    path : Path
    report : dict
        Of the result.
    limits : Limits

    Raises
    ------
    InputError
        As `read_counts`.
    """
    results = f"{PROCESS}/results"
    with opened_result(path, limits) as stored:
        errors = stored.array(f"{results}/errors", ndim=2).astype(float)
        best = int(stored.number(f"{results}/best"))
        steps = stored.find(f"{DETECTOR}/reciprocal_steps", (3, 3))
        prtf = None
        if stored.has(f"{results}/prtf"):
            values = stored.volume(f"{results}/prtf")
            counts = stored.volume(f"{DETECTOR}/data", values.shape)
            measured = stored.volume(f"{DETECTOR}/mask", values.shape) == 0
            prtf = radial_prtf(values, np.where(measured, counts, 0), steps)
    kept = [row[np.isfinite(row) & (row > 0)] for row in errors]
    noise = report.get("chi2_noise")
    return Curves(
        kept,
        best,
        float(noise) if isinstance(noise, int | float) and noise > 0 else None,
        prtf,
        "rad / voxel" if steps is None else "nm⁻¹",
        len(kept) == 1 and report.get("path") is not None,
    )


def radial_prtf(prtf: Floats, counts: Floats, steps: Floats | None) -> tuple[Floats, Floats]:
    """The PRTF in shells of |q|, as :func:`~autophasenn.physics.metrics.radial_prtf` defines it, without torch.

    Parameters
    ----------
    prtf : float array (n0, n1, n2)
    counts : float array (n0, n1, n2)
        0 where nothing was measured.
    steps : float array (3, 3), optional
        A voxel along each axis, 1/m; None: 2 pi over the number of voxels.

    Returns
    -------
    frequency : float array (shells,)
        1/nm, or rad a voxel.
    value : float array (shells,)
    """
    shape = counts.shape
    per_voxel = np.diag([2 * np.pi / n for n in shape]) if steps is None else np.asarray(steps, float) * NANOMETRE
    index = [
        (np.arange(n) - n // 2).reshape([-1 if a == axis else 1 for a in range(3)]) for axis, n in enumerate(shape)
    ]
    components = [sum(index[axis] * per_voxel[axis, each] for axis in range(3)) for each in range(3)]
    radius = np.sqrt(sum(component**2 for component in components))
    reach = max(float(radius[tuple(0 if a == axis else n // 2 for a, n in enumerate(shape))]) for axis in range(3))
    shells = min(shape) // 2
    shell = np.minimum((radius / reach * shells).astype(np.int64), shells).ravel()
    weight = counts.astype(float).ravel()
    total = np.bincount(shell, weight, shells + 1)[:shells]
    value = np.bincount(shell, weight * (prtf.astype(float) * np.abs(prtf)).ravel(), shells + 1)[:shells]
    frequency = (np.arange(shells) + 0.5) * reach / shells
    seen = total > 0
    return frequency[seen], np.sqrt(np.clip(value[seen] / total[seen], 0, 1))
