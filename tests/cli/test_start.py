"""Nothing is imported that a command does not need."""

import json
import subprocess
import sys
from pathlib import Path

UNNEEDED = (
    "scipy.stats",
    "scipy.optimize",
    "pyvista",
    "vtk",
    "trame",
    "tensorboard",
    "torch.utils.tensorboard",
    "torch._inductor",
    "pandas",
)
"""Each takes as long to import as the rest of the package."""
PROGRAM = """
import json, sys
from autophasenn.cli import app
app(["reconstruct", "--example", "-o", sys.argv[1], "--dry-run"], standalone_mode=False)
print("\\n" + json.dumps([name for name in sys.argv[2:] if name in sys.modules]))
"""


def test_a_dry_run_of_reconstruct_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "result"), *UNNEEDED]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(run.stdout.splitlines()[-1]) == []


HEAVY = ("torch", "numpy", "matplotlib", "pyvista", "vtkmodules")
BEFORE = """
import json, sys
from autophasenn.cli import app
from autophasenn.report import apart

def begin(painter):
    there.append([name for name in sys.argv[2:] if name in sys.modules])
    raise SystemExit(0)

there = []
apart.Painter.__init__ = begin
try:
    app(["reconstruct", "--example", "-o", sys.argv[1]], standalone_mode=False)
except SystemExit:
    pass
print(json.dumps(there))
"""


def test_the_process_that_draws_begins_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BEFORE, str(tmp_path / "result"), *HEAVY]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(run.stdout.splitlines()[-1]) == [[]]


WRITTEN = """
import sys
from pathlib import Path
import numpy as np
from autophasenn.files.vtk import write_detector_frame, write_image
from autophasenn.image import CrystalImage
inside = np.ones((3, 3, 3), bool)
write_image(Path(sys.argv[1]) / "a.vti", CrystalImage(inside.astype("f4"), inside.astype("f4"), inside))
write_detector_frame(Path(sys.argv[1]) / "a.vts", inside.astype("c8"), None)
print("pyvista" in sys.modules)
"""


def test_files_for_paraview_are_written_without_pyvista(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITTEN, str(tmp_path)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "False"
    assert all((tmp_path / name).stat().st_size for name in ("a.vti", "a.vts"))
