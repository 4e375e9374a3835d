"""The process that reads scans for the page: asked one thing after the other, begun again when it has ended."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from contextlib import suppress
from typing import Any

from autophasenn.errors import InputError

logger = logging.getLogger(__name__)

MODULE = "autophasenn.pipeline.answering"
PATIENCE = 600.0
"""Seconds until an answer is no longer waited for."""
LONGEST_ANSWER = 2**26
"""Bytes."""


class Asked:
    """The process, begun when something is first asked."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def ask(self, question: str, **what: Any) -> dict[str, Any]:
        """An answer.

        Parameters
        ----------
        question : str
            A name of `pipeline.answering.QUESTIONS`.
        **what
            Values of JSON.

        Raises
        ------
        InputError
            What it refuses, in its words; or that it ended.
        """
        async with self._turn:
            process = await self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            line = b""
            try:
                with suppress(ConnectionError):  # it has just ended
                    process.stdin.write(json.dumps({"question": question, **what}).encode() + b"\n")
                    await process.stdin.drain()
                    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            except TimeoutError as error:
                await self.close()
                raise InputError(f"Nothing was read within {PATIENCE:g} s; is the disk there? Try again.") from error
            except asyncio.CancelledError:  # its answer would be taken for that to the next question
                await self.close()
                raise
            if not line.endswith(b"\n"):
                reason = await self._how_it_ended(process)
                raise InputError(
                    f"The process that reads scans ended ({reason}); another one begins with what you do next."
                )
            said = json.loads(line)
            if "refusal" in said:
                raise InputError(said["refusal"])
            answer: dict[str, Any] = said["answer"]
            return answer

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", MODULE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                limit=LONGEST_ANSWER,
            )  # fmt: skip
        return self._process

    async def _how_it_ended(self, process: asyncio.subprocess.Process) -> str:
        self._process = None
        try:
            code = await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            code = await process.wait()
        logger.warning("the process that reads scans ended with status %s", code)
        return ended(code)

    async def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def ended(code: int) -> str:
    """How a process ended, in words."""
    if code == -signal.SIGKILL:
        return "it was killed, as the system does when memory runs out"
    if code < 0:
        return f"{signal.Signals(-code).name}, a fault of a library"
    return f"status {code}"
