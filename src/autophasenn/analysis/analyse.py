"""From an image to answers: everything of this package, in the order in which one thing needs another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autophasenn.analysis.dislocations import Dislocations, find_dislocations
from autophasenn.analysis.domains import Domains, find_domains
from autophasenn.analysis.facet_table import Facet, facets_of
from autophasenn.analysis.facets import feature_scale, find_facets
from autophasenn.analysis.frames import LABORATORY, Frame, frames_of
from autophasenn.analysis.indexing import Orientation, orientation_of
from autophasenn.analysis.inside import cells_of, depth_of
from autophasenn.analysis.lattice import Lattice, lattice_of, reflection_of
from autophasenn.analysis.materials import ELASTIC_SOURCE, Cubic, Indices, material
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.polyhedron import Corner, Edge, edges_and_corners
from autophasenn.analysis.profiles import PlaneCut, Point, Profile, Sampler, cut, line, quantities_of, through
from autophasenn.analysis.quantity import Floats, Quantity, plain
from autophasenn.analysis.refraction import Refraction, corrected
from autophasenn.analysis.statistics import (
    Isosurface,
    Size,
    StrainNumbers,
    isosurface_of,
    least_energy,
    size_of,
    strain_numbers,
    surface_error,
)
from autophasenn.analysis.subject import Subject
from autophasenn.analysis.surface import Surface, surface_of
from autophasenn.files.convention import SIGN_CONVENTION
from autophasenn.image import CrystalImage

CUT_MARGIN = 1
"""A crystal that comes so near to the edge of its array is cut by it."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """All that was asked of an image.

    Parameters
    ----------
    name : str
    unit : str
        Of lengths: ``nm``, or ``voxels`` where the geometry is unknown.
    frame : str
        Of the volumes, and of positions unless something else is said.
    frames : dict of str to Frame
    hkl : 3 ints, optional
    material : str, optional
    isosurface : Isosurface
    size : Size
    strain : StrainNumbers, optional
    lattice : Lattice, optional
    refraction : Refraction, optional
    orientation : Orientation, optional
    facets : tuple of Facet
    edges, corners : tuple of Edge, of Corner
    dislocations : Dislocations
    domains : Domains
    notes : tuple of str
        What could not be done and why, and what was assumed.
    options : AnalysisOptions
    origin : mapping
        Path and checksum of the measurement.
    image : CrystalImage
        As analysed: in `frame`, refraction corrected.
    surface : Surface
    profiles, cuts : tuple of Profile, of PlaneCut
    scale : float
        Finest feature of the surface, unit of lengths.
    layer : float
        Thickness of the layers below the surface.
    """

    name: str
    unit: str
    frame: str
    frames: dict[str, Frame]
    hkl: Indices | None
    material: str | None
    isosurface: Isosurface
    size: Size
    strain: StrainNumbers | None
    lattice: Lattice | None
    refraction: Refraction | None
    orientation: Orientation | None
    facets: tuple[Facet, ...]
    edges: tuple[Edge, ...]
    corners: tuple[Corner, ...]
    dislocations: Dislocations
    domains: Domains
    notes: tuple[str, ...]
    options: AnalysisOptions
    origin: Mapping[str, Any]
    scale: float
    layer: float
    image: CrystalImage = field(repr=False)
    surface: Surface = field(repr=False)
    profiles: tuple[Profile, ...] = field(repr=False)
    cuts: tuple[PlaneCut, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """What ``analysis.json`` holds: every number with unit and uncertainty; volumes, surface and profiles are files."""
        return {"format": "autophasenn-analysis", "version": 1, "sign_convention": SIGN_CONVENTION, **plain(self)}

    def quantities(self) -> dict[str, Floats]:
        """Volumes by name with unit, that of the lattice among them."""
        others: dict[str, Floats | None] = {}
        if self.lattice is not None:
            others |= {"d_nm": self.lattice.d_map, "lattice_parameter_nm": self.lattice.parameter_map}
        return quantities_of(self.image, others)


def analyse(
    subject: Subject,
    options: AnalysisOptions | None = None,
    lines: Sequence[tuple[Point, Point]] = (),
    planes: Sequence[Point] = (),
) -> Analysis:
    """Analyse an image.

    Parameters
    ----------
    subject : Subject
        Its image lies in the frame that its `frame` says.
    options : AnalysisOptions, optional
    lines : sequence of (point, point)
        More profiles, from and to, unit and axes of the image.
    planes : sequence of vectors
        Normals of more planes through the centre of mass, axes of the image.

    Raises
    ------
    InputError
        If reflection, material and d do not go together, a second direction lies along Q, a line misses the crystal, or the
        amplitude reaches the isosurface nowhere.
    """
    options = options or AnalysisOptions()
    image = subject.image
    notes = list(_about(subject))
    q_lab = None if image.scattering_vector is None else subject.to_frame.T @ image.scattering_vector
    frames, said = frames_of(q_lab, subject.sample_rotation, options.second)
    notes += said
    cubic = None if options.material is None else material(options.material)
    d = None if q_lab is None else 2e9 * math.pi / float(np.linalg.norm(q_lab))
    hkl, found = reflection_of(d, options.hkl, cubic)
    notes += [found] if found else []
    image, refraction, why = _refracted(subject, options, cubic)
    notes += why
    isosurface = isosurface_of(image, options.isosurface)
    surface = surface_of(image, isosurface.used)
    voxel = math.prod(image.spacing) ** (1 / 3)
    scale, layer = feature_scale(surface, voxel), options.layer_nm or 2 * max(image.spacing)
    cells = cells_of(image, subject.resolution_nm)
    found_planes = find_facets(surface, scale, options.least_facet)
    orientation, why = _orientation(options, hkl, q_lab, found_planes, subject)
    notes += why
    depth = depth_of(image)
    place = surface_error(image, surface, depth, isosurface.half)
    matrices = {name: frame.matrix for name, frame in frames.items() if name != LABORATORY}
    facets = facets_of(
        image, depth, surface, found_planes, orientation, matrices, subject.to_frame, max(layer, scale), place[0], cells,
        subject.photons,
    )  # fmt: skip
    notes += _about_facets(facets)
    edges, corners = edges_and_corners(found_planes, surface, scale)
    strain = strain_numbers(image, depth, layer, cells)
    if strain is not None and cubic is not None and hkl is not None:
        energy, density = least_energy(image, cubic.youngs_modulus_gpa(hkl), strain.strain)
        strain = replace(strain, energy=energy, energy_density=density)
        notes.append(f"Elastic energy with the constants of {cubic.name}: {ELASTIC_SOURCE}.")
    lattice = lattice_of(image, options, hkl, cubic, cells, subject.is_beam_assumed)
    sampler = Sampler(image, _sampled(image, lattice))
    profiles, cuts = _profiles(image, sampler, surface.centroid, lines, planes)
    return Analysis(
        subject.name, image.unit, subject.frame if frames else "detector", frames, hkl, options.material,
        isosurface, size_of(image, surface, place, _axes(subject, frames)), strain, lattice, refraction,
        orientation, facets, edges, corners, find_dislocations(subject, subject.to_frame), find_domains(image),
        tuple(dict.fromkeys(notes)), options, subject.origin or {}, scale, layer, image, surface, profiles, cuts,
    )  # fmt: skip


def _about(subject: Subject) -> list[str]:
    """What the subject itself makes doubtful."""
    notes = []
    image = subject.image
    if image.phase_spread is None:
        notes.append(
            "Nothing is known of how much reconstructions from several orientations differ, so that uncertainties rest on "
            "the scatter of the voxels alone."
        )
    shown = image.support if subject.detector is None else subject.detector.support
    if any(_touches(shown, axis) for axis in range(3)):
        notes.append(
            "The crystal is cut by the edge of its array: volume, facets and lines there end where the array does; phase "
            "the scan with a finer sampling."
        )
    if subject.is_beam_assumed:
        notes.append(
            "The direct beam was assumed, so that d and lattice parameter are good to about 1 %; strain is not touched."
        )
    return notes


def _touches(support: Any, axis: int) -> bool:
    ends = [slice(0, CUT_MARGIN), slice(support.shape[axis] - CUT_MARGIN, None)]
    return any(bool(support[tuple(end if a == axis else slice(None) for a in range(3))].any()) for end in ends)


def _refracted(
    subject: Subject, options: AnalysisOptions, cubic: Cubic | None
) -> tuple[CrystalImage, Refraction | None, list[str]]:
    image = subject.image
    missing = [
        name
        for name, value in (
            ("the geometry", image.scattering_vector),
            ("the photon energy", subject.energy_ev),
            ("the material (--material)", cubic),
        )
        if value is None
    ]
    if not options.refraction:
        return image, None, ["Refraction and absorption were not corrected, as asked."]
    if missing or cubic is None or subject.energy_ev is None:
        unknown = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        return image, None, [f"Refraction and absorption were not corrected: {unknown} must be known."]
    result, refraction = corrected(image, cubic, subject.energy_ev, subject.to_frame)
    return result, refraction, ["The path through a substrate or an environment is not known and was not corrected."]


def _orientation(
    options: AnalysisOptions, hkl: Indices | None, q_lab: Floats | None, planes: Sequence[Any], subject: Subject
) -> tuple[Orientation | None, list[str]]:
    if q_lab is None or hkl is None or not options.is_cubic:
        reason = (
            "the geometry" if q_lab is None else "the reflection (--hkl)" if hkl is None else "a lattice that is cubic"
        )
        return None, [f"Facets have no indices: {reason} must be known."]
    second = None
    if options.second is not None:
        direction = options.second.in_laboratory(subject.sample_rotation)
        second = None if direction is None else (options.second.hkl, direction)
    normals = np.array([subject.to_frame.T @ plane.normal for plane in planes]).reshape(-1, 3)
    areas = np.array([plane.area for plane in planes])
    found = orientation_of(hkl, q_lab / np.linalg.norm(q_lab), normals, areas, second)
    if found is None:
        return None, [
            "Facets have no indices: whatever the turn about Q, most of them lie on no plane {111}, {100} or {110}, and no "
            "second direction is known (--second or --normal); check reflection and geometry."
        ]
    notes = []
    if found.q_off_deg is not None:
        said = " ".join(map(str, hkl))
        notes.append(
            f"The facets fit an orientation in which Q lies {found.q_off_deg:.1f} degrees from the normals of {said}, and "
            "none in which it lies along one: indices come from the angles between facets; check reflection and geometry."
        )
    elif not found.is_clear:
        notes.append(
            "Another turn about Q fits the facets nearly as well, so that their indices are a guess; a second direction "
            "(--second or --normal) would decide."
        )
    elif second is None:
        notes.append(
            "Indices of facets are known up to the symmetry of the lattice about Q, and would all change sign if the image "
            "were the twin."
        )
    if found.second_fit_deg is not None and found.second_fit_deg > 3:
        notes.append(
            f"The second direction lies {found.second_fit_deg:.1f} degrees from where Q and the lattice put it; check its "
            "indices and its frame."
        )
    return found, notes


def _about_facets(facets: Sequence[Facet]) -> list[str]:
    if not facets:
        return ["The surface has no facets: it is round, or too coarse to show any."]
    if len(facets) == 1:
        return ["The surface has a single facet; there are no edges, corners or angles between facets."]
    return []


def _axes(subject: Subject, frames: Mapping[str, Frame]) -> dict[str, Floats]:
    """Directions along which the crystal's extent is said, on the axes of the image."""
    if not frames:
        return {f"axis {axis}": np.eye(3)[axis] for axis in range(3)}
    axes = {}
    for name, frame in frames.items():
        for axis, row in zip("xyz", frame.matrix, strict=True):
            axes[f"{name} {axis}" if (name, axis) != ("crystal", "z") else "Q"] = subject.to_frame @ row
    return axes


def _sampled(image: CrystalImage, lattice: Lattice | None) -> dict[str, Floats]:
    return quantities_of(image, {"d_nm": None if lattice is None else lattice.d_map})


def _profiles(
    image: CrystalImage,
    sampler: Sampler,
    centre: Floats,
    lines: Sequence[tuple[Point, Point]],
    planes: Sequence[Point],
) -> tuple[tuple[Profile, ...], tuple[PlaneCut, ...]]:
    """Along Q and the axes through the centre, and what was asked for."""
    directions = {name: np.eye(3)[axis] for axis, name in enumerate(image.axes)}
    q = image.q_direction
    if q is not None:
        directions = {"Q": q, **directions}
    profiles = [through(image, sampler, f"along {name}", way, centre) for name, way in directions.items()]
    profiles += [line(image, sampler, f"line {i}", first, last) for i, (first, last) in enumerate(lines, 1)]
    up = np.eye(3)[1]
    if q is None:
        cuts = [cut(image, sampler, "across axis 0", np.eye(3)[0], centre, up)]
    else:
        across = np.cross(q, np.eye(3)[int(np.abs(q).argmin())])
        cuts = [
            cut(image, sampler, "with Q upwards", across, centre, q),
            cut(image, sampler, "across Q", q, centre, up),
        ]
    cuts += [
        cut(image, sampler, f"plane {i}", np.asarray(normal, float), centre, up) for i, normal in enumerate(planes, 1)
    ]
    return tuple(profiles), tuple(cuts)


def known(quantity: Quantity | None) -> bool:
    """Is there a number?"""
    return quantity is not None and quantity.value is not None
