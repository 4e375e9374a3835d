"""A pattern that a caller has in arrays."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from numpy.typing import ArrayLike

from autophasenn.arguments import array_of, raises_in_python, shown
from autophasenn.errors import InputError, PlanError
from autophasenn.files.readers import scan_of_arrays
from autophasenn.files.stored import StoredPattern
from autophasenn.markers import Marks
from autophasenn.physics.geometry import FixedGeometry
from autophasenn.volumes import Geometry, Scan


class Pattern(Scan):
    """A measured pattern in arrays; :func:`autophasenn.load` makes the same of files.

    Parameters
    ----------
    counts : array (frames, rows, columns)
        As the detector gave them: whole counts, no square root, gap markers where it wrote any. What a masked array of NumPy
        hides is taken as unmeasured.
    mask : bool array of the same shape, or of one frame's, optional
        True = measured. None: all pixels but those with gap markers.
    reciprocal_steps : array (3, 3), optional
        Row i is the step in q (1/m, laboratory frame: z along the beam, y up, x outboard) to the next frame, row and column.
        None: the result is in voxels.
    scattering_vector : array (3,), optional
        Q of the Bragg peak, same unit and frame.
    sample_rotation : array (3, 3), optional
        What the sample's circles did, ``v_laboratory = sample_rotation @ v_sample``: what several reflections of one crystal
        are put together by. Needs the steps.
    dark, white : array (rows, columns), optional
        Counts without beam, and response to uniform illumination; pixels that a masked array hides are unmeasured.
    name : str
        What the result calls it.
    mask_marks : "measured" or "bad", optional
        What 1 stands for in `mask`; None: as the values under it say, else measured.

    Raises
    ------
    InputError
        If the counts are no stack of numbers, or mask, dark field or white field do not fit.
    GeometryError
        If steps and scattering vector describe no volume.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(3.0, (16, 32, 32))
    >>> pattern = Pattern(counts)
    >>> pattern.shape
    (16, 32, 32)
    >>> Pattern(counts[0])
    Traceback (most recent call last):
        ...
    autophasenn.errors.InputError: pattern has 2 dimensions, shape (32, 32); a pattern is a 3-D stack [frame, row, \
column]. Give all frames of a rocking scan in one array.
    """

    @raises_in_python
    def __init__(
        self,
        counts: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        reciprocal_steps: ArrayLike | None = None,
        scattering_vector: ArrayLike | None = None,
        sample_rotation: ArrayLike | None = None,
        dark: ArrayLike | None = None,
        white: ArrayLike | None = None,
        name: str = "pattern",
        mask_marks: Marks | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise PlanError(f"The name is {shown(name)}; give a word.")
        stored = StoredPattern(
            array_of(counts, "The counts"),
            _array(mask, "The mask"),
            _array(reciprocal_steps, "The reciprocal_steps"),
            _array(scattering_vector, "The scattering_vector"),
        )
        scan = scan_of_arrays(stored, name, mask_marks)
        fields_of_detector = _field(dark, "The dark field"), _field(white, "The white field")
        measured = scan.mask
        for each in (counts, dark, white):
            measured = _joined(measured, each, scan.frames.shape)
        geometry = _turned(scan.geometry, sample_rotation)
        super().__init__(scan.frames, *fields_of_detector, measured, geometry, scan.source, scan.warnings)

    @classmethod
    def of(cls, scan: Scan) -> Pattern:
        """The pattern of a scan that was read."""
        pattern = cls.__new__(cls)
        Scan.__init__(pattern, **{each.name: getattr(scan, each.name) for each in fields(Scan)})
        return pattern

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows and columns."""
        return self.frames.shape

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        known = "geometry unknown" if self.geometry is None else "geometry known"
        return f"<Pattern {self.source.get('path', '')}: {size} {self.frames.dtype}, {known}>"

    def _repr_png_(self) -> bytes:
        from autophasenn.report.contact_sheet import as_stored, contact_sheet
        from autophasenn.report.style import png_of

        return png_of(contact_sheet([as_stored(self)]))


def _turned(geometry: Geometry | None, sample_rotation: ArrayLike | None) -> Geometry | None:
    """The geometry with what the sample's circles did."""
    if sample_rotation is None:
        return geometry
    turn = array_of(sample_rotation, "The sample_rotation")
    if not isinstance(geometry, FixedGeometry):
        raise InputError("A sample_rotation was given without reciprocal_steps and scattering_vector; give those too.")
    if turn.shape != (3, 3) or turn.dtype.kind not in "iuf":
        raise InputError(f"The sample_rotation is {shown(sample_rotation)}; give three rows of three numbers.")
    return replace(geometry, sample_rotation=torch.from_numpy(turn.astype(np.float64)))


def _array(values: ArrayLike | None, what: str) -> np.ndarray | None:
    return None if values is None else array_of(values, what)


def _field(values: ArrayLike | None, what: str) -> np.ndarray | None:
    field = _array(values, what)
    if field is not None and field.dtype.kind not in "biuf":
        raise InputError(f"{what} holds values of type {field.dtype}; give numbers, one for each pixel.")
    return field


def _joined(measured: np.ndarray | None, given: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The mask without what a masked array of NumPy hides, in whose own mask True says the opposite."""
    if not isinstance(given, np.ma.MaskedArray) or not np.ma.is_masked(given) or given.shape not in (shape, shape[1:]):
        return measured  # another shape is refused by those who need it
    shown_there = ~np.ma.getmaskarray(given)
    return shown_there if measured is None else measured & shown_there
