"""The two drawers of a result: controls on the left, numbers on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trame.widgets import html
from trame.widgets import vuetify3 as v

from autophasenn.files.convention import RESULT
from autophasenn.viewer.analysistab import LABELS
from autophasenn.viewer.parts import ARIA, COMPACT, IS_NARROW, NARROW, SMALL, group, heading, link, slider, zoom_buttons
from autophasenn.viewer.scene import VIEWS

if TYPE_CHECKING:
    from autophasenn.viewer.app import Viewer

DRAWER = "screen === 'result' && ({narrow} ? drawer === '{name}' : has_{name})"
MOVED = "{narrow} ? (drawer = $event ? '{name}' : drawer === '{name}' ? '' : drawer) : (has_{name} = $event)"


def _drawer(name: str, label: str, **more: object) -> v.VNavigationDrawer:
    """A drawer beside the page, or over it where that is narrow."""
    words = {"narrow": IS_NARROW, "name": name}
    return v.VNavigationDrawer(
        v_if=("screen === 'result'",), model_value=(DRAWER.format(**words),), update_modelValue=MOVED.format(**words),
        mobile_breakpoint=(str(NARROW),), disable_resize_watcher=True, aria_label=label,
        __properties=ARIA, **more,
    )  # fmt: skip


def controls(viewer: Viewer) -> None:
    """What is drawn, and how; only what does something in the tab that is open."""
    width = "$vuetify.display.width > 1900 ? 370 : 268"
    with _drawer("controls", "Controls", width=(width,)), html.Div(classes="px-4 pb-4"):
        with html.Div(v_if=("can_subtract && (tab === 'crystal' || tab === 'slices')",), classes="pt-2"):
            v.VSwitch(v_model=("is_difference",), label="show the difference", **COMPACT)
        with html.Div(v_if=("tab === 'crystal' || tab === 'slices'",)):
            _colour()
        with html.Div(v_if=("tab === 'crystal'",)):
            _facets()
            _cut(viewer)
            _confidence()
            _seen_from(viewer)
        with html.Div(v_if=("tab === 'analysis'",)):
            heading("Surface at amplitude {{ Number(threshold).toFixed(2) }}")
            slider("threshold", 0.1, 0.98, 0.01, "Amplitude of the surface")
            _crystal_of()
        with html.Div(v_if=("tab === 'slices'",)):
            heading("Beside the slices")
            with v.VBtnToggle(
                v_model=("plot",), mandatory=True, density="compact", divided=True, variant="outlined", color="primary",
                **group("Beside the slices"),
            ):  # fmt: skip
                for name in ("histogram", "profile"):
                    v.VBtn(name, value=name, size="small")
            html.Div(
                "Two clicks in a slice are the ends of the profile.",
                v_if=("plot === 'profile'",),
                classes="text-body-2 mt-1",
            )
            heading("Zoom")
            zoom_buttons(viewer.slices.zoom, "is_zoomed")
        with html.Div(v_if=("tab === 'pattern'",)):
            heading("Section")
            with v.VBtnToggle(
                v_model=("section",), mandatory=True, density="compact", divided=True, variant="outlined",
                color="primary", **group("Section"),
            ):  # fmt: skip
                for number, name in enumerate(("detector", "frame–row", "frame–column")):
                    v.VBtn(name, value=(str(number),), size="small", classes="px-2")
            heading("Zoom")
            zoom_buttons(viewer.pattern.zoom, "is_pattern_zoomed")
        _downloads()


def _colour() -> None:
    heading("Colour")
    with v.VRadioGroup(
        v_model=("quantity",), density="compact", hide_details=True, aria_label="Colour", __properties=ARIA
    ):
        label = "c.title + ' (' + c.unit + ')'"
        v.VRadio(
            v_for="c in choices", key=("c.key",), value=("c.key",), label=(label,), disabled=("!!c.lacking",),
        )  # fmt: skip
    html.Div("{{ lacking }}", v_if=("lacking",), classes="text-body-2")
    html.Div(
        "The displacement is −phase / |Q|: its sign is the other one.", classes="text-body-2",
        v_if=("quantity === 'displacement'",),
    )  # fmt: skip
    heading("Surface at amplitude {{ Number(threshold).toFixed(2) }}")
    slider("threshold", 0.1, 0.98, 0.01, "Amplitude of the surface")


def _facets() -> None:
    with html.Div(v_if=("!is_difference",)):
        heading("Facets")
        with v.VBtnToggle(
            v_model=("facets",), mandatory=True, density="compact", divided=True, variant="outlined", color="primary",
            **group("Facets"),
        ):  # fmt: skip
            for words, value in (("off", "none"), ("families", "families"), ("strain", "strain")):
                v.VBtn(words, value=value, size="small")
        v.VSwitch(
            model_value=("has_lines",), label="defect lines", **COMPACT,
            # they lie inside of what would hide them
            update_modelValue="opacity = $event && opacity === 1 ? 0.4 : opacity; has_lines = $event",
        )  # fmt: skip
        heading("Opacity {{ Number(opacity).toFixed(2) }}")
        slider("opacity", 0.1, 1.0, 0.05, "Opacity of the surface")
        with html.Div(v_if=("facets !== 'none' || has_lines",)):
            _crystal_of()


def _crystal_of() -> None:
    """What names the facets: material and reflection."""
    v.VSelect(
        v_model=("material",), items=("materials",), label=LABELS["--material"], density="compact", hide_details=True,
        variant="outlined", classes="mt-3",
    )  # fmt: skip
    v.VTextField(
        model_value=("hkl",), change="hkl = $event.target.value", label=LABELS["--hkl"], density="compact",
        hint="Facets get indices where reflection or material are known.", persistent_hint=True, variant="outlined",
        classes="mt-3",
    )  # fmt: skip


def _cut(viewer: Viewer) -> None:
    heading("Cut along")
    with v.VBtnToggle(
        v_model=("cut",), mandatory=True, density="compact", divided=True, variant="outlined", color="primary",
        classes="apn-wrap", **group("Cut along"),
    ):  # fmt: skip
        v.VBtn("whole", value="none", size="small")
        v.VBtn("{{ a }}", v_for="a, i in axes", key=("a",), value=("String(i)",), size="small")
        v.VBtn("Q", value="q", size="small", v_if=("has_q",), title="Along the scattering vector")
        v.VBtn("other", value="other", size="small")
    with html.Div(v_if=("cut === 'other'",)):
        v.VTextField(
            model_value=("direction",), change="direction = $event.target.value", density="compact", variant="outlined",
            label=("'direction ' + axes.join(', ')",), hint="Three numbers of any length.", persistent_hint=True,
            classes="mt-2",
        )  # fmt: skip
    v.VBtn("across the line of sight", click=viewer.crystal.cut_as_seen, classes="mt-1", **SMALL)
    name = "cut === 'q' ? 'Q' : cut === 'other' ? '(' + direction.split(' ').join(', ') + ')' : axes[Number(cut)]"
    place = "Number(place).toFixed(0).replace('-', '−')"
    with html.Div(v_if=("cut !== 'none'",)):
        html.Div(
            f"at {{{{ ({name}).replaceAll('-', '−') + (cut === 'other' ? ':' : ' =') }}}} {{{{ {place} }}}} {{{{ unit }}}}",
            classes="mt-1",
        )
        slider("place", ("-reach",), ("reach",), ("step",), "Place of the cut")
        v.VSwitch(v_model=("is_flipped",), label="show the other half", **COMPACT)


def _confidence() -> None:
    heading("Confidence")
    with html.Div(v_if=("has_spread",)):
        v.VSwitch(v_model=("doubt",), label="grey where the phase is uncertain", **COMPACT)
        with html.Div(v_if=("doubt",)):
            html.Div("by more than {{ Number(largest_spread).toFixed(2) }} rad")
            slider("largest_spread", 0.0, ("most_spread",), 0.01, "Largest uncertainty that is coloured")
    html.Div(
        "{{ panes.length > 1 ? 'Not both of these have a map of their uncertainty.' : "
        "'This has no map of its uncertainty.' }}",
        v_if=("!has_spread",), classes="text-body-2",
    )  # fmt: skip


def _seen_from(viewer: Viewer) -> None:
    heading("Seen from")
    with html.Div(classes="d-flex flex-wrap ga-1", **group("Seen from")):
        for number, name in enumerate(VIEWS):
            words = name if name == "corner" else f"{{{{ axes[{number - 1}] }}}}"
            v.VBtn(words, click=(viewer.crystal.look, f"['{name}']"), **SMALL)
    v.VSwitch(v_model=("is_shaded",), label="light and shade", classes="mt-2", **COMPACT)
    v.VSwitch(v_model=("in_browser",), disabled=("!can_draw || !is_small",), label="draw in the browser", **COMPACT)
    html.Div(
        "{{ !can_draw ? 'The server has no OpenGL.' : is_small ? 'Surface of ' + mesh_mb + ' MB.' : "
        "'The surface has ' + mesh_mb + ' MB: it is drawn on the server.' }}",
        classes="text-caption",
    )


def _downloads() -> None:
    heading("Download")
    with html.Div(
        classes="d-flex flex-wrap ga-1 align-center",
        v_if=("['crystal', 'slices', 'pattern'].includes(tab)",),
        **group("Download the view"),
    ):
        html.Span("view", classes="text-body-2")
        for kind in ("PNG", "SVG", "PDF"):
            link(
                kind, f"tab + '.{kind.lower()}'", disabled=("tab === 'crystal' && !can_draw",),
                title=f"view as {kind}",
            )  # fmt: skip
        with html.Template(v_if=("tab === 'crystal'",)):
            link("film", "'film.gif'", disabled=("!can_draw",), title="One turn as an animated GIF")
    with html.Div(classes="d-flex flex-wrap ga-1 align-center mt-1", v_if=("tab === 'slices' && plot_picture",),
                  **group("Download the plot")):  # fmt: skip
        html.Span("{{ plot }}", classes="text-body-2")
        for kind in ("PNG", "SVG", "PDF", "CSV"):
            link(kind, f"'plot.{kind.lower()}'")
    with html.Div(v_if=("tab === 'curves'",), classes="mt-1"):
        link("curves (CSV)", "'curves.csv'")
    with html.Div(v_for="name, i in names", key=("name",), classes="d-flex flex-wrap align-center ga-1 mt-1"):
        for kind, file in (("CXI", RESULT), ("VTK", "crystal.vti"), ("JSON", "report.json")):
            link(kind, f"i + '/{file}'", title=("name",))
        html.Span("{{ name }}", v_if=("names.length > 1",), classes="text-caption text-truncate", title=("name",))


def facts() -> None:
    """Verdict, warnings and numbers of the results."""
    width = "($vuetify.display.width > 1900 ? 430 : 300) + (names.length > 1 ? 60 : 0)"
    with (
        _drawer("facts", "Numbers", location="right", width=(width,)),
        html.Div(classes="px-4 pb-4 pt-2"),
    ):
        with html.Div(v_for="h, i in headlines", key=("i",), classes="mb-2"):
            html.Strong("{{ names.length > 1 ? names[i] + ': ' : '' }}")
            html.Span("{{ h.word }}", classes=("'apn-word apn-' + h.colour",))
            html.Div("{{ h.sentence }}", classes="text-body-2 mt-1")
            html.Div("{{ h.belief }}", v_if=("h.belief",), classes="text-body-2 mt-1")
        html.Div("{{ no_geometry }}", v_if=("no_geometry",), classes="text-body-2 mb-2")
        with html.Template(v_for="found, i in warnings", key=("i",)):
            _warnings()
        with html.Table(classes="apn-facts"):
            with html.Thead(v_if=("names.length > 1",)), html.Tr():
                with html.Th():
                    html.Span("Number", classes="apn-hidden")
                html.Th("{{ name }}", v_for="name in names", key=("name",))
            with html.Tbody(), html.Tr(v_for="row in rows", key=("row.name",)):
                with html.Td():
                    html.Div("{{ row.name }}")
                    html.Div("{{ row.meaning }}", classes="apn-meaning")
                html.Td("{{ value }}", v_for="value, i in row.values", key=("i",))
        link("numbers (CSV)", "'numbers.csv'", classes="mt-2")


def _warnings() -> None:
    """The first two as they are, more of them behind a click: the numbers stay in sight."""
    alert: dict[str, object] = {
        "icon": "mdi-alert", "border": "start", "border_color": "warning", "density": "compact",
        "classes": "mb-2 text-body-2", "key": ("sentence",),
    }  # fmt: skip
    words = "{{ names.length > 1 ? names[i] + ': ' : '' }}{{ sentence }}"
    v.VAlert(words, v_for="sentence in found.slice(0, 2)", **alert)
    with html.Details(v_if=("found.length > 2",), classes="mb-2"):
        html.Summary("{{ found.length - 2 }} more", classes="text-body-2")
        v.VAlert(words, v_for="sentence in found.slice(2)", **alert)
