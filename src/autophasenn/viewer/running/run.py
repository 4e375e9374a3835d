"""One run: what was asked for, the process that does it, how far it is, and how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from autophasenn.files.convention import RESULT
from autophasenn.machine import PROGRAM
from autophasenn.progress import JOURNAL
from autophasenn.viewer.running.asking import ended
from autophasenn.viewer.running.folder import read_json, write_json

State = Literal["waiting", "running", "done", "stopped", "failed"]
INTERRUPTED = 130
"""Exit status of a run that was stopped."""
LAST_WORDS = 2000
"""Bytes at the end of a log in which the reason of a failure is looked for."""


@dataclass
class Run:
    """A run, as it is kept.

    Parameters
    ----------
    folder : Path
        Holds ``run.json``, ``log.txt``, ``progress.jsonl`` and, once it is there, ``result``.
    draft : dict
        `Draft.as_json` of it.
    words : list of str
        Of the command line, after ``autophasenn``.
    python : str
    changed : list of str
        What differs from the run before.
    state : str
    reason : str
        Why it failed, or that it was stopped.
    asked, began, finished : float
        Seconds since 1970; 0: not yet.
    process, started : int, float
        Of its process, its number and when the system began it.
    """

    folder: Path
    draft: dict[str, Any]
    words: list[str]
    python: str
    changed: list[str] = field(default_factory=list)
    state: State = "waiting"
    reason: str = ""
    asked: float = field(default_factory=time.time)
    began: float = 0.0
    finished: float = 0.0
    process: int = 0
    started: float = 0.0
    _report: dict[str, Any] | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(cls, folder: Path, kept: Mapping[str, Any]) -> Run | None:
        """From what :meth:`keep` wrote; None if it is no run."""
        known = {each.name: kept[each.name] for each in fields(cls) if each.name in kept and each.name in KEPT}
        try:
            run = cls(folder, **known)
        except TypeError:
            return None
        right = isinstance(run.draft, dict) and isinstance(run.words, list) and run.state in get_args(State)
        return run if right else None

    def keep(self) -> None:
        """Write it down."""
        write_json(self.folder / "run.json", {k: v for k, v in asdict(self).items() if k in KEPT})

    @property
    def key(self) -> str:
        """Its number, as the folder is called."""
        return self.folder.name

    @property
    def result(self) -> Path:
        """Folder of its result."""
        return self.folder / "result"

    @property
    def has_image(self) -> bool:
        """Whether a result can be opened, be it the first image."""
        return (self.result / RESULT).is_file()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in ("waiting", "running")

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{Path(self.draft.get('name') or 'run').name} · {int(self.key)}"

    def report(self) -> dict[str, Any]:
        """Of its result; empty as long as there is none."""
        if self._report is None or not self.is_over:
            self._report = read_json(self.result / "report.json") or {}
        return self._report

    def start(self) -> subprocess.Popen[bytes]:
        """Begin its process, in a session of its own: it goes on if the page is closed."""
        environment = os.environ | {JOURNAL: str(self.folder / "progress.jsonl"), "PYTHONUNBUFFERED": "1"}
        program = f"import sys; sys.argv[0] = 'autophasenn'; {PROGRAM}"
        with (self.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", program, *self.words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, start_new_session=True,
            )  # fmt: skip
        self.state, self.began, self.process = "running", time.time(), process.pid
        with suppress(psutil.Error):
            self.started = psutil.Process(process.pid).create_time()
        self.keep()
        return process

    def own_process(self) -> psutil.Process | None:
        """Its process, if that still runs; a number that another process has now is none."""
        try:
            found = psutil.Process(self.process) if self.process else None
            is_alive = found is not None and found.status() != psutil.STATUS_ZOMBIE
            return found if is_alive and found is not None and abs(found.create_time() - self.started) < 1 else None
        except psutil.Error:
            return None

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Tell its process, and those that it began, to end."""
        if self.own_process() is not None:
            with suppress(ProcessLookupError, PermissionError):
                if number == signal.SIGKILL:
                    os.killpg(self.process, number)
                else:
                    os.kill(self.process, number)

    def end(self, code: int | None, *, is_stopped: bool = False) -> None:
        """Write down how it ended.

        Parameters
        ----------
        code : int, optional
            Exit status; None: another page had begun it, and only what lies there tells.
        is_stopped : bool
            Whether it was asked to end.
        """
        self.finished, is_done = time.time(), code == 0 or (code is None and not is_stopped and self._is_final)
        self.state = "done" if is_done else "stopped" if is_stopped or code == INTERRUPTED else "failed"
        self.reason, self._report = "", None
        if self.state == "stopped":
            self.reason = (
                "Stopped; the first image is kept." if self.has_image else "Stopped before there was an image."
            )
        elif self.state == "failed":
            self.reason = self.last_words() or f"Its process ended: {ended(code or 0) if code else 'nobody saw how'}."
        self.keep()

    @property
    def _is_final(self) -> bool:
        report = self.report()
        return bool(report) and not report.get("is_preliminary")

    def last_words(self) -> str:
        """The sentence in which it said what was wrong; empty where it said none."""
        try:
            with (self.folder / "log.txt").open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - LAST_WORDS))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.removeprefix("Error: ") for line in reversed(lines) if line.startswith("Error: ")), "")


KEPT = {each.name for each in fields(Run)} - {"folder", "_report"}
"""What ``run.json`` holds."""


class Following:
    """Reads how far a run is, each time only what is new.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run) -> None:
        self._path, self._at = run.folder / "progress.jsonl", 0
        self.stage, self.done, self.total = "", 0, 0
        self.chi2: list[float] = []

    def look(self) -> bool:
        """Whether there was anything new."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read()
        except OSError:
            return False
        whole = new[: new.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if "stage" in said:
                self.stage, self.done, self.total = str(said["stage"]), 0, 0
            elif "chi2" in said:
                self.chi2.append(float(said["chi2"]))
            else:
                self.done, self.total = int(said.get("done", 0)), int(said.get("total", 0))
        return bool(whole)

    @property
    def words(self) -> str:
        """How far it is."""
        return f"{self.stage}{f' {self.done} of {self.total}' if self.total else ''}"

    @property
    def share(self) -> float:
        """Of its stage, in percent."""
        return 100 * self.done / self.total if self.total else 0.0
