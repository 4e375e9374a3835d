"""The table of a watcher's scans: what stands where in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trame.widgets import html
from trame.widgets import vuetify3 as v

from autophasenn.viewer.parts import ARIA, STATUS, link

if TYPE_CHECKING:
    from autophasenn.viewer.app import Viewer

COLUMNS = {
    "name": "Scan",
    "state": "State",
    "verdict": "Verdict",
    "frames": "Frames",
    "chi2": "χ²",
    "chi2_free": "χ² held out",
    "confidence": "Confidence",
    "strain": "Strain, std (10⁻⁴)",
    "seconds": "To image (s)",
    "seconds_refined": "To refined (s)",
}
NUMBERS = tuple(COLUMNS)[3:]
SORT = (
    "sort !== '{0}' ? (sort = '{0}', is_descending = false) : !is_descending ? is_descending = true : "
    "(sort = '', is_descending = false)"
)
"""Up, down, and as they came."""


def scans(viewer: Viewer) -> None:
    """The table, with a bar above it that stays."""
    v.VAlert("{{ scans_error }}", v_if=("scans_error",), type="error", variant="tonal", classes="ma-4")
    with html.Div(v_if=("!scans_count && !scans_error",), classes="apn-centre", **STATUS):
        v.VIcon("mdi-timer-sand", size=56)
        html.Div("No scans yet in {{ scans_folder }}", classes="text-h6")
        html.Div("They appear here by themselves as their frames arrive.")
    with html.Div(v_if=("scans_count",), classes="apn-above"):
        html.Div("{{ scans_count }} scans in {{ scans_folder }}", classes="text-h6")
        html.Div("{{ scans_summary }}", **STATUS)
        v.VSpacer()
        v.VTextField(
            v_model=("wanted",), label="Find", density="compact", hide_details=True, variant="outlined", clearable=False,
            prepend_inner_icon="mdi-magnify", style="max-width: 15rem; min-width: 9rem;",
        )  # fmt: skip
        v.VSwitch(
            v_model=("follows",), label="open each new image by itself", density="compact", hide_details=True,
            color="primary",
        )  # fmt: skip
        v.VBtn(
            "compare the two that are ticked", disabled=("picked.length !== 2",), color="primary", variant="tonal",
            click=(viewer.table.open, "[picked]"),
        )  # fmt: skip
        html.Div("Untick one: two can be compared.", v_if=("picked.length > 2",), **STATUS)
        link("CSV", "'scans.csv'", title="All scans as comma-separated values")
        html.Div(
            "* The watcher began after the last frame of this scan: seconds may count from there.",
            v_if=("has_late_scans",), classes="apn-aside",
        )  # fmt: skip
    html.Div(
        "No scan has “{{ wanted }}” in its name, state, verdict or reason.", v_if=("scans_count && !scans.length",),
        classes="pa-6", **STATUS,
    )  # fmt: skip
    with html.Div(classes="apn-rows", v_if=("scans.length",)), html.Table(classes="apn-scans"):
        _head()
        with html.Tbody():
            _row(viewer)


def _head() -> None:
    with html.Thead(), html.Tr():
        for hidden in ("Compare", "Picture"):
            with html.Th():
                html.Span(hidden, classes="apn-hidden")
        for key, title in COLUMNS.items():
            with html.Th(
                classes="apn-number" if key in NUMBERS else "",
                aria_sort=(f"sort !== '{key}' ? 'none' : is_descending ? 'descending' : 'ascending'",),
                __properties=[("aria_sort", "aria-sort")],
            ):
                v.VBtn(
                    title, variant="text", size="small", classes="px-1", click=SORT.format(key),
                    append_icon=(f"sort !== '{key}' ? '' : is_descending ? 'mdi-arrow-down' : 'mdi-arrow-up'",),
                )  # fmt: skip


def _row(viewer: Viewer) -> None:
    with html.Tr(v_for="s in scans", key=("s.key",), data_scan=("s.key",), __properties=[("data_scan", "data-scan")]):
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
                click=(viewer.table.open, "[[s.key]]"),
            )  # fmt: skip
            html.Span("{{ s.name }}", v_if=("!s.has_image",), classes="px-1")
            html.Div("{{ s.arrived }}", classes="px-1 text-caption")
        with html.Td():
            html.Span("{{ s.state }}", classes=("'apn-word apn-' + s.colour",))
            html.Div("{{ s.reason }}", v_if=("s.reason",), classes="text-body-2", style="max-width: 30rem;")
        with html.Td():
            html.Span("{{ s.verdict }}", classes=("s.verdict_colour ? 'apn-word apn-' + s.verdict_colour : ''",))
        for field in NUMBERS:
            html.Td(f"{{{{ s.{field} }}}}", classes="apn-number")
