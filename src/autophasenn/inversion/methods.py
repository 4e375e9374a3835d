"""From a pattern to its object, and how far that can be believed: one function for every method and every user of it.

`pipeline.reconstruct`, `evaluation`, `benchmark`, `live` and the scripts behind the docs all call :func:`invert`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool
from scipy.ndimage import shift
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.inversion.adaptation import adapt_to
from autophasenn.inversion.box import LEAST_VOXELS, NetworkBox
from autophasenn.inversion.confidence import Confidence, confidence_of, is_settled, packaged_calibration
from autophasenn.inversion.deblurring import DEBLURRED, WARNING, refine_deblurred
from autophasenn.inversion.ensemble import EVEN_DENSITY, RANDOM, ImageEnsemble
from autophasenn.inversion.full_resolution import refine_at_full_resolution
from autophasenn.inversion.last_resort import LastResort, Searched, by_even_density
from autophasenn.inversion.names import METHODS, MethodName
from autophasenn.inversion.novelty import TrainedRange, other_pieces, separate_lobe
from autophasenn.inversion.options import PAPER, Inversion, check_method, words_of
from autophasenn.inversion.orientations import by_network, by_network_quickly, by_retrieval, invert_from_all_sides
from autophasenn.inversion.prediction import Prediction, in_network_box, predict
from autophasenn.machine import give_back_freed_memory
from autophasenn.network.predict import Predictor
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.ensemble import reconstruct_ensemble
from autophasenn.phasing.evenness import evened
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import EVENNESS, Refined, Step, refine
from autophasenn.physics.nearest import nearest_known
from autophasenn.physics.pruned import Box
from autophasenn.preprocessing.aliens import Aliens
from autophasenn.progress import Progress, Silent, Stopwatch
from autophasenn.volumes import Pattern, Reconstruction

__all__ = ["METHODS", "Found", "Inversion", "MethodName", "describe", "invert"]

ORIGINS = {0: "network", RANDOM: "random start", EVEN_DENSITY: "even density"}
"""Where an image is from, by its element of the ensemble."""
OTHER_ORIENTATION = "network, another orientation"
"""The same for all other elements."""
WORSE = 1.05
"""The refinement at full resolution ended worse where the misfit of what judges it rose by more than this factor: less is
what the choice of the voxels that judge leaves open."""

AROUND = 4
"""Voxels around a crystal in which the nearest of its voxels is looked for exactly."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found.

    Parameters
    ----------
    reconstruction : Reconstruction
        On the grid of the pattern.
    path : dict, optional
        How it was found, for the report; None: iterative.
    confidence : Confidence, optional
        None: iterative or er50, or no orientations were asked for.
    warnings : tuple of str
        Sentences, beside those of the confidence.
    """

    reconstruction: Reconstruction
    path: dict[str, Any] | None = None
    confidence: Confidence | None = None
    warnings: tuple[str, ...] = ()


def invert(
    pattern: Pattern,
    oversampling: tuple[float, float, float],
    method: str = MethodName.refined,
    options: Inversion | None = None,
    *,
    predictor: Predictor | None = None,
    seed: int = 0,
    aliens: Aliens | None = None,
    progress: Progress | None = None,
    watch: Stopwatch | None = None,
    on_first: Callable[[Found], None] | None = None,
) -> Found:
    """Find the crystal of a pattern.

    Parameters
    ----------
    pattern : Pattern
        Of any shape; on the device that shall do the work.
    oversampling : tuple of 3 floats
        Along each axis, see `preprocessing.oversampling.estimate_oversampling`.
    method : str
        One of `METHODS`.
    options : Inversion, optional
    predictor : Predictor, optional
        The network (`prediction.load_predictor`); every method but iterative needs it.
    seed : int
        The whole randomness.
    aliens : Aliens, optional
        Those that preprocessing found. None: the confidence searches for them.
    progress : Progress, optional
    watch : Stopwatch, optional
        Given the seconds of network, refinement and confidence.
    on_first : callable, optional
        Given the first image, at the resolution of the network's box, where confidence or full resolution take longer.

    Raises
    ------
    InputError
        If there is nothing to phase, or the pattern has too few voxels for the network.
    PlanError
        If there is no such method, or it needs a network and none was given.
    """
    options, progress, watch = options or Inversion(), progress or Silent(), watch or Stopwatch()
    chosen = check_method(method, options)
    if chosen is MethodName.iterative:
        return _iterative(pattern, oversampling, options, seed, progress, watch)
    if predictor is None:
        raise PlanError(f"The method {method} begins from a network's prediction; give a predictor.")
    progress.stage("Network")
    with watch.measure("network"):
        boxed = in_network_box(pattern, oversampling, free_fraction=options.free_fraction, seed=seed)
        prediction = predict(boxed, predictor, options.prediction, seed=seed)
    path = prediction.facts(oversampling)
    warnings: list[str] = []
    if chosen is MethodName.adapted:
        progress.stage("Adapt")
        with watch.measure("network"):
            predictor, prediction, learned = adapt_to(
                *(prediction, predictor, options.adaptation, options.prediction),
                seed=seed, on_iteration=progress.advance,
            )  # fmt: skip
        path = prediction.facts(oversampling) | {"adapted": learned.facts()}
        warnings += learned.warnings
    in_box = None
    if chosen is not MethodName.network:
        progress.stage("Refinement")
        with watch.measure("refine"):
            in_box = _refined_in_box(prediction, predictor, chosen, options, seed, progress)
        if any(step.name == DEBLURRED for step in in_box.steps):
            warnings.append(WARNING)
    best = prediction.best if in_box is None else in_box.best
    if on_first is not None:
        on_first(_first_image(prediction, in_box, path, warnings, options.agreement))
    images, searched, last_resort, origin = None, None, None, ORIGINS[0]
    if chosen in (MethodName.refined, MethodName.adapted) and options.even_density is not None:
        last_resort = by_even_density(
            boxed.inside, options.even_density, options.refinement, seed=seed, progress=progress
        )
    if options.confidence.number and chosen is not MethodName.er50:
        progress.stage("Confidence")
        with watch.measure("confidence"):
            images = _from_all_sides(best, prediction, predictor, chosen, options, seed, progress, last_resort)
        best = images.image
        searched = Searched.among(images)
        origin = ORIGINS.get(images.elements[0], OTHER_ORIENTATION)
    elif last_resort is not None and boxed.inside.misfit(best).is_poor(options.refinement.poor):
        with watch.measure("refine"):
            found_so = last_resort()
        searched = Searched(boxed.inside.score(best), boxed.inside.score(found_so))
        best = found_so if searched.is_kept else best
        origin = ORIGINS[EVEN_DENSITY if searched.is_kept else 0]
    if searched is not None:
        path["even_density"] = searched.facts()
        warnings.append(searched.sentence)
    if chosen in (MethodName.refined, MethodName.adapted) and best is prediction.best:
        warnings.append(
            "No step of the refinement in the network's box explains the pattern better than the prediction, which goes on "
            "as it is; take the plan's defaults, another --seed, or --method iterative."
        )
    final, on_grid = boxed.on_grid(best), None
    if chosen in (MethodName.refined, MethodName.adapted) and not boxed.box.is_whole_pattern:
        progress.stage("Full resolution")
        give_back_freed_memory()
        with watch.measure("refine"):
            on_grid = refine_at_full_resolution(
                boxed.grid, final, boxed.box, oversampling, options.refinement,
                partially_coherent=best.kernel is not None, on_iteration=progress.advance,
            )  # fmt: skip
        warnings += _spoiled(boxed.grid, final, on_grid, options.refinement.enough)
        final = on_grid.best
    even = None
    if chosen in (MethodName.refined, MethodName.adapted) and options.evenness is not None:
        progress.stage("Even inside")
        with watch.measure("refine"):
            even = evened(
                boxed.grid, final, options.evenness, options.refinement.polish_support, options.refinement.likelihood,
                on_iteration=progress.advance,
            )  # fmt: skip
        if even is not None:
            path["even_inside"] = even.facts()
            final = even.image or final
    path["image_from"] = "network" if origin == OTHER_ORIENTATION else origin
    if origin == ORIGINS[0]:
        steps, errors = in_box.steps if in_box else (), [prediction.best.errors, *([in_box.errors] if in_box else [])]
    else:
        steps, errors = (Step(origin, "box", best.errors.shape[1]),), [best.errors]
    if on_grid is not None:
        steps, errors = steps + on_grid.steps, [*errors, on_grid.errors]
    if even is not None and even.image is not None:
        grid: Literal["box", "pattern"] = "box" if boxed.box.is_whole_pattern else "pattern"
        steps, errors = (*steps, Step(EVENNESS, grid, even.image.errors.shape[1])), [*errors, even.image.errors]
    path["iterations"] = [step.facts() for step in steps]
    found = prediction.reconstruction(final, torch.cat(errors, 1), options.agreement)
    if images is None:
        return Found(found, path, None, (*warnings, *_particles(found, pattern, oversampling)))
    with watch.measure("confidence"):
        calibration = packaged_calibration("network" if chosen is MethodName.network else "refined")
        confidence = confidence_of(images, boxed.inside, aliens=aliens, calibration=calibration)
        moved = even.shift if even is not None else (0.0, 0.0, 0.0)
        return Found(with_spread(found, boxed.box, images, moved), path, confidence, tuple(warnings))


def describe(
    pattern: Pattern, oversampling: tuple[float, float, float], method: str, options: Inversion | None = None
) -> dict[str, Any]:
    """What a method would do with a pattern, for people."""
    options = options or Inversion()
    chosen = check_method(method, options)
    if chosen is MethodName.iterative:
        return {"starts": options.retrieval.starts, "schedule": words_of(chosen, options)}
    box = NetworkBox.of(pattern.shape, oversampling)
    steps = ", ".join(f"{step:.2f}" for step in box.steps)
    number, starts = options.confidence.number, options.confidence.random_starts
    judged = number and chosen is not MethodName.er50
    at_full = chosen in (MethodName.refined, MethodName.adapted) and not box.is_whole_pattern
    most = options.refinement.most_iterations(is_on_grid=True)
    is_last_resort = chosen in (MethodName.refined, MethodName.adapted) and options.even_density is not None
    return {
        "network box": f"64 x 64 x 64, a voxel every {steps} voxels of the pattern",
        "schedule": words_of(chosen, options) + (f", then {most} at most at full resolution" if at_full else ""),
        "confidence": f"from {number} orientations of the pattern, or {1 + number // 2} where these are the same, and "
        f"{starts} random starts if they disagree"
        if judged
        else "unknown: no orientations are asked for",
    } | ({"last resort": "a search for an even density"} if is_last_resort else {})


def _iterative(
    pattern: Pattern,
    oversampling: tuple[float, float, float],
    options: Inversion,
    seed: int,
    progress: Progress,
    watch: Stopwatch,
) -> Found:
    progress.stage("Phase retrieval")
    with watch.measure("refine"):
        held_out = HeldOut.of(pattern, options.free_fraction, seed)
        found = reconstruct_ensemble(
            held_out, options.retrieval, seed=seed, agreement=options.agreement, on_iteration=progress.advance
        )
    return Found(found, warnings=tuple(_particles(found, pattern, oversampling)))


def _refined_in_box(
    prediction: Prediction,
    predictor: Predictor,
    method: MethodName,
    options: Inversion,
    seed: int,
    progress: Progress,
) -> Refined:
    inside, start, how = prediction.boxed.inside, prediction.best, options.refinement
    if method is not MethodName.er50:
        found = refine(inside, start, how, on_iteration=progress.advance)
        return refine_deblurred(
            inside, found, options.deblurring, how, predictor, options.prediction,
            seed=seed, on_iteration=progress.advance,
        )  # fmt: skip
    run = inside.retrieve(start, PAPER, progress.advance)
    return Refined(run, run, (Step("error reduction", "box", PAPER.iterations),), run.errors)


def _first_image(
    prediction: Prediction, in_box: Refined | None, path: dict[str, Any], warnings: list[str], agreement: float
) -> Found:
    """What stands before the other orientations and the full resolution."""
    best = prediction.best if in_box is None else in_box.best
    errors = [prediction.best.errors, *([] if in_box is None else [in_box.errors])]
    steps = () if in_box is None else in_box.steps
    found = prediction.reconstruction(prediction.boxed.on_grid(best), torch.cat(errors, 1), agreement)
    told = path | {"image_from": ORIGINS[0], "iterations": [step.facts() for step in steps]}
    return Found(found, told, None, tuple(warnings))


def _from_all_sides(
    best: Retrieval,
    prediction: Prediction,
    predictor: Predictor,
    method: MethodName,
    options: Inversion,
    seed: int,
    progress: Progress,
    last_resort: LastResort | None,
) -> ImageEnsemble:
    inside, refinement = prediction.boxed.inside, None if method is MethodName.network else options.refinement
    invert_one = by_network(
        predictor,
        options.prediction,
        refinement,
        seed=seed,
        partially_coherent=best.kernel is not None,
        deblurring=options.deblurring,
    )
    again = None if refinement is None else by_retrieval(inside, refinement, seed=seed)
    quickly, sides = None, options.confidence
    is_quick = sides.quick and not sides.average  # a mean is of whole refinements
    if refinement is not None and is_quick and inside.misfit(best).ratio <= refinement.enough:
        quickly = by_network_quickly(predictor, options.prediction, refinement, sides.quick_search, seed=seed)
    return invert_from_all_sides(
        best,
        inside,
        invert_one,
        sides,
        poor=options.refinement.poor,
        agreement=options.agreement,
        from_random_start=again,
        last_resort=last_resort,
        is_settled=lambda images: is_settled(images, inside),
        invert_quickly=quickly,
        on_iteration=progress.advance,
    )


def _spoiled(grid: HeldOut, start: Retrieval, refined: Refined, enough: float) -> tuple[str, ...]:
    """A sentence, where the refinement ended worse than it began; none where it began with all that the counts tell."""
    if refined.best is not start or grid.misfit(start).ratio <= enough:
        return ()
    last, best = grid.score(refined.last), grid.score(start)
    if last <= WORSE * best:
        return ()
    return (
        f"The refinement ended worse than it began (misfit of the voxels that judge it {last:.3g}, before {best:.3g}), so "
        "the image is that from before; try another --seed, or --method iterative.",
    )


def _particles(found: Reconstruction, pattern: Pattern, oversampling: tuple[float, float, float]) -> list[str]:
    """A word on more than one particle; where there are several images, `confidence_of` says it."""
    pieces = other_pieces(found.object.abs().numpy())
    lobe = 0.0
    if min(pattern.shape) >= LEAST_VOXELS:
        box = NetworkBox.of(pattern.shape, oversampling)
        counts, measured = box.counts_into(pattern.counts, pattern.mask)
        lobe = separate_lobe(counts.cpu().numpy(), measured.cpu().numpy())
    return TrainedRange().particle_sentences(lobe, pieces)


def _nearest_inside(support: Bool[Tensor, "n0 n1 n2"]) -> tuple[np.ndarray, ...]:
    """The nearest voxel of a support for every voxel of its volume: exact near to it, about right far away."""
    shape = (support.shape[0], support.shape[1], support.shape[2])
    box = Box.around(support).widened(AROUND, shape)
    axes = zip(shape, box.start, box.size, strict=True)
    inside = np.ix_(*(np.clip(np.arange(n) - start, 0, size - 1) for n, start, size in axes))
    nearest = nearest_known(box.cut(support).cpu().numpy())
    return tuple(index[inside] + start for index, start in zip(nearest, box.start, strict=True))


def with_spread(
    found: Reconstruction, box: NetworkBox, images: ImageEnsemble, moved: tuple[float, float, float]
) -> Reconstruction:
    """An object with the spread of its images: theirs of the box, moved with it; NaN outside of its support."""
    nearest = _nearest_inside(images.support)  # beyond the surface a phase has no meaning

    def carried(values: Tensor) -> Tensor:
        on_grid = box.values_onto_grid(torch.from_numpy(values.cpu().numpy()[nearest]))
        if any(moved):
            on_grid = torch.from_numpy(shift(on_grid.numpy(), moved, order=1, mode="nearest"))
        return torch.where(found.support, on_grid, torch.nan)

    return replace(found, phase_spread=carried(images.phase_spread), amplitude_spread=carried(images.amplitude_spread))
