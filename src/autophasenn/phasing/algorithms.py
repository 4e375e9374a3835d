"""The iterations of phase retrieval, each a frozen dataclass whose `step` reads like its equation.

With P_M the projection onto the measured modulus, S the support and ``rho' = P_M rho``:

    ER    rho <- rho' in S;  0 elsewhere                                   Fienup, Appl. Opt. 21, 2758 (1982)
    HIO   rho <- rho' in S;  rho - beta rho'                               Fienup, Appl. Opt. 21, 2758 (1982)
    RAAR  rho <- rho' in S;  beta rho + (1 - 2 beta) rho'                  Luke, Inverse Problems 21, 37 (2005)
    SF    rho <- rho' in S;  -rho'                                         Abrahams & Leslie, Acta Cryst. D 52, 30 (1996)
    DM    rho <- rho - P_S rho + P_M (2 P_S - 1) rho                       Elser, J. Opt. Soc. Am. A 20, 40 (2003)
    CHIO  HIO with a continuous transition                                 Fienup, Proc. ICIP 2003; Opt. Lett. 28, 1301

Marchesini, Rev. Sci. Instrum. 78, 011301 (2007) writes them in one notation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import field
from typing import Annotated, Literal, Protocol, runtime_checkable

import torch
from annotated_types import Gt, Le
from torch import Tensor

from autophasenn.options import options
from autophasenn.physics.diffraction import intensity_of
from autophasenn.volumes import ObjectVolume, Support


class SupportRegion:
    """A support, and the weighted sums of two objects that differ inside and outside of it.

    Real arithmetic on the interleaved real and imaginary parts: ``where`` and ``abs`` on complex tensors cost more than
    the Fourier transform (docs/notebook/performance.md).
    """

    def __init__(self, inside: Support) -> None:
        self.inside = inside
        self._weights: dict[tuple[float, float], Tensor] = {}

    def mix(
        self,
        rho: ObjectVolume,
        projected: ObjectVolume,
        inside: tuple[float, float],
        outside: tuple[float, float],
    ) -> ObjectVolume:
        """``inside[0] rho + inside[1] projected`` in the support, likewise outside; overwrites and returns `rho`."""
        of_rho, of_projected = zip(inside, outside, strict=True)
        result = torch.view_as_real(rho)
        if of_rho == (0.0, 0.0):
            torch.mul(torch.view_as_real(projected), self._weight(*of_projected), out=result)
        else:
            if of_rho != (1.0, 1.0):
                result.mul_(self._weight(*of_rho))
            result.addcmul_(torch.view_as_real(projected), self._weight(*of_projected))
        return rho

    def _weight(self, inside: float, outside: float) -> Tensor:
        """`inside` in the support and `outside` elsewhere, for real and imaginary part (..., n0, n1, n2, 2)."""
        key = (inside, outside)
        if key not in self._weights:
            weight = torch.where(self.inside, inside, outside).to(torch.float32)
            self._weights[key] = torch.view_as_real(torch.complex(weight, weight))
        return self._weights[key]


@runtime_checkable
class Algorithm(Protocol):
    """One iteration of phase retrieval."""

    def probe(self, rho: ObjectVolume, support: SupportRegion) -> ObjectVolume:
        """The object that is to be projected onto the measured modulus; `rho` itself is left as it is."""

    def step(self, rho: ObjectVolume, projected: ObjectVolume, support: SupportRegion) -> ObjectVolume:
        """The next object, from this one and its projection onto the modulus; `rho` may be overwritten."""


class Feedback(ABC):
    """An algorithm that projects the running object itself, and is linear outside of the support: ``c rho + d rho'``.

    So the loop knows what becomes of the wave outside, and need not leave reciprocal space for it (`phasing.running`).
    """

    @property
    @abstractmethod
    def outside(self) -> tuple[float, float]:
        """The factors c and d."""

    def inside(self, rho: ObjectVolume, projected: ObjectVolume) -> ObjectVolume:
        """What the object becomes in the support, voxel by voxel: ``rho'``."""
        return projected

    def probe(self, rho: ObjectVolume, support: SupportRegion) -> ObjectVolume:
        """`rho`."""
        return rho

    def step(self, rho: ObjectVolume, projected: ObjectVolume, support: SupportRegion) -> ObjectVolume:
        """`inside` in the support, ``c rho + d rho'`` elsewhere."""
        return support.mix(rho, projected, inside=(0.0, 1.0), outside=self.outside)


@options
class ER(Feedback):
    """Error reduction: ``P_S P_M``. Its modulus error never grows."""

    name: Literal["ER"] = field(default="ER", kw_only=True, repr=False)

    @property
    def outside(self) -> tuple[float, float]:
        """0."""
        return 0.0, 0.0


@options
class HIO(Feedback):
    """Hybrid input-output: negative feedback outside the support leaves local minima."""

    name: Literal["HIO"] = field(default="HIO", kw_only=True, repr=False)
    beta: Annotated[float, Gt(0), Le(1)] = 0.9

    @property
    def outside(self) -> tuple[float, float]:
        """``rho - beta rho'``."""
        return 1.0, -self.beta


@options
class RAAR(Feedback):
    """Relaxed averaged alternating reflections: ``beta/2 (R_S R_M + 1) + (1 - beta) P_M``."""

    name: Literal["RAAR"] = field(default="RAAR", kw_only=True, repr=False)
    beta: Annotated[float, Gt(0), Le(1)] = 0.9

    @property
    def outside(self) -> tuple[float, float]:
        """``beta rho + (1 - 2 beta) rho'``."""
        return self.beta, 1 - 2 * self.beta


@options
class SF(Feedback):
    """Solvent flipping: ``R_S P_M``."""

    name: Literal["SF"] = field(default="SF", kw_only=True, repr=False)

    @property
    def outside(self) -> tuple[float, float]:
        """``-rho'``."""
        return 0.0, -1.0


@options
class DM:
    """Difference map with the modulus projected last: ``1 - P_S + P_M (2 P_S - 1)``.

    The other order, ``1 - P_M + P_S (2 P_M - 1)``, is HIO with beta = 1.
    """

    name: Literal["DM"] = field(default="DM", kw_only=True, repr=False)

    def probe(self, rho: ObjectVolume, support: SupportRegion) -> ObjectVolume:
        """``(2 P_S - 1) rho``."""
        return support.mix(torch.empty_like(rho), rho, inside=(0.0, 1.0), outside=(0.0, -1.0))

    def step(self, rho: ObjectVolume, projected: ObjectVolume, support: SupportRegion) -> ObjectVolume:
        """``rho - P_S rho + P_M (2 P_S - 1) rho``."""
        return support.mix(rho, projected, inside=(0.0, 1.0), outside=(1.0, 1.0))


@options
class CHIO(Feedback):
    """Continuous hybrid input-output.

    Fienup states it for real objects; for a complex one "how far along" is the component of rho' on rho,
    ``c = Re(rho' rho*) / |rho|^2``: inside the support ``rho'`` where ``c >= alpha``, ``rho - (1 - alpha)/alpha rho'``
    where ``0 <= c < alpha``, and elsewhere HIO's ``rho - beta rho'``.
    """

    name: Literal["CHIO"] = field(default="CHIO", kw_only=True, repr=False)
    alpha: Annotated[float, Gt(0), Le(1)] = 0.4
    beta: Annotated[float, Gt(0), Le(1)] = 0.9

    @property
    def outside(self) -> tuple[float, float]:
        """``rho - beta rho'``."""
        return 1.0, -self.beta

    def inside(self, rho: ObjectVolume, projected: ObjectVolume) -> ObjectVolume:
        """Three cases by the component of the projection on the running object."""
        along = rho.real * projected.real + rho.imag * projected.imag
        keep = along >= self.alpha * intensity_of(rho)
        feedback = torch.where(along >= 0, -(1 - self.alpha) / self.alpha, -self.beta)
        return rho * ~keep + projected * torch.where(keep, 1.0, feedback)

    def step(self, rho: ObjectVolume, projected: ObjectVolume, support: SupportRegion) -> ObjectVolume:
        """`inside` in the support, ``rho - beta rho'`` elsewhere."""
        within = self.inside(rho, projected)
        beyond = support.mix(rho, projected, inside=(1.0, 0.0), outside=self.outside)
        return torch.where(support.inside, within, beyond)
