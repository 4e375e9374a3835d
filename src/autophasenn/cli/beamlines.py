"""The command that lists what can be read."""

from __future__ import annotations

from autophasenn.cli.app import app
from autophasenn.cli.terminal import show_table


@app.command()
def beamlines() -> None:
    """List the beamlines whose scans can be read, and what each needs."""
    from autophasenn.beamlines import BEAMLINES

    show_table("--beamline NAME", {b.name: f"{b.title}: {b.needs}." for b in BEAMLINES.values()})
