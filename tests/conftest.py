"""Fixtures that every test may ask for."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from autophasenn.pipeline.reconstruct import reconstruct
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source

torch.set_num_threads(1)
# A shell has Ctrl-C ignored in what it runs in the background, and so would be every process begun there.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets a test in a real browser be run once more where it fails; the summary says which were."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a program keeps for its user, the token of the viewer, is kept apart from that of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real measurements beside the checkout; the test skips where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real measurements (../shared/data) are not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from viewing import browser

    with browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def example_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two results of the bundled example, `refined` and `network`; not to be written to.

    The first process of the tests that asks makes it for all.
    """
    basetemp = tmp_path_factory.getbasetemp()
    folder = (basetemp.parent if "PYTEST_XDIST_WORKER" in os.environ else basetemp) / "example"
    with FileLock(f"{folder}.lock"):
        for method in ("refined", "network"):
            if not (folder / method).exists():
                reconstruct(Source(), Run(method)).save(folder / method, figures=False)
    return folder
