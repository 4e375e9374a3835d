"""Freed memory is kept, and given back when asked for, where the C library is glibc, and nowhere else."""

import platform
import subprocess
import sys

import pytest

from autophasenn.machine import give_back_freed_memory, keep_freed_memory

COUNT = """
import resource, sys, torch
from autophasenn.machine import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
six = lambda: [torch.ones(2**21) for _ in range(6)]
for _ in range(3):
    six()
before = faults()
for _ in range(20):
    six()
print(faults() - before)
"""

GIVE_BACK = """
import numpy as np, psutil
from autophasenn.machine import give_back_freed_memory, keep_freed_memory
assert keep_freed_memory()
resident = lambda: psutil.Process().memory_info().rss
before = resident()
volumes = [np.ones(2**21) for _ in range(12)]
del volumes
held = resident() - before
assert give_back_freed_memory()
print(held, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library here is not glibc")
def test_six_volumes_of_8_mib_are_not_asked_of_the_system_again() -> None:
    """Those pages are counted that the system had to give anew; of a single volume glibc learns by itself to keep it."""

    def faults(how: str) -> int:
        run = subprocess.run([sys.executable, "-c", COUNT, how], check=False, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return int(run.stdout)

    kept, given_back = min(faults("keep") for _ in range(2)), max(faults("give back") for _ in range(2))
    assert kept < given_back / 2, (kept, given_back)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library here is not glibc")
def test_what_is_kept_goes_back_to_the_system_when_it_is_asked_for() -> None:
    """Twelve volumes of 16 MiB, less than is given back by itself."""
    run = subprocess.run([sys.executable, "-c", GIVE_BACK], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    held, left = map(int, run.stdout.split())
    assert held > 150 * 2**20, "they were kept"
    assert left < held / 5, (held, left)


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert not keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
    assert not give_back_freed_memory()
