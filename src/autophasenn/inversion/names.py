"""The methods by name, and the word of a seed; without torch, so that the command line can list them."""

from __future__ import annotations

from enum import StrEnum

from autophasenn.errors import PlanError

SAME_SEED = "The same seed gives the same result, bit for bit, with as many threads."
"""What the command, the page and the task of Ewoks say of a seed."""


class MethodName(StrEnum):
    """How a crystal is found from its pattern: the only list of it."""

    refined = "refined"
    adapted = "adapted"
    er50 = "er50"
    network = "network"
    iterative = "iterative"

    @property
    def needs_network(self) -> bool:
        """Does it begin from a network's prediction?"""
        return self is not MethodName.iterative

    @property
    def words(self) -> str:
        """What it does."""
        return _WORDS[self]


_WORDS = {
    MethodName.refined: "the network's prediction, refined at full resolution",
    MethodName.adapted: "the same, after the network learned on from this pattern, minutes",
    MethodName.er50: "50 iterations of error reduction from the prediction (Yao et al. 2022)",
    MethodName.network: "the prediction as it is",
    MethodName.iterative: "phase retrieval from random starts, averaged",
}
METHODS = tuple(MethodName)
COMPARED = (MethodName.network, MethodName.refined, MethodName.iterative)
"""What an evaluation compares, unless other methods are named."""


def method_of(name: str) -> MethodName:
    """The method of a name.

    Raises
    ------
    PlanError
        If there is none.
    """
    try:
        return MethodName(name)
    except ValueError:
        raise PlanError(f"The method {name!r} is not known; choose from {', '.join(METHODS)}.") from None
