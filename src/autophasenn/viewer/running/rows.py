"""The rows of the runs."""

from __future__ import annotations

import time
from typing import Any

from autophasenn.inversion.names import MethodName
from autophasenn.viewer.numbers import VERDICTS, colour_of
from autophasenn.viewer.running.fields import on_page
from autophasenn.viewer.running.run import Run

COLOURS = {"waiting": "", "running": "primary", "done": "success", "stopped": "warning", "failed": "error"}


def row_of(run: Run, command: str) -> dict[str, Any]:
    """A run as the page has it.

    Parameters
    ----------
    run : Run
    command : str
        That gives the same.
    """
    report = run.report() if run.is_over or run.has_image else {}
    confidence = (report.get("confidence") or {}).get("value")
    numbers = [
        f"χ² {report['chi2']:.3g}" if isinstance(report.get("chi2"), float) else "",
        f"confidence {100 * confidence:.0f} %" if isinstance(confidence, float) else "",
    ]
    verdict = str(report.get("status") or "")
    return {
        "verdict": verdict, "verdict_colour": colour_of(verdict),
        "key": run.key, "name": run.name, "state": run.state, "colour": COLOURS[run.state], "reason": on_page(run.reason),
        "changed": run.changed, "method": run.draft.get("values", {}).get("method") or MethodName.refined.value,
        "numbers": ", ".join(filter(None, numbers)), "has_image": run.has_image,
        "seconds": f"{run.finished - run.began:.0f} s" if run.began and run.finished else "", "asked": time.strftime(
            "%Y-%m-%d %H:%M", time.localtime(run.asked)),
        "command": command, "python": run.python,
    }  # fmt: skip


def best_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By the verdict on their images; those without one last, equal ones as they were."""
    return sorted(rows, key=lambda row: VERDICTS.index(row["verdict"]) if row["verdict"] in VERDICTS else len(VERDICTS))
