"""The command `autophasenn`: one function a task, each one call into the pipeline.

Torch and everything else that is slow to import stays inside the functions, so that `--help` answers at once.
"""

import sys

try:
    # Imported in the order of `--help`.
    from autophasenn.cli import reconstruct, campaign, inspect, analyse, strain_tensor, beamlines, calibrate, plan  # noqa: F401, I001
    from autophasenn.cli import watch, learning, benchmark_set, finetune, view, opening, benchmark, doctor  # noqa: F401
    from autophasenn.cli.app import app, main
except KeyboardInterrupt:
    print("Error: interrupted before anything was done.", file=sys.stderr)
    sys.exit(130)

__all__ = ["app", "main"]
