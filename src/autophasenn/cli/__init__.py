"""The command `autophasenn`: one function a task, each one call into the pipeline.

Torch and everything else that is slow to import stays inside the functions, so that `--help` answers at once.
"""

# Imported in the order of `--help`.
from autophasenn.cli import results, watching, learning, tuning, viewing, measuring  # noqa: I001
from autophasenn.cli.app import app, main

__all__ = ["app", "learning", "main", "measuring", "results", "tuning", "viewing", "watching"]
