"""Choosing and looking, as one browser does it: the list of scans, the frames of one, the mask drawn on them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

from autophasenn.errors import AutoPhaseNNError
from autophasenn.report.planes import AXES, SECTIONS
from autophasenn.viewer.plots import address, themed
from autophasenn.viewer.running.draft import Draft
from autophasenn.viewer.running.fields import on_page
from autophasenn.viewer.running.frames import Frames, Look, rocking_figure
from autophasenn.viewer.running.hand import MOST_POINTS, MOST_STROKES, Stroke
from autophasenn.viewer.views import number as within

logger = logging.getLogger(__name__)

WENT_WRONG = "Something went wrong in the page; what it was stands in its log."
LEAST_MEASURED = 0.02
"""Share of the voxels that a mask must leave, as `files.readers` has it."""
TOOLS = ("brush", "box")
LARGEST_BRUSH = 40


class ScanPart:
    """The scan of one browser.

    Parameters
    ----------
    tab : RunTab
        Whose draft it is.
    """

    def __init__(self, tab: Any) -> None:
        self.tab, self.state = tab, tab.state
        self.frames: Frames | None = None
        self.look = Look()
        self._listed: list[dict[str, Any]] = []
        self._reading: asyncio.Task[None] | None = None
        self._stroke: Stroke | None = None
        self._of: tuple[Any, ...] = ()
        self._drawn: Look | None = None
        self.state.update(
            {
                "open_scans": [], "open_list_error": "", "open_wanted": "", "open_beamlines": [], "open_needs": "",
                "open_is_reading": False, "open_trouble": "", "open_facts": [], "open_warnings": [], "open_picture": "",
                "open_overlay": "", "open_legend": [], "open_rocking": "", "open_look": {}, "open_said": "",
                "open_tool": "brush", "open_radius": 3, "open_restores": False, "open_strokes": 0,
                "open_is_through": False, "open_is_listing": False,
            }
        )  # fmt: skip

    # the list

    async def list(self) -> None:
        """Look what lies in the folder."""
        workshop, state = self.tab.workshop, self.state
        with state:
            state.open_is_listing = True
        try:
            if not state.open_beamlines:
                about = await workshop.about()
                state.open_beamlines = about["beamlines"]
            self._listed, error = await workshop.listed(self.tab.beamline), ""
        except AutoPhaseNNError as refusal:
            self._listed, error = [], on_page(str(refusal))
        with state:
            needs = {each["name"]: each["needs"] for each in state.open_beamlines}
            kinds = "scans" if self.tab.beamline else "files"
            if not error and not self._listed:
                error = f"There are no {kinds} in {workshop.folder}" + (
                    " or below; is it the folder above those of the scans?" if self.tab.beamline else
                    " that can be read; choose a beamline for scans that are folders or masters."
                )  # fmt: skip
            state.update({"open_list_error": error, "open_is_listing": False})
            state.open_needs = on_page(needs.get(self.tab.beamline, ""))
            self._show_list()

    def find(self, words: str) -> None:
        """Only those whose names hold some words."""
        self.state.open_wanted = str(words)[:200]
        self._show_list()

    def _show_list(self) -> None:
        wanted = self.state.open_wanted.lower().split()
        self.state.open_scans = [
            {"number": number, "name": each["name"], "about": on_page(each["about"]),
             "is_chosen": (each["input"], each["scan"]) == self.tab.chosen}
            for number, each in enumerate(self._listed)
            if all(word in each["name"].lower() for word in wanted)
        ]  # fmt: skip

    def choose(self, number: int) -> None:
        """Take one of the list."""
        if 0 <= int(number) < len(self._listed):
            each = self._listed[int(number)]
            self.tab.choose(each["input"], each["name"], each["scan"])
            self._show_list()

    # the frames

    def read(self) -> None:
        """Read the frames of the draft's scan; what was being read is given up."""
        if self._reading is not None:
            self._reading.cancel()
        self._reading = asyncio.ensure_future(self._read())

    def forget(self) -> None:
        """Another scan is chosen: nothing is drawn on the frames of the one before."""
        self.frames, self._stroke = None, None
        self.state.update({"open_picture": "", "open_trouble": "", "open_facts": [], "open_warnings": [],
                           "open_legend": [], "open_rocking": "", "open_strokes": 0})  # fmt: skip

    async def frames_of(self, draft: Draft) -> Frames | None:
        """The frames of a draft, once they are read; None where they could not be, or others were chosen since."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        return self.frames if self._of == draft.read_from else None

    async def _read(self) -> None:
        draft, state = self.tab.draft, self.state
        if not draft.input or self.tab.errors:
            return
        with state:
            state.update({"open_is_reading": True, "open_trouble": ""})
        try:
            frames = await self.tab.workshop.frames(replace(draft, strokes=()))
        except AutoPhaseNNError as error:
            with state:
                self.forget()
                state.update({"open_is_reading": False, "open_trouble": on_page(str(error))})
            return
        except Exception:
            logger.exception("reading failed")
            with state:
                state.update({"open_is_reading": False, "open_trouble": WENT_WRONG})
            return
        is_same = self.frames is not None and self.frames.shape == frames.shape
        self.frames, self._of = frames, draft.read_from
        await asyncio.to_thread(frames.draw, self.tab.draft.strokes)
        if not is_same:
            peak = await asyncio.to_thread(frames.peak)
            self.look = replace(self.look, index=peak[SECTIONS[self.look.section].normal])
        with state:
            state.open_is_reading = False
            state.open_facts = [{"name": name, "value": value} for name, value in frames.facts.items()]
            state.open_warnings = [on_page(warning) for warning in frames.warnings]
            self._drawn = None
        self.tab.owner.want("frames")

    def update(self) -> None:
        """Draw the frames as the controls are."""
        frames, state = self.frames, self.state
        if frames is None:
            return
        if self._drawn != self.look:
            self._drawn = self.look
            state.open_picture = frames.picture(self.look)
        state.open_overlay = frames.overlay(self.look)
        state.open_legend = frames.legend()
        state.open_strokes = len(self.tab.draft.strokes)
        if self._stroke is None:  # while the hand moves, the frames alone keep up with it
            state.open_rocking = address(themed(lambda _: rocking_figure(frames.rocking()))(state.theme))
        section = SECTIONS[self.look.section]
        state.open_look = {
            "section": self.look.section, "is_summed": self.look.is_summed, "index": self.look.index,
            "last": frames.shape[section.normal] - 1, "normal": AXES[section.normal], "down": AXES[section.down],
            "across": AXES[section.across],
            **frames.q_axes(self.look), "rows": frames.shape[section.down], "columns": frames.shape[section.across],
        }  # fmt: skip
        left = frames.share_left
        said = on_page(frames.trouble)
        if left < LEAST_MEASURED and self.tab.draft.strokes:
            said = (
                f"Your mask leaves {100 * left:.2g} % of the voxels measured, and {100 * LEAST_MEASURED:g} % are needed; "
                "undo a stroke, or clear it."
            )
        state.open_trouble = said

    @property
    def is_too_empty(self) -> bool:
        """Whether the mask by hand leaves nothing to phase."""
        return self.frames is not None and self.frames.share_left < LEAST_MEASURED

    def see(self, name: str, value: Any) -> None:
        """Another section, sum or plane."""
        if self.frames is None:
            return
        if name == "section" and value in range(len(SECTIONS)):
            normal = SECTIONS[int(value)].normal
            self.look = Look(int(value), self.look.is_summed, self.frames.peak()[normal])
        elif name == "is_summed":
            self.look = replace(self.look, is_summed=bool(value))
        elif name == "index":
            last = self.frames.shape[SECTIONS[self.look.section].normal] - 1
            self.look = replace(self.look, index=min(max(int(value), 0), last), is_summed=False)
        self.tab.owner.want("frames")

    def probe(self, across: float, down: float) -> None:
        """Say what is under the pointer; both from 0 to 1."""
        if self.frames is not None:
            self.state.open_said = self.frames.said(self.look, float(down), float(across))

    # the mask by hand

    def tool(self, name: str, value: Any) -> None:
        """Another tool, radius, or what it does."""
        if name == "tool" and value in TOOLS:
            self.state.open_tool = value
        elif name == "radius":
            self.state.open_radius = min(max(int(value), 1), LARGEST_BRUSH)
        elif name in ("restores", "is_through"):
            self.state[f"open_{name}"] = bool(value)

    def press(self, across: float, down: float) -> None:
        """A stroke begins; both from 0 to 1."""
        if self.frames is None or len(self.tab.draft.strokes) >= MOST_STROKES:
            return
        section, state = SECTIONS[self.look.section], self.state
        is_all = self.look.is_summed or state.open_is_through
        span = (0, self.frames.shape[section.normal] - 1) if is_all else (self.look.index, self.look.index)
        point = self._point(across, down)
        self._stroke = Stroke(
            state.open_tool, self.look.section, (point,), float(state.open_radius), span, bool(state.open_restores)
        )
        self._show_stroke()

    def move(self, across: float, down: float) -> None:
        """It goes on."""
        if self._stroke is None or self.frames is None or len(self._stroke.points) >= MOST_POINTS:
            return
        points = self._stroke.points if self._stroke.tool == "brush" else self._stroke.points[:1]
        self._stroke = replace(self._stroke, points=(*points, self._point(across, down)))
        self._show_stroke()

    def release(self) -> None:
        """It is done."""
        if self._stroke is not None:
            stroke, self._stroke = self._stroke, None
            self.tab.draw((*self.tab.draft.strokes, stroke))

    def undo(self) -> None:
        """Take the last stroke back."""
        self.tab.draw(self.tab.draft.strokes[:-1])

    def clear(self) -> None:
        """Take all of them back."""
        self.tab.draw(())

    def redraw(self) -> None:
        """The strokes of the draft are others."""
        if self.frames is not None:
            self.frames.draw(self.tab.draft.strokes)
            self._drawn = None
            self.tab.owner.want("frames")

    def _show_stroke(self) -> None:
        assert self.frames is not None
        assert self._stroke is not None
        self.frames.draw((*self.tab.draft.strokes, self._stroke))
        self.tab.owner.want("frames")

    def _point(self, across: float, down: float) -> tuple[float, float]:
        assert self.frames is not None
        section, shape = SECTIONS[self.look.section], self.frames.shape
        return (within(0, 1)(min(max(float(down), 0), 1)) * shape[section.down],
                within(0, 1)(min(max(float(across), 0), 1)) * shape[section.across])  # fmt: skip
