"""What NumPy's own kinds say is heard: masked arrays hide what is unmeasured, whole numbers of 64 bits are seeds."""

import subprocess
import sys

import numpy as np
import pytest

import autophasenn as ap
from autophasenn.errors import PlanError
from autophasenn.pipeline.run import Run

COUNTS = np.random.default_rng(0).poisson(3.0, (6, 8, 8))
HIDDEN = np.zeros(COUNTS.shape, bool)
HIDDEN[2, 3, 4] = HIDDEN[:, 5, 5] = True


def test_what_a_masked_array_hides_is_unmeasured() -> None:
    pattern = ap.Pattern(np.ma.array(COUNTS, mask=HIDDEN))
    assert pattern.mask is not None
    np.testing.assert_array_equal(pattern.mask, ~HIDDEN)
    np.testing.assert_array_equal(pattern.frames, COUNTS)


@pytest.mark.parametrize(("marks", "of"), [("measured", lambda m: m), ("bad", lambda m: ~m)])
def test_a_masked_array_and_a_mask_are_joined_whatever_the_mask_marks(marks, of) -> None:
    measured = np.ones(COUNTS.shape[1:], bool)
    measured[0] = False
    pattern = ap.Pattern(np.ma.array(COUNTS, mask=HIDDEN), of(measured), mask_marks=marks)
    np.testing.assert_array_equal(pattern.mask, ~HIDDEN & measured)


def test_a_masked_array_that_hides_nothing_is_an_array() -> None:
    assert ap.Pattern(np.ma.array(COUNTS)).mask is None


def test_a_pixel_that_the_dark_field_hides_is_unmeasured() -> None:
    hidden = np.zeros(COUNTS.shape[1:], bool)
    hidden[1, 2] = True
    pattern = ap.Pattern(COUNTS, dark=np.ma.array(np.zeros(hidden.shape), mask=hidden))
    np.testing.assert_array_equal(np.broadcast_to(pattern.mask, COUNTS.shape), np.broadcast_to(~hidden, COUNTS.shape))


def test_a_seed_of_numpy_is_the_same_seed() -> None:
    """In a Python of its own: the types of all calls in this one are checked before they are made."""
    tried = """
import numpy as np
import torch
from autophasenn.errors import PlanError
from autophasenn.phasing.held_out import hold_out
from autophasenn.pipeline.run import Run
measured = torch.ones(12, 12, 12, dtype=torch.bool)
run = Run(seed=np.int64(3))
assert type(run.seed) is int and run == Run(seed=3)
assert torch.equal(hold_out(measured, 0.1, np.int64(3)), hold_out(measured, 0.1, 3))
try:
    Run(seed=np.uint64(2**63))
except PlanError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", tried], check=True, capture_output=True, text=True).stdout
    assert told == f"The seed {2**63} is not usable; give a whole number from 0 to {2**63 - 1} (63 bits).\n"


@pytest.mark.parametrize("seed", [2**63, 10**23, -1])
def test_a_seed_that_no_generator_takes_is_refused(seed) -> None:
    with pytest.raises(PlanError, match=f"The seed {seed} is not usable"):
        Run(seed=seed)
