"""The series as one browser sees it: a slider through the scans of the table, and a number of them as a plot."""

from __future__ import annotations

import asyncio
from typing import Any

from autophasenn.viewer import plots
from autophasenn.viewer.figure import written
from autophasenn.viewer.series import SCAN, axes_in, column_of, numbers_in, places, points_of


class SeriesTab:
    """The series of one browser.

    Parameters
    ----------
    owner : Viewer
    """

    FOLLOWS = ("quantity_of_series", "against", "tab", "theme")

    def __init__(self, owner: Any) -> None:
        self.owner, self.scans = owner, owner.shared.scans
        self._keys: list[str] = []
        self._wanted: str | None = None
        self._goes: asyncio.Task[None] | None = None
        owner.state.update(
            {
                "series_last": -1, "series_place": 0, "series_at": "", "series_picture": "", "series_words": "",
                "series_numbers": [], "series_axes": [],
            }
        )  # fmt: skip

    async def update(self) -> None:
        """Bring slider and plot up to date with the table and the controls."""
        if self.scans is None:
            return
        state, entries = self.owner.state, self.scans.entries
        where = self._where()
        with_image = {record.key for record in self.scans.records if record.result is not None}
        self._keys = sorted(with_image & set(where), key=lambda key: where[key])
        shown = self.owner.table.shown
        place = self._keys.index(shown[0]) if len(shown) == 1 and shown[0] in self._keys else -1
        axes = axes_in(entries)
        title = next((each["title"] for each in axes if each["value"] == state.against), SCAN)
        at = "" if place < 0 else f"{self.scans.name(self._keys[place])}"
        if at and state.against != SCAN:
            at += f" · {title} {where[self._keys[place]]:.5g}".replace("-", "−")
        state.update(
            {
                "series_last": len(self._keys) - 1, "series_place": max(place, 0), "series_at": at,
                "series_numbers": numbers_in(entries), "series_axes": axes,
            }
        )  # fmt: skip
        if state.tab == "series":
            figure = await asyncio.to_thread(self._figure, state.theme)
            words = "Fewer than two scans have both of these: choose another number, or another axis."
            state.update({"series_picture": "" if figure is None else plots.address(figure)})
            state.series_words = words if figure is None else ""

    def _where(self) -> dict[str, float]:
        return places(self.scans.records, self.scans.entries, str(self.owner.state.against))

    def _figure(self, theme: str) -> Any:
        state, entries = self.owner.state, self.scans.entries
        points = points_of(entries, self._where(), str(state.quantity_of_series))
        if len(points) < 2:
            return None
        shown = self.owner.table.shown
        marked = [points[key] for key in shown if key in points]
        axis = next((each["title"] for each in axes_in(entries) if each["value"] == state.against), SCAN)
        unit = " (h)" if axis.startswith("time") else ""
        return plots.series(
            theme, list(points.values()), marked, axis + unit, column_of(str(state.quantity_of_series)).label
        )

    def go(self, place: int) -> None:
        """Open the image of another scan, seen from the same side in the same colours."""
        if self._keys:
            self._wanted = self._keys[min(max(int(place), 0), len(self._keys) - 1)]
            if self._goes is None or self._goes.done():
                self._goes = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        """A slider that moves on meanwhile is followed to where it is then."""
        while self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            await self.owner.table.open([wanted], anew=True, holds_colours=True)
            self.owner.want("series")

    def figure(self, kind: str) -> bytes:
        """The plot as a file; `kind`: png, svg, pdf, or csv for its numbers.

        Raises
        ------
        KeyError
            If nothing is plotted.
        """
        state = self.owner.state
        if kind != "csv":
            figure = None if self.scans is None else self._figure("light")
            if figure is None:
                raise KeyError("series")
            return written(figure, kind, "white")
        points = points_of(self.scans.entries, self._where(), str(state.quantity_of_series))
        label = column_of(str(state.quantity_of_series)).label
        lines = [f'"scan","{state.against}","{label}","error"']
        lines += [
            f'"{key}",{point.x:.9g},{point.y:.9g},{"" if point.error is None else f"{point.error:.6g}"}'
            for key, point in points.items()
        ]
        return ("\n".join(lines) + "\n").encode()
