"""The curves as one browser sees them."""

from __future__ import annotations

import asyncio
from typing import Any

from autophasenn.errors import AutoPhaseNNError
from autophasenn.viewer import plots
from autophasenn.viewer.curves import Curves, read_curves
from autophasenn.viewer.figure import written

NO_PRTF = (
    "{} has no phase retrieval transfer function: that takes several starts that agree, as --method iterative makes."
)


class CurveTab:
    """Convergence and phase retrieval transfer function of what one browser has open.

    Parameters
    ----------
    owner : Viewer
    """

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.forget()

    def forget(self) -> None:
        """Others were opened: read their curves when they are looked at."""
        self._found: list[Curves] = []
        self.owner.state.update({"curves": [], "curves_error": "", "curves_words": []})

    async def update(self) -> None:
        """Draw them in the colours of the page."""
        state = self.owner.state
        try:
            if not self._found:
                stored, limits = self.owner.stored, self.owner.shared.limits
                found = [await asyncio.to_thread(read_curves, each.path, each.report, limits) for each in stored]
                if stored is not self.owner.stored:
                    self.owner.want("curves")
                    return
                self._found = found
        except AutoPhaseNNError as error:
            state.curves_error = str(error)
            return
        drawn = await asyncio.to_thread(
            lambda: [
                {"name": name, "picture": plots.address(figure)} for name, figure in self._figures(state.theme).items()
            ]
        )
        without = [name for name, curves in zip(state.names, self._found, strict=True) if curves.prtf is None]
        state.update({"curves": drawn, "curves_error": "", "curves_words": [NO_PRTF.format(name) for name in without]})

    def _figures(self, theme: str) -> dict[str, Any]:
        names = list(self.owner.state.names)
        figures = {"Convergence": plots.convergence(theme, names, self._found)}
        own = [(name, curves) for name, curves in zip(names, self._found, strict=True) if curves.prtf is not None]
        if own and len({curves.q_unit for _, curves in own}) == 1:
            figures["Phase retrieval transfer function"] = plots.transfer(
                theme, [name for name, _ in own], [curves for _, curves in own]
            )
        return figures

    def figure(self, number: int, kind: str) -> bytes:
        """One of the curves as a file; `kind`: png, svg, pdf, or csv for the numbers of them all.

        Raises
        ------
        IndexError
            If there is no such curve.
        """
        if kind == "csv":
            return plots.table(self._columns()).encode()
        return written(list(self._figures("light").values())[number], kind, "white")

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name, curves in zip(self.owner.state.names, self._found, strict=True):
            for start, errors in enumerate(curves.errors):
                columns[f"χ² of start {start}, {name}"] = errors
            if curves.prtf is not None:
                columns[f"|q| ({curves.q_unit}), {name}"], columns[f"PRTF, {name}"] = curves.prtf
        return columns
