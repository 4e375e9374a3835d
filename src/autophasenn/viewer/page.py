"""The page: what stands where. Everything on it is served by this server, so it works where there is no internet."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v
from trame_vtk.modules import common, vtk

from autophasenn.viewer import tabs

if TYPE_CHECKING:
    from autophasenn.viewer.app import Viewer

THEME_BUTTON = "theme === 'dark' ? 'Light page' : 'Dark page'"
PREFERRED = "[utils.get('window.matchMedia')('(prefers-color-scheme: dark)').matches ? 'dark' : 'light']"
WAIT, MOST_WAITS = 0.02, 50
"""Seconds between two looks whether a picture was sent, and how many."""
COMPACT: dict[str, Any] = {"density": "compact", "hide_details": True, "color": "primary"}


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
        viewer.server.state.trame__title = "AutoPhaseNN viewer"
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
            client.Style(files("autophasenn.viewer").joinpath("page.css").read_text(encoding="utf-8"))
            client.ClientTriggers(mounted=(self.viewer.prefer, PREFERRED))
            self._bar()
            if self.viewer.scene is not None:
                self._controls()
                self._facts()
            self._main()
        layout.flush_content()

    def _forget_windows(self) -> None:
        """Have trame give back what it holds for ever else; the last window, which browsers may still ask for, stays."""
        for window in self._windows[:-1]:
            vtk.get_helper(self.viewer.server)._vtk_core.GetObjectIdMap().FreeObject(window)
        self._windows = self._windows[-1:]
        if self.viewer.scene is not None:
            self._windows.append(self.viewer.scene.window)

    def push(self, camera: bool = False) -> None:
        """Send what is drawn to the browsers."""
        if self._remote is not None and not self.viewer.state.in_browser:
            self._remote.update()
        if self._local is not None and self.viewer.state.in_browser:
            self._local.update()
            if camera:
                self.push_camera()

    async def delivered(self) -> None:
        """Wait until the last picture of the server is encoded and sent; messages arrive in the order they are sent."""
        core, scene = vtk.get_helper(self.viewer.server)._vtk_core, self.viewer.scene
        for _ in range(MOST_WAITS):
            if scene is None or self.viewer.state.in_browser or not core.GetHasImagesBeingProcessed(scene.window):
                return
            await asyncio.sleep(WAIT)

    def push_camera(self) -> None:
        """Have the browsers that draw look from where the server does; what they draw, they have already."""
        if self._local is not None:
            self._local.push_camera()

    def _bar(self) -> None:
        with v.VAppBar(density="compact", elevation=1):
            v.VBtn(
                "Scans", prepend_icon="mdi-arrow-left", v_if=("has_scans && screen !== 'scans'",), classes="mr-2",
                click=self.viewer.show_scans,
            )  # fmt: skip
            v.VAppBarTitle("AutoPhaseNN", v_if=("screen !== 'result'",))
            html.Div(
                "{{ names.join(' | ') }}", v_if=("screen === 'result'",), classes="text-h6 px-3 text-truncate",
                title=("paths.join('\\n')",),
            )  # fmt: skip
            v.VSpacer()
            with v.VTabs(v_model=("tab",), v_if=("screen === 'result'",), density="compact"):
                for key, title in (("crystal", "Crystal"), ("slices", "Slices"), ("pattern", "Pattern")):
                    v.VTab(title, value=key)
            v.VSpacer()
            v.VBtn(
                icon="mdi-format-list-text", v_if=("screen === 'result'",), click="has_facts = !has_facts",
                title="Show or hide the numbers", aria_label="Show or hide the numbers", __properties=tabs.ARIA,
            )  # fmt: skip
            v.VBtn(
                icon=("theme === 'dark' ? 'mdi-weather-sunny' : 'mdi-weather-night'",), title=(THEME_BUTTON,),
                click="theme = theme === 'dark' ? 'light' : 'dark'", aria_label=(THEME_BUTTON,), __properties=tabs.ARIA,
            )  # fmt: skip

    def _controls(self) -> None:
        with (
            v.VNavigationDrawer(
                v_if=("screen === 'result'",), permanent=True, width=("$vuetify.display.width > 1900 ? 370 : 268",)
            ),
            html.Div(classes="px-4 pb-4"),
        ):
            html.Div("COLOUR", classes="apn-heading")
            with v.VRadioGroup(
                v_model=("quantity",), density="compact", hide_details=True, aria_label="Colour", __properties=tabs.ARIA
            ):
                label = "c.title + ' (' + c.unit + ')'"
                v.VRadio(
                    v_for="c in choices", key=("c.key",), value=("c.key",), label=(label,), disabled=("!!c.lacking",),
                )  # fmt: skip
            html.Div("{{ lacking }}", v_if=("lacking",), classes="text-body-2")
            html.Div("SURFACE AT AMPLITUDE {{ Number(threshold).toFixed(2) }}", classes="apn-heading")
            tabs.slider("threshold", 0.1, 0.98, 0.01, "Amplitude of the surface")
            self._cut()
            self._confidence()
            self._seen_from()
            self._downloads()

    @staticmethod
    def _cut() -> None:
        html.Div("CUT ALONG", classes="apn-heading")
        with v.VBtnToggle(
            v_model=("cut",), mandatory=True, density="compact", divided=True, variant="outlined", color="primary"
        ):
            v.VBtn("whole", value="none", size="small")
            v.VBtn("{{ a }}", v_for="a, i in axes", key=("a",), value=("String(i)",), size="small")
        place = "Number(place).toFixed(0).replace('-', '−')"
        with html.Div(v_if=("cut !== 'none'",)):
            html.Div(f"at {{{{ axes[Number(cut)] }}}} = {{{{ {place} }}}} {{{{ unit }}}}", classes="mt-1")
            tabs.slider("place", ("-reach",), ("reach",), ("step",), "Place of the cut")
            v.VSwitch(v_model=("is_flipped",), label="show the other half", **COMPACT)

    @staticmethod
    def _confidence() -> None:
        html.Div("CONFIDENCE", classes="apn-heading")
        with html.Div(v_if=("has_spread",)):
            v.VSwitch(v_model=("doubt",), label="grey where the phase is uncertain", **COMPACT)
            with html.Div(v_if=("doubt",)):
                html.Div("by more than {{ Number(largest_spread).toFixed(2) }} rad")
                tabs.slider("largest_spread", 0.0, ("most_spread",), 0.01, "Largest uncertainty that is coloured")
        html.Div("This result has no map of its uncertainty.", v_if=("!has_spread",), classes="text-body-2")

    def _seen_from(self) -> None:
        html.Div("SEEN FROM", classes="apn-heading")
        button: dict[str, Any] = {"size": "small", "variant": "tonal"}
        with html.Div(classes="d-flex flex-wrap ga-1"):
            v.VBtn("corner", click=(self.viewer.look, "['corner']"), **button)
            for number, name in enumerate("xyz"):
                v.VBtn(f"{{{{ axes[{number}] }}}}", click=(self.viewer.look, f"['{name}']"), **button)
        v.VSwitch(
            v_model=("in_browser",), classes="mt-2", disabled=("!can_draw || !is_small",), label="draw in the browser",
            **COMPACT,
        )  # fmt: skip
        html.Div(
            "{{ !can_draw ? 'The server has no OpenGL.' : is_small ? 'Surface of ' + mesh_mb + ' MB.' : "
            "'The surface has ' + mesh_mb + ' MB: it is drawn on the server.' }}",
            classes="text-caption",
        )

    @staticmethod
    def _downloads() -> None:
        html.Div("DOWNLOAD", classes="apn-heading")
        link: dict[str, Any] = {"size": "small", "variant": "tonal", "download": ("''",), "__properties": ["download"]}
        v.VBtn("view (PNG)", href="download/view.png", disabled=("!can_draw",), prepend_icon="mdi-image", **link)
        with html.Div(v_for="name, i in names", key=("name",), classes="d-flex align-center ga-1 mt-1"):
            for kind, file in (("CXI", "result.cxi"), ("VTK", "crystal.vti")):
                v.VBtn(
                    kind, prepend_icon="mdi-download", href=(f"'download/' + i + '/{file}'",), title=("name",), **link
                )
            html.Span("{{ name }}", v_if=("names.length > 1",), classes="text-caption text-truncate", title=("name",))

    @staticmethod
    def _facts() -> None:
        width = "($vuetify.display.width > 1900 ? 430 : 300) + (names.length > 1 ? 60 : 0)"
        with (
            v.VNavigationDrawer(
                v_if=("screen === 'result' && has_facts",), permanent=True, location="right", width=(width,)
            ),
            html.Div(classes="px-4 pb-4 pt-2"),
        ):
            with html.Div(v_for="h, i in headlines", key=("i",), classes="mb-2"):
                html.Strong("{{ names.length > 1 ? names[i] + ': ' : '' }}")
                v.VChip("{{ h.word }}", size="small", color=("h.colour",), label=True, variant="flat")
                html.Div("{{ h.sentence }}", classes="text-body-2 mt-1")
                html.Div("{{ h.belief }}", v_if=("h.belief",), classes="text-body-2 mt-1")
            html.Div("{{ no_geometry }}", v_if=("no_geometry",), classes="text-body-2 mb-2")
            with html.Template(v_for="found, i in warnings", key=("i",)):
                v.VAlert(
                    "{{ names.length > 1 ? names[i] + ': ' : '' }}{{ sentence }}", v_for="sentence in found",
                    key=("sentence",), icon="mdi-alert", border="start", border_color="warning", density="compact",
                    classes="mb-2 text-body-2",
                )  # fmt: skip
            with html.Table(classes="apn-facts"):
                with html.Thead(v_if=("names.length > 1",)), html.Tr():
                    html.Th()
                    html.Th("{{ name }}", v_for="name in names", key=("name",))
                with html.Tbody(), html.Tr(v_for="row in rows", key=("row.name",)):
                    with html.Td():
                        html.Div("{{ row.name }}")
                        html.Div("{{ row.meaning }}", classes="apn-meaning")
                    html.Td("{{ value }}", v_for="value, i in row.values", key=("i",))

    def _main(self) -> None:
        with (
            v.VMain(style="height: 100vh; position: relative; overflow: hidden;"),
            html.Div(style="position: relative; width: 100%; height: 100%;"),
        ):
            with html.Div(v_if=("screen === 'busy'",), classes="apn-centre", **tabs.STATUS):
                v.VProgressCircular(indeterminate=True, size=56, color="primary")
                html.Div("{{ busy }}", classes="text-h6")
            with html.Div(v_if=("screen === 'error'",), classes="apn-centre", **tabs.ALERT):
                v.VIcon("mdi-alert-circle-outline", size=56, color="error")
                html.Div("This result cannot be shown", classes="text-h6")
                html.Div("{{ error }}", style="max-width: 46rem;")
            with html.Div(v_if=("screen === 'scans'",), classes="apn-fill apn-scroll"):
                tabs.scans(self.viewer)
            if self.viewer.scene is None:
                return
            with html.Div(v_show=("screen === 'result' && tab === 'crystal'",), classes="apn-fill"):
                self._remote, self._local = tabs.crystal(self.viewer, self._builds)
            for name, content in (("slices", tabs.slices), ("pattern", tabs.pattern)):
                with html.Div(v_if=(f"screen === 'result' && tab === '{name}'",), classes="apn-fill apn-scroll"):
                    content(self.viewer)
