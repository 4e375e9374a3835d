"""Gaps and bad pixels of real detectors."""

import pytest
import torch

from autophasenn.errors import InputError
from autophasenn.experiment.detectors import CLEAR, DETECTORS, Window, check_detectors, draw_window


def gaps(measured: torch.Tensor) -> list[tuple[int, int]]:
    """(first, last) unmeasured index of each gap."""
    closed = torch.nn.functional.pad((~measured).int(), (1, 1)).diff()
    starts, stops = (torch.nonzero(closed == step)[:, 0].tolist() for step in (1, -1))
    return [(start, stop - 1) for start, stop in zip(starts, stops, strict=True)]


@pytest.mark.parametrize(
    ("name", "shape", "rows", "columns"),
    [
        ("maxipix", (516, 516), [(255, 260)], [(255, 260)]),
        ("timepix", (256, 256), [], []),
        ("timepix-quad", (517, 516), [(256, 260)], [(256, 259)]),
        ("merlin-quad", (515, 515), [(255, 259)], [(255, 259)]),
        ("eiger-500k", (514, 1030), [], []),
        ("eiger-1m", (1065, 1030), [(513, 551)], []),
        ("eiger-4m", (2167, 2070), [(513, 551), (1064, 1102), (1615, 1653)], [(1029, 1040)]),
        ("eiger2-1m", (1062, 1028), [(512, 549)], []),
        ("eiger2-4m", (2162, 2068), [(512, 549), (1062, 1099), (1612, 1649)], [(1028, 1039)]),
    ],
)
def test_gaps_lie_where_the_manufacturer_has_them(
    name: str, shape: tuple[int, int], rows: list[tuple[int, int]], columns: list[tuple[int, int]]
) -> None:
    detector = DETECTORS[name]
    assert detector.shape == shape
    assert gaps(detector.rows.measured()) == rows
    assert gaps(detector.columns.measured()) == columns


def test_the_seams_between_the_chips_of_an_eiger_may_be_masked_too() -> None:
    detector = DETECTORS["eiger-2m"]
    assert detector.shape == (2164, 1030)
    assert gaps(detector.columns.measured()) == [(255, 258), (513, 516), (771, 774)]
    assert [last - first + 1 for first, last in gaps(detector.rows.measured())] == [4, 38, 4, 38, 4, 38, 4]


def test_a_gap_crosses_every_frame_and_dead_pixels_do_not_measure() -> None:
    mask = Window("maxipix", (200, 0), bad=((10, 20, 1, 1), (40, 5, 9, 1))).mask()
    assert not mask[55:61].any()
    assert not mask[10, 20]
    assert not mask[40:49, 5].any()
    assert int((~mask).sum()) == 6 * 64 + 1 + 9


def test_a_binned_voxel_measures_if_all_its_pixels_do() -> None:
    mask = Window("merlin-quad", (180, 1), binning=2, bad=((0, 0, 1, 1),)).mask()
    assert gaps(mask.all(1)[1:]) == [(36, 38)]  # pixels 75 to 79 of the window lie in voxels 37 to 39
    assert not mask[0, 0]


@pytest.mark.parametrize("name", DETECTORS)
def test_the_peak_never_lies_on_a_gap_and_windows_lie_on_their_detector(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    crossed = 0
    for _ in range(60):
        window = draw_window(generator, (name,), (1, 2), (1e-3, 1e-2), 0.5)
        mask = window.mask()
        assert mask.shape == (64, 64)
        assert mask[32 - CLEAR : 33 + CLEAR, 32 - CLEAR : 33 + CLEAR].all()
        crossed += not (mask.any(0).all() and mask.any(1).all())
        for corner, size in zip(window.corner, DETECTORS[name].shape, strict=True):
            assert 0 <= corner <= size - 64 * window.binning
    assert (crossed > 0) == (name not in ("timepix", "eiger-500k"))


@pytest.mark.parametrize("name", ["maxipix", "timepix-quad", "merlin-quad", "eiger-1m", "eiger-2m"])
def test_a_gap_over_the_peak_crosses_the_middle_in_one_direction(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    crossed = set()
    for _ in range(40):
        mask = draw_window(generator, (name,), (1,), (1e-5, 1e-4), 0.0, over_gap=True).mask()
        assert not mask[32, 32]
        rows, columns = mask.any(1), mask.any(0)  # False: the whole row, or column, is a gap
        assert rows[32] != columns[32]
        crossed.add("rows" if columns[32] else "columns")
    assert crossed == ({"rows"} if name == "eiger-1m" else {"rows", "columns"})


def test_a_detector_without_gaps_hides_no_peak() -> None:
    with pytest.raises(InputError, match="No gap of timepix can lie over a peak; choose a detector with gaps"):
        draw_window(torch.Generator().manual_seed(1), ("timepix",), (1,), (1e-5, 1e-4), 0.0, over_gap=True)


def test_unknown_and_too_small_detectors_are_said() -> None:
    with pytest.raises(InputError, match="choose from maxipix"):
        check_detectors(("pilatus",), (1,))
    with pytest.raises(InputError, match="give 1, 2, 3, 4"):
        check_detectors(("timepix",), (5,))


@pytest.mark.parametrize("name", DETECTORS)
def test_every_binning_that_is_accepted_has_windows_and_no_other_has(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    accepted = 0
    for binning in range(1, 40):
        try:
            check_detectors((name,), (binning,))
        except InputError:
            continue
        accepted += 1
        assert draw_window(generator, (name,), (binning,), (1e-5, 1e-4), 0.0).mask()[32, 32]
    assert 4 <= accepted <= min(DETECTORS[name].shape) // 64


@pytest.mark.parametrize("options", [{"binning": 8, "corner": (0, 0)}, {"corner": (453, 0)}, {"corner": (0, -1)}])
def test_a_window_lies_on_its_detector_with_its_middle_off_the_gaps(options: dict) -> None:
    """Eight pixels to a bin put the gap of this detector in the middle of every window."""
    with pytest.raises(InputError, match="maxipix"):
        Window("maxipix", **options)


def test_bad_pixels_lie_in_the_window() -> None:
    with pytest.raises(InputError, match="no rectangle of the window"):
        Window("maxipix", (0, 0), bad=((-3, 0, 1, 1),))
