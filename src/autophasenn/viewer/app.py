"""What one browser's page knows and does: opens results, follows the controls, says values and errors in words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autophasenn.errors import AutoPhaseNNError
from autophasenn.viewer.analysistab import AnalysisTab
from autophasenn.viewer.crystaltab import CrystalTab
from autophasenn.viewer.curvetab import CurveTab
from autophasenn.viewer.difference import difference_of
from autophasenn.viewer.facts import choices_of, facts_of
from autophasenn.viewer.owner import Screen
from autophasenn.viewer.patterntab import PatternTab
from autophasenn.viewer.quantities import Quantity, held_to, quantities_of
from autophasenn.viewer.results import StoredImage
from autophasenn.viewer.running.tab import RunTab
from autophasenn.viewer.scantab import ScanTab
from autophasenn.viewer.seriestab import SeriesTab
from autophasenn.viewer.shared import WENT_WRONG, Shared, Stamp, stamp_of
from autophasenn.viewer.slicetab import SliceTab
from autophasenn.viewer.views import FIRST, TABS, VIEWED, View

logger = logging.getLogger(__name__)

NOT_DRAWN = "This could not be drawn; what went wrong stands in the viewer's log. The view began anew."


class Viewer:
    """The page of one browser.

    Parameters
    ----------
    shared : Shared
        What all browsers have in common.
    server : trame_server.Server
        Of this browser alone.
    key : str
        In the addresses of its downloads.
    theme : str
        "light" or "dark", as the browser would have it.
    """

    def __init__(self, shared: Shared, server: Any, key: str, theme: str = "light") -> None:
        self.shared, self.server, self.key = shared, server, key
        self.state: Any = server.state
        self.page: Screen | None = None
        self.stored: list[StoredImage] = []
        self.images: list[StoredImage] = []
        self.quantities: dict[str, Quantity] = {}
        self._requests = 0
        self._wished = View()
        self._asked: tuple[list[Path], list[str]] = ([], [])
        self._stamps: list[Stamp] = []
        self._is_difference = False
        self._analysed: list[StoredImage] = []
        self.held: Mapping[str, Quantity] = {}
        self._has_arrived = False
        self._due: set[str] = set()
        self._worker: asyncio.Task[None] | None = None
        self.state.update({**FIRST, **_EMPTY, "session": key, "theme": theme})
        self.state.update(
            {
                "screen": "busy" if shared.results else "open" if shared.workshop else "scans",
                "busy": f"Reading {' and '.join(path.name for path in shared.results)} …",
            }
        )
        self.state.trame__client_only = [*self.state.trame__client_only, "is_drawing", "drawer"]
        self.crystal = CrystalTab(self)
        self.slices = SliceTab(self)
        self.pattern = PatternTab(self)
        self.curves = CurveTab(self)
        self.analysis = AnalysisTab(self)
        self.series = SeriesTab(self)
        self.table = ScanTab(self)
        self.bench = RunTab(self, shared.workshop)
        changes = {
            "surface": (*CrystalTab.FOLLOWS, "theme", "in_browser"),
            "slices": (*SliceTab.FOLLOWS, "tab", "theme"),
            "pattern": ("section", "tab"),
            "curves": ("tab", "theme"),
            "analysis": AnalysisTab.FOLLOWS,
            "series": SeriesTab.FOLLOWS,
            "images": ("is_difference",),
            "table": ScanTab.FOLLOWS,
            "frames": ("theme",),
            "link": (*VIEWED, "screen"),
        }
        for what, names in changes.items():
            self.state.change(*names)(lambda what=what, **_: self.want(what))
        self.state.change("presents")(self._present)
        self.state.change("follows_presenter")(self._catch_up)
        server.controller.trigger("go")(self.go)

    @property
    def quantity(self) -> Quantity:
        """What is coloured; the phase, which every result has, where these results lack what was chosen."""
        return self.quantities.get(self.state.quantity) or self.quantities["phase"]

    # opening

    async def begin(self) -> None:
        """Open what the viewer was started with."""
        if self.shared.results:
            await self.open(self.shared.results)
        self.bench.begin()

    async def open(
        self, paths: Sequence[Path], names: Sequence[str] = (), *, anew: bool = False, holds_colours: bool = False
    ) -> bool:
        """Show one result, or two side by side; what is wrong with them is said on the page.

        Parameters
        ----------
        paths : sequence of Path
            Result folders.
        names : sequence of str
            What people call them; those of their folders if left out.
        anew : bool
            Whether these are newer images of what is shown, seen from the same side with the same cut.
        holds_colours : bool
            Whether their colours have the ends that they have now, as in a series.

        Returns
        -------
        bool
            False: they could not be opened, and nothing else was asked for since.
        """
        began = time.perf_counter()
        self._requests += 1
        request = self._requests
        names = list(names) or [""] * len(paths)
        self._asked = list(paths), names
        if not anew:
            called = [name or path.name for name, path in zip(names, paths, strict=True)]
            with self.state:
                self.state.update({"screen": "busy", "busy": f"Reading {' and '.join(called)} …"})
        try:
            images = [await self.shared.read(path, name) for path, name in zip(paths, names, strict=True)]
            if request == self._requests:
                self._show(images, anew=anew, held=self.quantities if holds_colours else {})
                seconds = time.perf_counter() - began
                logger.info("opened %s in %.2f s", ", ".join(str(image.path) for image in images), seconds)
            return True
        except Exception as error:
            if request != self._requests:
                return True
            if isinstance(error, AutoPhaseNNError):
                self.fail(str(error))
            elif isinstance(error, MemoryError):
                self.fail("There is not enough memory to open this result; close other programs, or bin the pattern.")
            else:
                logger.exception("opening failed")
                self.fail(WENT_WRONG)
            return False

    async def retry(self) -> None:
        """Open once more what could not be opened."""
        paths, names = self._asked
        if paths:
            await self.open(paths, names)

    def _show(self, images: list[StoredImage], *, anew: bool, held: Mapping[str, Quantity]) -> None:
        """Put what was read on the page."""
        self.stored, self.held = images, held
        self._stamps = [stamp_of(image.path) for image in images]
        with self.state:
            self.state.update(facts_of(images))
            if not anew:
                self.state.update(
                    {name: FIRST[name] for name in ("cut", "place", "doubt", "largest_spread", "is_difference")}
                )
            self.state.can_subtract = len(images) == 2
            wished, self._wished = self._wished, View()
            self.state.update(wished.choices)
            self._draw(anew=anew)
            self._place(wished)
            self.state.screen = "result"
        self.want("surface", "slices", "pattern", "curves", "analysis", "series", "link")

    def _draw(self, *, anew: bool) -> None:
        """The images that the controls ask for: those that were read, or the difference of two."""
        is_difference = bool(self.state.is_difference) and len(self.stored) == 2
        images = [difference_of(*self.stored)] if is_difference else self.stored
        self.images, self._is_difference = images, is_difference
        self.quantities = held_to(self.held, quantities_of(images))
        if self.state.quantity not in self.quantities:
            self.state.quantity = "phase"
        self.state.panes = [f"{' − '.join(self.state.names)}"] if is_difference else self.state.names
        self.state.update({**choices_of(images, self.quantities), "said": "", "trouble": ""})
        self.crystal.open(anew=anew)
        self.slices.open()
        self.pattern.forget()
        self.curves.forget()
        if is_difference or not self.analysis.marks or self._analysed is not self.stored:
            self.analysis.forget()
        self._analysed = self.stored
        self.crystal.mark([] if is_difference else self.analysis.marks)
        if self.page is not None:
            self.page.build()

    def fail(self, sentence: str) -> None:
        """Say why nothing is shown; what is still being read comes too late."""
        self.leave()
        logger.warning("not opened: %s", sentence)
        with self.state:
            self.state.update({"screen": "error", "error": sentence})

    def leave(self) -> None:
        """What is still being read comes too late."""
        self._requests += 1

    # drawing

    def want(self, *parts: str) -> None:
        """Bring parts of the page up to date soon; controls that move on meanwhile cost nothing more."""
        if not self.images and not set(parts) & {"table", "frames", "runs", "series"}:
            return
        self._due.update(parts)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        await asyncio.sleep(0.005)
        while self._due:
            due, self._due = self._due, set()
            try:
                with self.state:
                    await self._update(due)
            except Exception as error:
                logger.exception("drawing failed")
                said = str(error) if isinstance(error, AutoPhaseNNError) else NOT_DRAWN
                with self.state:  # what brought it about does not stay: the next change is drawn again
                    self.state.update({name: first for name, (_, first) in VIEWED.items() if name != "tab"})
                    self.state.trouble = said
            await asyncio.sleep(0.005)

    async def _update(self, due: set[str]) -> None:
        state = self.state
        if "images" in due and (bool(state.is_difference) and len(self.stored) == 2) != self._is_difference:
            self._draw(anew=True)
            due |= {"surface", "slices", "analysis"}
        if "surface" in due:
            await self.crystal.update()
        if due & {"surface", "overlay"}:
            self.crystal.update_overlay()
        if "slices" in due and state.tab == "slices":
            self.slices.update()
        if "pattern" in due and state.tab == "pattern":
            await self.pattern.update()
        if "curves" in due and state.tab == "curves":
            await self.curves.update()
        if "analysis" in due and self.images and await self.analysis.update():
            self.crystal.mark([] if self._is_difference else self.analysis.marks)
            self.want("surface")
        if "table" in due:
            self.table.update()
        if "series" in due:
            await self.series.update()
        if "frames" in due:
            self.bench.scan.update()
        if "runs" in due:
            self.bench.update()
        if due & {"link", "overlay", "slices", "images"}:
            self.say_where()
            await self.shared.tell(self)

    # where the browser is: links, and the presenter

    def view(self) -> View:
        """All that this browser looks at."""
        draft = self.bench.key if self.shared.workshop else ""
        if self.state.screen in ("scans", "open") or not self.images:
            return View(draft=draft)
        choices = {name: self.state[name] for name in VIEWED}
        shown = tuple(self.bench.shown if self.shared.workshop else self.table.shown)
        return View(shown, choices, self.crystal.camera(), self.slices.voxel(), draft)

    def say_where(self) -> None:
        """Keep the browser's address and title up to date."""
        view, screen = self.view(), self.state.screen
        names = " | ".join(self.state.names) if screen == "result" else self.state.scans_folder
        self.state.where = {
            "link": view.link(),
            "title": f"{names} · AutoPhaseNN" if names else "AutoPhaseNN",
            "step": f"{screen} {view.shown} {self.state.tab}",
        }

    def arrive(self, link: str) -> None:
        """The page is there: look where its address says."""
        if self._has_arrived:  # the layout was built anew
            return
        self._has_arrived = True
        if link:
            self.go(link)

    def go(self, link: str = "") -> None:
        """Look where a link says."""
        asyncio.ensure_future(self.follow(View.of_link(str(link)))).add_done_callback(_tell)

    async def follow(self, view: View) -> None:
        """Look at the same as somebody else did."""
        if self.shared.workshop is not None and not self.bench.goes(view.draft, view.shown):
            self._wished = view
            return
        if self.shared.scans is not None and list(view.shown) != self.table.shown:
            if not view.shown:
                self.table.show()
                return
            self._wished = view
            await self.table.open(view.shown)
            return
        if not self.images:
            self._wished = view
            return
        with self.state:
            first = {name: value for name, (_, value) in VIEWED.items()}
            self.state.update({**first, **view.choices})
            self._place(view)
        self.want("overlay", "slices")

    def _place(self, view: View) -> None:
        if view.camera is not None:
            self.crystal.look_from(view.camera)
        if view.voxel is not None:
            self.slices.go(view.voxel)

    @property
    def follows_presenter(self) -> bool:
        """Whether this browser goes where the presenter goes."""
        return bool(self.state.follows_presenter) and not self.state.presents

    def audience(self, is_presented: bool) -> None:
        """Hear whether somebody else presents now."""
        with self.state:
            self.state.is_presented = is_presented
            if is_presented:
                self.state.presents = False

    def _present(self, presents: bool, **_: Any) -> None:
        if presents:
            self.shared.present(self)
        elif self.shared.presenter is self:
            self.shared.present(None)
        self.want("link")

    def _catch_up(self, follows_presenter: bool, **_: Any) -> None:
        if follows_presenter and self.shared.presenter not in (None, self):
            assert self.shared.presenter is not None
            asyncio.ensure_future(self.follow(self.shared.presenter.view())).add_done_callback(_tell)

    async def look(self, changed: set[str] | None, error: str) -> None:
        """Hear what became of the table, and look whether what is open was replaced."""
        if await self.table.look(changed, error):
            return
        if self.state.screen == "result" and await asyncio.to_thread(self._is_replaced):
            await self.open([image.path for image in self.stored], [image.name for image in self.stored], anew=True)

    def _is_replaced(self) -> bool:
        try:
            return [stamp_of(image.path) for image in self.stored] != self._stamps
        except OSError:  # it is being written, or was taken away: what is shown stays
            return False

    async def close(self) -> None:
        """End what runs in the background, and give the memory back."""
        if self._worker is not None:
            self._worker.cancel()
        self.bench.close()
        self.crystal.close()


_EMPTY: dict[str, Any] = {
    "tabs": [{"key": key, "title": title} for key, title in TABS.items()],
    "error": "", "names": [],
    "panes": [], "said": "", "is_drawing": False, "is_presented": False, "can_subtract": False, "rows": [], "warnings": [],
    "headlines": [], "where": {"link": "", "title": "AutoPhaseNN", "step": ""},
}  # fmt: skip


def _tell(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("a link could not be followed: %r", task.exception())
