"""The command that looks at the installation."""

from __future__ import annotations

from autophasenn.cli.app import app
from autophasenn.cli.terminal import show_table


@app.command()
def doctor() -> None:
    """Say what is installed, how quick this machine is, and what would make it quicker."""
    from autophasenn.benchmark.doctor import examine

    found = examine()
    show_table("This installation", {each.name: each.value for each in found})
    advice = {each.name: each.advice for each in found if each.advice}
    if advice:
        show_table("What would help", advice)
