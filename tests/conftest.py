"""Fixtures that every test may ask for."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real measurements beside the checkout; the test skips where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real measurements (../shared/data) are not beside this checkout")
    return SHARED_DATA
