"""Nothing of the package needs what only Linux has."""

import subprocess
import sys
from pathlib import Path

WITHOUT = '''
import pkgutil, sys

import psutil  # on Linux it needs both itself, on other systems neither

for name in ("fcntl", "resource"):
    sys.modules[name] = None  # importing it fails, as on Windows


def refuse(event, arguments):
    """/proc is not there for this package; psutil, which knows other systems, may have it."""
    if event == "open" and str(arguments[0]).startswith("/proc"):
        frame = sys._getframe(1)
        while frame is not None and "psutil" not in frame.f_code.co_filename:
            if "/autophasenn/" in frame.f_code.co_filename:
                raise FileNotFoundError(2, "No such file or directory", arguments[0])
            frame = frame.f_back


sys.addaudithook(refuse)
'''
IMPORT_ALL = """
import autophasenn

names = [each.name for each in pkgutil.walk_packages(autophasenn.__path__, "autophasenn.")]
assert len(names) > 100
for name in names:
    __import__(name)
"""
RUN = """
from autophasenn import cli

sys.argv = ["autophasenn", *sys.argv[1:]]
cli.main()
"""


def run(script: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", WITHOUT + script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_is_imported_without_fcntl_resource_and_proc() -> None:
    run(IMPORT_ALL)


def test_the_example_is_reconstructed_without_fcntl_resource_and_proc(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    words = ("reconstruct", "--example", "--method", "network", "--confidence", "2", "--threads", "1", "-o", out)
    assert "network reconstruction" in run(RUN, *words)
    assert (tmp_path / "out" / "report.json").is_file()


def test_a_dataset_is_simulated_without_fcntl_resource_and_proc(tmp_path: Path) -> None:
    """Its blocks are kept from other processes by a lock."""
    run(RUN, "simulate", str(tmp_path / "crystals.h5"), "--source", "polyhedra", "--count", "1", "--seed", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["crystals.h5"]
