"""Runs one after the other, each in a process of its own; what was asked for outlives the page and its server."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

from autophasenn.errors import InputError
from autophasenn.viewer.running.draft import Draft
from autophasenn.viewer.running.folder import WorkFolder
from autophasenn.viewer.running.run import Following, Run

logger = logging.getLogger(__name__)

OFTEN = 0.5
"""Seconds between two looks at a run."""
GRACE = 15.0
"""Seconds that a run which is stopped may take to end by itself."""
MOST_WAITING = 100


class Queue:
    """All runs of a work folder.

    Parameters
    ----------
    folder : WorkFolder
    tell : callable
        Called when anything about the runs has changed.
    """

    def __init__(self, folder: WorkFolder, tell: Callable[[], None]) -> None:
        self._folder, self._tell = folder, tell
        found = (Run.of(path, kept) for path, kept in folder.runs())
        self.runs: dict[str, Run] = {run.key: run for run in found if run is not None}
        self.progress: dict[str, Following] = {}
        self._stopped: set[str] = set()
        self._changed = asyncio.Event()

    def find(self, key: str) -> Run:
        """A run by its number.

        Raises
        ------
        InputError
            If there is none.
        """
        if key not in self.runs:
            raise InputError(f"There is no run {key!r} any more.")
        return self.runs[key]

    def add(self, draft: Draft, mask: Path | None, plan: Path | None) -> Run:
        """Ask for a run; it begins when those before it are over.

        Raises
        ------
        InputError
            If a field holds what it cannot, or too many wait.
        OutputError
            If its folder cannot be made.
        """
        if sum(run.state == "waiting" for run in self.runs.values()) >= MOST_WAITING:
            raise InputError(f"{MOST_WAITING} runs wait already; stop some of them.")
        folder = self._folder.new_run()
        output = f"{Path(draft.name or draft.input).stem}-{int(folder.name)}"
        words = draft.command(str(folder / "result"), mask, plan)
        alike = [run for run in self.runs.values() if run.draft.get("input") == draft.input]
        before = Draft.of(alike[-1].draft) if alike else None
        python = draft.python(output, mask, plan)
        run = Run(folder, draft.as_json(), words, python, draft.changes_since(before))
        run.keep()
        self.runs[run.key] = run
        self._change()
        return run

    def command(self, run: Run) -> list[str]:
        """The words of its command line, with a folder for the result that a person would choose: beside where they work."""
        place = run.words.index("-o") + 1
        name = f"{Path(run.draft.get('name') or 'result').stem}-{int(run.key)}"
        return ["autophasenn", *run.words[:place], name, *run.words[place + 1 :]]

    def stop(self, key: str) -> None:
        """End a run, or have one that waits never begin.

        Raises
        ------
        InputError
            If there is none.
        """
        run = self.find(key)
        if run.state == "waiting":
            run.end(None, is_stopped=True)
            run.reason = "Taken out before it began."
            run.keep()
        elif run.state == "running" and key not in self._stopped:
            self._stopped.add(key)
            run.interrupt()
        self._change()

    async def work(self) -> None:
        """Run what waits, until cancelled; a run that another server had begun is followed to its end."""
        for run in [run for run in self.runs.values() if run.state == "running"]:
            await self._guarded(run, self._follow(run, None))
        while True:
            waiting = next((run for run in self.runs.values() if run.state == "waiting"), None)
            if waiting is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            await self._guarded(waiting, self._run(waiting))

    async def _guarded(self, run: Run, doing: Awaitable[None]) -> None:
        """One run that cannot be begun must not stop the others."""
        try:
            await doing
        except OSError as error:
            logger.exception("run %s", run.key)
            run.state, run.reason = "failed", f"It could not be run: {error.strerror or error}."
        self._change()

    async def _run(self, run: Run) -> None:
        process = run.start()
        self._change()
        await self._follow(run, process)

    async def _follow(self, run: Run, process: subprocess.Popen[bytes] | None) -> None:
        """Until it ends; what it says of its progress is told."""
        following = self.progress[run.key] = Following(run)
        following.look()
        had_image, since_stop = run.has_image, 0.0
        while (process.poll() is None) if process is not None else run.own_process() is not None:
            if following.look() or run.has_image != had_image:
                had_image = run.has_image
                self._tell()
            if run.key in self._stopped:
                since_stop += OFTEN
                if since_stop > GRACE:
                    run.interrupt(signal.SIGKILL)
            try:
                await asyncio.sleep(OFTEN)
            except asyncio.CancelledError:
                if process is not None:
                    process.returncode = 0  # it goes on, and nobody here waits for it any more
                raise
        run.end(None if process is None else process.returncode, is_stopped=run.key in self._stopped)
        del self.progress[run.key]
        logger.info("run %s: %s %s", run.key, run.state, run.reason)

    def _change(self) -> None:
        self._changed.set()
        self._tell()
