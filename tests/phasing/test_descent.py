"""The way down to the least value: as short as theory has it, never beyond what may be evaluated, never up."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autophasenn.phasing.descent import FIRST_STEP, descend

STEEP = torch.logspace(0, 4, 30)
"""Curvatures of a valley."""
BEGIN = torch.ones(30)


class Counted:
    """A function that remembers where it was asked."""

    def __init__(self, value_of: Callable[[Tensor], Tensor]) -> None:
        self.value_of = value_of
        self.values: list[float] = []

    def __call__(self, x: Tensor) -> tuple[float, Tensor]:
        with torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            value = self.value_of(x)
            (slope,) = torch.autograd.grad(value, x)
        self.values.append(value.item())
        return value.item(), slope


def valley(x: Tensor) -> Tensor:
    return 0.5 * (STEEP * x).dot(x)


def rosenbrock(x: Tensor) -> Tensor:
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def test_the_first_step_is_that_of_error_reduction() -> None:
    """Of the curvature 4 of ``2 sum (|psi| - M)^2`` it ends in the minimum."""
    asked = Counted(lambda x: 0.5 / FIRST_STEP * x.dot(x))
    found = descend(asked, BEGIN, evaluations=2)
    assert float(found.abs().max()) < 1e-6


def test_a_valley_is_descended_in_fewer_evaluations_than_by_gradients() -> None:
    asked = Counted(valley)
    found = descend(asked, BEGIN, evaluations=60, history=20)
    assert float(valley(found)) < 1e-4 * asked.values[0]
    by_gradients = BEGIN.clone()
    for _ in range(60):
        by_gradients -= STEEP * by_gradients / STEEP.max()
    assert float(valley(found)) < 0.02 * float(valley(by_gradients))


def test_the_inverse_curvature_makes_every_valley_round() -> None:
    asked = Counted(valley)
    found = descend(asked, BEGIN, evaluations=2, inverse_curvature=lambda slope: slope / STEEP / FIRST_STEP)
    assert float(valley(found)) < 1e-9
    asked = Counted(valley)
    found = descend(asked, BEGIN, evaluations=6, inverse_curvature=lambda slope: 7 * slope / STEEP)  # but for a factor
    assert float(valley(found)) < 1e-6


def test_a_curved_valley_is_followed() -> None:
    found = descend(Counted(rosenbrock), torch.tensor([-1.2, 1.0]), evaluations=80)
    assert found.tolist() == pytest.approx([1, 1], abs=0.01)


@pytest.mark.parametrize("evaluations", [1, 2, 3, 7, 20])
def test_it_asks_no_more_often_than_it_may_and_gives_the_least_that_it_met(evaluations: int) -> None:
    for function, first in ((valley, BEGIN), (rosenbrock, torch.tensor([-1.2, 1.0]))):
        asked = Counted(function)
        found = descend(asked, first, evaluations=evaluations)
        assert len(asked.values) <= evaluations
        assert float(function(found)) == pytest.approx(min(asked.values), rel=1e-5)


def test_what_is_flat_or_not_a_number_ends_it() -> None:
    asked = Counted(lambda x: (0 * x).sum())
    assert torch.equal(descend(asked, BEGIN, evaluations=9), BEGIN)
    assert len(asked.values) == 1
    nowhere = Counted(lambda x: torch.where(x.sum() < 29, torch.nan, x.sum()))
    found = descend(nowhere, BEGIN, evaluations=9)
    assert 29 <= float(found.sum()) < 30
    assert torch.equal(descend(Counted(lambda x: torch.nan * x.sum()), BEGIN, evaluations=9), BEGIN)


def test_what_rounding_hides_is_not_searched_for() -> None:
    """Of a value that is known to seven digits it stops where nothing more is seen of it."""
    asked = Counted(lambda x: (1e6 + 2 * (x - 0.5).dot(x - 0.5)).float())
    descend(asked, BEGIN, evaluations=40)
    assert len(asked.values) < 10


def test_the_unknowns_it_is_given_stay_as_they_are() -> None:
    first = BEGIN.clone()
    descend(Counted(valley), first, evaluations=9)
    assert torch.equal(first, BEGIN)
