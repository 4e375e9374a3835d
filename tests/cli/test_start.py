"""Nothing is imported that a command does not need."""

import json
import subprocess
import sys
from pathlib import Path

UNNEEDED = (
    "scipy.stats",
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
