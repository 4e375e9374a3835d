"""Links, and what a browser may write."""

from __future__ import annotations

from typing import Any

import pytest

from autophasenn.viewer.views import CHECKS, FIRST, VIEWED, Camera, View
from autophasenn.viewer.writable import UPDATE, Guard

CAMERA = Camera((600.0, 400.0, 700.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), 120.0)


def test_a_link_holds_all_that_is_not_as_at_first() -> None:
    choices = {"tab": "slices", "quantity": "strain", "threshold": 0.45, "cut": "1", "place": -12.5, "is_flipped": True,
               "is_shaded": False, "section": 2, "largest_spread": 0.1, "doubt": True, "plot": "profile"}  # fmt: skip
    view = View(("scan 54 & 55", "ä/ü#1"), choices, CAMERA, (3, 4, 5))
    assert View.of_link(view.link()) == view
    assert View().link() == ""
    assert View.of_link("#" + view.link()) == view


@pytest.mark.parametrize(
    "link",
    [
        "threshold=nan", "threshold=1e999", "tab=nonsense", "cut=7", "doubt=2", "voxel=1,2", "voxel=a,b,c", "section=9",
        "camera=1,2,3", "camera=0,0,0,0,0,0,0,1,0,5", "camera=0,5,0,0,0,0,0,1,0,5", "camera=1,1,1,0,0,0,0,1,0,inf",
        "theme=dark", "names=x", "=", "&&&", "scan=" + 300 * "x", 5000 * "x",
    ],
)  # fmt: skip
def test_what_is_impossible_in_a_link_is_passed_over(link: str) -> None:
    assert View.of_link(link) == View()


def test_every_choice_begins_with_a_value_that_may_be_written() -> None:
    for name, first in FIRST.items():
        assert CHECKS[name](first) == first
    assert set(VIEWED) <= set(CHECKS)


class Endpoint:
    """What a server calls by name."""

    def __init__(self) -> None:
        self.functionMap: dict[str, Any] = {UPDATE: None, "application.exit": None, "trame.trigger": None}


def test_only_choices_with_values_that_they_can_have_are_written() -> None:
    from trame.app import get_server

    server = get_server("writable", client_type="vue3")
    server.state.update({**FIRST, "names": ["refined"], "theme": "light"})
    endpoint = Endpoint()
    Guard(server).bind(endpoint)
    guard, update = endpoint.functionMap[UPDATE]
    changes: list[Any] = [
        {"key": "threshold", "value": 0.5}, {"key": "theme", "value": "nonsense"}, {"key": "names", "value": "x"},
        {"key": "trame__template_main", "value": "<b>"}, {"key": "section", "value": 7}, {"key": "cut", "value": {}},
        {"key": 7}, {}, None, "x", {"key": "place", "value": float("nan")},
    ]  # fmt: skip
    update(guard, changes)
    update(guard, "nonsense")
    assert server.state.threshold == 0.5
    assert {name: server.state[name] for name in FIRST if name != "threshold"} == {
        name: first for name, first in FIRST.items() if name != "threshold"
    }
    assert server.state.names == ["refined"]
    assert server.state["trame__template_main"] is None
    assert "application.exit" not in endpoint.functionMap, "no browser ends the server"
    assert "trame.trigger" in endpoint.functionMap
