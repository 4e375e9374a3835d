"""The views of a result: what stands where in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trame.widgets import html, vtk
from trame.widgets import vuetify3 as v

from autophasenn.viewer.parts import ALERT, ARIA, PLACE, STATUS, colour_bar, link, q_axes, said, scale

if TYPE_CHECKING:
    from autophasenn.viewer.app import Viewer

CAMERA = "[$event.pokedRenderer?.getActiveCamera().get('position', 'focalPoint', 'viewUp', 'parallelScale')]"
"""Of the browser, when it turns the crystals itself."""
BOX = "{{left: {0}.left + '%', top: {0}.top + '%', width: {0}.width + '%', height: {0}.height + '%'}}"
WHEEL = [("wheel", "wheel.prevent")]


def crystal(viewer: Viewer, build: int) -> tuple[Any, Any]:
    """The crystals in 3-D; the view drawn on the server (None where that cannot draw) and that drawn in the browser."""
    scene = viewer.crystal.scene
    assert scene is not None
    window = scene.plotter.render_window
    remote = None
    at = "{left: (i + 0.5) * 100 / panes.length + '%'}"
    with html.Div(
        classes="apn-view", tabindex="0", role="application", keydown=(viewer.crystal.key, "[$event.key]"),
        aria_label="The crystal. Arrow keys turn it, plus and minus zoom, Home begins anew.",
        __properties=["tabindex", "role", *ARIA], __events=["keydown"],
    ):  # fmt: skip
        html.Div("Drawing …", v_if=("!bar.title",), classes="apn-centre", **STATUS)
        if scene.can_draw:
            with html.Div(classes="apn-3d", v_if=("!in_browser",)):
                remote = vtk.VtkRemoteView(
                    window, ref=f"remote{build}", interactive_ratio=1, interactive_quality=70, still_quality=95
                )
        with html.Div(classes="apn-3d", v_if=("in_browser",)):
            local = vtk.VtkLocalView(
                window, ref=f"local{build}", interactor_events=("['Animation', 'EndAnimation']",),
                on_ready=viewer.crystal.browser_ready, before_scene_loaded="is_drawing = true",
                after_scene_loaded="is_drawing = false", EndAnimation=(viewer.crystal.place_camera, CAMERA),
                Animation=(viewer.crystal.place_camera, CAMERA),
            )  # fmt: skip
        html.Div(
            "{{ name }}", v_for="name, i in panes", key=("name",), v_show=("panes.length > 1 || is_difference",),
            style=(at,), classes="apn-over apn-name",
        )  # fmt: skip
        html.Div(
            "{{ words }}", v_for="words, i in note", key=("i",), v_show=("words",), style=(at,), **STATUS,
            classes="apn-over apn-note",
        )  # fmt: skip
        html.Div(
            "{{ m.words }}", v_for="m, i in marks", key=("i + m.words",), classes="apn-over apn-mark",
            style=("{left: m.left, top: m.top, color: m.colour || undefined}",),
        )  # fmt: skip
        html.Div(
            "{{ analysis_error || 'Finding facets and lines …' }}", classes="apn-over apn-finding", **STATUS,
            v_if=("(is_analysing || analysis_error) && (facets !== 'none' || has_lines)",),
        )  # fmt: skip
        html.Div(v_show=("panes.length > 1",), classes="apn-over apn-divider")
        side = "calc(' + 100 * {0} / overlays.length + '% + {1}px)'"
        with html.Template(v_for="o, i in overlays", key=("i",)):
            html.Div(
                "{{ o.bar_text }}", classes="apn-over apn-bar",
                style=(f"{{width: o.bar + 'cqh', left: '{side.format('i', 22)}}}",),
            )  # fmt: skip
            html.Img(
                src=("o.axes",), alt=("o.axes_text",), classes="apn-over apn-triad",
                style=(f"{{right: '{side.format('(overlays.length - 1 - i)', 12)}}}",),
            )  # fmt: skip
    colour_bar("bar.title && !(in_browser && is_drawing)")
    return remote, local


def slices(viewer: Viewer) -> None:
    """Three orthogonal slices a result, and the histogram or a profile beside them."""
    tab = viewer.slices
    with (
        html.Div(classes=("panes.length > 1 ? 'apn-room apn-room-two' : 'apn-room'",)),
        html.Div(classes="apn-grid", style=("{'--apn-ratio': 1}",)),
    ):
        with (
            html.Template(v_for="planes, n in slices", key=("n",)),
            html.Div(v_for="p, i in planes", key=("i",), classes="apn-cell"),
        ):
            html.Div(
                "{{ panes.length > 1 && i === 0 ? panes[n] + ': ' + p.name.split(',')[0] : p.name }}",
                classes="text-body-2 text-truncate",
                title=("p.name",),
            )
            with html.Div(
                classes="apn-square", data_plane=("n + '-' + i",),
                __properties=[("data_plane", "data-plane")], __events=WHEEL,
                mousemove=(tab.probe, f"[n, i, {PLACE}]"), click=(tab.click, f"[n, i, {PLACE}]"),
                wheel=(tab.wheel, f"[n, i, {PLACE}, $event.deltaY]"),
            ):  # fmt: skip
                html.Img(src=("p.picture",), alt=("p.name",), style=(BOX.format("p"),))
                html.Img(src=("p.lines",), alt="", classes="apn-lines")
                html.Div("{{ p.bar_text }}", classes="apn-bar", style=("{width: p.bar + '%'}",))
                html.Div("{{ p.across }} →", classes="apn-across")
                html.Div("{{ p.up }} ↑", classes="apn-up")
            with html.Div(classes="apn-line"):
                html.Div("{{ p.normal_name }} = {{ p.at }}", classes="text-body-2 apn-value")
                v.VSlider(
                    model_value=("p.index",), min=0, max=("p.last",), step=1, density="compact", hide_details=True,
                    update_modelValue=(tab.set_slice, "[n, p.normal, $event]"), color="primary",
                    aria_label=("'Slice along ' + p.normal_name + (panes.length > 1 ? ' of ' + panes[n] : '')",),
                    __properties=ARIA,
                )  # fmt: skip
        with html.Div(classes="apn-cell apn-beside"):
            with html.Div(classes="apn-plot"):
                html.Img(src=("plot_picture",), alt=("plot_text",), v_if=("plot_picture",))
                html.Div("{{ plot_text }}", v_if=("!plot_picture",), classes="apn-invite", **STATUS)
            colour_bar()
    said("Point at a slice for the value there; click to move the crosshair, turn the wheel to zoom.")


def pattern(viewer: Viewer) -> None:
    """Measured and calculated pattern, and the residual."""
    tab = viewer.pattern
    html.Div("{{ pattern_error }}", v_if=("pattern_error",), classes="apn-centre", **ALERT)
    html.Div("Reading the pattern …", v_if=("!patterns.length && !pattern_error",), classes="apn-centre", **STATUS)
    with (
        html.Div(v_if=("patterns.length",), classes=("names.length > 1 ? 'apn-room apn-room-two' : 'apn-room'",)),
        html.Div(classes="apn-grid", style=("{'--apn-ratio': patterns[0].ratio}",)),
    ):
        with (
            html.Template(v_for="p, n in patterns", key=("n",)),
            html.Div(v_for="name, i in ['measured', 'calculated', 'residual']", key=("name",), classes="apn-cell"),
        ):
            html.Div("{{ names.length > 1 && i === 0 ? names[n] + ': ' : '' }}{{ name }}", classes="text-body-2")
            with html.Div(
                classes=("i === 2 ? 'apn-panel apn-light' : 'apn-panel'",), style=("{aspectRatio: p.ratio}",),
                mousemove=(tab.probe, f"[n, {PLACE}]"), data_pattern=("n + '-' + i",), __events=WHEEL,
                wheel=(tab.wheel, f"[{PLACE}, $event.deltaY]"), __properties=[("data_pattern", "data-pattern")],
            ):  # fmt: skip
                html.Img(src=("p.pictures[i]",), alt=("name",), style=(BOX.format("p"),))
                html.Div("{{ p.bar_text }}", classes="apn-over apn-bar", style=("{width: p.bar + '%'}",))
                q_axes("p")
            with html.Div(classes="apn-line"):
                html.Div("{{ p.across }} →, {{ p.down }} ↓", v_if=("i > 0",), classes="text-body-2")
                html.Div("{{ p.normal }} {{ p.index }}", v_if=("i === 0",), classes="text-body-2 apn-value")
                v.VSlider(
                    v_if=("i === 0",), model_value=("p.index",), min=0, max=("p.last",), step=1, density="compact",
                    hide_details=True, update_modelValue=(tab.set_plane, "[n, $event]"), color="primary",
                    aria_label=("'Plane of the pattern' + (names.length > 1 ? ' of ' + names[n] : '')",),
                    __properties=ARIA,
                )  # fmt: skip
        with (
            html.Div(classes="apn-cell apn-beside apn-scales"),
            html.Div(v_for="s in pattern_scales", key=("s.title",), classes="apn-scale"),
        ):
            scale("s")
    with html.Template(v_if=("patterns.length",)):
        said("Point at the pattern for the counts there; turn the wheel to zoom. Grey was not measured.")


def curves(_: Viewer) -> None:
    """How chi2 fell, and up to where the starts agree."""
    html.Div("{{ curves_error }}", v_if=("curves_error",), classes="apn-centre", **ALERT)
    html.Div("Reading the curves …", v_if=("!curves.length && !curves_error",), classes="apn-centre", **STATUS)
    with html.Div(classes="apn-curves", v_if=("curves.length",)):
        with html.Div(v_for="c, i in curves", key=("c.name",), classes="apn-curve"):
            html.H2("{{ c.name }}", classes="text-body-1 font-weight-medium")
            html.Img(src=("c.picture",), alt=("c.name",))
            with html.Div(classes="d-flex ga-1 justify-center"):
                for kind in ("PNG", "SVG", "PDF"):
                    link(kind, f"'curve-' + i + '.{kind.lower()}'")
        html.Div("{{ words }}", v_for="words in curves_words", key=("words",), classes="text-body-2 pa-4")


def analysis(_: Viewer) -> None:
    """Facets, defect lines, pole figure and strain layer by layer, of every result."""
    html.Div("{{ analysis_error }}", v_if=("analysis_error",), classes="apn-centre", **ALERT)
    html.Div("Analysing …", v_if=("!analyses.length && !analysis_error",), classes="apn-centre", **STATUS)
    with html.Div(v_for="a, n in analyses", key=("n",), classes="apn-answers"):
        html.H2("{{ a.name }}", v_if=("analyses.length > 1",))
        html.Div("{{ note }}", v_for="note in a.notes", key=("note",), classes="text-body-2")
        with html.Div(classes="apn-found"):
            with html.Div(classes="apn-tables"):
                for name, title in (("facet", "Facets"), ("line", "Defect lines")):
                    with html.Div(
                        v_if=(f"a.{name}s.length",), classes="apn-wide", tabindex="0", role="region",
                        aria_label=(f"'{title}' + (analyses.length > 1 ? ' of ' + a.name : '')",),
                        __properties=["tabindex", "role", *ARIA],
                    ):  # fmt: skip
                        html.H2(title)
                        with html.Table():
                            with html.Thead(), html.Tr():
                                html.Th("{{ head }}", v_for=f"head in a.{name}_heads", key=("head",))
                            with html.Tbody(), html.Tr(v_for=f"row in a.{name}s", key=("row[0]",)):
                                html.Td("{{ cell }}", v_for="cell, i in row", key=("i",))
                with html.Div(classes="d-flex flex-wrap ga-1 mt-2"):
                    link("{{ t }} (CSV)", "t + '-' + n + '.csv'", v_for="t in a.tables", key=("t",))
            with html.Div(classes="apn-gallery"), html.Figure(v_for="f in a.figures", key=("f.key",)):
                html.Img(src=("f.picture",), alt=("f.title",))
                with html.Figcaption():
                    html.Span("{{ f.title }}", classes="text-body-2 mr-2")
                    for kind in ("PNG", "SVG", "PDF"):
                        link(kind, f"f.key + '-' + n + '.{kind.lower()}'")


def series(_: Viewer) -> None:
    """A number of every scan against scan, time, motor or other metadata."""
    with html.Div(classes="d-flex flex-wrap ga-3 px-4 pt-3 align-center"):
        for name, label, items in (
            ("quantity_of_series", "number", "series_numbers"), ("against", "against", "series_axes"),
        ):  # fmt: skip
            v.VSelect(
                v_model=(name,), items=(items,), label=label, density="compact", hide_details=True, variant="outlined",
                style="max-width: 22rem; min-width: 12rem;",
            )  # fmt: skip
        for kind in ("PNG", "SVG", "PDF", "CSV"):
            link(kind, f"'series.{kind.lower()}'", disabled=("!series_picture",))
    with html.Div(classes="apn-series-plot"):
        html.Img(
            src=("series_picture",), alt=("quantity_of_series + ' of every scan against ' + against",),
            v_if=("series_picture",),
        )  # fmt: skip
        html.Div("{{ series_words }}", v_if=("!series_picture",), classes="apn-invite", **STATUS)


def through_the_series(viewer: Viewer) -> None:
    """The slider through the scans of the table, above every tab."""
    with html.Div(v_if=("screen === 'result' && series_last > 0 && names.length === 1",), classes="apn-series"):
        v.VSlider(
            model_value=("series_place",), min=0, max=("series_last",), step=1, density="compact", hide_details=True,
            color="primary", update_modelValue=(viewer.series.go, "[$event]"), aria_label="Scan of the series",
            __properties=ARIA,
        )  # fmt: skip
        html.Div("{{ series_at }} ({{ series_place + 1 }} of {{ series_last + 1 }})", classes="text-body-2", **STATUS)
