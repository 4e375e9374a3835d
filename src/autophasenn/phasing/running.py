"""The running object of phase retrieval, in the two forms that it takes.

Whole, it is a volume, and an algorithm is applied to every voxel. Confined, it is its wave and its voxels in a box around
the support: outside, an algorithm of feedback is linear, ``rho <- c rho + d rho'``, and so is the Fourier transform, hence

    psi <- c psi + d psi' + F s,    s = new - c rho - d rho' in the support, 0 elsewhere

and no transform meets a voxel outside of the box. Both give the same objects, to rounding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from autophasenn.phasing.algorithms import Algorithm, Feedback, SupportRegion
from autophasenn.phasing.fused import Passes
from autophasenn.phasing.projection import BoxedProjection, ModulusProjection, scale_of
from autophasenn.physics.diffraction import ForwardModel, intensity_of
from autophasenn.physics.pruned import Box
from autophasenn.volumes import Mask, ObjectVolume, Support, Volume

CACHED = 2**16
"""Voxels of small volumes that run together on a CPU, as its cache holds them: as whole ones, since what a box spares their
transforms is less than its calls take."""


@runtime_checkable
class Running(Protocol):
    """Objects between two iterations; centred, (starts, n0, n1, n2)."""

    support: Support

    @property
    def kernel(self) -> Tensor | None:
        """Mutual coherence kernel (starts, k, k, k)."""

    @kernel.setter
    def kernel(self, kernel: Tensor) -> None: ...

    def volume(self) -> ObjectVolume:
        """The objects, their feedback outside of the support included; not to be changed."""

    def confine(self, support: Support, rho: ObjectVolume) -> None:
        """Take another support from now on; `rho` is what `volume` gave."""

    def multiply(self, factor: Volume) -> None:
        """The objects, voxel by voxel."""

    def coherent(self) -> tuple[Volume, Volume, Volume]:
        """Coherent intensity of the objects in their support, counts, and 1 where measured; in corner order."""

    def iterate(self, algorithm: Algorithm) -> Tensor | float:
        """One iteration; the chi2 that the objects had."""

    def remember(self) -> None:
        """Count the objects as they are now for the average."""

    def seen(self) -> ObjectVolume:
        """A copy of the objects as they are now, in the support; looking changes nothing."""

    def result(self, remembered: int) -> ObjectVolume:
        """The average of so many remembered objects, or the last ones for 0, in the support."""


class Whole:
    """Objects as whole volumes, with the transforms of any experiment.

    Parameters
    ----------
    rho : complex tensor (starts, n0, n1, n2)
    support : bool tensor (starts, n0, n1, n2)
    projection : ModulusProjection
    """

    def __init__(self, rho: ObjectVolume, support: Support, projection: ModulusProjection) -> None:
        self.projection, self.support, self._region = projection, support, SupportRegion(support)
        wave = projection.model.to_detector(rho)
        self._rho = rho * scale_of(wave, projection.model, projection.modulus, projection.measured)
        self._sum: ObjectVolume | None = None

    @property
    def kernel(self) -> Tensor | None:
        """Mutual coherence kernel (starts, k, k, k)."""
        return self.projection.model.kernel

    @kernel.setter
    def kernel(self, kernel: Tensor) -> None:
        self.projection.model = replace(self.projection.model, kernel=kernel)

    def volume(self) -> ObjectVolume:
        """See `Running`."""
        return self._rho

    def confine(self, support: Support, rho: ObjectVolume) -> None:
        """See `Running`."""
        self.support, self._region = support, SupportRegion(support)

    def multiply(self, factor: Volume) -> None:
        """See `Running`."""
        self._rho = self._rho * factor

    def coherent(self) -> tuple[Volume, Volume, Volume]:
        """See `Running`."""
        intensity = intensity_of(self.projection.model.to_detector(self._rho * self.support))
        return intensity, self.projection.counts, self.projection.measured

    def iterate(self, algorithm: Algorithm) -> Tensor | float:
        """See `Running`."""
        projected, chi2 = self.projection(algorithm.probe(self._rho, self._region))
        self._rho = algorithm.step(self._rho, projected, self._region)
        return chi2

    def remember(self) -> None:
        """See `Running`."""
        self._sum = self._rho.clone() if self._sum is None else self._sum.add_(self._rho)

    def seen(self) -> ObjectVolume:
        """See `Running`."""
        return self._rho * self.support

    def result(self, remembered: int) -> ObjectVolume:
        """See `Running`."""
        found = self._rho if self._sum is None else self._sum / remembered
        return found * self.support


class Confined:
    """Objects by their wave and their voxels in a box, for far-field diffraction and algorithms of feedback.

    Parameters
    ----------
    rho : complex tensor (starts, n0, n1, n2)
        0 outside of the support.
    support : bool tensor (starts, n0, n1, n2)
    projection : BoxedProjection
    """

    def __init__(self, rho: ObjectVolume, support: Support, projection: BoxedProjection) -> None:
        self.projection, self.support = projection, support
        self._box = Box.around(support)
        projection.confine(self._box)
        values = self._box.cut(rho)
        values = values * projection.scale_of(values)
        self._within = self._weights()
        # The object is the transform of `_wave`, and `_values` in the box; the first counts for nothing where it is whole.
        self._wave: Tensor | None = None
        self._values: Tensor | None = values
        self._is_whole = True
        self._rho = values  # in the box, right in the support
        self._sum: Tensor | None = None
        self._is_to_be_summed = False

    @property
    def kernel(self) -> Tensor | None:
        """Mutual coherence kernel (starts, k, k, k)."""
        return self.projection.kernel

    @kernel.setter
    def kernel(self, kernel: Tensor) -> None:
        self.projection.kernel = kernel

    def volume(self) -> ObjectVolume:
        """See `Running`."""
        if self._is_whole:
            assert self._values is not None
            return self._box.embed(self._values, self.projection.shape)
        return torch.fft.ifftn(self._completed(), dim=(-3, -2, -1), norm="ortho")

    def confine(self, support: Support, rho: ObjectVolume) -> None:
        """See `Running`."""
        # What is whole must stay in the box, although some of it lies outside of the new support.
        self._box = Box.around(support | self.support if self._is_whole else support)
        self.support = support
        self.projection.confine(self._box)
        self._within = self._weights()
        values = self._box.cut(rho)
        self._rho = self._confined(values)
        self._values = values if self._is_whole else None

    def multiply(self, factor: Volume) -> None:
        """See `Running`."""
        rho = self.volume() * factor
        self._is_whole = False
        self._wave, self._values = torch.fft.fftn(rho, dim=(-3, -2, -1), norm="ortho"), None
        self._rho = self._confined(self._box.cut(rho))

    def coherent(self) -> tuple[Volume, Volume, Volume]:
        """See `Running`."""
        wave = self.projection.pair.to_wave(self._confined(self._rho))
        return intensity_of(wave), self.projection.counts, self.projection.measured.to(torch.float32)

    def iterate(self, algorithm: Algorithm) -> Tensor | float:
        """See `Running`."""
        assert isinstance(algorithm, Feedback)
        c, d = outside = algorithm.outside
        if self._wave is None and outside != (0, 0):
            self._wave = torch.empty_like(self.support, dtype=torch.complex64)
        projected, chi2 = self.projection(
            self._values, self._wave, is_whole=self._is_whole, outside=outside, total=self._to_be_added()
        )
        torch.view_as_real(projected).mul_(self._within)
        new = algorithm.inside(self._rho, projected)
        self._values = new
        if outside != (0, 0):
            values = torch.add(torch.view_as_real(new), torch.view_as_real(projected), alpha=-d)
            self._values = torch.view_as_complex(values.sub_(torch.view_as_real(self._rho), alpha=c))
        self._rho, self._is_whole = new, outside == (0, 0)
        return chi2

    def remember(self) -> None:
        """See `Running`."""
        self._is_to_be_summed = True

    def seen(self) -> ObjectVolume:
        """See `Running`."""
        return self._box.embed(self._confined(self._rho), self.projection.shape)

    def result(self, remembered: int) -> ObjectVolume:
        """See `Running`."""
        rho = self._rho
        if remembered:  # the last one is in no sum yet
            earlier = 0 if self._sum is None else self.projection.pair.to_box(self._sum)
            rho = (rho + earlier) / remembered
        return self._box.embed(self._confined(rho), self.projection.shape)

    def _to_be_added(self) -> Tensor | None:
        """The sum of the waves of remembered objects, if the object of now is one of them."""
        if not self._is_to_be_summed:
            return None
        self._is_to_be_summed = False
        if self._sum is None:
            self._sum = torch.zeros_like(self.support, dtype=torch.complex64)
        return self._sum

    def _completed(self) -> Tensor:
        """All of the object's wave in `_wave`."""
        assert self._wave is not None
        if self._values is not None:
            self._wave += self.projection.pair.to_wave(self._values)
            self._values = None
        return self._wave

    def _weights(self) -> Tensor:
        """1 in the support, for the real and the imaginary part of every voxel of the box."""
        within = self._box.cut(self.support).to(torch.float32).unsqueeze(-1)
        return within.expand(*within.shape[:-1], 2).contiguous()

    def _confined(self, values: Tensor) -> Tensor:
        return torch.view_as_complex(torch.view_as_real(values) * self._within)


def started(
    rho: ObjectVolume,
    support: Support,
    counts: Volume,
    measured: Mask,
    *,
    model: ForwardModel,
    with_errors: bool,
    is_confined: bool,
    is_alone: bool = False,
    passes: Passes | None = None,
) -> list[tuple[slice, Running]]:
    """Objects that are about to run, and which of the starts they are.

    On a CPU a confined one is alone, as its box is least so, and small ones run together as whole volumes. What becomes of
    one does not depend on the others.

    Parameters
    ----------
    rho : complex tensor (starts, n0, n1, n2)
        Centred, on any scale, 0 outside of the support.
    support : bool tensor (starts, n0, n1, n2)
    counts, measured : tensor (1 or starts, n0, n1, n2)
        In the order of the model's waves.
    model : ForwardModel
    with_errors : bool
    is_confined : bool
        Whether they may be: far-field diffraction, and algorithms of feedback alone.
    is_alone : bool
        Whether small ones stay alone, too, as those that find their own coherence kernels.
    passes : Passes, optional
        Compiled ones, for those that are confined.
    """
    starts, together = len(rho), len(rho)
    if is_confined and not rho.is_cuda:
        together = 1 if is_alone else max(1, CACHED // rho[0].numel())
        is_confined = together == 1
    parts = [slice(first, min(first + together, starts)) for first in range(0, starts, together)]

    def some(volume: Tensor, part: slice) -> Tensor:
        return volume[part] if len(volume) == starts else volume

    found: list[tuple[slice, Running]] = []
    for part in parts:
        kernel = None if model.kernel is None else some(model.kernel, part)
        what = some(counts, part), some(measured, part)
        if is_confined:
            projection = BoxedProjection(
                *what, starts=part.stop - part.start, kernel=kernel, with_errors=with_errors, passes=passes
            )
            found.append((part, Confined(rho[part], support[part], projection)))
        else:
            whole = ModulusProjection(*what, replace(model, kernel=kernel), with_errors)
            found.append((part, Whole(rho[part], support[part], whole)))
    return found
