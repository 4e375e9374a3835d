"""From what lies in the folders to scans that wait in the ledger: new, growing, complete."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from autophasenn.live.ledger import Ledger, ScanRecord
from autophasenn.live.sightings import Place, Sighting, look_at

logger = logging.getLogger(__name__)


@dataclass
class _Growing:
    """A scan that is not yet complete."""

    fingerprint: str
    unchanged_since: float
    last_frame: float


class Arrivals:
    """Follows the scans of some places.

    Parameters
    ----------
    ledger : Ledger
        Gets every scan; those that it knows unchanged are left alone.
    places : sequence of Place
    largest : int
        Bytes of the largest scan that is taken.
    retry : bool
        Whether those that failed are followed once more.
    """

    def __init__(self, ledger: Ledger, places: Sequence[Place], largest: int, retry: bool = False) -> None:
        self._ledger, self._places, self._largest = ledger, places, largest
        self._began = time.time()
        self._last_look: float | None = None
        self._nameless = set[str]()
        scans = ledger.scans()
        unknown = ("arriving", "failed") if retry else ("arriving",)
        self._known = {scan.key: scan.fingerprint for scan in scans if scan.state not in unknown}
        self._growing = {
            scan.key: _Growing(scan.fingerprint, self._began, scan.arrived)
            for scan in scans
            if scan.state == "arriving"
        }
        self.sightings = dict[str, Sighting]()
        """Scans by their keys, as they were at the last look."""
        self.present = frozenset[str]()
        """Keys of the scans whose files were there at the last look."""

    @property
    def growing(self) -> list[str]:
        """Keys of the scans whose frames still come."""
        return list(self._growing)

    def look(self) -> None:
        """Enter into the ledger what is new, what has grown, and what is complete.

        Raises
        ------
        InputError
            If a watched folder is not there; the others were looked at.
        """
        now, (found, missing) = time.time(), look_at(self._places)
        sightings = self._readable(found)
        self.sightings, self.present = sightings, frozenset(sightings)
        for key, sighting in sightings.items():
            if self._known.get(key) != sighting.fingerprint:
                self._follow(sighting, now)
        if missing is not None:
            raise missing  # before what is only out of sight is taken for removed
        for key in self._growing.keys() - sightings.keys():
            self._ledger.change(key, state="failed", reason="Its files were removed before it was complete.")
            del self._growing[key]
        self._last_look = now

    def _readable(self, sightings: dict[str, Sighting]) -> dict[str, Sighting]:
        """Those whose names are text, as the ledger needs it; of each other one is told once."""
        bad = {key for key in sightings if not _is_text(key)}
        for key in sorted(bad - self._nameless):
            logger.warning("%a is passed over: its name is not UTF-8; rename it.", sightings[key].name)
        self._nameless = bad
        return {key: sighting for key, sighting in sightings.items() if key not in bad}

    def _follow(self, sighting: Sighting, now: float) -> None:
        key, fingerprint = sighting.key, sighting.fingerprint
        growing = self._growing.get(key)
        if growing is None or growing.fingerprint != fingerprint:
            growing = self._growing[key] = self._change(sighting, now, is_new=growing is None)
        if now - growing.unchanged_since < sighting.quiet:
            return
        if sighting.size > self._largest:
            reason = (
                f"It has {sighting.size / 2**30:.2f} GiB, and the watcher takes no scan above {self._largest / 2**30:.2f} "
                "GiB; cut it around its peak, or raise --largest."
            )
            self._ledger.change(key, state="failed", reason=reason)
            logger.warning("%s: %s", sighting.name, reason)
        else:
            self._ledger.change(key, state="waiting", counted_from=max(growing.last_frame, self._began))
            logger.info("%s: complete, %s", sighting.name, _amount(sighting))
        del self._growing[key]  # now that the ledger has it, whose disk may have been full
        self._known[key] = fingerprint

    def _change(self, sighting: Sighting, now: float, is_new: bool) -> _Growing:
        """Enter a scan that was not there before, or was another."""
        # The clock of the disk may not be ours: between two looks it is trusted only as far as they allow.
        last_frame = sighting.newest
        unchanged_since = min(now, max(sighting.newest, 0.0))
        if self._last_look is not None:
            last_frame = min(max(sighting.newest, self._last_look), now)
            unchanged_since = now
        former = self._ledger.scan(sighting.key)
        self._ledger.put(
            ScanRecord(
                key=sighting.key,
                name=sighting.name,
                state="arriving",
                frames=sighting.frames or (0 if former is None else former.frames),
                arrived=last_frame,
                thumbnail=None if former is None else former.thumbnail,
                result=None if former is None else former.result,
                source=str(sighting.path),
                fingerprint=sighting.fingerprint,
                counted_from=last_frame,
                number=sighting.scan,
                expected=sighting.expected,
            )
        )
        self._known.pop(sighting.key, None)
        if is_new:
            is_same = former is not None and former.fingerprint == sighting.fingerprint
            again = "tried once more" if is_same else "changed, so it is reconstructed anew"
            logger.info("%s: %s", sighting.name, "new" if former is None else again)
        return _Growing(sighting.fingerprint, unchanged_since, last_frame)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _amount(sighting: Sighting) -> str:
    size = f"{sighting.size / 1e6:.1f} MB"
    return f"{sighting.frames} frames, {size}" if sighting.frames else size
