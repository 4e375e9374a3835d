"""The verdict on an image: status, message and confidence, from one evidence, so that none contradicts another.

The order of the questions is the order of their weight: does the image explain its pattern at all; how probable is it that
it is right, where that is calibrated; and else, do those agree that were found independently.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autophasenn.phasing.held_out import NOISE_MARGIN
from autophasenn.physics.metrics import GOOD
from autophasenn.report.words import percent

POOR_CHI2 = 0.1
"""chi2 above which an object does not explain its pattern, or, where counting noise alone gives as much, the pattern is too
weak to tell."""
POOR_RATIO = 100.0
"""chi2 over its noise floor above which the same holds for a strong pattern."""
BELIEVABLE, DOUBTFUL = 0.8, 0.2
"""Probabilities that the correlation is `GOOD`, from which on an image is called so."""
MOST_IF_POOR = 0.1
"""Probability above which no image is said to be right that does not explain its pattern: the calibration knows no such
pattern (amplitudes for counts, two crystals) where the images agree."""


MOST_IF_ALONE = 0.5
"""The same where no other image agrees with it, counting noise explains nearly anything, or no image of such a misfit was
calibrated: that is no reason to believe one, however well it fits."""


class Status(StrEnum):
    """What a result is, in a word."""

    reconstructed = "reconstructed"
    unchecked = "unchecked"
    uncertain = "uncertain"
    poor = "poor"


class Trust(StrEnum):
    """How far an image can be believed, in words."""

    believable = "Believable"
    doubtful = "Doubtful"
    not_believable = "Not believable"
    unknown = "Unknown"


@dataclass(frozen=True)
class Grounds:
    """The evidence.

    Parameters
    ----------
    chi2, chi2_noise : float
        Of the image, and what counting noise alone gives.
    found : int
        Images that were found independently: orientations and random starts, else predictions or starts.
    agreeing : int
        Those of them, the shown one included, that are alike.
    kind : str
        What they are, in the singular: image, prediction, start.
    probability : float, optional
        Calibrated, that the image is right; None: not known.
    why_unknown : str
        The reason, where it is not known.
    random_starts : int
        Images among those found that began from random starts, as those of the network left doubt.
    is_from_random_start : bool
        Whether the shown one is of these.
    is_beyond_calibration : bool
        Whether the misfit is larger than any that the probability was calibrated on.
    is_unlike_training : bool
        Whether the pattern is unlike those that the probability was calibrated on.
    phase_spread_rad : float, optional
        How much the phase differs from image to image, median.
    """

    chi2: float
    chi2_noise: float
    found: int = 1
    agreeing: int = 1
    kind: str = "start"
    probability: float | None = None
    why_unknown: str = ""
    random_starts: int = 0
    is_from_random_start: bool = False
    is_beyond_calibration: bool = False
    is_unlike_training: bool = False
    phase_spread_rad: float | None = None

    @property
    def ratio(self) -> float:
        """chi2 over that of counting noise."""
        return self.chi2 / max(self.chi2_noise, 1e-12)

    @property
    def is_explained(self) -> bool:
        """Does the image explain its pattern, at least roughly? Not where chi2 is no number."""
        return self.ratio <= NOISE_MARGIN or (self.chi2 <= POOR_CHI2 and self.ratio <= POOR_RATIO)

    @property
    def is_too_weak(self) -> bool:
        """Is counting noise so large that a wrong image would be explained by it, too?"""
        return self.is_explained and self.chi2 > POOR_CHI2

    @property
    def is_alone(self) -> bool:
        """Does no other agree, though there are others?"""
        return self.found > 1 and self.agreeing <= 1

    @property
    def is_unchecked(self) -> bool:
        """Is it the only image that was made, and its probability not known? A wrong image can explain a pattern, too."""
        return self.found == 1 and self.probability is None

    @property
    def is_disputed(self) -> bool:
        """Do fewer than half agree, or none at all?"""
        return self.is_alone or (self.found > 1 and self.agreeing < self.found / 2)


@dataclass(frozen=True)
class Verdict:
    """What is said of a result.

    Parameters
    ----------
    status : Status
    message : str
        What the image rests on, and what would help.
    trust : Trust
    probability : float, optional
        That the image is right.
    meaning : str
        `trust` and `probability` in a sentence.
    """

    status: Status
    message: str
    trust: Trust
    probability: float | None
    meaning: str


def judge(grounds: Grounds) -> Verdict:
    """The verdict on an image."""
    probability = grounds.probability
    if probability is not None and not grounds.is_explained:
        probability = min(probability, MOST_IF_POOR)
    if probability is not None and (grounds.is_alone or grounds.is_too_weak or grounds.is_beyond_calibration):
        probability = min(probability, MOST_IF_ALONE)
    trust = _trust(probability)
    status = _status(grounds, trust)
    return Verdict(status, _message(grounds, status), trust, probability, _meaning(grounds, trust, probability))


def _trust(probability: float | None) -> Trust:
    if probability is None:
        return Trust.unknown
    if probability >= BELIEVABLE:
        return Trust.believable
    return Trust.doubtful if probability >= DOUBTFUL else Trust.not_believable


def _status(grounds: Grounds, trust: Trust) -> Status:
    if not grounds.is_explained:
        return Status.poor
    if trust is Trust.unknown:
        if grounds.is_disputed or grounds.is_too_weak:
            return Status.uncertain
        return Status.unchecked if grounds.is_unchecked else Status.reconstructed
    return Status.reconstructed if trust is Trust.believable else Status.uncertain


def _message(grounds: Grounds, status: Status) -> str:
    fit = f"chi2 is {grounds.chi2:.2g}, {grounds.ratio:.3g} times what counting noise alone gives"
    agreement = _agreement(grounds, status)
    if status is Status.poor:
        return (
            f"The object does not explain the pattern: {fit}; {agreement}. Check that the values are counts, the mask, "
            "aliens, and that there is one crystal."
        )
    if status is Status.reconstructed:
        return f"{_capital(agreement)}; {fit}."
    if status is Status.unchecked:
        alone = "with no other to compare it with, so it may be wrong, as images that fit can be"
        return f"{_capital(agreement)}, {alone}; {fit}."
    if grounds.is_too_weak:
        return (
            f"{_capital(agreement)}, but the pattern is so weak that the image may be wrong: {fit}. Check that the values "
            "are counts; more photons would help."
        )
    if grounds.is_disputed:
        return (
            f"{_capital(agreement)}, so it may be wrong; {fit}. Try more starts, more iterations, or look for aliens and "
            "masked regions."
        )
    if grounds.ratio > NOISE_MARGIN:
        return (
            f"{_capital(agreement)}, but part of the pattern is left unexplained, so the image may be wrong: {fit}. Look "
            "for aliens, background, masked regions and a second crystal."
        )
    return f"{_capital(agreement)}, but that is little evidence, so the image may be wrong; {fit}. More photons would help."


def _agreement(grounds: Grounds, status: Status) -> str:
    """Who agrees, as the beginning of a sentence."""
    kind, found, agreeing = grounds.kind, grounds.found, grounds.agreeing
    if found == 1:
        said = f"one {kind} was made"
    elif grounds.is_alone:
        nobody = f"the other {kind} does not agree" if found == 2 else f"none of the other {found - 1} {kind}s agrees"
        said = f"{nobody} with this image"
    elif agreeing == found:
        said = f"{'both' if found == 2 else f'all {found}'} {kind}s agree"
    elif grounds.is_disputed and status is Status.uncertain:
        said = f"only {agreeing} of {found} {kind}s agree"
    elif grounds.is_disputed:
        said = f"{agreeing} of {found} {kind}s agree on this image, which explains the pattern best"
    else:
        said = f"{agreeing} of {found} {kind}s agree"
    if not grounds.random_starts:
        return said
    joined = f"{grounds.random_starts} from random starts, as the network's own left doubt"
    shown = ", and the one shown is of these" if grounds.is_from_random_start else ""
    return f"{said} ({joined}{shown})"


def _meaning(grounds: Grounds, trust: Trust, probability: float | None) -> str:
    if probability is None:
        return f"{trust}: {grounds.why_unknown}"
    if not grounds.is_explained:
        return f"{trust}: the image does not explain its pattern, whether others agree with it or not."
    unlike = ", and this pattern is unlike them (see the warnings)" if grounds.is_unlike_training else ""
    spread = (
        ""
        if grounds.phase_spread_rad is None or grounds.agreeing <= 1
        else f" The phase varies by {grounds.phase_spread_rad:.2f} rad (median) from image to image."
    )
    return (
        f"{trust}: of simulated crystals with this evidence {percent(probability)} were found with a correlation of "
        f"{GOOD:g} or more{unlike}.{spread}"
    )


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
