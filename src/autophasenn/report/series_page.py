"""The table of a campaign as one HTML file that needs no other: sorted by a click, with pictures and plots inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light; --ink: #1c1c28; --faint: #6a6c7a; --line: #e1e2e8; }
body { font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); }
body { margin: 2rem auto; max-width: 120rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
ul.notes { margin: .4rem 0 1.2rem; padding-left: 1.2rem; } ul.notes li { margin: .15rem 0; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; max-height: 85vh; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; z-index: 1; background: #f3f4f8; padding: 0; }
th { text-align: left; white-space: nowrap; font-weight: 600; }
th button { all: unset; cursor: pointer; padding: .5rem .7rem; display: block; }
th button:focus-visible { outline: 2px solid #20639b; outline-offset: -2px; }
th[aria-sort=ascending] button::after { content: " \\25B2"; font-size: .7em; }
th[aria-sort=descending] button::after { content: " \\25BC"; font-size: .7em; }
td { padding: .3rem .7rem; border-top: 1px solid var(--line); vertical-align: middle; white-space: nowrap; }
td.number { text-align: right; }
td small { display: block; white-space: normal; min-width: 16rem; max-width: 26rem; }
td small { margin-top: .25rem; color: var(--faint); }
td img { display: block; width: 72px; height: 72px; object-fit: contain; }
.status { padding: .1rem .5rem; border-radius: 1rem; font-size: .88em; background: #e6e7ee; }
.reconstructed { background: #d7efdc; color: #14532d; } .uncertain { background: #fdeec4; color: #6b4a00; }
.unchecked { background: #d9e6f7; color: #1e3a6b; }
.poor, .failed { background: #fbdcd5; color: #7f1d0e; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
.pictures img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
figure { margin: 0; max-width: 100%; } figcaption { color: var(--faint); font-size: .9em; }
""".strip()

SCRIPT = """
document.querySelectorAll("th button").forEach((button) => button.addEventListener("click", () => {
  const head = button.parentElement, body = document.querySelector("tbody");
  const column = [...head.parentElement.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  head.parentElement.querySelectorAll("th").forEach((each) => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => row.children[column].dataset.value;
  const rows = [...body.rows].sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return down ? -order : order;
  });
  body.append(...rows);
}));
""".strip()


@dataclass(frozen=True)
class Cell:
    """One cell.

    Parameters
    ----------
    text : str
    value : float or str, optional
        To sort by; None: comes last.
    kind : str
        ``number``, ``status``, ``link``, ``picture`` or empty.
    more : str
        Of a link: where to, relative to the page. Of a status: a sentence below it.
    picture : bytes, optional
        PNG.
    """

    text: str
    value: float | str | None = None
    kind: str = ""
    more: str = ""
    picture: bytes | None = None


@dataclass(frozen=True)
class Picture:
    """A picture below the table.

    Parameters
    ----------
    title : str
    content : bytes
    kind : str
        ``png`` or ``gif``.
    """

    title: str
    content: bytes
    kind: str = "png"


def page(
    title: str, notes: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[Cell]], pictures: Sequence[Picture]
) -> str:
    """The whole file.

    Parameters
    ----------
    title : str
    notes : sequence of str
        Above the table.
    heads : sequence of str
        Of the columns.
    rows : sequence of sequence of Cell
    pictures : sequence of Picture
    """
    said = "".join(f"<li>{escape(note)}</li>" for note in notes)
    columns = "".join(f'<th scope="col"><button type="button">{escape(head)}</button></th>' for head in heads)
    body = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    shown = "".join(
        f'<figure><img src="{_data(each.content, each.kind)}" alt="{escape(each.title)}">'
        f"<figcaption>{escape(each.title)}</figcaption></figure>"
        for each in pictures
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<ul class="notes">{said}</ul>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Scans"><table>\n<thead><tr>{columns}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>\n"
        + (f'<h2>Series</h2>\n<div class="pictures">{shown}</div>\n' if shown else "")
        + f"<script>\n{SCRIPT}\n</script>\n</body>\n</html>\n"
    )


def _cell(cell: Cell) -> str:
    value = "" if cell.value is None else str(cell.value)
    text = escape(cell.text)
    if cell.kind == "status":
        said = f"<small>{escape(cell.more)}</small>" if cell.more else ""
        text = f'<span class="status {text}">{text}</span>{said}'
    elif cell.kind == "link" and cell.more:
        text = f'<a href="{escape(cell.more)}">{text}</a>'
    elif cell.kind == "picture":
        text = "" if cell.picture is None else f'<img src="{_data(cell.picture, "png")}" alt="{text}">'
    name = f' class="{cell.kind}"' if cell.kind == "number" else ""
    return f'<td{name} data-value="{escape(value)}">{text}</td>'


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
