"""Names of the small pictures of the table: never one that was there before, as browsers keep pictures by their names."""

from __future__ import annotations

import time
from pathlib import Path

NAMES = "thumbnail-*.png"
"""Of the pictures of a scan in its folder, the newest last."""
KEPT = 2
"""The newest and the one before, for which a browser may just be asking."""


def new_thumbnail(folder: Path) -> Path:
    """Where the next picture of a scan goes.

    Parameters
    ----------
    folder : Path
        Of the pictures of this scan alone.
    """
    return folder / NAMES.replace("*", str(time.time_ns() // 1_000_000))


def newest_thumbnail(asked: Path) -> Path | None:
    """The picture that took the place of one that is gone; None where none did."""
    return max(asked.parent.glob(NAMES), default=None) if asked.match(NAMES) else None


def remove_older(picture: Path) -> None:
    """Those beside a picture that the table showed long before, or never did since their process was killed."""
    for other in sorted(picture.parent.glob(NAMES))[:-KEPT]:
        if other != picture:
            other.unlink(missing_ok=True)
