"""Where the page keeps what it makes: runs with their results, masks, plans, drafts; each file whole or not there."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.errors import OutputError
from autophasenn.files.writing import write_atomically

NAME = "autophasenn-runs"
"""Of the folder, where nobody says another."""
KEY = re.compile(r"[0-9a-zA-Z_-]{1,64}")
"""Of a draft."""


class WorkFolder:
    """A folder of runs.

    Parameters
    ----------
    path : Path
        Made where it is missing.

    Raises
    ------
    OutputError
        If it cannot be made or written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            for name in ("runs", "masks", "plans", "drafts"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be made or written to ({error.strerror or error}); say where runs are kept with -o FOLDER."
            ) from error

    def new_run(self) -> Path:
        """The folder of another run, numbered."""
        numbers = [int(each.name) for each in (self.path / "runs").iterdir() if each.name.isdigit()]
        for number in range(max(numbers, default=0) + 1, 10**6):
            folder = self.path / "runs" / f"{number:04d}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise OutputError(f"{self.path} holds too many runs; begin another folder with -o FOLDER.")

    def runs(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Folders of runs with what was kept of each, the first one first; what cannot be read is passed over."""
        for folder in sorted((self.path / "runs").iterdir()):
            kept = read_json(folder / "run.json")
            if kept is not None:
                yield folder, kept

    def keep_mask(self, measured: NDArray[np.bool_]) -> Path:
        """A file of the mask, True = measured, named after its content: what a command names stays as it was."""
        buffer = io.BytesIO()
        np.save(buffer, measured)
        return self._keep("masks", ".npy", buffer.getvalue())

    def keep_plan(self, text: str) -> Path:
        """A file of a plan, named after its content."""
        return self._keep("plans", ".yaml", text.encode())

    def _keep(self, where: str, suffix: str, content: bytes) -> Path:
        path = self.path / where / (hashlib.sha256(content).hexdigest()[:16] + suffix)
        if not path.is_file():
            with write_atomically(path) as temporary:
                temporary.write_bytes(content)
        return path

    def draft(self, key: str) -> dict[str, Any] | None:
        """What a draft held when it was last changed; None: there is none."""
        return read_json(self._draft(key)) if KEY.fullmatch(key) else None

    def keep_draft(self, key: str, draft: dict[str, Any]) -> None:
        """Keep a draft."""
        write_json(self._draft(key), draft)

    def _draft(self, key: str) -> Path:
        return self.path / "drafts" / f"{key}.json"


def read_json(path: Path) -> dict[str, Any] | None:
    """A mapping of a file; None where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A mapping into a file, whole or not at all."""
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
