"""The page: what stands where. Everything on it is served by this server, so it works where there is no internet."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v
from trame_vtk.modules import common, vtk

from autophasenn.viewer import controls, table, tabs
from autophasenn.viewer.parts import ALERT, ARIA, COMPACT, IS_NARROW, STATUS, icon_button
from autophasenn.viewer.running import layout as bench

if TYPE_CHECKING:
    from autophasenn.viewer.app import Viewer

THEME_BUTTON = "theme === 'dark' ? 'Light page' : 'Dark page'"
ARRIVED = "[utils.get('window.autophasenn').wished]"
_TABS = {
    "slices": tabs.slices, "pattern": tabs.pattern, "curves": tabs.curves, "analysis": tabs.analysis, "series": tabs.series,
}  # fmt: skip
WAIT, PATIENCE, ENOUGH = 0.02, 1.0, 60.0
"""Seconds between two looks whether a picture is encoded, for which the colour bar waits, after which it is given up."""


class Page:
    """The layout, built anew for each result that is opened.

    Parameters
    ----------
    viewer : Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._builds = 0
        self._remote: Any = None
        self._local: Any = None
        self._windows: list[Any] = []
        self._delivery: asyncio.Task[None] | None = None
        viewer.server.state.trame__title = "AutoPhaseNN"
        for module in (common, vtk):  # their files are served only if they are known before the server starts
            viewer.server.enable_module(module)
        self.build()

    def build(self) -> None:
        """Lay the page out for what is open now."""
        for view in filter(None, (self._local, self._remote)):
            view.release_resources()
        self._remote = self._local = None
        self._forget_windows()
        self._builds += 1
        with VAppLayout(self.viewer.server, theme=("theme",)) as layout:
            for sheet in ("page.css", "running/bench.css"):
                client.Style(files("autophasenn.viewer").joinpath(sheet).read_text(encoding="utf-8"))
            client.ClientTriggers(mounted=(self.viewer.arrive, ARRIVED))
            client.ClientStateChange(
                value="where", trigger_on_create=True,
                change="utils.get('window.autophasenn').show(where.link, where.title, where.step)",
            )  # fmt: skip
            self._bar()
            if self.viewer.images:
                controls.controls(self.viewer)
                controls.facts()
            self._main()
        layout.flush_content()

    def _forget_windows(self) -> None:
        """Have trame give back what it holds for ever else; the last window, which browsers may still ask for, stays."""
        for window in self._windows[:-1]:
            vtk.get_helper(self.viewer.server)._vtk_core.GetObjectIdMap().FreeObject(window)
        self._windows = self._windows[-1:]
        if self.viewer.crystal.scene is not None:
            self._windows.append(self.viewer.crystal.scene.window)

    def push(self, camera: bool = False) -> None:
        """Send what is drawn to the browser."""
        if self._remote is not None and not self.viewer.state.in_browser:
            self._remote.update()
            self.deliver()
        if self._local is not None and self.viewer.state.in_browser:
            self._local.update()
            if camera:
                self.push_camera()

    def deliver(self) -> None:
        """See that the last picture of the server is sent once it is encoded.

        trame looks for it after half a second, and never again if it is not encoded by then: on a busy machine the picture
        would be lost, and the browser would go on showing the one before.
        """
        if self._delivery is None or self._delivery.done():
            self._delivery = asyncio.ensure_future(self._deliver())

    async def _deliver(self) -> None:
        core = vtk.get_helper(self.viewer.server)._vtk_core
        for _ in range(round(ENOUGH / WAIT)):
            scene = self.viewer.crystal.scene
            if scene is None or self.viewer.state.in_browser or not core.GetHasImagesBeingProcessed(scene.window):
                return
            await asyncio.sleep(WAIT)
            core.InvokeEvent("UpdateEvent")  # sends what is new

    async def delivered(self) -> None:
        """Wait until the last picture of the server is sent; messages arrive in the order they are sent."""
        self.deliver()
        assert self._delivery is not None
        await asyncio.wait([self._delivery], timeout=PATIENCE)

    def push_camera(self) -> None:
        """Have a browser that draws look from where the server does; what it draws, it has already."""
        if self._local is not None:
            self._local.push_camera()

    def _bar(self) -> None:
        is_result = "screen === 'result'"
        with v.VAppBar(density="compact", elevation=1):
            toggle = f"{IS_NARROW} ? (drawer = drawer === '{{0}}' ? '' : '{{0}}') : (has_{{0}} = !has_{{0}})"
            icon_button("mdi-tune", "Show or hide the controls", toggle.format("controls"), v_if=(is_result,))
            v.VBtn(
                "Scans", prepend_icon="mdi-arrow-left", v_if=("has_scans && screen !== 'scans'",), classes="mr-2",
                click=self.viewer.table.show,
            )  # fmt: skip
            v.VBtn(
                "Runs", prepend_icon="mdi-arrow-left", v_if=("has_workshop && screen !== 'open'",), classes="mr-2",
                click=self.viewer.bench.show,
            )  # fmt: skip
            html.H1("AutoPhaseNN", v_if=("screen !== 'result'",), classes="text-h6 px-4")
            html.H1(
                "{{ names.join(' | ') }}", v_if=(is_result,), classes="text-h6 px-2 text-truncate apn-title-of-all",
                title=("paths.join('\\n')",),
            )  # fmt: skip
            v.VSpacer()
            self._tabs(f"{is_result} && !{IS_NARROW}")
            v.VSpacer(v_if=(f"!{IS_NARROW}",))
            self._present()
            icon_button("mdi-format-list-text", "Show or hide the numbers", toggle.format("facts"), v_if=(is_result,))
            icon_button(
                ("theme === 'dark' ? 'mdi-weather-sunny' : 'mdi-weather-night'",), (THEME_BUTTON,),
                "theme = theme === 'dark' ? 'light' : 'dark'",
            )  # fmt: skip

    @staticmethod
    def _tabs(where: str) -> None:
        with v.VTabs(v_model=("tab",), v_if=(where,), density="compact", color="primary"):
            v.VTab(
                "{{ t.title }}", v_for="t in tabs.filter(t => t.key !== 'series' || series_last > 0)", key=("t.key",),
                value=("t.key",),
            )  # fmt: skip

    @staticmethod
    def _present() -> None:
        with v.VMenu(close_on_content_click=False):
            with v.Template(v_slot_activator="{ props }"):
                v.VBtn(
                    icon=("presents ? 'mdi-presentation-play' : follows_presenter && is_presented ? 'mdi-account-eye' : "
                          "'mdi-share-variant'",),
                    v_bind="props", title="Share", aria_label="Share", __properties=ARIA,
                )  # fmt: skip
            with v.VCard(classes="pa-4", max_width=340):
                v.VBtn(
                    "copy a link to this view", prepend_icon="mdi-link", variant="tonal",
                    click="utils.get('window.autophasenn').copy()",
                )  # fmt: skip
                v.VSwitch(v_model=("presents",), label="present: those who follow see this view", **COMPACT)
                v.VSwitch(
                    v_model=("follows_presenter",), label="follow the presenter", disabled=("presents",), **COMPACT
                )
                html.Div(
                    "{{ presents ? 'You present.' : is_presented ? (follows_presenter ? 'You follow the presenter.' : "
                    "'Somebody presents.') : 'Nobody presents.' }}",
                    classes="text-body-2", **STATUS,
                )  # fmt: skip

    def _main(self) -> None:
        viewer = self.viewer
        with (
            v.VMain(style="height: 100vh; position: relative; overflow: hidden;"),
            html.Div(classes="apn-all"),
        ):
            self._tabs(f"screen === 'result' && {IS_NARROW}")
            with html.Div(
                v_if=("screen === 'result' && (presents || (follows_presenter && is_presented))",),
                classes="apn-sign",
                **STATUS,
            ):
                html.Span("{{ presents ? 'You present.' : 'You follow the presenter.' }}")
                v.VBtn(
                    "end", size="x-small", variant="outlined", click="presents = false; follows_presenter = false",
                )  # fmt: skip
            with html.Div(v_if=("follows && screen === 'result'",), classes="apn-sign"):
                html.Span("Each new image opens by itself.")
                v.VBtn("end", size="x-small", variant="outlined", click="follows = false")
            with html.Div(v_if=("trouble",), classes="apn-trouble", **ALERT):
                html.Span("{{ trouble }}")
                v.VBtn("close", size="x-small", variant="outlined", click="trouble = ''")
            tabs.through_the_series(viewer)
            with html.Div(classes="apn-rest"):
                with html.Div(v_if=("screen === 'busy'",), classes="apn-centre", **STATUS):
                    v.VProgressCircular(indeterminate=True, size=56, color="primary", aria_label="Reading",
                                        __properties=ARIA)  # fmt: skip
                    html.Div("{{ busy }}", classes="text-h6")
                with html.Div(v_if=("screen === 'error'",), classes="apn-centre", **ALERT):
                    v.VIcon("mdi-alert-circle-outline", size=56, color="error")
                    html.Div("This result cannot be shown", classes="text-h6")
                    html.Div("{{ error }}", style="max-width: 46rem;")
                    v.VBtn("try again", variant="tonal", click=viewer.retry)
                with html.Div(v_if=("screen === 'scans'",), classes="apn-fill"):
                    table.scans(viewer)
                if viewer.shared.workshop is not None:
                    with html.Div(v_if=("screen === 'open'",), classes="apn-fill"):
                        bench.page(viewer.bench)
                if not viewer.images:
                    return
                with html.Div(v_show=("screen === 'result' && tab === 'crystal'",), classes="apn-fill"):
                    self._remote, self._local = tabs.crystal(viewer, self._builds)
                for name, content in _TABS.items():
                    with html.Div(v_if=(f"screen === 'result' && tab === '{name}'",), classes="apn-fill apn-scroll"):
                        content(viewer)
