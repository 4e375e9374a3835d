"""Several things are computed at once where that gains, and with the same outcome."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from autophasenn.devices import device_of, side_by_side
from autophasenn.errors import PlanError
from autophasenn.machine import peak_memory

CPU = torch.device("cpu")
SAID: contextvars.ContextVar[str] = contextvars.ContextVar("said", default="")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_items_are_computed_at_once_with_one_thread_each_and_come_in_their_order() -> None:
    together = threading.Barrier(2, timeout=60)

    def compute(item: int) -> tuple[int, int, str]:
        together.wait()
        return item, torch.get_num_threads(), SAID.get()

    SAID.set("here")
    assert list(side_by_side(compute, [3, 1, 2, 0], CPU)) == [(n, 1, "here") for n in (3, 1, 2, 0)]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_is_raised_where_it_is_waited_for_and_nothing_more_is_begun() -> None:
    begun = []

    def compute(item: int) -> int:
        begun.append(item)
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        list(side_by_side(compute, [0, *range(1, 1000)], CPU))
    assert len(begun) < 1000
    assert torch.get_num_threads() == 2


def test_with_one_thread_nothing_runs_beside_this_one() -> None:
    assert torch.get_num_threads() == 1
    assert set(side_by_side(lambda _: threading.get_ident(), [1, 2, 3], CPU)) == {threading.get_ident()}


@pytest.mark.parametrize("name", ["meta", "", "abacus", "cuda:99", "cuda:-1"])
def test_a_device_that_cannot_compute_and_give_back_a_number_is_not_there(name: str) -> None:
    with pytest.raises(PlanError, match="is not there"):
        device_of(name)
    assert device_of("cpu") == CPU


def test_the_peak_memory_of_a_process_is_its_own_and_not_of_the_one_that_began_it() -> None:
    large = np.ones(2**27, np.uint8)  # 128 MiB, held while the other runs
    code = "from autophasenn.machine import peak_memory; print(peak_memory())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) < large.nbytes < (peak_memory() or 0)
