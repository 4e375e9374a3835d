"""Few measured patterns become many: each turned, resampled and mirrored into patterns of other possible crystals.

Any invertible linear map of the voxels of a pattern gives the pattern of a crystal, mapped accordingly: ``I'(M k) = I(k)``
belongs to ``rho'(M^-T r) = rho(r)``. It stays sampled finely enough as long as that crystal fits into half the field of
view, which is seen to here. Augmentation of measured patterns: Yao et al., npj Comput. Mater. 8, 124 (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor

from autophasenn.crystals.sampling import random_rotation
from autophasenn.experiment.regridding import autocorrelation_reach, fill, regrid
from autophasenn.options import Share, check_rising, options
from autophasenn.physics.symmetry import ELEMENTS, matrix, symmetry
from autophasenn.randomness import Stream, choice, generator_of, happens, log_uniform
from autophasenn.volumes import Pattern, window_around


@dataclass(frozen=True, eq=False)
class Transformation:
    """What is done to one pattern: a symmetry of the cube, then a rotation, then a zoom of each axis.

    Parameters
    ----------
    element : int
        Of `symmetry`: exact on the voxels.
    rotation : float64 tensor (3, 3), optional
        In units of voxels. None: the pattern is neither rotated nor resampled.
    zoom : tuple of 3 floats
        Above 1 the speckles become larger (the crystal's image smaller). Raised where the rotated pattern would
        otherwise be sampled too coarsely.
    noise : int
        Seed of the counting noise of what is interpolated.
    """

    element: int = 0
    rotation: Float[Tensor, "3 3"] | None = None
    zoom: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise: int = 0


Zoom = Annotated[float, Ge(0.25), Le(4)]


@options
class Augmentation:
    """What transformations are drawn.

    Parameters
    ----------
    mirrored : bool
        Whether axes are permuted and flipped, Friedel's twin included.
    turned : float
        Probability of a rotation by any angle and a resampling. The rest keep their voxels, and their noise, as measured.
    zoom : (float, float)
        Least and most of the resampling of each axis, uniform in the logarithm.

    Raises
    ------
    InputError
        If `turned` is no probability, or the zoom out of range.
    """

    mirrored: bool = True
    turned: Share = 0.5
    zoom: tuple[Zoom, Zoom] = (0.9, 1.4)

    def __post_init__(self) -> None:
        check_rising(zoom=self.zoom)

    def draw(self, seed: int, index: int) -> Transformation:
        """The transformation of sample `index` of `seed`."""
        generator = generator_of(seed, index, Stream.AUGMENTATION)
        element = choice(generator, ELEMENTS)
        rotation, turned = random_rotation(generator), happens(generator, self.turned)
        first, second, third = (log_uniform(generator, self.zoom) for _ in range(3))
        zoom = (first, second, third) if turned else (1.0, 1.0, 1.0)
        noise = choice(generator, 2**63 - 1)
        return Transformation(element if self.mirrored else 0, rotation if turned else None, zoom, noise)


def augment(pattern: Pattern, seed: int, index: int, options: Augmentation | None = None) -> Pattern:
    """Another pattern from a measured one, the same for the same seed and index.

    Parameters
    ----------
    pattern : Pattern
        Sampled twice as finely as its speckles or finer.
    seed, index : int
    options : Augmentation, optional
        None: the defaults.

    Returns
    -------
    Pattern
        See :func:`transform`.
    """
    return transform(pattern, (options or Augmentation()).draw(seed, index))


def transform(pattern: Pattern, transformation: Transformation) -> Pattern:
    """Apply a transformation to a pattern.

    Unmeasured voxels stay unmeasured, and so do those that they, or the edge of the pattern, have a share in. Between the
    voxels counts are interpolated, with the noise of counted photons (`regridding`).

    Parameters
    ----------
    pattern : Pattern
    transformation : Transformation

    Returns
    -------
    Pattern
        On the same device, its shape permuted; the brightest measured voxel at ``n // 2``; its steps in q are those of its
        own grid, and the scattering vector is that of its own central voxel.
    """
    element = transformation.element
    counts, mask = symmetry(pattern.counts, element), symmetry(pattern.mask, element)
    new_from_old = matrix(element)
    if transformation.rotation is not None:
        rotation = transformation.rotation.numpy()
        old_counts, old_mask = counts.cpu().numpy(), mask.cpu().numpy()
        least = 2 * autocorrelation_reach(fill(old_counts, old_mask), rotation)
        turn = np.maximum(transformation.zoom, least)[:, None] * rotation
        random = np.random.default_rng(transformation.noise)
        new_counts, new_mask = regrid(old_counts, old_mask, np.linalg.inv(turn), random)
        counts = torch.from_numpy(new_counts).to(counts)
        mask = torch.from_numpy(new_mask).to(mask.device)
        new_from_old = torch.from_numpy(turn) @ new_from_old
    counts = torch.where(mask, counts, 0)
    peak = [int(i) for i in np.unravel_index(int(torch.where(mask, counts, -1).argmax()), counts.shape)]
    shift = torch.tensor([i - n // 2 for i, n in zip(peak, counts.shape, strict=True)], dtype=torch.float64)
    if shift.any():
        counts = window_around(counts, peak, counts.shape)
        mask = window_around(mask, peak, mask.shape)
    steps, vector = pattern.reciprocal_steps, pattern.scattering_vector
    if steps is not None:
        steps = torch.linalg.inv(new_from_old).T @ steps
        vector = None if vector is None else vector + shift @ steps
    return Pattern(counts, mask, steps, vector)
