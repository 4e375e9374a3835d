"""What a browser may write: the choices that it has, with values that they can have, and nothing else."""

from __future__ import annotations

import logging
from typing import Any

from autophasenn.viewer.views import CHECKS

logger = logging.getLogger(__name__)

UPDATE = "trame.state.update"
FORBIDDEN = ("application.exit", "application.exit.later")
"""Calls by which a browser would end the server."""


class Guard:
    """Stands between a browser and the state of its page.

    Parameters
    ----------
    server : trame_server.Server
    """

    def __init__(self, server: Any) -> None:
        self.server = server

    def bind(self, endpoint: Any) -> None:
        """Take the place of the calls that write.

        Parameters
        ----------
        endpoint : wslink.protocol.WslinkHandler
            Which calls what a browser names, by its table of functions.
        """
        for name in FORBIDDEN:
            endpoint.functionMap.pop(name, None)
        endpoint.functionMap[UPDATE] = (self, Guard.update)

    def update(self, changes: Any) -> None:
        """Write what may be written; of all else the browser is told again what it is."""
        state = self.server.state
        refused: list[str] = []
        with state:
            for change in changes if isinstance(changes, list) else []:
                name = change.get("key") if isinstance(change, dict) else None
                if not isinstance(name, str):
                    continue
                try:
                    if name not in CHECKS:
                        raise ValueError("no browser may write it")
                    value = CHECKS[name](change.get("value"))
                    if value != change.get("value"):
                        self.server.clear_state_client_cache(name)
                    state[name] = value
                except (ValueError, TypeError, OverflowError) as error:
                    logger.warning("refused %.60r from a browser: %s", name, str(error)[:200])
                    if state.has(name):
                        refused.append(name)
            if refused:
                self.server.clear_state_client_cache(*refused)
                state.dirty(*refused)
