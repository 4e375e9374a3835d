"""The pattern as one browser sees it: its planes, its zoom."""

from __future__ import annotations

import asyncio
from typing import Any

from autophasenn.errors import AutoPhaseNNError
from autophasenn.files.cxi_image import read_counts
from autophasenn.viewer.pattern import Part, PatternView, patterns_of
from autophasenn.viewer.sheet import pattern_figure

STEP = 1.25
"""Of one turn of the wheel."""


class PatternTab:
    """The patterns of one browser.

    Parameters
    ----------
    owner : Owner
    """

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.forget()
        owner.state.pattern_scales = []

    def forget(self) -> None:
        """Others were opened: read their patterns when they are looked at."""
        self.views: list[PatternView] = []
        self._planes: list[int] = []
        self._section = -1
        self.part = Part()
        self.owner.state.update({"patterns": [], "pattern_error": "", "is_pattern_zoomed": False})

    async def update(self) -> None:
        """Draw the planes as the controls are."""
        state, section = self.owner.state, int(self.owner.state.section)
        try:
            if not self.views:
                stored = self.owner.stored
                limits = self.owner.shared.limits
                read = [await asyncio.to_thread(read_counts, image.path, limits) for image in stored]
                if stored is not self.owner.stored:  # others were opened meanwhile
                    self.owner.want("pattern")
                    return
                self.views, self._section = patterns_of(read), -1
                state.pattern_scales = self.views[0].scales()  # all share their colours
        except AutoPhaseNNError as error:
            state.pattern_error = str(error)
            return
        if section != self._section:  # a plane of the section before says nothing here
            self._section, self.part = section, Part()
            self._planes = [view.peak(section) for view in self.views]
        drawn = [view.drawn(section, plane, self.part) for view, plane in zip(self.views, self._planes, strict=True)]
        state.update({"pattern_error": "", "patterns": drawn, "is_pattern_zoomed": self.part.zoom > 1})

    def probe(self, number: int, across: float, down: float) -> None:
        """Say what is under the pointer in the pattern; both coordinates from 0 to 1."""
        if 0 <= int(number) < len(self.views) and self._section >= 0:
            view, plane = self.views[int(number)], self._planes[int(number)]
            self.owner.state.said = view.said(self._section, plane, float(across), float(down), self.part)

    def set_plane(self, number: int, index: int) -> None:
        """Show another plane of a pattern; that of a second result goes as far from its peak."""
        if 0 <= int(number) < len(self.views) and self._section >= 0:
            moved = self.views[int(number)]
            index = min(max(int(index), 0), moved.last(self._section))
            self._planes = [index if view is moved else view.beside(moved, self._section, index) for view in self.views]
            self.owner.want("pattern")

    def wheel(self, across: float, down: float, turned: float) -> None:
        """Zoom about the pointer."""
        self.part = self.part.zoomed(STEP if float(turned) < 0 else 1 / STEP, float(across), float(down))
        self.owner.want("pattern")

    def zoom(self, by: float) -> None:
        """Zoom about the peak; 0: all of it."""
        self.part = self.part.zoomed(STEP**2 if float(by) > 0 else STEP**-2, 0.5, 0.5) if by else Part()
        self.owner.want("pattern")

    def figure(self, kind: str) -> bytes:
        """The planes as a file; `kind`: png, svg or pdf."""
        state = self.owner.state
        return pattern_figure(self.views, self._section, self._planes, self.part, list(state.names), state.theme, kind)
