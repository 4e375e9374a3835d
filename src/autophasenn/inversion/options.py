"""Every parameter of an inversion, and what a method does with them, in words."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TypeVar

from autophasenn.errors import PlanError
from autophasenn.inversion.adaptation import Adaptation
from autophasenn.inversion.deblurring import Deblurring
from autophasenn.inversion.names import MethodName, method_of
from autophasenn.inversion.orientations import Orientations
from autophasenn.inversion.prediction import Predictions
from autophasenn.options import Share, options
from autophasenn.phasing.ensemble import AGREEMENT, Ensemble
from autophasenn.phasing.even_density import EvenDensity
from autophasenn.phasing.evenness import Evenness
from autophasenn.phasing.held_out import FREE_FRACTION, FreeFraction
from autophasenn.phasing.refinement import Refinement
from autophasenn.phasing.schedule import error_reduction

PAPER = error_reduction(50)
"""What `MethodName.er50` does from the prediction, within its support (Yao et al., npj Comput. Mater. 8, 124 (2022))."""


@options
class Inversion:
    """How a pattern is inverted.

    Parameters
    ----------
    free_fraction : float
        Share of the measured voxels that is held out, so that chi2_free judges what was found. 0: none, and the beam is
        taken as fully coherent.
    agreement : float
        Correlation with the best one from which starts, predictions and orientations are taken for the same object.
    retrieval : Ensemble
        From the pattern to the object, by --method iterative: how many starts, what is done in which iteration, and what
        is made of them.
    prediction : Predictions
        How often the network is asked, by all other methods.
    refinement : Refinement
        What is made of its prediction by --method refined and adapted.
    confidence : Orientations
        How far the image can be believed: how often the pattern is inverted for that.
    adaptation : Adaptation
        How the network first learns on from the pattern, by --method adapted.
    even_density : EvenDensity, optional
        How --method refined and adapted search for a strongly strained crystal where the best image is still poor
        (`refinement.poor`), about as long as all the rest takes. null: they do not.
    deblurring : Deblurring, optional
        What --method refined and adapted try where a coherence kernel was kept. null: nothing.
    evenness : Evenness, optional
        How --method refined and adapted make the image even inside at last, kept where held-out voxels are explained
        markedly better by it. Texture of the density that does not stand out of the counting noise, of
        below about 5 % of it, may be smoothed. null: they do not.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    free_fraction: FreeFraction = FREE_FRACTION
    agreement: Share = AGREEMENT
    retrieval: Ensemble = field(default_factory=Ensemble)
    prediction: Predictions = field(default_factory=Predictions)
    refinement: Refinement = field(default_factory=Refinement)
    confidence: Orientations = field(default_factory=Orientations)
    adaptation: Adaptation = field(default_factory=Adaptation)
    even_density: EvenDensity | None = field(default_factory=EvenDensity)
    deblurring: Deblurring | None = field(default_factory=Deblurring)
    evenness: Evenness | None = field(default_factory=Evenness)


AnyInversion = TypeVar("AnyInversion", bound=Inversion)


def with_starts(given: AnyInversion, starts: int) -> AnyInversion:
    """The same options with so many starts, of whichever method."""
    return replace(
        given,
        retrieval=replace(given.retrieval, starts=starts),
        prediction=replace(given.prediction, starts=starts),
    )


def with_orientations(given: AnyInversion, number: int) -> AnyInversion:
    """The same options with a confidence from so many orientations; 0: without one.

    Raises
    ------
    PlanError
        If the number is 1, or above 48.
    """
    average = given.confidence.average and number > 0
    return replace(given, confidence=replace(given.confidence, number=number, average=average))


def check_method(name: str, how: Inversion) -> MethodName:
    """The method of a name, where the options allow it.

    Raises
    ------
    PlanError
        If there is no such method, or it has nothing to judge by.
    """
    method = method_of(name)
    if method is MethodName.adapted and how.free_fraction == 0:
        raise PlanError(
            "free_fraction is 0, and --method adapted keeps only what explains held-out voxels better; give a "
            "free_fraction above 0, for instance 0.02, or --method refined."
        )
    return method


def words_of(method: MethodName, how: Inversion) -> str:
    """Starts, averaging and iterations of a method."""
    if method is MethodName.iterative:
        schedule, starts = how.retrieval.schedule, how.retrieval.starts
        blocks = ", ".join(f"{type(b.algorithm).__name__} {b.iterations}" for b in schedule.blocks)
        polish = f", then ER {how.retrieval.polish} from there" if how.retrieval.polish else ""
        return (
            f"{starts} random start{'s' if starts > 1 else ''} of {schedule.repeats} x ({blocks}) = {schedule.iterations} "
            f"iterations; the mean of those that agree{polish}"
        )
    asked = f"1 prediction, up to {how.prediction.starts} where poor, the best one taken"
    if method is MethodName.network:
        return asked
    if method is MethodName.er50:
        return f"{asked}; {PAPER.iterations} ER"
    first = how.refinement.search.iterations + how.refinement.polish
    even = ""
    if how.evenness is not None:
        even = f", at last up to {how.evenness.most_evaluations} evaluations for an even inside"
    return f"{asked}; {first} to {how.refinement.most_iterations()} iterations, none averaged with other starts{even}"
