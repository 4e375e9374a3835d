"""What all browsers of the page that runs share: the folder of scans, that of the runs, the queue, the reader."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from autophasenn.errors import InputError, OutputError
from autophasenn.files.lock import HeldError, held
from autophasenn.viewer.running.asking import Asked
from autophasenn.viewer.running.draft import Draft
from autophasenn.viewer.running.folder import NAME, WorkFolder
from autophasenn.viewer.running.frames import Frames
from autophasenn.viewer.running.queue import Queue
from autophasenn.viewer.running.run import Run

logger = logging.getLogger(__name__)

LOCK = ".open"


class Workshop:
    """Scans, runs, and the processes that read the ones and make the others.

    Parameters
    ----------
    folder : Path
        Of scans and files.
    work : Path, optional
        Of the runs; None: `folder.NAME` in the folder.

    Raises
    ------
    InputError
        If there is no such folder.
    OutputError
        If the runs cannot be kept, or another page works in the same folder.
    """

    def __init__(self, folder: Path, work: Path | None = None) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; give the one in which scans or files lie.")
        self.folder = folder.absolute()
        self._stack = ExitStack()
        self.work = WorkFolder(work or self.folder / NAME)
        try:
            self._stack.enter_context(held(self.work.path / LOCK))
        except HeldError as error:
            raise OutputError(
                f"Another page works in {self.work.path}; open its address, or keep other runs elsewhere with -o FOLDER."
            ) from error
        except OSError as error:
            raise OutputError(
                f"{self.work.path} cannot be locked ({error.strerror or error}); give another -o."
            ) from error
        self._frames = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="autophasenn-frames-")))
        self._listeners: list[Callable[[], None]] = []
        self.reader = Asked()
        self.queue = Queue(self.work, self._tell)
        self.known: dict[str, Any] = {"parameters": [], "beamlines": []}
        self._working: asyncio.Task[None] | None = None
        self._looks = 0

    def start(self) -> None:
        """Begin with what waits."""
        self._working = asyncio.ensure_future(self.queue.work())

    def listen(self, listener: Callable[[], None]) -> None:
        """Be called when the runs have changed."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """No longer."""
        self._listeners.remove(listener)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()

    async def about(self) -> dict[str, Any]:
        """Beamlines, and the parameters of a plan."""
        if not self.known["parameters"]:
            self.known = await self.reader.ask("about")
        return self.known

    async def listed(self, beamline: str = "") -> list[dict[str, Any]]:
        """Files of the folder and below, without those of the runs; with a beamline, scans.

        Raises
        ------
        InputError
            If it cannot be listed.
        """
        asked = {"folder": str(self.folder), "beamline": beamline or None, "skip": str(self.work.path)}
        found: list[dict[str, Any]] = (await self.reader.ask("listed", **asked))["scans"]
        return found

    async def checked(self, plan: dict[str, str]) -> dict[str, Any]:
        """As `pipeline.answering.checked`."""
        return await self.reader.ask("checked", plan=plan) if plan else {"wrong": {}, "file": ""}

    async def frames(self, draft: Draft, mask: Path | None = None) -> Frames:
        """Of the scan of a draft; `mask`: that by hand.

        Raises
        ------
        InputError
            If it cannot be read, in the words of its reader.
        """
        self._looks += 1
        into = self._frames / str(self._looks)
        into.mkdir()
        force = draft.values.get("force") == "1"
        await self.reader.ask("looked", source=draft.source(mask), plan=dict(draft.plan), force=force, into=str(into))
        frames = await asyncio.to_thread(Frames, into)
        with suppress(OSError):  # what is open stays readable; the disk gets its room back with the last reader
            shutil.rmtree(into)
        return frames

    async def run(self, draft: Draft, frames: Frames | None) -> Run:
        """Ask for a run.

        Parameters
        ----------
        draft : Draft
        frames : Frames, optional
            Of the scan of this draft: a mask by hand lies on them.

        Raises
        ------
        InputError, OutputError
            If something is wrong with what is asked for, or it cannot be kept.
        """
        mask = None
        if draft.strokes:
            if frames is None:
                raise InputError("A mask by hand needs the frames that it was drawn on; choose the scan again.")
            mask = await asyncio.to_thread(lambda: self.work.keep_mask(frames.measured(draft.strokes)))
        said = await self.checked(dict(draft.plan))
        if said["wrong"]:
            raise InputError(" ".join(said["wrong"].values()))
        plan = self.work.keep_plan(said["file"]) if said["file"] else None
        return self.queue.add(draft, mask, plan)

    async def close(self) -> None:
        """End what reads; a run that is under way goes on, and is found again by the next page."""
        if self._working is not None:
            self._working.cancel()
        await self.reader.close()
        for run in self.queue.runs.values():
            if run.state == "running":
                logger.info("run %s goes on; open the folder again to follow or stop it", run.key)
        self._stack.close()
