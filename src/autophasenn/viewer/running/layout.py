"""What stands where on the page that runs: scans on the left, frames in the middle, settings and runs on the right."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v

from autophasenn.viewer.parts import ALERT, ARIA, PLACE, SMALL, STATUS, group, heading, icon_button, q_axes
from autophasenn.viewer.running.hand import WIDEST
from autophasenn.viewer.running.scanpart import LARGEST_BRUSH
from autophasenn.viewer.running.tab import RunTab

NATIVE = [
    *("value", "type", "checked", "min", "max", "step", "placeholder", "id", "for", "disabled", "open", *ARIA),
    ("first", "value.attr"),
]
"""Attributes of the browser's own elements, which trame does not know; `first` is the value that an element is made with:
what somebody types stays when others of the page change."""
SENT = "$event.target.value"
assert LARGEST_BRUSH <= WIDEST


def page(tab: RunTab) -> None:
    """All of it."""
    with html.Div(classes="apn-bench"):
        with html.Section(classes="apn-bench-list", aria_label="Scans", __properties=ARIA):
            _scans(tab)
        with html.Section(classes="apn-bench-frames", aria_label="Frames", __properties=ARIA):
            _frames(tab)
        with html.Section(classes="apn-bench-side", aria_label="Settings and runs", __properties=ARIA):
            _side(tab)


def _input(label: Any, value: Any, changed: Any, **more: Any) -> None:
    html.Input(
        first=value, key=value, aria_label=label, change=changed, classes="apn-input", __properties=NATIVE,
        __events=["change"], **({"type": "text"} | more),
    )  # fmt: skip


def _select(label: Any, value: Any, changed: Any, options: Any, title: str, of: str) -> None:
    """A choice; `options`: of the page; `of`, `title`: expressions of one of them, `o`."""
    with html.Select(
        value=value, aria_label=label, change=changed, classes="apn-input", __properties=NATIVE, __events=["change"]
    ):
        html.Option(f"{{{{ {title} }}}}", v_for=f"o in {options}", key=(of,), value=(of,), __properties=NATIVE)


def _scans(tab: RunTab) -> None:
    scan = tab.scan
    html.Div("{{ open_folder }}", classes="apn-folder", title=("open_folder",))
    heading("Whose scans")
    with html.Select(
        value=("open_beamline",), aria_label="Whose scans", change=(tab.choose_beamline, f"[{SENT}]"),
        classes="apn-input", __properties=NATIVE, __events=["change"],
    ):  # fmt: skip
        html.Option("plain files", value="", __properties=NATIVE)
        html.Option(
            "{{ o.name }}: {{ o.title }}", v_for="o in open_beamlines", key=("o.name",), value=("o.name",),
            __properties=NATIVE,
        )  # fmt: skip
    html.Div("{{ open_needs }}", v_if=("open_needs",), classes="apn-meaning")
    with html.Div(classes="d-flex ga-1 my-1"):
        _input("Find", ("open_wanted",), (scan.find, f"[{SENT}]"), type="search", placeholder="Find")
        icon_button("mdi-refresh", "List again", scan.list, size="x-small", variant="tonal")
    html.Div("Reading the folder …", v_if=("open_is_listing",), classes="apn-meaning", **STATUS)
    html.Div("{{ open_list_error }}", v_if=("open_list_error && !open_is_listing",), classes="apn-wrong", **ALERT)
    with (
        html.Ul(classes="apn-listed"),
        html.Li(v_for="s in open_scans", key=("s.number",)),
        html.Button(
            classes=("s.is_chosen ? 'apn-chosen' : ''",), click=(scan.choose, "[s.number]"),
            aria_pressed=("s.is_chosen",), __properties=[("aria_pressed", "aria-pressed")],
        ),
    ):  # fmt: skip
        html.Span("{{ s.name }}")
        html.Small("{{ s.about }}")


def _frames(tab: RunTab) -> None:
    with html.Div(v_if=("!open_picture",), classes="apn-centre"):
        html.Div("Choose a scan or a file.", v_if=("!open_is_reading && !open_trouble",), **STATUS)
        html.Div("Reading {{ open_chosen }} …", v_if=("open_is_reading",), **STATUS)
        html.Div("{{ open_trouble }}", v_if=("open_trouble && !open_is_reading",), classes="apn-wrong", **ALERT)
    with html.Template(v_if=("open_picture",)):
        _tools(tab)
        html.Div("{{ open_trouble }}", v_if=("open_trouble && !open_is_reading",), classes="apn-wrong", **ALERT)
        with html.Div(classes="apn-canvas"), html.Div(
            classes="apn-drawn", style=("{aspectRatio: open_look.columns + ' / ' + open_look.rows, "
                                        "'--apn-ratio': open_look.columns / open_look.rows}",),
            pointerdown=f"$event.currentTarget.setPointerCapture($event.pointerId); trigger('open_press', [{PLACE}])",
            pointermove=f"trigger($event.buttons & 1 ? 'open_move' : 'open_probe', [{PLACE}])",
            pointerup="trigger('open_release')", pointercancel="trigger('open_release')",
            __events=["pointerdown", "pointermove", "pointerup", "pointercancel"],
        ):  # fmt: skip
            html.Img(src=("open_picture",), alt="Counts, logarithmic")
            html.Img(src=("open_overlay",), alt="What is masked")
            q_axes("open_look")
        html.Div(
            "{{ open_said || 'Point at the frames for the counts there; drag to mask. ' + open_look.across + ' →, ' + "
            "open_look.down + ' ↓' }}", classes="apn-said", **STATUS,
        )  # fmt: skip
        with html.Div(classes="apn-legend"), html.Span(v_for="l in open_legend", key=("l.text",)):
            html.I(style=("{background: l.colour}",))
            html.Span("{{ l.text }}")
        html.Img(src=("open_rocking",), v_if=("open_rocking",), alt="Rocking curve", classes="apn-rocking")


def _tools(tab: RunTab) -> None:
    scan = tab.scan
    with html.Div(classes="apn-tools"):
        with html.Div(classes="d-flex ga-1", **group("Section")):
            for number, name in enumerate(("detector", "frame–row", "frame–column")):
                _toggle(name, f"open_look.section === {number}", (scan.see, f"['section', {number}]"))
            _toggle("sum", "open_look.is_summed", (scan.see, "['is_summed', !open_look.is_summed]"))
        with html.Div(classes="d-flex ga-1 align-center"):
            html.Span(
                "{{ open_look.normal }} {{ open_look.is_summed ? '(all)' : open_look.index }}", classes="apn-value"
            )
            html.Input(
                type="range", min=0, max=("open_look.last",), first=("open_look.index",), __properties=NATIVE,
                key=("open_look.section + ' ' + open_look.last",),
                input=(scan.see, f"['index', Number({SENT})]"), __events=["input"], aria_label="Plane", style="width: 9rem",
            )  # fmt: skip
        with html.Div(classes="d-flex ga-1 align-center", **group("Mask by hand")):
            for name in ("brush", "box"):
                _toggle(name, f"open_tool === '{name}'", (scan.tool, f"['tool', '{name}']"))
            html.Input(
                type="range", min=1, max=LARGEST_BRUSH, first=("open_radius",), __properties=NATIVE, style="width: 5rem",
                input=(scan.tool, f"['radius', Number({SENT})]"), __events=["input"], aria_label="Radius of the brush",
                title=("'Radius ' + open_radius",), v_if=("open_tool === 'brush'",),
            )  # fmt: skip
            _toggle("restore", "open_restores", (scan.tool, "['restores', !open_restores]"))
            _toggle(
                "all planes", "open_is_through", (scan.tool, "['is_through', !open_is_through]"),
                v_if=("!open_look.is_summed",),
            )  # fmt: skip
            v.VBtn("undo", click=scan.undo, disabled=("!open_strokes",), **SMALL)
            v.VBtn("clear", click=scan.clear, disabled=("!open_strokes",), **SMALL)
        html.Div("Reading {{ open_chosen }} …", v_if=("open_is_reading",), classes="apn-meaning", **STATUS)


def _toggle(words: str, is_on: str, click: Any, **more: Any) -> None:
    v.VBtn(
        words, click=click, size="small", variant=(f"{is_on} ? 'flat' : 'tonal'",),
        color=(f"{is_on} ? 'primary' : undefined",), aria_pressed=(is_on,),
        __properties=[("aria_pressed", "aria-pressed")], **more,
    )  # fmt: skip


def _side(tab: RunTab) -> None:
    with html.Div(classes="d-flex ga-1 mb-1", **group("Settings or runs")):
        _toggle("settings", "open_side === 'settings'", (tab.side, "['settings']"))
        _toggle("runs ({{ open_runs.length }})", "open_side === 'runs'", (tab.side, "['runs']"))
        v.VSpacer()
        v.VBtn("run", click=tab.run, color="primary", size="small", prepend_icon="mdi-play")
    html.Div("{{ open_wrong }}", v_if=("open_wrong",), classes="apn-wrong", **ALERT)
    with html.Div(v_if=("open_side === 'settings'",), classes="apn-settings"):
        html.Div("{{ open_chosen || 'No scan is chosen.' }}", classes="apn-folder")
        heading("Run")
        _fields(tab, "run")
        with html.Details():
            html.Summary("Files that belong to the scan")
            _fields(tab, "source")
        with html.Details():
            html.Summary("Geometry")
            with html.Table(classes="apn-facts"), html.Tbody(), html.Tr(v_for="f in open_facts", key=("f.name",)):
                html.Td("{{ f.name }}")
                html.Td("{{ f.value }}")
            _fields(tab, "instrument")
        with html.Details(v_if=("open_warnings.length",), open=True, __properties=NATIVE):
            html.Summary("{{ open_warnings.length }} warning{{ open_warnings.length > 1 ? 's' : '' }}")
            html.Div("{{ w }}", v_for="w in open_warnings", key=("w",), classes="apn-meaning")
        _expert(tab)
    with html.Div(v_if=("open_side === 'runs'",), classes="apn-settings"):
        _runs(tab)


def _fields(tab: RunTab, which: str) -> None:
    changed = (tab.set, f"[f.key, {SENT}]")
    with html.Div(
        v_for=f"f in open_fields.filter(f => f.group === '{which}')", key=("f.key",), classes="apn-field",
        title=("f.help",),
    ):  # fmt: skip
        html.Span("{{ f.title }}")
        html.Input(
            type="checkbox", v_if=("f.kind === 'flag'",), checked=("f.value === '1'",), __properties=NATIVE,
            change=(tab.set, "[f.key, $event.target.checked ? '1' : '']"), __events=["change"], aria_label=("f.title",),
        )  # fmt: skip
        with html.Template(v_if=("f.kind === 'choice'",)):
            _select(("f.title",), ("f.value",), changed, "f.choices", "o.title", "o.value")
        with html.Template(v_if=("f.kind !== 'choice' && f.kind !== 'flag'",)):
            _input(("f.title",), ("f.value",), changed, placeholder=("f.default",))
        html.Div("{{ f.error }}", v_if=("f.error",), classes="apn-wrong", **ALERT)


def _expert(tab: RunTab) -> None:
    with html.Div(classes="d-flex align-center mt-2"):
        v.VBtn(
            "{{ open_has_expert ? 'hide all parameters' : 'all parameters …' }}",
            click=(tab.show_expert, "[!open_has_expert]"), **SMALL,
        )  # fmt: skip
    with html.Template(v_if=("open_has_expert",)):
        _input("Find a parameter", ("open_expert_wanted",), (tab.find_parameter, f"[{SENT}]"), type="search",
               placeholder="Find a parameter")  # fmt: skip
        changed = (tab.set_parameter, f"[p.key, {SENT}]")
        with html.Div(
            v_for="p in open_expert", key=("p.key",), title=("p.meaning",),
            classes=("p.is_changed ? 'apn-field apn-changed' : 'apn-field'",),
        ):  # fmt: skip
            html.Span("{{ p.key }}")
            with html.Template(v_if=("p.choices.length",)):
                _select(("p.key",), ("p.value",), changed, "p.choices", "o", "o")
            with html.Template(v_if=("!p.choices.length",)):
                _input(("p.key",), ("p.value",), changed)
            html.Small("{{ p.legal ? p.legal + ', ' : '' }}default {{ p.default }}", classes="apn-meaning")
            html.Div("{{ p.error }}", v_if=("p.error",), classes="apn-wrong", **ALERT)


def _runs(tab: RunTab) -> None:
    html.Div("No runs yet.", v_if=("!open_runs.length",), classes="apn-meaning", **STATUS)
    with html.Div(classes="d-flex ga-1 mb-1", v_if=("open_runs.length",)):
        v.VBtn("compare the two that are ticked", click=tab.compare, disabled=("open_picked.length !== 2",), **SMALL)
        v.VBtn("{{ open_is_by_verdict ? 'newest first' : 'best first' }}", click=tab.turn_order, **SMALL)
    with html.Article(
        v_for="r in open_runs", key=("r.key",), classes="apn-run", data_run=("r.key",),
        __properties=[("data_run", "data-run")],
    ):  # fmt: skip
        with html.Div(classes="d-flex ga-2 align-center"):
            html.Input(
                type="checkbox", checked=("open_picked.includes(r.key)",), disabled=("!r.has_image",), __properties=NATIVE,
                change=(tab.pick, "[r.key, $event.target.checked]"), __events=["change"],
                aria_label=("'Compare ' + r.name",),
            )  # fmt: skip
            html.Strong("{{ r.name }}")
            html.Span("{{ r.state }}", classes=("'apn-word apn-' + r.colour",))
            html.Span("{{ r.verdict }}", v_if=("r.verdict",), classes=("'apn-word apn-' + r.verdict_colour",))
            html.Small("{{ r.seconds }}")
        html.Div("{{ r.method }}{{ r.numbers ? ': ' + r.numbers : '' }}, {{ r.asked }}", classes="apn-meaning")
        html.Div("{{ c }}", v_for="c in r.changed", key=("c",), classes="apn-meaning apn-change")
        with html.Div(v_if=("r.state === 'running'",), **STATUS):
            html.Div(
                "{{ open_live.key === r.key ? open_live.stage + ', ' + open_live.seconds : 'beginning' }}",
                classes="apn-meaning",
            )
            html.Progress(
                max=100,
                value=("open_live.key === r.key ? open_live.share : 0",),
                __properties=NATIVE,
                style="width: 100%",
            )
        with html.Div(v_if=("open_live.key === r.key && open_live.pictures.length",), classes="apn-live"):
            html.Img(
                v_for="p, i in open_live.pictures", key=("i",), src=("p",), alt=("'The object along axis ' + i",),
            )  # fmt: skip
        with html.Div(v_if=("open_live.key === r.key && open_live.chi2",)):
            html.Div("{{ open_live.chi2 }}", classes="apn-meaning")
            html.Img(v_if=("open_live.curve",), src=("open_live.curve",), alt="χ²", style="width: 100%")
        html.Div("{{ r.reason }}", v_if=("r.reason",), classes=("r.state === 'failed' ? 'apn-wrong' : 'apn-meaning'",))
        with html.Div(classes="d-flex flex-wrap ga-1"):
            v.VBtn(
                "stop", v_if=("r.state === 'running' || r.state === 'waiting'",), click=(tab.stop, "[r.key]"), **SMALL
            )
            v.VBtn("open", v_if=("r.has_image",), click=(tab.open, "[[r.key]]"), **SMALL)
            v.VBtn("take up again", click=(tab.again, "[r.key]"), **SMALL)
            v.VBtn("copy as command", click="utils.get('window.autophasenn').copy(r.command)", **SMALL)
            v.VBtn("copy as Python", click="utils.get('window.autophasenn').copy(r.python)", **SMALL)
        with html.Details():
            html.Summary("command, Python", classes="apn-meaning")
            html.Pre("{{ r.command }}", classes="apn-code apn-command")
            html.Pre("{{ r.python }}", classes="apn-code apn-python")
