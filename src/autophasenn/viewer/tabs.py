"""The three views of a result, and the table of scans: what stands where in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trame.widgets import html, vtk
from trame.widgets import vuetify3 as v

if TYPE_CHECKING:
    from autophasenn.viewer.app import Viewer

PLACE = "$event.offsetX / $event.currentTarget.clientWidth, $event.offsetY / $event.currentTarget.clientHeight"
"""Of the pointer in an element, both from 0 to 1."""
CAMERA = "[$event.pokedRenderer?.getActiveCamera().get('position', 'focalPoint', 'viewUp', 'parallelScale')]"
"""Of the browser, when it turns the crystals itself."""
ARIA = [("aria_label", "aria-label")]
STATUS: dict[str, Any] = {"role": "status", "__properties": ["role"]}
"""Of words that are read out when they change."""
ALERT: dict[str, Any] = {"role": "alert", "__properties": ["role"]}


def crystal(viewer: Viewer, build: int) -> tuple[Any, Any]:
    """The crystals in 3-D; the view drawn on the server (None where that cannot draw) and that drawn in the browser."""
    assert viewer.scene is not None
    window = viewer.scene.plotter.render_window
    remote = None
    at = "{left: (i + 0.5) * 100 / names.length + '%'}"
    with html.Div(
        classes="apn-view", tabindex="0", role="application", keydown=(viewer.key, "[$event.key]"),
        aria_label="The crystal. Arrow keys turn it, plus and minus zoom.",
        __properties=["tabindex", "role", *ARIA], __events=["keydown"],
    ):  # fmt: skip
        html.Div("Drawing …", classes="apn-centre", **STATUS)
        if viewer.scene.can_draw:
            with html.Div(classes="apn-3d", v_if=("!in_browser",)):
                remote = vtk.VtkRemoteView(
                    window, ref=f"remote{build}", interactive_ratio=1, interactive_quality=70, still_quality=95
                )
        with html.Div(classes="apn-3d", v_if=("in_browser",)):
            local = vtk.VtkLocalView(
                window, ref=f"local{build}", interactor_events=("['Animation', 'EndAnimation']",),
                on_ready=viewer.browser_ready, before_scene_loaded="is_drawing = true",
                after_scene_loaded="is_drawing = false", EndAnimation=(viewer.place_camera, CAMERA),
                Animation=(viewer.place_camera, CAMERA),
            )  # fmt: skip
        html.Div(
            "{{ name }}", v_for="name, i in names", key=("name",), v_show=("names.length > 1",), style=(at,),
            classes="apn-over apn-name",
        )  # fmt: skip
        html.Div(
            "{{ words }}", v_for="words, i in note", key=("i",), v_show=("words",), style=(at,), **STATUS,
            classes="apn-over apn-note",
        )  # fmt: skip
        html.Div(v_show=("names.length > 1",), classes="apn-over apn-divider")
        side = "calc(' + 100 * {0} / overlays.length + '% + {1}px)'"
        with html.Template(v_for="o, i in overlays", key=("i",)):
            html.Div(
                "{{ o.bar_text }}", classes="apn-over apn-bar",
                style=(f"{{width: o.bar + 'cqh', left: '{side.format('i', 22)}}}",),
            )  # fmt: skip
            html.Div(
                v_html=("o.svg",), classes="apn-over apn-triad",
                style=(f"{{right: '{side.format('(overlays.length - 1 - i)', 12)}}}",),
            )  # fmt: skip
    _colour_bar("bar.title && !(in_browser && is_drawing)")
    return remote, local


def slices(viewer: Viewer) -> None:
    """Three orthogonal slices a result."""
    edge = "names.length > 1 ? 'calc(50vh - 202px)' : 'calc(100vh - 300px)'"
    with html.Template(v_for="planes, n in slices", key=("n",)):
        html.Div("{{ names[n] }}", v_if=("names.length > 1",), classes="text-center font-weight-medium pt-2")
        with (
            html.Div(classes="apn-planes", style=(f"{{'--apn-edge': 'min(32%, ' + ({edge}) + ')'}}",)),
            html.Div(v_for="p, i in planes", key=("i",), classes="apn-plane"),
        ):
            html.Div("{{ p.name }}", classes="text-body-2 text-truncate")
            with html.Div(
                classes="apn-square", data_plane=("n + '-' + i",), __properties=[("data_plane", "data-plane")],
                mousemove=(viewer.probe_slice, f"[n, i, {PLACE}]"), click=(viewer.move_crosshair, f"[n, i, {PLACE}]"),
            ):  # fmt: skip
                html.Img(
                    src=("p.picture",), alt=("p.name",),
                    style=("{left: p.left + '%', top: p.top + '%', width: p.width + '%', height: p.height + '%'}",),
                )  # fmt: skip
                html.Div(v_html=("p.svg",), style="inset: 0")
                html.Div("{{ p.bar_text }}", classes="apn-bar", style=("{width: p.bar + '%'}",))
            html.Div("{{ p.across }} →, {{ p.up }} ↑; at {{ p.normal_name }} = {{ p.at }}", classes="text-body-2")
            v.VSlider(
                model_value=("p.index",), min=0, max=("p.last",), step=1, density="compact", hide_details=True,
                update_modelValue=(viewer.set_slice, "[n, p.normal, $event]"), color="primary",
                aria_label=("'Slice along ' + p.normal_name",), __properties=ARIA,
            )  # fmt: skip
    _said("Point at a slice for the value there; click to move the crosshair.")
    _colour_bar()


def pattern(viewer: Viewer) -> None:
    """Measured and calculated pattern, and the residual."""
    html.Div("{{ pattern_error }}", v_if=("pattern_error",), classes="apn-centre", **ALERT)
    html.Div("Reading the pattern …", v_if=("!patterns.length && !pattern_error",), classes="apn-centre", **STATUS)
    with (
        html.Div(v_if=("patterns.length",), classes="d-flex align-center ga-4 px-4 pt-2"),
        v.VBtnToggle(v_model=("section",), mandatory=True, divided=True, variant="outlined", color="primary"),
    ):
        for number, name in enumerate(("detector", "frame–row", "frame–column")):
            v.VBtn(name, value=(str(number),), size="small")
    height = "names.length > 1 ? '50vh - 202px' : '100vh - 330px'"
    width = f"{{flex: '0 1 auto', width: 'min(32%, calc((' + ({height}) + ') * ' + p.ratio + '))'}}"
    with html.Template(v_for="p, n in patterns", key=("n",)):
        html.Div("{{ names[n] }}", v_if=("names.length > 1",), classes="text-center font-weight-medium pt-2")
        with (
            html.Div(classes="apn-planes"),
            html.Div(v_for="name, i in ['measured', 'calculated', 'residual']", key=("name",), style=(width,)),
        ):
            html.Div("{{ name }}", classes="text-body-1 font-weight-medium")
            with html.Div(
                classes=("i === 2 ? 'apn-panel apn-light' : 'apn-panel'",), style=("{aspectRatio: p.ratio}",),
                mousemove=(viewer.probe_pattern, f"[n, {PLACE}]"), data_pattern=("n + '-' + i",),
                __properties=[("data_pattern", "data-pattern")],
            ):  # fmt: skip
                html.Img(
                    src=("p.pictures[i]",), alt=("name",),
                    style=(
                        "{position: 'absolute', left: p.left + '%', top: p.top + '%', width: p.width + '%', "
                        "height: p.height + '%'}",
                    ),
                )  # fmt: skip
                html.Div("{{ p.bar_text }}", classes="apn-over apn-bar", style=("{width: p.bar + '%'}",))
            html.Div("{{ p.across }} →, {{ p.down }} ↓", classes="text-body-2")
        with html.Div(classes="d-flex align-center ga-4 px-4"):
            html.Div("{{ p.normal }} {{ p.index }}", style="min-width: 7em;")
            v.VSlider(
                model_value=("p.index",), min=0, max=("p.last",), step=1, density="compact", hide_details=True,
                update_modelValue=(viewer.set_plane, "[n, $event]"), color="primary",
                aria_label=("'Plane of the pattern' + (names.length > 1 ? ' of ' + names[n] : '')",), __properties=ARIA,
            )  # fmt: skip
    with html.Template(v_if=("patterns.length",)):
        _said("Point at the pattern for the counts there. Grey was not measured.")
        with (
            html.Div(classes="d-flex"),
            html.Div(v_for="s in pattern_scales", key=("s.title",), classes="apn-scale"),
        ):
            _scale("s")


def scans(viewer: Viewer) -> None:
    """The table of a watcher's scans."""
    v.VAlert("{{ scans_error }}", v_if=("scans_error",), type="error", variant="tonal", classes="ma-4")
    with html.Div(v_if=("!scans.length && !scans_error",), classes="apn-centre", **STATUS):
        v.VIcon("mdi-timer-sand", size=56)
        html.Div("No scans yet in {{ scans_folder }}", classes="text-h6")
        html.Div("They appear here by themselves as their frames arrive.")
    with html.Div(v_if=("scans.length",), classes="d-flex align-center ga-4 px-4 py-2"):
        html.Div("{{ scans.length }} scans in {{ scans_folder }}", classes="text-h6")
        html.Div("{{ scans_summary }}", **STATUS)
        v.VSpacer()
        v.VSwitch(
            v_model=("follows",), label="open each new image by itself", density="compact", hide_details=True,
            color="primary",
        )  # fmt: skip
        v.VBtn(
            "compare the two that are ticked", disabled=("picked.length !== 2",), color="primary", variant="tonal",
            click=(viewer.open_scans, "[picked]"),
        )  # fmt: skip
    with html.Table(v_if=("scans.length",), classes="apn-scans"):
        with html.Thead(), html.Tr():
            for title in ("", "", "Scan", "State"):
                html.Th(title)
            html.Th("Frames", classes="apn-number")
            for title in ("χ²", "χ² held out", "Confidence", "Strain, std (10⁻⁴)", "To image (s)", "To refined (s)"):
                html.Th(title, classes="apn-number")
        with (
            html.Tbody(),
            html.Tr(
                v_for="s in scans", key=("s.key",), data_scan=("s.key",), __properties=[("data_scan", "data-scan")]
            ),
        ):
            with html.Td():
                v.VCheckboxBtn(
                    v_model=("picked",), value=("s.key",), disabled=("!s.has_image",), density="compact",
                    aria_label=("'Compare ' + s.name",), __properties=ARIA,
                )  # fmt: skip
            with html.Td():
                html.Img(
                    v_if=("s.thumbnail",), src=("s.thumbnail",), alt=("'Thumbnail of ' + s.name",), classes="apn-thumb"
                )
            with html.Td():
                v.VBtn(
                    "{{ s.name }}", v_if=("s.has_image",), variant="text", classes="px-1",
                    click=(viewer.open_scans, "[[s.key]]"),
                )  # fmt: skip
                html.Span("{{ s.name }}", v_if=("!s.has_image",), classes="px-1")
                html.Div("{{ s.arrived }}", classes="px-1 text-caption")
            with html.Td():
                v.VChip("{{ s.state }}", size="small", color=("s.colour",), label=True)
                html.Div("{{ s.reason }}", v_if=("s.reason",), classes="text-body-2", style="max-width: 30rem;")
            for field in ("frames", "chi2", "chi2_free", "confidence", "strain", "seconds", "seconds_refined"):
                html.Td(f"{{{{ s.{field} }}}}", classes="apn-number")


def slider(name: str, low: Any, high: Any, step: Any, label: str) -> None:
    """A slider of a number on the page, with a name for those who do not see it."""
    v.VSlider(
        v_model=(name,), min=low, max=high, step=step, density="compact", hide_details=True, color="primary",
        aria_label=label, __properties=ARIA,
    )  # fmt: skip


def _said(invitation: str) -> None:
    html.Div(f"{{{{ said || '{invitation}' }}}}", classes="apn-said", **STATUS)


def _colour_bar(is_shown: str = "bar.title") -> None:
    with html.Div(classes="apn-scale", style=(f"{{visibility: {is_shown} ? 'visible' : 'hidden'}}",)):
        _scale("bar")


def _scale(name: str) -> None:
    html.Img(src=(f"{name}.ramp",), alt=(f"'Colours of ' + {name}.title",))
    with html.Div(classes="apn-ticks"):
        html.Span("{{ t.text }}", v_for=f"t in {name}.ticks", key=("t.at",), style=("{left: t.at + '%'}",))
    html.Div(f"{{{{ {name}.title }}}}", classes="apn-title")
