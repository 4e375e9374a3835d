"""FIO files, the logs of scans at PETRA III: sections ``%c`` of comments, ``%p`` of parameters, ``%d`` of columns.

silx reads them too, but keeps numbers in single precision and does not return from a file that ends within a section.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autophasenn.errors import InputError

MAX_BYTES = 100 * 2**20


@dataclass(frozen=True, eq=False)
class Fio:
    """One file.

    Parameters
    ----------
    path : Path
    command : str
        First line of the comments: the command as typed.
    parameters : dict
        Name -> text.
    columns : dict
        Label -> float64 array, one value a point.
    comments : tuple of str
        All of them, the command first.
    """

    path: Path
    command: str
    parameters: dict[str, str]
    columns: dict[str, np.ndarray]
    comments: tuple[str, ...] = ()

    def number(self, name: str) -> float | None:
        """A parameter; None where it is absent or no number."""
        try:
            return float(self.parameters[name])
        except (KeyError, ValueError):
            return None


def read_fio(path: Path) -> Fio:
    """Read a FIO file.

    Raises
    ------
    InputError
        If it is missing or no FIO file, or a row has fewer numbers than there are columns.
    """
    if not path.is_file():
        raise InputError(f"There is no FIO file {path}; give the .fio file that recorded the scan with --spec.")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes, more than any FIO file; give that of the scan.")
    comments: list[str] = []
    parameters: dict[str, str] = {}
    labels: list[str] = []
    rows: list[list[float]] = []
    section = ""
    for number, line in enumerate(path.read_text("latin-1").splitlines(), 1):
        words = line.split()
        if not words or line.startswith("!"):
            continue
        if line.startswith("%"):
            section = line[1:2]
        elif section == "c":
            comments.append(line.strip())
        elif section == "p" and "=" in line:
            name, value = line.split("=", 1)
            parameters[name.strip()] = value.strip()
        elif section == "d" and words[0] == "Col" and len(words) >= 4:
            labels.append(" ".join(words[2:-1]))
        elif section == "d":
            try:
                rows.append([float(word) if re.match(r"[-+.\dnN]", word) else np.nan for word in words[: len(labels)]])
            except ValueError as error:
                raise InputError(f"Line {number} of {path} holds what is no number ({line.strip()[:80]!r}).") from error
            if len(rows[-1]) < len(labels):
                raise InputError(
                    f"Line {number} of {path} has {len(rows[-1])} numbers and the file {len(labels)} columns; it is "
                    "truncated. Copy it again from the beamline."
                )
    if not parameters or not labels:
        raise InputError(f"{path} is no FIO file of a scan: it has no parameters (%p) or no columns (%d).")
    table = np.array(rows, np.float64).reshape(-1, len(labels))
    return Fio(
        path,
        comments[0] if comments else "",
        parameters,
        {label: table[:, i] for i, label in enumerate(labels)},
        tuple(comments),
    )
