"""Numbers in words: one spelling, units, nothing certain, and unknown where a report knows nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autophasenn.report.numbers import Distribution, Report, ReportedConfidence, Weights
from autophasenn.report.words import UNKNOWN, facts, interval, lengths, number, percent, resolution, spread


@pytest.mark.parametrize("share", [0.9901, 0.9992, 0.99999, 1.0])
def test_nothing_is_certain(share: float) -> None:
    assert percent(share) == "more than 99 %"
    assert percent(1 - share) == "less than 1 %"


@given(st.floats(0, 1))
def test_a_share_in_percent_rises_with_it_and_is_never_0_or_100(share: float) -> None:
    assert percent(share).split()[-2] not in ("0", "100")
    assert abs(float(percent(share).split()[-2]) - 100 * share) <= 1


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "0.1", True])
def test_what_is_no_number_is_unknown(value: object) -> None:
    assert number(value) == percent(value) == interval(value, 1.0, "nm") == spread(0.0, value, "nm") == UNKNOWN


def test_numbers_have_their_unit_and_a_minus_sign() -> None:
    assert number(-1.5e-4, "× 10⁻⁴", factor=1e4) == "−1.5 × 10⁻⁴"
    assert interval(-3e-4, 2e-4, "× 10⁻⁴", 1e4) == "−3 to 2 × 10⁻⁴"
    assert spread(-2e-12, 1.2e-4, "× 10⁻⁴", 1e4) == "0.00 (spread 1.2) × 10⁻⁴"
    assert spread(None, 1.2e-4, "× 10⁻⁴", 1e4) == "spread 1.2 × 10⁻⁴"


def test_a_cube_has_one_edge_and_a_box_three() -> None:
    assert lengths((5.0, 5.0, 5.001), "nm") == "5 nm"
    assert lengths((5.0, 6.1, 7.0), "nm") == "5 × 6.1 × 7 nm"


def test_an_empty_report_is_unknown_throughout_and_a_full_one_known() -> None:
    assert {fact.value for fact in facts(Report()).values()} == {UNKNOWN}
    full = Report(
        method="refined",
        chi2=0.002,
        chi2_noise=0.001,
        chi2_free=0.0021,
        confidence=ReportedConfidence(0.9992),
        resolution_nm=12.3,
        resolution_is_bound=False,
        voxel_size_nm=(5.0, 5.0, 5.0),
        d_spacing_nm=0.23348,
        q_per_nm=26.911,
        strain=Distribution(0.0, 1e-4, -2e-4, 2e-4),
        displacement_nm=Distribution(0.0, 0.01, -0.02, 0.02),
        volume_nm3=4.5e6,
        support_voxels=12345,
        seed=0,
        device="cpu",
        weights=Weights("unrolled", "best.safetensors", "0123456789ab" + 52 * "c"),
        seconds={"read": 0.5, "network": None, "total": 3.0},
        peak_memory_bytes=3 * 2**29,
    )
    said = {name: fact.value for name, fact in facts(full).items()}
    assert said == {
        "method": "refined",
        "χ²": "0.002",
        "χ² of counting noise": "0.001",
        "χ² over that of noise": "2",
        "χ² of held-out voxels": "0.0021",
        "confidence": "more than 99 %",
        "resolution": "12.3 nm",
        "voxel": "5 nm",
        "d spacing": "0.23348 nm",
        "|Q|": "26.911 nm⁻¹",
        "strain": "0.00 (spread 1) × 10⁻⁴",
        "strain, 1 to 99 %": "−2 to 2 × 10⁻⁴",
        "displacement, 1 to 99 %": "−20 to 20 pm",
        "volume": "0.0045 µm³",
        "support": "12345 voxels",
        "seed": "0",
        "network": "unrolled (best.safetensors, SHA-256 0123456789ab …)",
        "device": "cpu",
        "time": "3 s (read 0.5)",
        "peak memory": "1.5 GiB",
    }


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Report(method="refined", voxel_size_nm=(5.0,) * 3), "needs several starts (--method iterative)"),
        (Report(method="iterative", voxel_size_nm=(5.0,) * 3), "needs several starts"),
        (Report(resolution_nm=8.0, resolution_is_bound=True), "≤ 8 nm"),
        (Report(), UNKNOWN),
    ],
)
def test_a_resolution_says_what_it_would_need_or_that_it_is_a_bound(report: Report, words: str) -> None:
    assert resolution(report) == words


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Report(method="refined", weights=Weights("unrolled")), "unrolled (given in memory)"),
        (Report(method="iterative"), "none"),
        (Report(method="refined"), UNKNOWN),
    ],
)
def test_a_network_is_named_or_it_is_said_that_there_was_none(report: Report, words: str) -> None:
    assert facts(report)["network"].value == words
