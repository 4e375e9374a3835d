"""The numbers of a result, typed, each with the name that it has in ``report.json`` (docs/physics/conventions.md).

What is unknown is None, never left out. Reading is tolerant: a report of another version, or one that somebody edited, gives
what it holds, and the rest is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

TOLERANT = ConfigDict(extra="ignore", allow_inf_nan=False)
"""How a stored report is read: what is not known is passed over, and NaN is no number."""
NOT_BELIEVED = ("unchecked", "uncertain", "poor")
"""Statuses of images that nothing speaks for, or something against."""


@dataclass(frozen=True)
class Distribution:
    """Mean, standard deviation, and the percentiles 1 and 99 of a quantity over the crystal."""

    __pydantic_config__ = TOLERANT

    mean: float | None = None
    std: float | None = None
    p1: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class Starts:
    """What became of the starts.

    Parameters
    ----------
    number : int
        Starts made.
    averaged : int
        Starts that agree and make up the image.
    chi2_free : tuple of float
        Of each; None where no voxels were held out.
    modes : tuple of float, optional
        Share of each singular mode of all of them.
    """

    __pydantic_config__ = TOLERANT

    number: int | None = None
    averaged: int | None = None
    chi2_free: tuple[float | None, ...] = ()
    modes: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ReportedConfidence:
    """How far the image can be believed, and what that was made of (docs/physics/confidence.md).

    Parameters
    ----------
    number : float, optional
        Probability, 0 to 1, that its correlation with the truth is at least 0.95.
    meaning : str
        The same in a sentence.
    warnings : tuple of str
        Ways in which the pattern is unlike those that the network was trained on.
    discord, unexplained, misfit : float, optional
        The evidence (`inversion.confidence.Evidence`).
    variants : int, optional
        Images that were compared.
    agreeing : float, optional
        Share of them that are alike.
    phase_spread_rad, amplitude_spread : float, optional
        Medians inside the support: how much the images differ.
    is_pending : bool
        Whether the number is still being computed, or the run ended before it was.
    """

    __pydantic_config__ = TOLERANT

    number: float | None = None
    meaning: str = ""
    warnings: tuple[str, ...] = ()
    discord: float | None = None
    unexplained: float | None = None
    misfit: float | None = None
    variants: int | None = None
    agreeing: float | None = None
    phase_spread_rad: float | None = None
    amplitude_spread: float | None = None
    is_pending: bool = False


@dataclass(frozen=True)
class Origin:
    """The file or folder that was read, and its checksum."""

    __pydantic_config__ = TOLERANT

    path: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Weights:
    """What the network of a result had learned.

    Parameters
    ----------
    network : str, optional
        Its name, ``unrolled`` or ``autophasenn``; None: no network took part.
    file : str, optional
        Name of the file of its weights; None: it was given in memory.
    sha256 : str, optional
        Checksum of that file.
    """

    __pydantic_config__ = TOLERANT

    network: str | None = None
    file: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Report:
    """Every number of a result, and its verdict.

    Parameters
    ----------
    status : str
        ``reconstructed``, ``unchecked``, ``uncertain`` or ``poor``.
    message : str
        A sentence that says how far to believe the image.
    method : str
    chi2, chi2_noise : float, optional
        Misfit, and what counting noise alone would give.
    chi2_free, chi2_noise_free : float, optional
        The same on voxels that were held out: they have fewer counts, so that both are larger.
    starts : Starts
    shape, binning : tuple of int, optional
        Of the pattern as it was phased; raw voxels summed along frames, rows and columns.
    oversampling : tuple of float, optional
        By axis.
    preprocess : mapping
        Photons, pixels and aliens that were masked.
    path : mapping, optional
        How the network's methods came to the image.
    confidence : ReportedConfidence
    geometry : mapping, optional
        Energy, distance, pixels, angles and step of the measurement.
    support_voxels : int, optional
    volume_nm3 : float, optional
    voxel_size_nm, detector_voxel_size_nm : tuple of float, optional
        Edges on the laboratory grid, and in the detector frame along frames, rows and columns.
    q_per_nm, d_spacing_nm : float, optional
        Of the mean lattice planes.
    strain, displacement_nm : Distribution, optional
    resolution_nm : float, optional
        Full period at PRTF = 1/e.
    resolution_is_bound : bool, optional
        Whether the PRTF never fell to 1/e.
    seed : int, optional
    device : str, optional
        On which it was computed: ``cpu``, ``cuda``, ``cuda:1``.
    versions : mapping
    input : Origin
    weights : Weights
        Of the network; with ``adapted`` those that it began to learn from.
    warnings : tuple of str
    seconds : mapping
        By stage (`progress.STAGES`).
    peak_memory_bytes : int, optional
    is_preliminary : bool
        Whether this is a first image, whose place the final one takes.
    """

    __pydantic_config__ = TOLERANT

    status: str | None = None
    message: str | None = None
    method: str | None = None
    chi2: float | None = None
    chi2_noise: float | None = None
    chi2_free: float | None = None
    chi2_noise_free: float | None = None
    starts: Starts = field(default_factory=Starts)
    shape: tuple[int, ...] | None = None
    binning: tuple[int, ...] | None = None
    oversampling: tuple[float, ...] | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    path: Mapping[str, Any] | None = None
    confidence: ReportedConfidence = field(default_factory=ReportedConfidence)
    geometry: Mapping[str, Any] | None = None
    support_voxels: int | None = None
    volume_nm3: float | None = None
    voxel_size_nm: tuple[float, ...] | None = None
    detector_voxel_size_nm: tuple[float, ...] | None = None
    q_per_nm: float | None = None
    d_spacing_nm: float | None = None
    strain: Distribution | None = None
    displacement_nm: Distribution | None = None
    resolution_nm: float | None = None
    resolution_is_bound: bool | None = None
    seed: int | None = None
    device: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    input: Origin = field(default_factory=Origin)
    weights: Weights = field(default_factory=Weights)
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float | None] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    is_preliminary: bool = False

    def to_json(self) -> dict[str, Any]:
        """What ``report.json`` holds: plain values, lists for tuples."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    @cache
    def _adapter(cls) -> Any:
        return TypeAdapter(cls)

    @classmethod
    def from_json(cls, stored: object) -> Report:
        """The report that plain values hold; what is missing, or not of its kind, is unknown.

        Parameters
        ----------
        stored : object
            As :meth:`to_json` gives it, or anything that a file may hold in its place.
        """
        known = {str(name): deepcopy(value) for name, value in stored.items()} if isinstance(stored, Mapping) else {}
        while True:
            try:
                return cls._adapter().validate_python(known)
            except ValidationError as error:
                for each in error.errors():
                    _forget(known, each["loc"])


def _forget(known: dict[str, Any], place: tuple[int | str, ...]) -> None:
    """Take out the innermost named value of a place; one of a list takes the list with it."""
    holder, last = known, str(place[0])
    for step in place[1:]:
        below = holder.get(last)
        if not isinstance(step, str) or not isinstance(below, dict) or step not in below:
            break
        holder, last = below, step
    holder.pop(last, None)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(below) for name, below in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
