"""Who takes part in a comparison over several sets: a method, with so many starts or another network of the package."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autophasenn.errors import PlanError
from autophasenn.inversion.names import MethodName, method_of
from autophasenn.inversion.options import Inversion, with_starts
from autophasenn.network.architectures import DESIGNS

NETWORKS = tuple(DESIGNS)
"""That a method may begin with."""
JUDGED = (MethodName.refined, MethodName.adapted)
"""Methods whose images get a confidence, as `reconstruct` gives it. The network takes part as the quick one, without."""


@dataclass(frozen=True)
class Entrant:
    """A method as it takes part.

    Parameters
    ----------
    method : MethodName
    starts : int, optional
        None: those of the defaults.
    network : str, optional
        Of `NETWORKS`. None: the one of the whole comparison.
    """

    method: MethodName
    starts: int | None = None
    network: str | None = None

    @classmethod
    def of(cls, text: str) -> Entrant:
        """From ``METHOD``, ``METHOD:STARTS`` or ``METHOD:NETWORK``, as ``iterative:20`` and ``er50:autophasenn``.

        Raises
        ------
        PlanError
            If there is no such method, number or network, or the method has no use for it.
        """
        name, colon, more = text.strip().partition(":")
        method = method_of(name)
        if not colon:
            return cls(method)
        if more in NETWORKS and method.needs_network:
            return cls(method, network=more)
        if more.isascii() and more.isdigit() and int(more) > 0:
            return cls(method, starts=int(more))
        also = f" or a network ({', '.join(NETWORKS)})" if method.needs_network else ""
        raise PlanError(
            f"In the method {text!r} stands {more!r} after the colon; give a number of starts{also}, as in iterative:20 and "
            "er50:autophasenn."
        )

    @property
    def name(self) -> str:
        """As it is written."""
        more = self.network or self.starts
        return self.method.value if more is None else f"{self.method.value}:{more}"

    def inversion(self, given: Inversion, *, confidence: bool) -> Inversion:
        """The options with this entrant's starts, and with a confidence where its method has one and that is wanted."""
        options = given if self.starts is None else with_starts(given, self.starts)
        if confidence and self.method in JUDGED:
            return options
        return replace(options, confidence=replace(options.confidence, number=0, average=False))


ENTRANTS = ("network", "er50:autophasenn", "refined", "iterative:5", "iterative:20")
"""Who is compared over several sets unless others are named; the quick ones first."""


def entrants_of(names: tuple[str, ...]) -> tuple[Entrant, ...]:
    """All of these.

    Raises
    ------
    PlanError
        If there is none, one is not known, or two are the same.
    """
    if not names:
        raise PlanError(f"There are no methods to compare; give some, for instance {','.join(ENTRANTS)}.")
    entrants = tuple(map(Entrant.of, names))
    if len({entrant.name for entrant in entrants}) < len(entrants):
        raise PlanError(f"A method is named twice in {','.join(names)}; name each once.")
    return entrants
