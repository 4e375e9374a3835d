"""How far an image can be believed: one number that holds on simulated crystals, and warnings in plain sentences.

The number is the probability that the correlation of the image with the truth is at least 0.95. It is a logistic function of
three numbers that need no truth, and falls with each of them; its coefficients were fitted to simulated crystals of all
kinds (docs/physics/confidence.md has how, and how well it holds on others).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from autophasenn.errors import InputError
from autophasenn.inversion.ensemble import ImageEnsemble
from autophasenn.inversion.novelty import TrainedRange, features_of
from autophasenn.inversion.verdict import Grounds, judge
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.preprocessing.aliens import Aliens

SETTLED = 0.95
"""Confidence from which on images that all agree are asked for no more: well above `verdict.BELIEVABLE`, from which on the
verdict says no more either."""
LEAST_DISCORD, LEAST_UNEXPLAINED = 5e-3, 1e-4
"""Below these nothing more is learned: images that agree ten times better than asked of the truth may be wrong alike."""


@dataclass(frozen=True)
class Evidence:
    """What the number is made of; each makes it smaller.

    Parameters
    ----------
    discord : float
        1 less the mean correlation of the best image with the others of the better half: do those agree that fit best?
    unexplained : float
        chi2 less that of counting noise: the part of the pattern that neither the image nor the noise explains.
    misfit : float
        chi2 over that of counting noise.
    """

    discord: float
    unexplained: float
    misfit: float

    @property
    def logarithms(self) -> tuple[float, float, float]:
        """Decadic, of discord, unexplained and misfit."""
        return (
            math.log10(max(self.discord, LEAST_DISCORD)),
            math.log10(max(self.unexplained, LEAST_UNEXPLAINED)),
            math.log10(max(self.misfit, 1.0)),
        )


@dataclass(frozen=True)
class Calibration:
    """``p = 1 / (1 + exp(-(intercept - slopes . x)))`` with x the decadic logarithms of the evidence.

    Parameters
    ----------
    intercept : float
    slopes : tuple of 3 floats
        None below 0.
    provenance : dict
        What it was fitted to.
    most_misfit : float
        The largest misfit of a good image that it was fitted to: of larger ones it knows nothing.
    """

    intercept: float
    slopes: tuple[float, float, float]
    provenance: dict[str, Any]
    most_misfit: float = math.inf

    def __post_init__(self) -> None:
        if len(self.slopes) != 3 or not all(slope >= 0 for slope in self.slopes):
            raise InputError(
                f"The slopes are {self.slopes}; give three numbers, none below 0: doubt never adds confidence."
            )

    def __call__(self, evidence: Evidence) -> float:
        """Probability that the image is good, 0 to 1; 0 where the evidence is no number."""
        logit = self.intercept - sum(s * x for s, x in zip(self.slopes, evidence.logarithms, strict=True))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit)))) if math.isfinite(logit) else 0.0


@lru_cache(2)
def packaged_calibration(kind: str = "refined") -> Calibration:
    """The calibration of the package, of refined images or of the network's predictions as they are ("network")."""
    stored = json.loads(files("autophasenn").joinpath("weights", "confidence.json").read_text())[kind]
    return Calibration(stored["intercept"], tuple(stored["slopes"]), stored["provenance"], stored["most_misfit"])


@dataclass(frozen=True)
class Confidence:
    """How far the image of an `ImageEnsemble` can be believed.

    Parameters
    ----------
    number : float
        Calibrated probability, 0 to 1, that its correlation with the truth is at least 0.95; the verdict, which knows more
        evidence, may lower it (`inversion.verdict`).
    warnings : tuple of str
        Sentences, one for each way in which the pattern is unlike those that the network was trained on.
    features : dict
        The evidence, the signs, and for information: ``chi2``, ``chi2_noise``, ``chi2_free``, ``chi2_noise_free`` (null
        where nothing was held out), ``variants`` (how many images), ``random_starts`` (of these),
        ``pairwise_correlation`` of all of them,
        ``largest_mode``, ``agreeing`` (share of the images), ``phase_spread`` (rad) and ``amplitude_spread``, medians
        inside the support.
    is_beyond_calibration : bool
        Whether the misfit is larger than any that it was calibrated on.
    """

    number: float
    warnings: tuple[str, ...]
    features: dict[str, Any]
    is_beyond_calibration: bool = False


def confidence_of(
    images: ImageEnsemble,
    inside: HeldOut,
    *,
    aliens: Aliens | None = None,
    calibration: Calibration | None = None,
    trained: TrainedRange | None = None,
) -> Confidence:
    """Judge the images of a pattern.

    Parameters
    ----------
    images : ImageEnsemble
        At least two.
    inside : HeldOut
        The network's box, in which they were found.
    aliens : Aliens, optional
        Those that preprocessing found. None: they are searched for.
    calibration : Calibration, optional
        None: that of the package, for refined images.
    trained : TrainedRange, optional
        Beyond which there are warnings.

    Raises
    ------
    InputError
        If there is a single image.
    """
    fit = _fit(images.image, inside)
    evidence = _evidence_of(images, fit)
    signs = features_of(inside.pattern.counts, inside.pattern.mask, images.crystal, aliens)
    support = images.support
    features = {
        **asdict(evidence),
        **asdict(signs),
        **{name: value if math.isfinite(value) else None for name, value in fit.items()},
        "pairwise_correlation": images.pairwise,
        "largest_mode": images.largest_mode,
        "variants": len(images.objects),
        "random_starts": images.random_starts,
        "agreeing": float(images.agreeing.float().mean()),
        "phase_spread": float(images.phase_spread[support].median()),
        "amplitude_spread": float(images.amplitude_spread[support].median()),
    }
    calibration = calibration or packaged_calibration()
    warnings, is_beyond = (trained or TrainedRange()).sentences(signs), evidence.misfit > calibration.most_misfit
    if is_beyond:
        warnings.append(
            f"chi2 is {evidence.misfit:.3g} times what counting noise gives, and no simulated crystal was found with more "
            f"than {calibration.most_misfit:.3g}: are the values counts, with no gain and no background?"
        )
    return Confidence(calibration(evidence), tuple(warnings), features, is_beyond)


def is_settled(images: ImageEnsemble, inside: HeldOut, calibration: Calibration | None = None) -> bool:
    """Is what is said of an image settled, so that more images would only say it again?

    Where every image agrees with the best, and the verdict on it has a confidence of `SETTLED` or more. What is left
    unexplained then is in none of them: of the beam, the detector or a background, rather than of the crystal.

    Parameters
    ----------
    images : ImageEnsemble
        At least two.
    inside : HeldOut
        The network's box, in which they were found.
    calibration : Calibration, optional
        None: that of the package, for refined images.

    Raises
    ------
    InputError
        If there is a single image.
    """
    if not bool(images.agreeing.all()):
        return False
    calibration, fit, number = calibration or packaged_calibration(), _fit(images.image, inside), len(images.objects)
    evidence = _evidence_of(images, fit)
    verdict = judge(
        Grounds(
            *(fit["chi2"], fit["chi2_noise"], number, number, "image"),
            probability=calibration(evidence),
            is_beyond_calibration=evidence.misfit > calibration.most_misfit,
        )
    )
    return verdict.probability is not None and verdict.probability >= SETTLED


def discord_of(images: ImageEnsemble) -> float:
    """1 less the mean correlation of the best image with the others of the better half, the second best at least.

    Raises
    ------
    InputError
        If there is a single image.
    """
    number = len(images.objects)
    if number < 2:
        raise InputError(
            "The confidence of 1 image is unknown, as nothing can disagree with it; give 2 orientations or more."
        )
    return 1 - float(images.correlations[1 : max(2, number // 2)].mean())


def _evidence_of(images: ImageEnsemble, fit: dict[str, float]) -> Evidence:
    return Evidence(discord_of(images), fit["chi2"] - fit["chi2_noise"], fit["chi2"] / max(fit["chi2_noise"], 1e-12))


def _fit(image: Retrieval, inside: HeldOut) -> dict[str, float]:
    """chi2 and its noise floor for an object, on the voxels that were used and on those held out."""
    used, free = inside.misfit(image), inside.free_misfit(image)
    return {"chi2": used.chi2, "chi2_noise": used.noise, "chi2_free": free.chi2, "chi2_noise_free": free.noise}
