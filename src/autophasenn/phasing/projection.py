"""The projection onto the measured modulus: of whole volumes, and of objects that are confined to a box.

P_M rho = F^-1 [ M psi / |psi| where measured, psi elsewhere ],   psi = F rho
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autophasenn.phasing.fused import Passes, flat, target_of
from autophasenn.physics.diffraction import ForwardModel, modulus_of, root_of
from autophasenn.physics.metrics import inner_product, scale_of_modulus
from autophasenn.physics.pruned import Box, BoxValues, Padding, PrunedPair
from autophasenn.volumes import SPATIAL, Mask, ObjectVolume, Volume, WaveVolume

NO_ZERO = 1e-20
"""Added to what is divided by."""
CHUNK_VOXELS = 2**18
"""Voxels of the planes that are worked on at once on a CPU: two megabytes of wave, so that they stay in its cache."""


class ModulusProjection:
    """P_M of whole volumes, with the transforms of any experiment.

    With a coherence kernel K the wave is multiplied by ``sqrt(I_m / (|psi|^2 * K))`` (Clark et al. 2012, eq. 2).
    """

    def __init__(self, counts: Volume, measured: Mask, model: ForwardModel, with_errors: bool = True) -> None:
        self.model, self.with_errors = model, with_errors
        self.counts = torch.where(measured, counts, 0)
        self.measured = measured.to(torch.float32)
        self.modulus = root_of(self.counts)
        self._total = self.counts.sum(SPATIAL, dtype=torch.float64)
        self._unmeasured = None if bool(measured.all()) else 1 - self.measured
        self._buffers: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, rho: ObjectVolume) -> tuple[ObjectVolume, Tensor | float]:
        """Projection of `rho` (..., n0, n1, n2), and the chi2 (...) that `rho` had; NaN without errors."""
        psi = self.model.to_detector(rho)
        if self._buffers is None or self._buffers[0].shape != psi.shape:
            self._buffers = torch.empty_like(psi.real), torch.empty_like(psi.real), torch.empty_like(psi)
        modulus, difference, wide = modulus_of(psi, self._buffers[0]), *self._buffers[1:]
        blur_modulus(modulus, self.model)
        chi2: Tensor | float = torch.nan
        if self.with_errors:
            torch.sub(modulus, self.modulus, out=difference)
            if self._unmeasured is not None:
                difference.mul_(self.measured)
            chi2 = (_squares(difference) / self._total).to(torch.float32)
        ratio = torch.div(self.modulus, modulus.add_(NO_ZERO), out=modulus)
        if self._unmeasured is not None:
            ratio.add_(self._unmeasured)
        return self.model.to_object(psi.mul_(wide.copy_(ratio))), chi2


@dataclass(eq=False)
class _Chunk:
    """Planes that are worked on at once, and the buffers that they use: `wide` complex and the others real."""

    planes: slice
    modulus: Tensor
    ratio: Tensor
    wide: Tensor
    target: Tensor
    unmeasured: Tensor | None = None


class BoxedProjection:
    """P_M of objects that are confined to a box, for far-field diffraction; planes of the wave are worked on in turn.

    Parameters
    ----------
    counts : float32 tensor (1 or starts, n0, n1, n2)
        In corner order.
    measured : bool tensor (1 or starts, n0, n1, n2)
        In corner order; other voxels float.
    starts : int
        Objects that are projected at once.
    kernel : tensor (..., k, k, k), optional
        Mutual coherence kernel, centred.
    with_errors : bool
        Whether chi2 is computed.
    passes : Passes, optional
        Compiled ones, for one coherent object at a time (`phasing.fused`). None: torch's.
    """

    def __init__(
        self,
        counts: Volume,
        measured: Mask,
        *,
        starts: int = 1,
        kernel: Tensor | None = None,
        with_errors: bool = True,
        passes: Passes | None = None,
    ) -> None:
        self.counts, self.measured = torch.where(measured, counts, 0), measured
        self.shape: tuple[int, int, int] = tuple(counts.shape[-3:])  # type: ignore[assignment]
        self.starts, self.with_errors = starts, with_errors
        self.total = self.counts.sum(SPATIAL, dtype=torch.float64)
        self._modulus = root_of(self.counts)
        self._weights = None if bool(measured.all()) else measured.to(torch.float32)
        self._passes = passes if starts == 1 else None
        self._target = None if self._passes is None else target_of(self._modulus, self._weights)
        self._model = ForwardModel(kernel=kernel)
        self._chunks: list[_Chunk] = []
        self._pair: PrunedPair | None = None
        self._padding: Padding | None = None

    @property
    def kernel(self) -> Tensor | None:
        """Mutual coherence kernel."""
        return self._model.kernel

    @kernel.setter
    def kernel(self, kernel: Tensor | None) -> None:
        if (kernel is None) != (self._model.kernel is None):
            self._chunks, self._padding = [], None
        self._model = ForwardModel(kernel=kernel)

    @property
    def pair(self) -> PrunedPair:
        """The transforms of the box."""
        assert self._pair is not None, "confine the projection to a box first"
        return self._pair

    def confine(self, box: Box) -> None:
        """Objects are those of this box from now on."""
        if self._pair is None or box != self._pair.box:
            self._pair, self._padding = PrunedPair(self.shape, box), None

    def scale_of(self, values: BoxValues) -> Tensor:
        """The factor that brings the modulus of objects nearest to the measured one, (starts, 1, 1, 1)."""
        measured = self.measured if self._weights is None else self._weights
        return scale_of(self.pair.to_wave(values), self._model, self._modulus, measured)

    def __call__(
        self,
        values: BoxValues | None,
        wave: WaveVolume | None = None,
        *,
        is_whole: bool = True,
        outside: tuple[float, float] = (0.0, 0.0),
        total: WaveVolume | None = None,
    ) -> tuple[BoxValues, Tensor | float]:
        """The projection in the box, and the chi2 that the object had.

        Parameters
        ----------
        values : complex tensor (starts, m0, m1, m2), optional
            Of the object in the box. None: nothing, and all of it is in `wave`.
        wave : complex tensor (starts, n0, n1, n2), optional
            What is known of the object's wave; where `outside` is not 0, it becomes ``c psi + d psi'``, psi' being the
            projected wave.
        is_whole : bool
            Are the values the whole object? Else their wave is added to `wave`.
        outside : (float, float)
            c and d.
        total : complex tensor (starts, n0, n1, n2), optional
            The wave of the object is added to it.

        Returns
        -------
        complex tensor (starts, m0, m1, m2), and float tensor (starts,), which is NaN without errors
        """
        if not self._chunks:
            self._chunks = self._cut()
        pair = self.pair
        if self._padding is None:
            self._padding = pair.padding(self.starts, self._chunks[0].wide.shape[1], self._chunks[0].wide)
        padding = self._padding
        columns = None if values is None else pair.columns(values, padding)
        is_one = len(self._chunks) == 1
        shape = (self.starts, 0 if is_one else self.shape[0], *pair.box.size[1:])
        found = self.counts.new_empty(shape, dtype=torch.complex64)
        misfit: Tensor | float = 0.0
        is_compiled = self._target is not None and self.kernel is None and (wave is None or wave.is_contiguous())
        advance = self._in_one_pass if is_compiled else self._in_passes
        for chunk in self._chunks:
            part = None
            if columns is not None:
                part = pair.to_planes(columns[:, chunk.planes], padding.of(chunk.wide.shape[1]))
            held, sum_there = (None if each is None else each[:, chunk.planes] for each in (wave, total))
            projected, misfit_there = advance(chunk, held, part, is_whole, outside, sum_there)
            misfit += misfit_there
            if is_one:
                found = pair.of_planes(projected)
            else:
                found[:, chunk.planes] = pair.of_planes(projected)
        chi2 = (misfit / self.total).to(torch.float32) if self.with_errors else torch.nan
        return pair.of_columns(found), chi2

    def _in_passes(
        self,
        chunk: _Chunk,
        held: WaveVolume | None,
        part: WaveVolume | None,
        is_whole: bool,
        outside: tuple[float, float],
        total: WaveVolume | None,
    ) -> tuple[WaveVolume, Tensor | float]:
        """The projected wave of some planes, and its squared misfit; of the arguments of a call those planes."""
        psi = held
        if part is not None:
            if held is None or is_whole:
                psi = part if held is None or outside == (0, 0) else held.copy_(part)
            else:
                _real(held).add_(_real(part))
        assert psi is not None
        if total is not None:
            total += psi
        misfit = self._project(chunk, psi)
        if held is not None and outside != (0, 0):
            _feed_back(held, chunk.wide, *outside)
        return chunk.wide, misfit

    def _in_one_pass(
        self,
        chunk: _Chunk,
        held: WaveVolume | None,
        part: WaveVolume | None,
        is_whole: bool,
        outside: tuple[float, float],
        total: WaveVolume | None,
    ) -> tuple[WaveVolume, Tensor | float]:
        """The same, compiled."""
        assert self._passes is not None
        assert self._target is not None
        if held is not None and is_whole and part is not None:
            held = None if outside == (0, 0) else held.zero_()
        part = chunk.wide.zero_() if part is None else part.contiguous()
        if total is not None:
            total += part if held is None else held + part
        values, target = flat(part), flat(self._target[:, chunk.planes])
        if held is None:
            misfit = self._passes.project(values, target)
        else:
            c, d = outside
            misfit = self._passes.feed_back(flat(held), values, target, np.float32(c), np.float32(d))
        return part, torch.tensor([misfit], dtype=torch.float64)

    def _project(self, chunk: _Chunk, psi: WaveVolume) -> Tensor | float:
        """The projected wave of some planes, into their wide buffer, and their squared misfit."""
        modulus, ratio = modulus_of(psi, chunk.modulus), chunk.ratio
        misfit: Tensor | float = 0.0
        blur_modulus(modulus, self._model)
        modulus.add_(NO_ZERO)
        if chunk.unmeasured is None:
            torch.div(chunk.target, modulus, out=ratio)
        else:
            torch.addcdiv(chunk.unmeasured, chunk.target, modulus, out=ratio)
        chunk.wide.copy_(ratio)  # complex times complex is vectorised in torch, complex times real is not
        chunk.wide.mul_(psi)
        if self.with_errors:  # what is not measured keeps its modulus
            misfit = _squares(modulus.addcmul_(modulus, ratio, value=-1))
        return misfit

    def _cut(self) -> list[_Chunk]:
        """Planes in turn; all at once on a GPU, and where a kernel mixes them."""
        n0, n1, n2 = self.shape
        deep = max(1, CHUNK_VOXELS // (self.starts * n1 * n2))
        if self.counts.is_cuda or self.kernel is not None:
            deep = n0
        deep = min(deep, n0)
        real = self.counts.new_empty((2, self.starts, deep, n1, n2))
        wide = torch.zeros((self.starts, deep, n1, n2), dtype=torch.complex64, device=real.device)
        weights = self._weights
        chunks = []
        for first in range(0, n0, deep):
            planes = slice(first, min(n0, first + deep))
            some = slice(planes.stop - first)
            chunk = _Chunk(planes, real[0][:, some], real[1][:, some], wide[:, some], self._modulus[:, planes])
            if weights is not None:
                chunk.unmeasured = 1 - weights[:, planes]
            chunks.append(chunk)
        return chunks


def scale_by(wave: WaveVolume, factor: Volume) -> WaveVolume:
    """The wave times a real factor, in its place; on a CPU torch vectorises complex times complex, and times real not."""
    return wave.mul_(factor if wave.is_cuda else factor.to(wave.dtype))


def blur_modulus(modulus: Volume, model: ForwardModel) -> None:
    """The root of the intensity that a partially coherent beam shows of a wave of this modulus, in place of it."""
    if model.kernel is None:
        return
    # What a kernel gives a voxel is no less than what it leaves there; the rounding of a transform over a bright peak may
    # say less, and the wave would be divided by that.
    intensity = modulus.square_()
    k0, k1, k2 = (n // 2 for n in model.kernel.shape[-3:])
    least = intensity * model.kernel[..., k0, k1, k2][..., None, None, None]
    torch.maximum(model.blur(intensity), least, out=modulus)
    modulus.sqrt_()


def _feed_back(held: WaveVolume, projected: WaveVolume, c: float, d: float) -> None:
    """``c psi + d psi'`` in place of psi."""
    if c == 0:
        torch.mul(projected, d, out=held)
        return
    parts = _real(held)
    if c != 1:
        parts.mul_(c)
    parts.add_(_real(projected), alpha=d)


def _real(volume: Tensor) -> Tensor:
    """The real and imaginary parts: sums of real numbers are quicker."""
    return torch.view_as_real(volume)


def _squares(difference: Tensor) -> Tensor:
    """Sum of the squares of each volume (batch, ...), double precision."""
    if difference.ndim == 4 and difference.device.type == "cpu":
        rows = difference.reshape(len(difference), -1).numpy()  # BLAS sums in many parts: right to 1e-5 of a volume
        return torch.tensor([float(each @ each) for each in rows], dtype=torch.float64)
    return inner_product(difference, difference)


def scale_of(wave: WaveVolume, model: ForwardModel, root: Volume, measured: Tensor) -> Tensor:
    """The factor that brings a wave, as the beam shows it, nearest to the measured modulus, (..., 1, 1, 1)."""
    modulus = modulus_of(wave)
    blur_modulus(modulus, model)
    return scale_of_modulus(modulus, root, measured)[..., None, None, None]
