"""What all browsers of one viewer have in common: the results on the disk, the table of scans, and who presents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable
from weakref import WeakValueDictionary

from autophasenn.errors import AutoPhaseNNError
from autophasenn.files.guarded import Limits
from autophasenn.viewer.results import StoredImage, locate, read_image
from autophasenn.viewer.running.workshop import Workshop
from autophasenn.viewer.scans import Scans
from autophasenn.viewer.views import View

logger = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between two looks at the table of scans, and at the files that are open."""
WENT_WRONG = "Something went wrong in the viewer; what it was stands in its log."

Stamp = tuple[str, int, int]
"""A file, when it was written, and its size: another one is another result."""


def stamp_of(path: Path) -> Stamp:
    """Of a file as it is now.

    Raises
    ------
    OSError
        If it is not there.
    """
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


@runtime_checkable
class Member(Protocol):
    """One browser, as the others know it."""

    @property
    def follows_presenter(self) -> bool:
        """Whether it goes where the presenter goes."""

    def view(self) -> View:
        """What it looks at."""

    async def follow(self, view: View) -> None:
        """Look at the same."""

    def audience(self, is_presented: bool) -> None:
        """Hear whether somebody else presents now."""

    async def look(self, changed: set[str] | None, error: str) -> None:
        """Hear what became of the table, and look whether what is open was replaced."""


class Shared:
    """What all browsers have in common.

    Parameters
    ----------
    scans : Path, optional
        Results folder of a watcher, shown as a table.
    results : sequence of Path
        One result or two, shown at once; none: the table.
    limits : Limits
    workshop : Workshop, optional
        Scans and runs of the page that runs.
    """

    def __init__(
        self, scans: Path | None, results: Sequence[Path], limits: Limits, workshop: Workshop | None = None
    ) -> None:
        self.scans = None if scans is None else Scans(scans)
        self.results, self.limits, self.workshop = list(results), limits, workshop
        self.members: list[Member] = []
        self.presenter: Member | None = None
        self.analysing = asyncio.Lock()
        """Held by the one browser whose results are analysed: two at once would take their memory at once."""
        self._images: WeakValueDictionary[tuple[Stamp, str], StoredImage] = WeakValueDictionary()

    async def read(self, path: Path, name: str = "") -> StoredImage:
        """A result, read once for all who look at it.

        Raises
        ------
        InputError
            As `read_image`.
        """
        within = None if self.scans is None else self.scans.folder
        file = await asyncio.to_thread(locate, path, within)
        try:
            key = stamp_of(file), name
        except OSError:
            key = (str(file), 0, 0), name  # reading it says what is wrong
        found = self._images.get(key)
        if found is None:
            image = await asyncio.to_thread(read_image, path, within, self.limits)
            found = self._images.setdefault(key, replace(image, name=name or image.name))
        return found

    def present(self, member: Member | None) -> None:
        """Let one browser lead those that follow; None: nobody does."""
        self.presenter = member
        for each in list(self.members):
            each.audience(member is not None and each is not member)

    def join(self, member: Member) -> None:
        """A browser came."""
        self.members.append(member)
        member.audience(self.presenter is not None)

    def leave(self, member: Member) -> None:
        """A browser went."""
        self.members.remove(member)
        if self.presenter is member:
            self.present(None)

    async def tell(self, member: Member) -> None:
        """Have those that follow look at what this browser looks at, if it is the one that presents."""
        if member is self.presenter:
            view = member.view()
            await self._each(
                lambda each: each.follow(view), [m for m in self.members if m.follows_presenter and m is not member]
            )

    async def watch(self) -> None:
        """Refresh the table of scans as it changes, and what is open as it is replaced."""
        error = ""
        while True:
            changed: set[str] | None = None
            try:
                if self.scans is not None:
                    changed = await asyncio.to_thread(self.scans.look)
                error = ""
            except AutoPhaseNNError as refusal:
                error = str(refusal)
            except Exception:
                if error != WENT_WRONG:
                    logger.exception("following the table failed")
                error = WENT_WRONG
            said = error
            await self._each(lambda each: each.look(changed, said), list(self.members))  # noqa: B023
            await asyncio.sleep(POLL)

    @staticmethod
    async def _each(action: Callable[[Member], Awaitable[None]], members: Sequence[Member]) -> None:
        """Do something for every browser; what fails for one is no matter of the others."""
        for member in members:
            try:
                await action(member)
            except Exception:
                logger.exception("a browser could not be brought up to date")

    def close(self) -> None:
        """Give the ledger back."""
        if self.scans is not None:
            self.scans.close()
