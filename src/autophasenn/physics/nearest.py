"""Values continued to where none are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def nearest_known(known: NDArray[np.bool_]) -> tuple[NDArray[np.integer[Any]], ...]:
    """Where the nearest known voxel of every voxel lies: ``values[nearest_known(known)]`` has no gap.

    Parameters
    ----------
    known : bool array
        True somewhere.

    Returns
    -------
    tuple of int array
        One index array of the same shape for each axis; a known voxel is its own nearest one.
    """
    return tuple(ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True))
