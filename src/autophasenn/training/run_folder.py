"""The folder of a training: what it was told, how it goes, what came of it.

plan.yaml             what is trained; with its seed it gives the same network again
pieces.jsonl          one line each time it was begun or resumed: versions, hardware, processes
log.jsonl             one line an interval or validation
last.safetensors      checkpoint, from which it is resumed
best.safetensors      the weights that did best in validation, with their card (`network.weights`)
curves/               TensorBoard
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from autophasenn.errors import InputError, OutputError
from autophasenn.files.lock import HeldError, held
from autophasenn.files.writing import write_atomically

LIBRARIES = ("autophasenn", "torch", "lightning-fabric", "numpy", "safetensors")


class RunFolder:
    """Paths of a training's files, and the writing of its logs.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = path / "plan.yaml"
        self.pieces = path / "pieces.jsonl"
        self.log = path / "log.jsonl"
        self.last = path / "last.safetensors"
        self.best = path / "best.safetensors"
        self.curves = path / "curves"
        self.lock = path / ".lock"

    @classmethod
    def create(cls, path: Path, plan: str) -> RunFolder:
        """A new folder that holds a plan.

        Raises
        ------
        OutputError
            If there is something in it, or it cannot be written.
        """
        folder = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                remedy = f"go on with --resume {path}, or give" if folder.plan.exists() else "give"
                raise OutputError(f"The folder {path} is not empty; {remedy} another folder.")
            with write_atomically(folder.plan) as temporary:
                temporary.write_text(plan, encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"The folder {path} cannot be written ({error.strerror}); give one that you may write to."
            ) from error
        return folder

    def discard(self) -> None:
        """Remove a folder that was created for a training that was refused before its first line of log."""
        if self.log.exists() or self.last.exists():
            return
        shutil.rmtree(self.curves, ignore_errors=True)
        for path in (self.pieces, self.lock, self.plan):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """The folder of a training that was begun.

        Raises
        ------
        InputError
            If it is none.
        """
        folder = cls(path)
        if not folder.plan.is_file():
            raise InputError(f"{path} is no folder of a training: it holds no plan.yaml. Begin one with --plan and -o.")
        return folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other process trains here.

        Raises
        ------
        OutputError
            If one does.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.lock))
            except HeldError as error:
                raise OutputError(f"Another process is training in {self.path}; wait for it, or stop it.") from error
            yield

    def begin_piece(self, step: int, facts: dict[str, Any]) -> None:
        """Note where and with what the training goes on from a step; forget what the log says of later ones."""
        if self.log.exists():
            kept = [line for line in self.log.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
            with write_atomically(self.log) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        _append(self.pieces, {"step": step, **facts, "versions": _versions()})

    def write_line(self, values: dict[str, Any]) -> None:
        """Add a line to the log."""
        _append(self.log, values)


def _versions() -> dict[str, str | None]:
    """Of the libraries; None where one is there without having been installed, as on a borrowed machine."""
    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _append(path: Path, values: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values, allow_nan=False) + "\n")


def _step_of(line: str) -> float:
    """The step of a line of the log; a line that a crash cut off belongs to none."""
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError):
        return float("inf")
