"""The table of scans as one browser sees it: order, search, and what of it is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autophasenn.errors import AutoPhaseNNError
from autophasenn.viewer.scans import arranged, is_late


class ScanTab:
    """The table of one browser.

    Parameters
    ----------
    owner : Viewer
    """

    FOLLOWS = ("sort", "is_descending", "wanted")

    def __init__(self, owner: Any) -> None:
        self.owner, self.scans = owner, owner.shared.scans
        self.shown: list[str] = []
        """Keys of the scans that are open."""
        self._tried: list[str] = []
        owner.state.update(
            {
                "has_scans": self.scans is not None,
                "scans_folder": "" if self.scans is None else self.scans.folder.name,
                "scans": [],
                "scans_summary": "",
                "scans_error": "",
                "scans_count": 0,
                "has_late_scans": False,
            }
        )

    async def open(self, keys: Sequence[str], *, anew: bool = False, holds_colours: bool = False) -> None:
        """Open the newest image of one scan of the table, or compare those of two; `holds_colours`: on the scales of now."""
        if self.scans is None:
            return
        shown = [str(key) for key in keys][:2]
        try:
            paths = [self.scans.result(key) for key in shown]
        except AutoPhaseNNError as error:
            self.owner.fail(str(error))
            return
        if paths:
            self.shown = shown  # an image that comes meanwhile is opened too
            names = [self.scans.name(key) for key in shown]
            is_open = await self.owner.open(paths, names, anew=anew, holds_colours=holds_colours)
            if not is_open and not anew:
                self.shown = []

    def show(self) -> None:
        """Go back to the table."""
        self.shown, self._tried = [], []
        self.owner.leave()
        with self.owner.state:
            self.owner.state.update({"screen": "scans", "picked": [], "follows": False})
            self.owner.say_where()

    def update(self) -> None:
        """Arrange the rows as the controls are."""
        if self.scans is not None:
            state = self.owner.state
            verdicts = {key: entry.status for key, entry in self.scans.entries.items() if entry.status}
            rows = arranged(self.scans.records, state.sort, bool(state.is_descending), state.wanted, verdicts)
            state.update({"scans": rows, "scans_count": len(self.scans.records), "scans_summary": self.scans.summary})
            state.has_late_scans = any(
                is_late(each) for each in self.scans.records if each.seconds_to_image is not None
            )

    async def look(self, changed: set[str] | None, error: str) -> bool:
        """Hear what became of the table; whether something was opened because of it."""
        state = self.owner.state
        with state:
            state.scans_error = error
            if changed is not None or not state.scans_count:
                self.update()
                self.owner.want("series")
        newest = self.scans.newest() if self.scans is not None and state.follows else None
        wanted = [] if newest is None else [newest]
        if wanted and self.shown != wanted and (self._tried != wanted or changed is not None):
            self._tried = wanted
            await self.open(wanted)
            return True
        if changed and set(self.shown) & changed:
            await self.open(self.shown, anew=True)
            return True
        return False
