"""The typed report: what it writes it reads, and whatever a file holds in its place is read as far as it goes."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autophasenn.report.numbers import Distribution, Report, ReportedConfidence, Starts, Weights

FULL = Report(
    status="reconstructed",
    chi2=0.1,
    starts=Starts(2, 1, (0.2, None)),
    shape=(4, 5, 6),
    confidence=ReportedConfidence(0.5, "Doubtful.", ("Unlike.",)),
    strain=Distribution(0.0, 1e-4),
    resolution_is_bound=True,
    warnings=("A sentence.",),
    seconds={"read": 1.0, "network": None},
    device="cpu",
    weights=Weights("unrolled", "best.safetensors", "ab" * 32),
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["number", "mean", "chi2_free", "x"]), below, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(
    ["status", "chi2", "starts", "shape", "confidence", "strain", "seconds", "warnings", "path", "new"]
)


def test_what_is_written_is_read() -> None:
    assert Report.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_a_report_of_a_version_that_knew_no_weights_is_read() -> None:
    stored = {name: value for name, value in FULL.to_json().items() if name not in ("weights", "device")}
    assert Report.from_json(stored) == replace(FULL, weights=Weights(), device=None)


def test_what_is_unknown_is_null_and_never_left_out() -> None:
    assert Report().to_json().keys() == FULL.to_json().keys()
    assert Report().to_json()["strain"] is None


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({"chi2": "small"}, {"chi2": None}),
        ({"chi2": float("nan")}, {"chi2": None}),
        ({"starts": {"number": 2, "averaged": 1, "chi2_free": "none"}}, {"starts": Starts(2, 1)}),
        (
            {"starts": {"number": "two", "averaged": 1, "chi2_free": [0.2, None]}},
            {"starts": Starts(None, 1, (0.2, None))},
        ),
        ({"confidence": 0.5}, {"confidence": ReportedConfidence()}),
        ({"weights": {"network": "unrolled", "file": 3}}, {"weights": Weights("unrolled")}),
        ({"warnings": "none"}, {"warnings": ()}),
        ({"a key of another version": [1]}, {}),
    ],
    ids=str,
)
def test_what_is_not_of_its_kind_is_unknown_and_the_rest_is_read(
    change: dict[str, Any], unknown: dict[str, Any]
) -> None:
    stored = FULL.to_json() | change
    wanted = {name: getattr(FULL, name) for name in vars(FULL)} | unknown
    assert vars(Report.from_json(stored)) == wanted


@given(st.one_of(plain, st.dictionaries(names, plain)))
def test_anything_is_read_and_can_be_written_again(stored: object) -> None:
    report = Report.from_json(stored)
    json.dumps(report.to_json())
