"""What the page knows and does: opens results, follows the controls, says values and errors in words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autophasenn.errors import AutoPhaseNNError
from autophasenn.files.cxi_image import read_counts
from autophasenn.files.guarded import Limits
from autophasenn.viewer.figure import view_figure
from autophasenn.viewer.numbers import headline, rows_of, warnings_of
from autophasenn.viewer.overlay import overlay
from autophasenn.viewer.page import Page
from autophasenn.viewer.pattern import PatternView, patterns_of
from autophasenn.viewer.quantities import DOUBTFUL, NAMES, Quantity, lacking_of, quantities_of
from autophasenn.viewer.results import StoredImage, read_image
from autophasenn.viewer.scans import Scans
from autophasenn.viewer.scene import TURN, Appearance, Scene
from autophasenn.viewer.slices import Crosshair, Slices, slices_of

logger = logging.getLogger(__name__)

SMALL_MESH = 8 * 2**20
"""Bytes of surface that a browser takes in a moment; more is drawn on the server."""
NO_BAR: dict[str, Any] = {"title": "", "ramp": "", "ticks": []}
POLL = 1.0
"""Seconds between two looks at the table of scans."""
WENT_WRONG = "Something went wrong in the viewer; what it was stands in its log."


class Viewer:
    """One page, seen alike by all who open it.

    Parameters
    ----------
    scans : Path, optional
        Results folder of a watcher, shown as a table.
    results : sequence of Path
        One result or two, shown at once; none: the table.
    limits : Limits
    """

    def __init__(self, scans: Path | None, results: Sequence[Path], limits: Limits) -> None:
        from trame.app import get_server

        self.server: Any = get_server("autophasenn", client_type="vue3")
        self.state: Any = self.server.state
        self.images: list[StoredImage] = []
        self.scene: Scene | None = None
        self.quantities: dict[str, Quantity] = {}
        self._slices: list[Slices] = []
        self._crosshairs: list[Crosshair] = []
        self._patterns: list[PatternView] = []
        self._planes: list[int] = []
        self._section = -1
        self._results, self._limits = list(results), limits
        self._scans = None if scans is None else Scans(scans)
        self._shown: list[str] = []
        self._tried: list[str] = []
        self._requests = 0
        self._due: set[str] = set()
        self._worker: asyncio.Task[None] | None = None
        self._poller: asyncio.Task[None] | None = None
        self.state.update(
            {
                "screen": "busy" if results else "scans",
                "busy": f"Reading {' and '.join(path.name for path in results)} …",
                "has_scans": scans is not None,
                "scans_folder": "" if scans is None else scans.name,
                "scans": [],
                "scans_summary": "",
                "scans_error": "",
                "picked": [],
                "follows": False,
                "error": "",
                "tab": "crystal",
                "theme": "light",
                "is_theme_open": True,
                "has_facts": True,
                "quantity": "phase",
                "threshold": 0.3,
                "cut": "none",
                "place": 0.0,
                "is_flipped": False,
                "doubt": False,
                "largest_spread": DOUBTFUL,
                "in_browser": False,
                "section": 0,
                "said": "",
                "bar": NO_BAR,
                "is_drawing": False,
                "note": [],
                "slices": [],
                "patterns": [],
                "pattern_scales": [],
                "pattern_error": "",
            }
        )
        self.state.trame__client_only = [*self.state.trame__client_only, "is_drawing"]
        self.page = Page(self)
        changes = {
            "surface": ("threshold", "quantity", "cut", "place", "is_flipped", "doubt", "largest_spread", "theme"),
            "slices": ("quantity", "threshold"),
            "pattern": ("section",),
        }
        for what, names in changes.items():
            self.state.change(*names)(lambda what=what, **_: self._want(what))
        self.state.change("tab")(lambda **_: self._want("slices", "pattern"))
        self.state.change("in_browser")(lambda **_: self._want("surface"))

    async def begin(self) -> None:
        """Open what was asked for, and follow the table of scans."""
        if self._results:
            await self.open(self._results)
        if self._scans is not None:
            self._poller = asyncio.ensure_future(self._follow())

    async def open(self, paths: Sequence[Path], names: Sequence[str] = (), *, anew: bool = False) -> bool:
        """Show one result, or two side by side; what is wrong with them is said on the page.

        Parameters
        ----------
        paths : sequence of Path
            Result folders.
        names : sequence of str
            What people call them; those of their folders if left out.
        anew : bool
            Whether these are newer images of what is shown, seen from the same side with the same cut.

        Returns
        -------
        bool
            False: they could not be opened, and nothing else was asked for since.
        """
        began = time.perf_counter()
        self._requests += 1
        request = self._requests
        names = list(names) or [path.name for path in paths]
        if not anew:
            with self.state:
                self.state.update({"screen": "busy", "busy": f"Reading {' and '.join(names)} …"})
        try:
            within = None if self._scans is None else self._scans.folder
            images = [await asyncio.to_thread(read_image, path, within, self._limits) for path in paths]
            if request == self._requests:
                named = [replace(image, name=name or image.name) for image, name in zip(images, names, strict=True)]
                self._show(named, anew=anew)
                seconds = time.perf_counter() - began
                logger.info("opened %s in %.2f s", ", ".join(str(image.path) for image in images), seconds)
            return True
        except Exception as error:
            if request != self._requests:
                return True
            if isinstance(error, AutoPhaseNNError):
                self._fail(str(error))
            elif isinstance(error, MemoryError):
                self._fail("There is not enough memory to open this result; close other programs, or bin the pattern.")
            else:
                logger.exception("opening failed")
                self._fail(WENT_WRONG)
            return False

    def _show(self, images: list[StoredImage], *, anew: bool) -> None:
        """Put what was read on the page."""
        quantities = quantities_of(images)
        scene = Scene(images, quantities)
        before, self.scene, self.images, self.quantities = self.scene, scene, images, quantities
        if before is not None:
            if anew:
                self.scene.look_like(before)
            before.close()
        self._slices = slices_of(images)
        self._crosshairs = [slices.start for slices in self._slices]
        self._patterns = []
        with self.state:
            self.state.update(self._facts())
            if not anew:
                self.state.update({"cut": "none", "place": 0.0, "doubt": False, "largest_spread": DOUBTFUL})
            self._draw()
            self.page.build()
            self.state.screen = "result"
            self.scene.camera.AddObserver("ModifiedEvent", lambda *_: self._want("overlay"))
        self._want("surface")

    def _fail(self, sentence: str) -> None:
        logger.warning("not opened: %s", sentence)
        with self.state:
            self.state.update({"screen": "error", "error": sentence})

    def _facts(self) -> dict[str, Any]:
        """All of the page that depends on the results alone."""
        assert self.scene is not None
        reach = self.scene.radius
        first = self.images[0]
        spread = self.quantities.get("phase_spread")
        key = self.state.quantity if self.state.quantity in self.quantities else "phase"
        rows = [rows_of(image) for image in self.images]
        lacking = lacking_of(self.images)
        return {
            "names": _distinct(self.images),
            "paths": [str(image.path) for image in self.images],
            "headlines": [headline(image) for image in self.images],
            "warnings": [warnings_of(image) for image in self.images],
            "rows": [{**facts[0], "values": [fact["value"] for fact in facts]} for facts in zip(*rows, strict=True)],
            "axes": list(first.axes),
            "unit": _units(self.images),
            "no_geometry": _no_geometry(self.images),
            "choices": [
                {
                    "key": k,
                    "title": NAMES[k],
                    "unit": self.quantities[k].unit if k in self.quantities else "not in both",
                }
                | {"lacking": k in lacking}
                for k in NAMES
                if k in self.quantities or k in lacking
            ],
            "lacking": " ".join(lacking.values()),
            "quantity": key,
            "has_spread": spread is not None,
            "most_spread": max(2 * DOUBTFUL, spread.high if spread else 0.0),
            "reach": reach,
            "step": min(first.spacing) / 2,
            "can_draw": self.scene.can_draw,
            "in_browser": self.state.in_browser or not self.scene.can_draw,
            "patterns": [],
            "said": "",
            "stamp": time.time_ns(),
        }

    def appearance(self) -> Appearance:
        """What the controls ask for."""
        state = self.state
        cut = None if state.cut == "none" else int(state.cut)
        doubt = float(state.largest_spread) if state.doubt and state.has_spread else None
        return Appearance(
            float(state.threshold), state.quantity, cut, float(state.place), bool(state.is_flipped), doubt
        )

    def _draw(self) -> None:
        """Surface, colour bar, slices and overlay as the controls are."""
        self._update_surface()
        self._update_slices()
        self._update_overlay()

    def _want(self, *parts: str) -> None:
        """Bring parts of the page up to date soon; controls that move on meanwhile cost nothing more."""
        if self.scene is None:
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
            except Exception:
                logger.exception("drawing failed")
                self._fail(f"{WENT_WRONG} Open the result anew.")
            await asyncio.sleep(0.005)

    async def _update(self, due: set[str]) -> None:
        if "surface" in due:
            quantity = self.quantities[self.state.quantity]
            bar = {"title": quantity.title, "ramp": quantity.ramp(), "ticks": quantity.ticks()}
            if (
                bar != self.state.bar
            ):  # no bar rather than a wrong one, until the browser has the picture that it belongs to
                self.state.bar = NO_BAR
                self.state.flush()
            self._update_surface()
            self.page.push()
            if bar != self.state.bar:
                await self.page.delivered()
                self.state.bar = bar
        if due & {"surface", "overlay"}:
            self._update_overlay()
        if "slices" in due and self.state.tab == "slices":
            self._update_slices()
        if "pattern" in due and self.state.tab == "pattern":
            await self._update_pattern()

    def _update_surface(self) -> None:
        assert self.scene is not None
        appearance = self.appearance()
        self.scene.background(self.state.theme)
        found = self.scene.show(appearance)
        size = self.scene.size_in_bytes()
        self.state.update(
            {
                "note": [
                    ""
                    if is_there
                    else f"Nothing of {name} has an amplitude of {appearance.threshold:.2f} or more here: "
                    "lower the threshold, or move the cut."
                    for name, is_there in zip(self.state.names, found, strict=True)
                ],
                "is_small": size <= SMALL_MESH,
                "mesh_mb": f"{size / 2**20:.1f}",
            }
        )
        if size > SMALL_MESH and self.scene.can_draw:
            self.state.in_browser = False

    def _update_overlay(self) -> None:
        assert self.scene is not None
        own = self.images if self.state.no_geometry else self.images[:1]
        self.state.overlays = [overlay(self.scene, image, number) for number, image in enumerate(own)]

    def _update_slices(self) -> None:
        quantity = self.quantities[self.state.quantity]
        self.state.slices = [
            slices.drawn(crosshair, quantity, float(self.state.threshold))
            for slices, crosshair in zip(self._slices, self._crosshairs, strict=True)
        ]

    async def _update_pattern(self) -> None:
        section = int(self.state.section)
        try:
            if not self._patterns:
                images = self.images
                read = [await asyncio.to_thread(read_counts, image.path, self._limits) for image in images]
                if images is not self.images:  # others were opened meanwhile
                    self._want("pattern")
                    return
                self._patterns, self._section = patterns_of(read), -1
                self.state.pattern_scales = self._patterns[0].scales()  # all share their colours
        except AutoPhaseNNError as error:
            self.state.pattern_error = str(error)
            return
        if section != self._section:  # a plane of the section before says nothing here
            self._section, self._planes = section, [view.peak(section) for view in self._patterns]
        drawn = [view.drawn(section, plane) for view, plane in zip(self._patterns, self._planes, strict=True)]
        self.state.update({"pattern_error": "", "patterns": drawn})

    # what the page calls

    def probe_slice(self, number: int, plane: int, across: float, up: float) -> None:
        """Say what is under the pointer in a slice; both coordinates from 0 to 1."""
        slices, crosshair = self._slices[number], self._crosshairs[number]
        voxel = slices.voxel_at(slices.planes[plane], crosshair, across, up)
        self.state.said = slices.said(voxel, self.quantities[self.state.quantity])

    def move_crosshair(self, number: int, plane: int, across: float, up: float) -> None:
        """Put the crosshair under the pointer; that of a second result goes to the same place."""
        slices = self._slices[number]
        self._cross(number, slices.voxel_at(slices.planes[plane], self._crosshairs[number], across, up))

    def set_slice(self, number: int, axis: int, index: int) -> None:
        """Move the slice that leaves out an axis."""
        shape = self.images[number].amplitude.shape
        self._cross(number, self._crosshairs[number].moved(int(axis), int(index), shape))

    def _cross(self, number: int, crosshair: Crosshair) -> None:
        place = self._slices[number].position(crosshair)
        for other, image in enumerate(self.images):
            if image.unit != self.images[number].unit:  # a voxel is no nanometre
                continue
            voxel = Crosshair((0, 0, 0))
            for axis in range(3):
                index = round(place[axis] / image.spacing[axis]) + image.amplitude.shape[axis] // 2
                voxel = voxel.moved(axis, index, image.amplitude.shape)
            self._crosshairs[other] = crosshair if other == number else voxel
        self.state.said = self._slices[number].said(crosshair, self.quantities[self.state.quantity])
        self._want("slices")

    def probe_pattern(self, number: int, across: float, down: float) -> None:
        """Say what is under the pointer in the pattern."""
        if number < len(self._patterns):
            self.state.said = self._patterns[number].said(self._section, self._planes[number], across, down)

    def set_plane(self, number: int, index: int) -> None:
        """Show another plane of a pattern; that of a second result goes as far from its peak."""
        if number < len(self._patterns) and self._section >= 0:
            moved = self._patterns[number]
            index = min(max(int(index), 0), moved.last(self._section))
            self._planes = [
                index if view is moved else view.beside(moved, self._section, index) for view in self._patterns
            ]
            self._want("pattern")

    def look(self, view: str) -> None:
        """See the crystals from a named side."""
        if self.scene is not None:
            self.scene.look(view)
            self.page.push(camera=True)

    def key(self, name: str) -> None:
        """Turn or zoom by the keyboard."""
        turns = {
            "ArrowLeft": (-TURN, 0.0),
            "ArrowRight": (TURN, 0.0),
            "ArrowUp": (0.0, TURN),
            "ArrowDown": (0.0, -TURN),
        }
        zooms = {"+": 1.25, "=": 1.25, "-": 0.8}
        if self.scene is None or name not in turns | zooms:
            return
        if name in turns:
            self.scene.turn(*turns[name])
        else:
            self.scene.zoom(zooms[name])
        self.page.push(camera=True)

    def place_camera(self, camera: dict[str, Any]) -> None:
        """The browser turned the crystals itself: the server's camera follows."""
        if self.scene is not None and camera and self.state.in_browser:
            self.scene.place_camera(
                camera["position"], camera["focalPoint"], camera["viewUp"], float(camera["parallelScale"])
            )

    def prefer(self, theme: str) -> None:
        """Be light or dark as the first browser that comes would have it."""
        if self.state.is_theme_open:
            self.state.update({"theme": theme, "is_theme_open": False})

    def browser_ready(self) -> None:
        """The browser drew the crystals for the first time, from where it thought best: it shall look from here."""
        self.page.push_camera()

    async def open_scans(self, keys: Sequence[str], *, anew: bool = False) -> None:
        """Open the newest image of one scan of the table, or compare those of two."""
        if self._scans is None:
            return
        shown = list(keys)[:2]
        try:
            paths = [self._scans.result(key) for key in shown]
        except AutoPhaseNNError as error:
            self._requests += 1
            self._fail(str(error))
            return
        if paths:
            self._shown = shown  # an image that comes meanwhile is opened too
            if not await self.open(paths, [self._scans.name(key) for key in shown], anew=anew) and not anew:
                self._shown = []

    def show_scans(self) -> None:
        """Go back to the table."""
        self._requests += 1
        self._shown, self._tried = [], []
        self.state.update({"screen": "scans", "picked": [], "follows": False})

    def file_of_scans(self, name: str) -> Path:
        """A file of the watcher's folder, and no other."""
        if self._scans is None:
            raise AutoPhaseNNError("This viewer shows no folder of scans.")
        return self._scans.file(name)

    async def view_as_png(self) -> bytes:
        """The view with its colour bar, scale bar and names, for a slide."""
        assert self.scene is not None
        picture = self.scene.picture()
        quantity, appearance = self.quantities[self.state.quantity], self.appearance()
        edge = 2 * self.scene.camera.parallel_scale / picture.shape[0]
        pixels = [(edge / each, image.unit) for each, image in zip(self.scene.enlarged, self.images, strict=True)]
        names = list(self.state.names)
        return await asyncio.to_thread(
            view_figure, picture, quantity, names, appearance.threshold, pixels, self.state.theme
        )

    async def _follow(self) -> None:
        """Refresh the table of scans as it changes."""
        assert self._scans is not None
        while True:
            try:
                changed = await asyncio.to_thread(self._scans.look)
                if changed is not None or self.state.scans_error:
                    with self.state:
                        self.state.update(
                            {"scans": self._scans.rows, "scans_summary": self._scans.summary, "scans_error": ""}
                        )
                newest = self._scans.newest() if self.state.follows else None
                wanted = [] if newest is None else [newest]
                if wanted and self._shown != wanted and (self._tried != wanted or changed is not None):
                    self._tried = wanted
                    await self.open_scans(wanted)
                elif changed and set(self._shown) & changed:
                    await self.open_scans(self._shown, anew=True)
            except Exception as error:
                said = str(error) if isinstance(error, AutoPhaseNNError) else WENT_WRONG
                if said == WENT_WRONG != self.state.scans_error:
                    logger.exception("following the table failed")
                with self.state:
                    self.state.scans_error = said
            await asyncio.sleep(POLL)

    async def close(self) -> None:
        """End what runs in the background."""
        for task in (self._poller, self._worker):
            if task is not None:
                task.cancel()
        if self._scans is not None:
            self._scans.close()


def _units(images: Sequence[StoredImage]) -> str:
    """Of lengths in these results, from left to right."""
    return " | ".join(dict.fromkeys(image.unit for image in images))


def _no_geometry(images: Sequence[StoredImage]) -> str:
    """A sentence about a result in voxels beside one in nm."""
    names = [image.name for image in images if image.voxel_size is None]
    if not 0 < len(names) < len(images):
        return ""
    return f"{names[0]} has no geometry: its size is in voxels, along its grid. Each side has its own scale."


def _distinct(images: Sequence[StoredImage]) -> list[str]:
    """Names that tell the results apart: folders, with their parents where the folders have the same name."""
    names = [image.name for image in images]
    if len(set(names)) < len(names):
        names = [f"{image.path.parent.parent.name}/{image.name}" for image in images]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return names
