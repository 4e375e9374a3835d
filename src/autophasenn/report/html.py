"""A result for a notebook: its picture, verdict, warnings and numbers as HTML."""

from __future__ import annotations

import base64
from html import escape

from autophasenn.report.numbers import Report
from autophasenn.report.words import facts


def html_of(report: Report, picture: bytes) -> str:
    """A picture, what is said of the result, and a table of all numbers that are known, folded.

    Parameters
    ----------
    report : Report
    picture : bytes
        Of a PNG file.
    """
    said = [f"<b>{escape(report.status or '')}</b>: {escape(report.message or '')}", escape(report.confidence.meaning)]
    said += [f"Warning: {escape(sentence)}" for sentence in report.warnings]
    rows = "".join(
        f"<tr><td>{escape(fact.name)}</td><td>{escape(fact.value)}</td><td>{escape(fact.meaning)}</td></tr>"
        for fact in facts(report).values()
        if fact.is_known
    )
    image = base64.b64encode(picture).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{image}" alt="overview" style="max-width: 100%"/>'
        + "".join(f"<p>{sentence}</p>" for sentence in said if sentence)
        + f"<details><summary>all numbers</summary><table>{rows}</table></details>"
    )
