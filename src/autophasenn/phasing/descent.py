"""Towards the least value of a smooth function, by the limited-memory method of Broyden, Fletcher, Goldfarb and Shanno.

Each step goes along ``-H g``: g is the slope, and H the inverse curvature as the last steps show it, begun with a multiple
of an estimate that the function may give of it (Liu and Nocedal, Math. Program. 45, 503 (1989); Nocedal and Wright,
Numerical Optimization (2006), algorithms 7.4 and 3.1). All is done in single precision on the device of the unknowns.
SciPy's knows no such estimate, and copies vectors to double precision and back at every step.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Unknowns = Float[Tensor, " unknowns"]
Evaluate = Callable[[Unknowns], tuple[float, Unknowns]]
"""Of the unknowns: the value, and its slope."""
FIRST_STEP = 0.25
"""The first step over the slope, where nothing is known of the curvature: of the misfit ``2 sum (|psi| - M)^2`` it is that
of error reduction, as the slope is ``4 (rho - P rho)``."""
ENOUGH = 1e-4
"""A step is taken where the value falls by this share of what its slope promises (Armijo's rule)."""
ROUNDING = 1e-7
"""A step that promises less than this share of the value is below what single precision tells."""
SHORTEN = (0.1, 0.5)
"""By what factor, at least and at most, a step that is too long is shortened."""
LEAST_CURVATURE = 1e-10
"""A step tells of the curvature where that is this share of the change of the slope, or more."""


def descend(
    evaluate: Evaluate,
    first: Unknowns,
    *,
    evaluations: int,
    history: int = 10,
    inverse_curvature: Callable[[Unknowns], Unknowns] | None = None,
) -> Unknowns:
    """The unknowns of the least value that was met.

    Parameters
    ----------
    evaluate : callable
        It is called at `first`, and all in all at most `evaluations` times.
    first : float32 tensor (unknowns,)
    evaluations : int
    history : int
        Steps that are remembered.
    inverse_curvature : callable, optional
        A symmetric, positive linear map of a slope: about the inverse of the curvature, but for a factor. None: the
        identity.

    Returns
    -------
    float32 tensor (unknowns,)
        `first` itself where nothing less was met.
    """
    eased = inverse_curvature or torch.clone
    x, steps = first, _Steps(history)
    value, slope = evaluate(x)
    least, best, done = value, x, 1
    while done < evaluations:
        direction = steps.direction(slope, eased)
        along = _product(slope, direction)
        if not along < 0:  # nothing is left to gain, or rounding has spoiled what the steps tell
            if not steps.known:
                break
            steps.known.clear()
            continue
        share = 1.0
        while True:
            new = torch.add(x, direction, alpha=share)
            new_value, new_slope = evaluate(new)
            done += 1
            if new_value < least:
                least, best = new_value, new
            if new_value <= value + ENOUGH * share * along:
                break
            if done == evaluations or -share * along < ROUNDING * abs(value):
                return best
            share *= _shortened(value, new_value, share * along)
        steps.remember(new - x, new_slope - slope)
        x, value, slope = new, new_value, new_slope
    return best


class _Steps:
    """The last steps, and how they changed the slope."""

    def __init__(self, history: int) -> None:
        self.known: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)

    def remember(self, step: Unknowns, change: Unknowns) -> None:
        """Where it tells of a curvature, which is positive."""
        curvature = _product(step, change)
        if curvature > LEAST_CURVATURE * _product(change, change):
            self.known.append((step, change, 1 / curvature))

    def direction(self, slope: Unknowns, eased: Callable[[Unknowns], Unknowns]) -> Unknowns:
        """``-H g``, by two loops over the steps."""
        found, shares = slope.neg(), []
        for step, change, inverse in reversed(self.known):
            shares.append(inverse * _product(step, found))
            found.add_(change, alpha=-shares[-1])
        found, scale = eased(found), FIRST_STEP
        if self.known:
            _, change, inverse = self.known[-1]
            share = inverse * _product(change, eased(change))
            scale = 1 / share if share > 0 else scale
        found = found.mul_(scale)
        for (step, change, inverse), share in zip(self.known, reversed(shares), strict=True):
            found.add_(step, alpha=share - inverse * _product(change, found))
        return found


def _product(one: Unknowns, other: Unknowns) -> float:
    return float(torch.dot(one, other))


def _shortened(value: float, beyond: float, promised: float) -> float:
    """By what factor: to the least of a parabola through both values that begins with the slope."""
    least, most = SHORTEN
    excess = beyond - value - promised
    return max(least, min(most, -promised / (2 * excess))) if math.isfinite(excess) else least
