"""The style of the figures is theirs alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib

from autophasenn.report.style import styled


def test_two_threads_that_draw_leave_the_users_parameters_as_they_were() -> None:
    before = dict(matplotlib.rcParams)
    together = threading.Barrier(2, timeout=60)

    @styled
    def draw(size: float) -> float:
        matplotlib.rcParams["font.size"] = size
        time.sleep(0.01)  # long enough for the other, were it not to wait
        return float(matplotlib.rcParams["font.size"])

    def draw_often(size: float) -> list[float]:
        together.wait()
        return [draw(size) for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw_often, (7.0, 31.0))) == [[7.0] * 5, [31.0] * 5]
    assert dict(matplotlib.rcParams) == before
