"""What is analysed: an image, the object that it was made of, and what is known of the measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.analysis.quantity import Floats
from autophasenn.files.convention import IMAGE, RESULT
from autophasenn.files.cxi_image import image_in, object_in, process_in
from autophasenn.files.guarded import UNLIMITED, Limits, opened_result
from autophasenn.image import CrystalImage


@dataclass(frozen=True, eq=False)
class DetectorObject:
    """The reconstruction on the skewed voxels that it was phased on.

    Parameters
    ----------
    rho : complex array (n0, n1, n2)
    support : bool array (n0, n1, n2)
    voxel_vectors : float array (3, 3), optional
        Row i is the vector from one voxel to the next along axis i, metres, laboratory frame; None: unknown.
    """

    rho: NDArray[np.complexfloating[Any, Any]]
    support: NDArray[np.bool_]
    voxel_vectors: Floats | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """An image and what it came from.

    Parameters
    ----------
    image : CrystalImage
        On a grid along the axes of the laboratory, or the detector's where the geometry is unknown.
    detector : DetectorObject, optional
        None: the lines of defects are looked for on the grid of the image.
    name : str
        What it is called in titles.
    energy_ev : float, optional
    sample_rotation : float array (3, 3), optional
        ``v_laboratory = sample_rotation @ v_sample``.
    resolution_nm : float, optional
        Full period.
    is_beam_assumed : bool
        Whether nobody measured where the direct beam was.
    origin : mapping
        Path and checksum of the measurement.
    frame : str
        Along whose axes the image's grid lies, and in whose components its scattering vector is.
    to_frame : float array (3, 3)
        From components in the laboratory to those.
    status : str
        The verdict on the image in a word; empty: unknown.
    photons : float, optional
        Of the pattern that it was reconstructed from.
    """

    image: CrystalImage
    detector: DetectorObject | None = None
    name: str = ""
    energy_ev: float | None = None
    sample_rotation: Floats | None = None
    resolution_nm: float | None = None
    is_beam_assumed: bool = False
    origin: Mapping[str, Any] | None = None
    frame: str = "laboratory"
    to_frame: Floats = field(default_factory=lambda: np.eye(3))
    status: str = ""
    photons: float | None = None


def read_subject(path: Path, limits: Limits = UNLIMITED) -> tuple[Subject, Mapping[str, Any]]:
    """Read what is analysed from a result, its folder or its ``.cxi`` file; and its report.

    Parameters
    ----------
    path : Path
    limits : Limits
        Of what is read.

    Raises
    ------
    InputError
        If there is no result of this package, it is damaged or empty, or does not fit into the memory.
    """
    file = path / RESULT if path.is_dir() else path
    with opened_result(file, limits) as stored:
        image, process = image_in(stored), process_in(stored)
        rho, support = object_in(stored, image)
        detector = DetectorObject(rho, support, stored.find(f"{IMAGE}/voxel_vectors", (3, 3)))
    report, origin = (found if isinstance(found, Mapping) else {} for found in map(process.get, ("report", "input")))
    return subject_of(image, detector, report, origin), report


def subject_of(
    image: CrystalImage, detector: DetectorObject | None, report: Mapping[str, Any], origin: Mapping[str, Any]
) -> Subject:
    """A subject of what ``report.json`` says; what is missing there, or no number, is unknown."""
    geometry = report.get("geometry")
    geometry = geometry if isinstance(geometry, Mapping) else {}
    rotation = geometry.get("sample_rotation")
    beam, counted = geometry.get("direct_beam"), report.get("preprocess")
    return Subject(
        image,
        detector,
        Path(str(origin.get("path") or "")).name,
        _number(geometry.get("energy_ev")),
        _matrix(rotation),
        _number(report.get("resolution_nm")),
        isinstance(beam, Mapping) and bool(beam.get("assumed")),
        {key: origin.get(key) for key in ("path", "sha256")},
        status=str(report.get("status") or ""),
        photons=_number(counted.get("photons")) if isinstance(counted, Mapping) else None,
    )


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _matrix(value: object) -> Floats | None:
    try:
        matrix = np.asarray(value, float)
    except (TypeError, ValueError):
        return None
    is_rotation = matrix.shape == (3, 3) and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
    return matrix if is_rotation else None
