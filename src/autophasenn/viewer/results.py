"""Results as the viewer shows them: the image with its name and its report, and nothing that was not made here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from autophasenn.errors import InputError, quoted
from autophasenn.files.boundary import reading
from autophasenn.files.convention import RESULT
from autophasenn.files.cxi_image import image_in, process_in
from autophasenn.files.guarded import GuardedFile, Limits, opened_result
from autophasenn.image import CrystalImage

REPORT = "report.json"
MAX_REPORT = 2**24
"""Bytes."""
MOST_NAMED = 5
"""Results that a sentence names."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredImage(CrystalImage):
    """The image of a stored result, and what people ask of it.

    Parameters
    ----------
    path : Path
        The CXI file.
    name : str
        What people call it: its folder.
    report : dict
        Content of ``report.json``.
    """

    path: Path
    name: str
    report: dict[str, Any] = field(default_factory=dict)


def locate(path: Path, within: Path | None = None) -> Path:
    """The CXI file that is meant by a result folder or by a file.

    Parameters
    ----------
    path : Path
        A folder with ``result.cxi``, or a CXI file.
    within : Path, optional
        Folder that the file must lie in, links followed.

    Raises
    ------
    InputError
        If there is none, or it lies elsewhere: through a link, or by ``..`` in the path.
    """
    with reading(path):
        home = path.resolve() if path.is_dir() else None
        file = (path / RESULT if home else path).resolve()
        if not file.is_file():
            inside = sorted(each.parent.name for each in path.glob(f"*/{RESULT}"))[: MOST_NAMED + 1] if home else []
            if inside:
                names = ", ".join(quoted(name, 60) for name in inside[:MOST_NAMED]) + ", ..." * (
                    len(inside) > MOST_NAMED
                )
                raise InputError(f"{path} holds results ({names}) and is none; give one of them, or two to compare.")
            hint = f"it has no {RESULT}" if home else "it does not exist"
            raise InputError(f"{path} is no result ({hint}); give the folder that `autophasenn reconstruct` wrote.")
    for folder in filter(None, (home, within and within.resolve())):
        if not file.is_relative_to(folder):
            raise InputError(f"{path} leads to {file}, outside of {folder}; only files in that folder are shown.")
    return file


def read_image(path: Path, within: Path | None = None, limits: Limits | None = None) -> StoredImage:
    """Read the crystal of a result, and its report.

    Parameters
    ----------
    path : Path
        A result folder, or the CXI file in it.
    within : Path, optional
        As `locate`.
    limits : Limits, optional

    Raises
    ------
    InputError
        If there is no such result, if it is damaged, too large, or was made by another program, or if the file takes
        data from elsewhere.
    """
    file_path = locate(path, within)
    with opened_result(file_path, limits or Limits()) as stored:
        image = image_in(stored)
        return StoredImage(
            **{each.name: getattr(image, each.name) for each in fields(image)},
            path=file_path,
            name=file_path.parent.name or file_path.stem,
            report=_report(file_path, stored),
        )


def _report(path: Path, stored: GuardedFile) -> dict[str, Any]:
    """That beside the file, which is complete; else what the file itself has of it."""
    beside = path.parent / REPORT
    try:
        if beside.is_file() and beside.resolve().parent == path.parent and beside.stat().st_size < MAX_REPORT:
            report = json.loads(beside.read_text(encoding="utf-8"))
            return report if isinstance(report, dict) else {}
    except (OSError, ValueError):
        pass  # a result that was copied alone
    report = process_in(stored).get("report")
    return report if isinstance(report, dict) else {}
