"""What may be chosen of an analysis."""

from __future__ import annotations

from autophasenn.analysis.frames import FRAMES, LABORATORY, SecondDirection
from autophasenn.errors import PlanError
from autophasenn.options import Fraction, Positive, Share, options

REFERENCES = ("mean", "table")
"""Words that the reference of the lattice may be; else it is a number of nm."""


@options
class AnalysisOptions:
    """How an image is analysed.

    Parameters
    ----------
    hkl : tuple of 3 ints, optional
        Miller indices of the reflection. None: found from d where the material is given, else unknown.
    material : str, optional
        Chemical formula of a cubic material of the table; None: unknown, and what depends on it is left out.
    is_cubic : bool
        Whether the crystal is cubic, so that d and hkl give its lattice parameter and facets can be indexed.
    reference : str
        What the lattice is compared with: ``mean`` (its own mean), ``table`` (the material at `temperature_k`), or the
        lattice parameter in nm (of a crystal that is not cubic: d in nm).
    temperature_k : float, optional
        Kelvin; with it the reference is the material's at that temperature. None: 293 K.
    second : SecondDirection, optional
        What is known of the crystal's orientation beside Q.
    frame : str
        Axes of the volumes that are analysed and written: ``laboratory``, ``sample`` or ``crystal``.
    isosurface : float, optional
        Amplitude of the surface; None: half of the amplitude that most of the crystal has.
    layer_nm : float, optional
        Thickness of the layers below the surface (voxels without geometry); None: two voxels.
    least_facet : float
        Smallest facet, as a share of the crystal's surface.
    refraction : bool
        Whether refraction and absorption inside the crystal are corrected, where energy, material and path are known.

    Raises
    ------
    PlanError
        If the frame or the reference is none, or a number outside its limits.
    """

    hkl: tuple[int, int, int] | None = None
    material: str | None = None
    is_cubic: bool = True
    reference: str = "mean"
    temperature_k: Positive | None = None
    second: SecondDirection | None = None
    frame: str = LABORATORY
    isosurface: Fraction | None = 0.3
    layer_nm: Positive | None = None
    least_facet: Share = 0.015
    refraction: bool = True

    def __post_init__(self) -> None:
        if self.frame not in FRAMES:
            raise PlanError(f"The frame {self.frame!r} is none; give {', '.join(FRAMES[:-1])} or {FRAMES[-1]}.")
        if self.hkl == (0, 0, 0):
            raise PlanError("The reflection 0 0 0 is the direct beam; give Miller indices such as 1 1 1.")
        if self.reference not in REFERENCES and self.reference_nm is None:
            raise PlanError(
                f"The reference {self.reference!r} is neither {' nor '.join(REFERENCES)} nor a length in nm; give one such "
                "as 0.4078."
            )

    @property
    def reference_nm(self) -> float | None:
        """The reference where it is a number, nm."""
        try:
            value = float(self.reference)
        except ValueError:
            return None
        return value if 0 < value < 10 else None
