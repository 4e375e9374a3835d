"""The token of this account: made up once, kept where no other account can read it, so that a link outlives a restart."""

from __future__ import annotations

import logging
import os
import secrets
import time
from pathlib import Path

from platformdirs import user_state_path

logger = logging.getLogger(__name__)

NAME = "viewer-token"
DAYS = 30
"""After which another one is made up."""
SHORTEST = 8
"""Characters."""


def token_of_this_account(folder: Path | None = None) -> str:
    """The token that this account's viewers ask for; another one each time where none can be kept.

    Parameters
    ----------
    folder : Path, optional
        Where it is kept; None: where this system keeps the state of programs.
    """
    path = (folder or user_state_path("autophasenn")) / NAME
    try:
        kept = _kept(path)
        return kept if kept is not None else _made(path)
    except OSError as error:
        logger.warning("the token is not kept (%s): links end with this viewer", error.strerror or error)
        return secrets.token_urlsafe(24)


def _kept(path: Path) -> str | None:
    """What the file says; None where it is none of ours, too old, or open to others."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    is_ours = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    is_old = time.time() - status.st_mtime > DAYS * 86400
    if path.is_symlink() or not is_ours or is_old or (os.name == "posix" and status.st_mode & 0o077):
        path.unlink()
        return None
    token = path.read_text(encoding="utf-8").strip()
    return token if len(token) >= SHORTEST else None


def _made(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    token = secrets.token_urlsafe(24)
    beside = path.with_name(f"{path.name}-{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(token)
    beside.replace(path)
    return token
