"""What several parts of the layout are made of."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v

PLACE = "$event.offsetX / $event.currentTarget.clientWidth, $event.offsetY / $event.currentTarget.clientHeight"
"""Of the pointer in an element, both from 0 to 1."""
NARROW = 900
"""Pixels of width below which the drawers lie over the page instead of beside it."""
IS_NARROW = f"($vuetify.display.width < {NARROW})"
ARIA = [("aria_label", "aria-label")]
STATUS: dict[str, Any] = {"role": "status", "__properties": ["role"]}
"""Of words that are read out when they change."""
ALERT: dict[str, Any] = {"role": "alert", "__properties": ["role"]}
COMPACT: dict[str, Any] = {"density": "compact", "hide_details": True, "color": "primary"}
SMALL: dict[str, Any] = {"size": "small", "variant": "tonal"}


def group(name: str) -> dict[str, Any]:
    """Of an element whose buttons belong together, with a name for those who do not see that."""
    return {"role": "group", "aria_label": name, "__properties": ["role", *ARIA]}


def heading(words: str, **more: Any) -> None:
    """Of a group of controls."""
    html.H2(words, classes="apn-heading", **more)


def icon_button(icon: Any, name: Any, click: Any, **more: Any) -> None:
    """A button without words, which has a name all the same."""
    v.VBtn(icon=icon, title=name, aria_label=name, click=click, __properties=ARIA, **more)


def slider(name: str, low: Any, high: Any, step: Any, label: str) -> None:
    """A slider of a number on the page."""
    v.VSlider(v_model=(name,), min=low, max=high, step=step, aria_label=label, __properties=ARIA, **COMPACT)


def zoom_buttons(zoom: Any, is_zoomed: str) -> None:
    """Larger, smaller, all."""
    with html.Div(classes="d-flex ga-1", **group("Zoom")):
        icon_button("mdi-magnify-plus-outline", "Zoom in", (zoom, "[1]"), **SMALL)
        icon_button("mdi-magnify-minus-outline", "Zoom out", (zoom, "[-1]"), disabled=(f"!{is_zoomed}",), **SMALL)
        v.VBtn("all", click=(zoom, "[0]"), disabled=(f"!{is_zoomed}",), **SMALL)


def link(words: str, address: str, **more: Any) -> None:
    """A button that downloads a file; `address`: an expression of the page, after that of the browser's own downloads."""
    v.VBtn(
        words, href=(f"'download/' + session + '/' + {address}",), download=("''",),
        __properties=["download", "href"], **(SMALL | more),
    )  # fmt: skip


def said(invitation: str) -> None:
    """What lies under the pointer."""
    html.Div(f"{{{{ said || '{invitation}' }}}}", classes="apn-said", **STATUS)


def colour_bar(is_shown: str = "bar.title") -> None:
    """Of the quantity that is coloured."""
    with html.Div(classes="apn-scale", style=(f"{{visibility: {is_shown} ? 'visible' : 'hidden'}}",)):
        scale("bar")


def q_axes(name: str) -> None:
    """Ticks along the upper and the right edge of a panel; `name`: of what has them, as `qaxes.on_edge` gives them."""
    html.Div(f"{{{{ {name}.q_unit }}}}", classes="apn-q apn-q-unit", v_if=(f"{name}.q_unit",))
    for edge, side in (("across", "left"), ("down", "top")):
        html.Div(
            "{{ t.text }}", v_for=f"t in {name}.q_{edge}", key=("t.text",), classes=f"apn-q apn-q-{edge}",
            style=(f"{{{side}: t.at + '%'}}",),
        )  # fmt: skip


def scale(name: str) -> None:
    """A colour bar with its ticks and its title."""
    html.Img(src=(f"{name}.ramp",), v_if=(f"{name}.ramp",), alt=(f"'Colours of ' + {name}.title",))
    with html.Div(classes="apn-ticks", v_if=(f"{name}.ticks.length || !({name}.legend || []).length",)):
        html.Span("{{ t.text }}", v_for=f"t in {name}.ticks", key=("t.at",), style=("{left: t.at + '%'}",))
    with (
        html.Div(v_if=(f"({name}.legend || []).length",), classes="apn-families"),
        html.Span(v_for=f"l in {name}.legend", key=("l.words",)),
    ):
        html.Span(classes="apn-swatch", style=("{background: l.colour}",))
        html.Span("{{ l.words }}")
    html.Div(f"{{{{ {name}.title }}}}", classes="apn-title")
