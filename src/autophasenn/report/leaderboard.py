"""The table of several methods on several sets, as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

Standing = Mapping[str, Any]
"""A method on a set, as `evaluation.standings.Standing` has it."""
UNKNOWN = "-"
COLUMNS = (
    *("set", "method", "crystals", "correlation >= 0.95", "share (95 % interval)", "correlation (median)", "SSIM"),
    *("phase MAE (rad)", "seconds", "Brier", "ECE", "wrong with confidence > 0.5"),
)
NOTES = (
    "Found: the correlation with the truth is 0.95 or more. The interval is Wilson's, 95 %: what another draw of as many "
    "crystals may give.",
    "All: the crystals that every method of the table has inverted.",
    "Correlation, SSIM and phase MAE are means over all crystals of the set, found or not; seconds the median of a crystal "
    "on the machine that ran it.",
    "Brier (0 is the best) and ECE (expected calibration error, 10 bins) compare the confidence with what was found; wrong: "
    "a correlation below 0.90.",
)
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;color:#1d1d26}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #dcdce4}"
    "th{background:#f4f4f8}th:first-child,td:first-child{text-align:left}div{overflow-x:auto}"
)


def shares(standings: Sequence[Standing]) -> list[list[str]]:
    """A row a set, a column a method: how many crystals were found, of how many; the first row names the columns."""
    methods = list(dict.fromkeys(each["method"] for each in standings))
    by = {(each["set"], each["method"]): each for each in standings}
    sets = dict.fromkeys(each["set"] for each in standings)
    return [["set", *methods], *([name, *(_found(by.get((name, method))) for method in methods)] for name in sets)]


def table(standings: Sequence[Standing]) -> list[list[str]]:
    """A row a set and method, with every number; the first row names the columns."""
    return [list(COLUMNS), *map(_row, standings)]


def markdown(standings: Sequence[Standing], what: Mapping[str, str]) -> str:
    """Both tables, what they mean, and what the methods do, as Markdown.

    Parameters
    ----------
    standings : sequence of mappings
    what : mapping of str to str
        What each method does, in words.
    """
    parts = [_as_markdown(shares(standings)), _as_markdown(table(standings)), *NOTES]
    parts.append("\n".join(f"- `{method}`: {words}." for method, words in what.items()))
    return "\n\n".join(parts) + "\n"


def html(standings: Sequence[Standing], what: Mapping[str, str]) -> str:
    """The same as a page that needs no other file; see `markdown`."""
    parts = [_as_html(shares(standings)), _as_html(table(standings)), *(f"<p>{escape(note)}</p>" for note in NOTES)]
    done = "".join(f"<li><code>{escape(method)}</code>: {escape(words)}.</li>" for method, words in what.items())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Leaderboard</title>'
        f"<style>{STYLE}</style></head><body><h1>Leaderboard</h1>{''.join(parts)}<ul>{done}</ul></body></html>\n"
    )


def _found(each: Standing | None) -> str:
    if each is None or each["found"] is None:
        return UNKNOWN
    return f"{each['found']} of {each['n']}"


def _row(each: Standing) -> list[str]:
    interval = UNKNOWN
    if each["share"] is not None:
        interval = f"{each['share']:.0%} ({each['share_low']:.0%} to {each['share_high']:.0%})"
    correlation = f"{_number(each['correlation'], 4)} ({_number(each['correlation_median'], 4)})"
    wrong = UNKNOWN if each["wrong"] is None else f"{each['wrong_sure']} of {each['wrong']}"
    found = UNKNOWN if each["found"] is None else str(each["found"])
    return [
        *(each["set"], each["method"], str(each["n"]), found, interval, correlation, _number(each["ssim"], 3)),
        *(_number(each["phase_mae"], 3), _number(each["seconds"], 1), _number(each["brier"], 3)),
        *(_number(each["ece"], 3), wrong),
    ]


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def _as_markdown(rows: list[list[str]]) -> str:
    def lines() -> Iterator[str]:
        for number, row in enumerate(rows):
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
            if number == 0:
                yield f"|{'---|' * len(row)}"

    return "\n".join(lines())


def _as_html(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[1:])
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
