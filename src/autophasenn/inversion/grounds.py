"""The verdict on what an inversion found: its evidence gathered, for the report, the evaluation and the benchmarks alike."""

from __future__ import annotations

from autophasenn.inversion.methods import Found
from autophasenn.inversion.names import MethodName
from autophasenn.inversion.verdict import Grounds, Verdict, judge
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel
from autophasenn.volumes import Pattern, Reconstruction

NOT_CALIBRATED = "it is calibrated for images that began from the network's prediction."
NOT_ASKED_FOR = (
    "no orientations were asked for (confidence.number is 0); 4 of them tell how far the image can be believed."
)
PENDING = "it is being computed; if the run has ended, it was interrupted before."


def misfit_of(reconstruction: Reconstruction, pattern: Pattern) -> tuple[float, float]:
    """chi2 of an image on all measured voxels of its pattern, and what counting noise alone gives there."""
    model = ForwardModel(kernel=reconstruction.kernel)
    chi2 = metrics.chi2(reconstruction.object, pattern.counts, pattern.mask, model)
    return float(chi2), float(metrics.chi2_noise(reconstruction.intensity, pattern.counts, pattern.mask))


def verdict_on(
    found: Found,
    method: str,
    misfit: tuple[float, float],
    *,
    is_pending: bool = False,
) -> Verdict:
    """What is said of an image.

    Parameters
    ----------
    found : Found
        What :func:`methods.invert` found.
    method : str
    misfit : (float, float)
        Of the image, as :func:`misfit_of` gives it.
    is_pending : bool
        Whether its confidence is still being computed.
    """
    return judge(_grounds(found, method, misfit, is_pending))


def _grounds(found: Found, method: str, misfit: tuple[float, float], is_pending: bool) -> Grounds:
    """The evidence: images found independently where there are several, else the predictions or starts before them."""
    starts, judged = found.reconstruction, found.confidence
    if judged is None:
        is_iterative = method == MethodName.iterative
        return Grounds(
            *misfit,
            len(starts.free_errors),
            starts.averaged,
            "start" if is_iterative else "prediction",
            why_unknown=NOT_CALIBRATED if is_iterative else PENDING if is_pending else NOT_ASKED_FOR,
        )
    images, path = judged.features["variants"], found.path or {}
    return Grounds(
        *misfit,
        images,
        round(images * judged.features["agreeing"]),
        "image",
        probability=judged.number,
        is_beyond_calibration=judged.is_beyond_calibration,
        random_starts=judged.features["random_starts"],
        is_from_random_start=path.get("image_from") == "random start",
        is_unlike_training=bool(judged.warnings),
        phase_spread_rad=judged.features["phase_spread"],
    )
