"""Maps of d and of the lattice parameter, relative to a stated reference; which reflection it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from autophasenn.analysis.inside import strain_spread
from autophasenn.analysis.materials import LATTICE_SOURCE, ROOM, Cubic, Indices
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.quantity import Floats, Mean, Quantity, mean_of
from autophasenn.errors import InputError
from autophasenn.image import CrystalImage

TOLERANCE = 0.02
"""Share by which d may differ from the material's: an assumed direct beam is good to about 1 %."""
BEAM_ERROR = 0.01
"""Share of d where nobody measured the direct beam."""
OWN_MEAN = "mean of the crystal by scattered intensity (the Bragg peak's centre), its mean over voxels"
"""The mean over voxels is not quite 0 for that: in it the dim ones near the surface count as much as the others."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """The lattice planes of a crystal.

    Parameters
    ----------
    hkl : 3 ints, optional
    d : Mean
        Spacing of the planes, nm.
    parameter : Mean, optional
        Of a cubic lattice, nm.
    reference_nm : Quantity
        What strain is relative to: d.
    reference : str
        The same in words.
    strain : Mean
        Relative to it.
    d_map : float array (nx, ny, nz)
        nm, NaN outside.
    parameter_map : float array (nx, ny, nz), optional
        nm.
    """

    hkl: Indices | None
    d: Mean
    parameter: Mean | None
    reference_nm: Quantity
    reference: str
    strain: Mean
    d_map: Floats = field(repr=False)
    parameter_map: Floats | None = field(repr=False, default=None)


def lattice_of(
    image: CrystalImage,
    options: AnalysisOptions,
    hkl: Indices | None,
    material: Cubic | None,
    cells: float,
    assumed: bool,
) -> Lattice | None:
    """The maps and their means; None without geometry.

    Parameters
    ----------
    image : CrystalImage
    options : AnalysisOptions
    hkl : 3 ints, optional
        As `reflection_of` found it.
    material : Cubic, optional
    cells : float
        Voxels in a cell of the resolution.
    assumed : bool
        Whether the direct beam was assumed, which makes d uncertain.

    Raises
    ------
    InputError
        If the reference needs a material or a reflection that is not known.
    """
    if image.strain is None or image.scattering_vector is None:
        return None
    mean_d = 2 * math.pi / float(np.linalg.norm(image.scattering_vector)) * 1e9
    root = None if hkl is None or not options.is_cubic else math.sqrt(sum(index * index for index in hkl))
    d_map = (mean_d * (1 + image.strain)).astype(np.float32)
    inside, spread = image.support, strain_spread(image)
    errors = None if spread is None else spread[inside]
    d = _with_beam(mean_of(d_map[inside], "nm", None if errors is None else errors * mean_d, cells), assumed)
    parameter, parameter_map = None, None
    if root is not None:
        parameter_map = np.asarray(d_map * np.float32(root))
        scaled = None if errors is None else errors * (mean_d * root)
        parameter = _with_beam(mean_of(parameter_map[inside], "nm", scaled, cells), assumed)
    reference, words = _reference(options, mean_d, root, material)
    assert reference.value is not None
    relative = d_map[inside] / reference.value - 1
    return Lattice(hkl, d, parameter, reference, words, mean_of(relative, "", errors, cells), d_map, parameter_map)


def _with_beam(mean: Mean, assumed: bool) -> Mean:
    """Its uncertainty with that of the geometry, where the direct beam was assumed."""
    if not assumed or mean.mean.value is None:
        basis = f"{mean.mean.basis}; that of the geometry is not in it"
        return Mean(Quantity(mean.mean.value, mean.mean.unit, mean.mean.uncertainty, basis), mean.std, mean.voxels)
    error = math.hypot(mean.mean.uncertainty or 0.0, BEAM_ERROR * mean.mean.value)
    return Mean(
        Quantity(mean.mean.value, mean.mean.unit, error, "the direct beam was assumed: 1 %"), mean.std, mean.voxels
    )


def _reference(
    options: AnalysisOptions, mean_d: float, root: float | None, material: Cubic | None
) -> tuple[Quantity, str]:
    """D that strain is relative to, nm, and where it comes from."""
    if options.reference_nm is not None:
        value = options.reference_nm / (root or 1.0)
        what = "lattice parameter" if root is not None else "d"
        if not 0.8 < value / mean_d < 1.25:
            raise InputError(
                f"The reference {options.reference_nm:g} nm gives d = {value:.4g} nm, and the crystal has {mean_d:.4g} nm; "
                f"give the {what} in nm"
                + ("" if root is not None else ", or the reflection (--hkl) with a lattice parameter")
                + "."
            )
        return Quantity(value, "nm"), f"{what} {options.reference_nm:g} nm, as given"
    if options.reference != "table" and options.temperature_k is None:
        return Quantity(mean_d, "nm"), OWN_MEAN
    if material is None or root is None:
        missing = "material (--material)" if material is None else "reflection (--hkl)"
        raise InputError(
            f"The reference is a table's, and the {missing} is not known; give it, or --reference with a length in nm."
        )
    temperature = options.temperature_k or ROOM
    expansion = material.expansion(temperature)
    assert expansion.value is not None
    value = material.lattice_constant_nm * (1 + expansion.value) / root
    error = value * math.hypot(expansion.uncertainty or 0.0, 1e-4)
    words = f"{material.name} at {temperature:g} K ({LATTICE_SOURCE}; expansion: {expansion.basis})"
    return Quantity(value, "nm", error, "tables"), words


def reflection_of(d_nm: float | None, hkl: Indices | None, material: Cubic | None) -> tuple[Indices | None, str]:
    """The reflection, checked against material and d, and a sentence where it was found rather than given.

    Raises
    ------
    InputError
        If the structure does not have it, or d does not fit: the message says the nearest that does.
    """
    if material is None or d_nm is None:
        if hkl is not None and material is not None and not material.is_allowed(hkl):
            raise InputError(f"{_forbidden(hkl, material)}; give one such as {_said(next(material.reflections()))}.")
        return hkl, ""
    nearest = min(material.reflections(), key=lambda each: (abs(_misfit(d_nm, each, material)), -min(each)))
    off = _misfit(d_nm, nearest, material)
    fits = abs(off) <= TOLERANCE
    advice = (
        f"d = {d_nm:.4g} nm fits {_said(nearest)} of {material.name} ({100 * off:+.2g} %), so give that"
        if fits
        else f"d = {d_nm:.4g} nm fits no reflection of {material.name} (the nearest, {_said(nearest)}, is "
        f"{100 * off:+.2g} % off), so check material, energy and direct beam"
    )
    if hkl is None:
        if not fits:
            raise InputError(f"The reflection is not given, and {advice}.")
        return (
            nearest,
            f"The reflection was not given; {_said(nearest)} of {material.name} fits d to {100 * off:+.2g} %.",
        )
    if not material.is_allowed(hkl):
        raise InputError(f"{_forbidden(hkl, material)}; {advice}.")
    if abs(_misfit(d_nm, hkl, material)) > TOLERANCE:
        raise InputError(
            f"The reflection {_said(hkl)} of {material.name} has d = {_spacing(hkl, material):.4g} nm, "
            f"{100 * _misfit(d_nm, hkl, material):+.2g} % off; {advice}."
        )
    return hkl, ""


def _forbidden(hkl: Indices, material: Cubic) -> str:
    return f"The reflection {_said(hkl)} is forbidden for {material.name} ({material.structure})"


def _said(hkl: Indices) -> str:
    return " ".join(map(str, hkl))


def _spacing(hkl: Indices, material: Cubic) -> float:
    return material.lattice_constant_nm / math.sqrt(sum(index * index for index in hkl))


def _misfit(d_nm: float, hkl: Indices, material: Cubic) -> float:
    return d_nm / _spacing(hkl, material) - 1
