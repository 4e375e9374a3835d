"""The passes over a wave that the projection onto the modulus takes, compiled into one where numba is installed.

torch reads and writes a wave for each of the modulus, its misfit, their ratio and the feedback: six passes or more, which
take longer than the transforms between them. Here each voxel is read once and written once (docs/notebook/performance.md).
The equations are those of `phasing.projection`, which a test holds these to.

numba comes with ``pip install autophasenn[fast]``. Importing it takes as long as 400 iterations of 64^3 gain, so a call must
have enough to do; what is compiled, once on a machine in some seconds, is kept beside this file or, where that cannot
be written, in the user's folder for caches (``NUMBA_CACHE_DIR`` names another).
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, no_type_check

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autophasenn.volumes import Volume

LEAST_WORK = 64**3 * 500
"""Voxels times iterations of a call from which on the import of numba pays for itself."""
MOST_THREADS = 4
"""Up to so many threads the compiled pass, which runs on one, beats torch's passes on all."""
FLOATING = -1.0
"""The target modulus of a voxel that is not used."""
_LOG = logging.getLogger(__name__)

Flat = NDArray[np.complex64]
Target = NDArray[np.float32]


@dataclass(frozen=True)
class Passes:
    """What was compiled: functions of flat arrays of one size.

    Parameters
    ----------
    project : callable
        ``(psi, target) -> misfit``: see `_project`.
    feed_back : callable
        ``(held, part, target, c, d) -> misfit``: see `_feed_back`.
    """

    project: Callable[[Flat, Target], float]
    feed_back: Callable[[Flat, Flat, Target, np.float32, np.float32], float]


def passes_for(volume: Tensor, work: int) -> Passes | None:
    """The compiled passes, where they may be used for such volumes, and pay.

    The same call on the same machine always gets the same answer, so that its result has the same bits.

    Parameters
    ----------
    volume : tensor
        float32, of any shape: of the pattern.
    work : int
        Voxels times iterations that the call has ahead.
    """
    if volume.device.type != "cpu" or volume.dtype != torch.float32 or work < LEAST_WORK:
        return None
    return compiled() if torch.get_num_threads() <= MOST_THREADS else None


def is_installed() -> bool:
    """Whether numba is there; without importing it."""
    return importlib.util.find_spec("numba") is not None


@lru_cache(1)
def compiled() -> Passes | None:
    """The compiled passes; None where numba is missing, does not fit this NumPy, or has no place for what it compiles."""
    if not is_installed():
        return None
    try:
        import numba
    except ImportError as error:  # each numba knows NumPy up to some version, and others may have raised that
        _LOG.info("numba is not used (%s).", error)
        return None

    # Sums may be taken in another order, and a division be a product with the reciprocal; NaN stays NaN.
    how: dict[str, Any] = {
        "nogil": True, "error_model": "numpy", "fastmath": {"contract", "arcp", "nsz", "reassoc"}, "cache": True
    }  # fmt: skip
    wave, real, factor = numba.complex64[::1], numba.types.Array(numba.float32, 1, "C", readonly=True), numba.float32
    try:
        return Passes(
            numba.njit(numba.float64(wave, real), **how)(_project),
            numba.njit(numba.float64(wave, wave, real, factor, factor), **how)(_feed_back),
        )
    except (RuntimeError, OSError) as error:  # no folder for its cache can be written
        _LOG.info("numba is not used (%s); set NUMBA_CACHE_DIR to a folder that can be written.", error)
        return None


def target_of(modulus: Volume, measured: Tensor | None) -> Volume:
    """The measured modulus, and `FLOATING` where `measured` is 0 (None: all is measured)."""
    return modulus if measured is None else torch.where(measured > 0, modulus, FLOATING)


def flat(volume: Tensor) -> NDArray[Any]:
    """All values of a contiguous tensor, in one row; no copy."""
    return volume.detach().view(-1).numpy()


@no_type_check
def _project(psi, target):
    """``psi <- M psi / |psi|`` where the target M is not negative; gives the sum of ``(|psi| - M)^2`` there."""
    one, none, tiny = np.float32(1), np.float32(0), np.float32(1e-30)
    misfit = 0.0
    for first in range(0, target.size, 1024):  # slices are what is vectorised; their sums are added in double precision
        some, aims = psi[first : first + 1024], target[first : first + 1024]
        part = none
        for i in range(aims.size):
            z, aim = some[i], aims[i]
            intensity = z.real * z.real + z.imag * z.imag + tiny
            inverse = one / np.sqrt(intensity)
            used = aim >= none
            ratio = aim * inverse if used else one
            difference = intensity * inverse - aim if used else none
            part += difference * difference
            some[i] = np.complex64(complex(z.real * ratio, z.imag * ratio))
        misfit += part
    return misfit


@no_type_check
def _feed_back(held, part, target, c, d):
    """With ``psi = held + part``: ``part <- psi'``, psi projected as `_project` does, and ``held <- c psi + d psi'``."""
    one, none, tiny = np.float32(1), np.float32(0), np.float32(1e-30)
    misfit = 0.0
    for first in range(0, target.size, 1024):
        rest, some, aims = held[first : first + 1024], part[first : first + 1024], target[first : first + 1024]
        squares = none
        for i in range(aims.size):
            y, z, aim = rest[i], some[i], aims[i]
            real, imag = y.real + z.real, y.imag + z.imag
            intensity = real * real + imag * imag + tiny
            inverse = one / np.sqrt(intensity)
            used = aim >= none
            ratio = aim * inverse if used else one
            difference = intensity * inverse - aim if used else none
            squares += difference * difference
            kept = c + d * ratio
            some[i] = np.complex64(complex(real * ratio, imag * ratio))
            rest[i] = np.complex64(complex(real * kept, imag * kept))
        misfit += squares
    return misfit
