"""Frames: right-handed, with Q along z of the crystal's, and the circles at zero in the sample's."""

import numpy as np
import pytest

from autophasenn.analysis.frames import CRYSTAL, LABORATORY, SAMPLE, SecondDirection, frames_of
from autophasenn.beamlines.diffractometers import APS_34IDC
from autophasenn.errors import InputError
from autophasenn.physics.axes import rotation

Q = np.array([3.0, 20.0, -7.0]) * 1e9
ANGLES = {"Theta": 10.0, "Chi": 88.0, "Phi": -5.0}
CIRCLES = rotation(APS_34IDC.sample, ANGLES)


def test_every_frame_is_right_handed_and_orthonormal() -> None:
    frames, _ = frames_of(Q, CIRCLES, SecondDirection((0, 0, 1)))
    assert set(frames) == {LABORATORY, SAMPLE, CRYSTAL}
    for frame in frames.values():
        np.testing.assert_allclose(frame.matrix @ frame.matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(frame.matrix) == pytest.approx(1)


def test_q_is_along_z_of_the_crystal_frame_and_the_second_direction_in_its_xz_plane() -> None:
    second = SecondDirection((2, 0, 0), (0.3, 0.2, 0.9), LABORATORY)
    crystal = frames_of(Q, None, second)[0][CRYSTAL]
    np.testing.assert_allclose(crystal.seen(Q), [0, 0, np.linalg.norm(Q)], atol=1e-3)
    x, y, _ = crystal.seen(np.array([0.3, 0.2, 0.9]))
    assert x > 0
    assert y == pytest.approx(0, abs=1e-12)


def test_the_sample_frame_is_the_laboratory_with_all_circles_at_zero() -> None:
    at_zero = frames_of(Q, rotation(APS_34IDC.sample, {"Theta": 0.0, "Chi": 90.0, "Phi": 0.0}))[0][SAMPLE]
    np.testing.assert_allclose(at_zero.matrix, np.eye(3), atol=1e-12)  # Chi stands at zero at 90 degrees
    sample = frames_of(Q, CIRCLES)[0][SAMPLE]
    carried = CIRCLES @ np.array([0.0, 1.0, 0.0])  # where the circles carry the sample's y
    np.testing.assert_allclose(sample.seen(carried), [0, 1, 0], atol=1e-12)


def test_a_normal_in_the_sample_frame_is_carried_by_the_circles() -> None:
    found = SecondDirection((1, 1, 1)).in_laboratory(CIRCLES)
    np.testing.assert_allclose(found, CIRCLES @ np.array([0.0, 1.0, 0.0]))


def test_what_is_not_known_is_said() -> None:
    frames, notes = frames_of(None, CIRCLES)
    assert frames == {}
    assert "geometry is unknown" in notes[0]
    frames, notes = frames_of(Q, None, SecondDirection((1, 1, 1)))
    assert SAMPLE not in frames
    assert any("sample frame is unknown" in note for note in notes)
    assert any("arbitrary" in note for note in notes)


def test_a_second_direction_along_q_says_nothing_and_is_refused() -> None:
    with pytest.raises(InputError, match="not parallel"):
        frames_of(Q, None, SecondDirection((2, 2, 2), tuple(-Q), LABORATORY))
    with pytest.raises(InputError, match="not zero"):
        SecondDirection((0, 0, 0))
    with pytest.raises(InputError, match="laboratory or sample"):
        SecondDirection((1, 0, 0), (0.0, 1.0, 0.0), "moon")
