"""How a crystal lies on the voxels of an experiment: its orientation, and the sampling along each axis.

The oversampling of axis i is ``n_i / extent_i``, the number of voxels of the pattern over the number of voxels that the
crystal spans along that axis; phases can be retrieved from 2 upwards (Miao et al., J. Opt. Soc. Am. A 15, 1662 (1998)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.options import check_rising, options
from autophasenn.volumes import PATTERN_VOXELS


@dataclass(frozen=True, eq=False)
class View:
    """How one crystal is seen.

    Parameters
    ----------
    rotation : float64 tensor (3, 3)
        Takes positions from the crystal's cubic axes to the axes of the voxels: ``position @ rotation.T``.
    oversampling : tuple of 3 floats, optional
        Along each axis. None: voxels of the size that the source itself prefers.
    """

    rotation: Float[Tensor, "3 3"]
    oversampling: tuple[float, float, float] | None

    def voxel_size(self, extents: Float[Tensor, " 3"], preferred: float) -> Float[Tensor, " 3"]:
        """Edges of a voxel in metres, float64, for a crystal of the given `extents` (metres) along the voxel axes."""
        if self.oversampling is None:
            return torch.full((3,), preferred, dtype=torch.float64)
        return extents.double() * torch.tensor(self.oversampling, dtype=torch.float64) / PATTERN_VOXELS


@options
class Sampling:
    """What views are drawn.

    Parameters
    ----------
    any_orientation : bool
        Is the crystal turned at random? If not, its cubic axes are those of the voxels, as in Yao et al. (2022).
    least_oversampling, most_oversampling : float, optional
        Each axis draws its own, uniformly in the logarithm. None: voxels of the size that the source prefers (two lattice
        constants, as in Yao et al.).

    Raises
    ------
    InputError
        If only one bound is given, they are in the wrong order, or below 2, where the crystal overfills the object's box.
    """

    any_orientation: bool = False
    least_oversampling: Annotated[float, Ge(2)] | None = None
    most_oversampling: Annotated[float, Ge(2)] | None = None

    def __post_init__(self) -> None:
        least, most = self.least_oversampling, self.most_oversampling
        if (least is None) != (most is None):
            raise PlanError("Only one bound of the oversampling is given; give both, for instance 2 and 6.")
        if least is not None and most is not None:
            check_rising(oversampling=(least, most))

    def draw(self, generator: torch.Generator) -> View:
        """A random view; the same number of random numbers is taken whatever the options are."""
        rotation = random_rotation(generator)
        shares = torch.rand(3, generator=generator, dtype=torch.float64)
        if not self.any_orientation:
            rotation = torch.eye(3, dtype=torch.float64)
        if self.least_oversampling is None or self.most_oversampling is None:
            return View(rotation, None)
        low, high = math.log(self.least_oversampling), math.log(self.most_oversampling)
        first, second, third = torch.exp(low + (high - low) * shares).tolist()
        return View(rotation, (first, second, third))


def random_rotation(generator: torch.Generator) -> Float[Tensor, "3 3"]:
    """A rotation drawn uniformly (a quaternion uniform on the sphere), float64 (3, 3)."""
    w, x, y, z = torch.nn.functional.normalize(torch.randn(4, generator=generator, dtype=torch.float64), dim=0).tolist()
    return torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ],
        dtype=torch.float64,
    )
