"""What preprocessing may be told; the only place of its defaults."""

from __future__ import annotations

from typing import Annotated, get_args

from annotated_types import Ge, Gt, Lt

from autophasenn.errors import PlanError
from autophasenn.markers import Values
from autophasenn.options import NotNegative, Number, Positive, Share, options

Axis = Annotated[int, Ge(4)]
"""Voxels along an axis."""


@options
class Preprocessing:
    """What preprocessing may be told; the only place of these defaults.

    Parameters
    ----------
    values : str, optional
        What the numbers of the file are: counts, amplitudes (square roots of counts), cube roots, fourth roots, log(1+n),
        log10(1+n), log2(1+n), log(n) or log10(n). None: counts, but where the numbers show that they are another of these.
    gain : float, optional
        Units of the file that one photon is; 1 takes the values as they are. None: as the values show.
    dark_level : float, optional
        Units of the file that a voxel without light holds, which are subtracted; 0: none. None: as the values show.
    noise_cut : float
        Standard deviations of the read noise above the dark level below which a voxel is taken as dark.
    saturation : float, optional
        Value in the file from which on a voxel is full and unmeasured. None: as the detector and the values show.
    check_order : bool
        Look for frames that were read out twice or are in wrong order.
    dark_threshold : float
        Pixels with more dark counts than this are masked.
    dead_response : float
        Pixels whose white field is below this share of its median are masked.
    hot_contrast : float
        A lone pixel or voxel this many times above its neighbours is hot (and masked), if counting noise cannot explain it.
        The peak of a crystal sampled twice as finely as needed is 2.5 times above its neighbours.
    count_threshold : float
        Counts below it become 0. The default 0 keeps all: of the single photons of a real scan (34-ID-C, 201 frames)
        more than half lay on rods and speckles above a background of 0.02 a voxel.
    find_aliens : bool
        Mask clusters that belong to other crystals.
    alien_contrast : float
        How many times an alien rises above the highest pass between it and the Bragg peak.
    alien_significance : float
        The same in standard deviations of the counting noise.
    alien_asymmetry : float
        How many times more photons an alien has than its symmetric counterpart.
    alien_margin : float
        How far around an alien voxels are masked, in speckles.
    alien_share : float
        Largest share of all photons that an alien may hold; more may be a lobe of the strained crystal and is left alone,
        with a warning.
    shape : tuple of 3 ints, optional
        Shape of the pattern after binning. None: as much as was measured (but see `most_voxels`), FFT-friendly.
    binning : tuple of 3 ints, optional
        Voxels summed along (frame, row, column). None: frames as the oversampling allows, the detector's axes not at all
        (but see `most_voxels`).
    keep_oversampling : float
        Oversampling that automatic binning leaves on an axis.
    smallest_axis : int
        Voxels that automatic binning leaves on an axis.
    most_voxels : int
        A scan of more than twice as many voxels, or one that would be padded to have its peak in the middle, is cut to the
        rows and columns about the peak that hold its light; of a pattern that still has more voxels, the detector's pixels
        are binned, too, as the oversampling allows.
    off_grid : float
        Voxels that light may lie off a straight grid in q (uneven steps of the motor, a detector so wide that the Ewald
        sphere bends) before its counts are interpolated onto one.

    Raises
    ------
    PlanError
        If a value is outside its legal range.
    """

    values: Values | None = None
    gain: Positive | None = None
    dark_level: float | None = None
    noise_cut: NotNegative = 4.0
    saturation: Positive | None = None
    check_order: bool = True
    dark_threshold: NotNegative = 1.0
    dead_response: Annotated[float, Ge(0), Lt(1)] = 0.2
    hot_contrast: Annotated[float, Gt(1)] = 6.0
    count_threshold: NotNegative = 0.0
    find_aliens: bool = True
    alien_contrast: Annotated[float, Gt(1)] = 2.0
    alien_significance: NotNegative = 8.0
    alien_asymmetry: Annotated[float, Gt(1)] = 2.0
    alien_margin: NotNegative = 1.0
    alien_share: Share = 0.02
    shape: tuple[Axis, Axis, Axis] | None = None
    binning: tuple[Number, Number, Number] | None = None
    keep_oversampling: Annotated[float, Ge(2)] = 3.0
    smallest_axis: Annotated[int, Gt(1)] = 32
    most_voxels: Annotated[int, Gt(1)] = 8_000_000
    off_grid: Positive = 1.5

    def __post_init__(self) -> None:
        if self.values is not None and self.values not in get_args(Values):
            raise PlanError(f"values is {self.values!r}; give one of {', '.join(get_args(Values))}, or none.")
        if self.shape is not None and any(n % 2 for n in self.shape):
            raise PlanError(f"shape is {self.shape}; give three even numbers of at least 4 voxels.")
