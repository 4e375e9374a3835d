"""What became of every scan: one small database in the results folder, which is the watcher's queue and the page's table.

SQLite with its rollback journal and a flush at every change: a kill or a power cut leaves the state before or after a
change, never one between. Not its write-ahead log, which needs memory shared by all processes and so fails on network
mounts. One process writes (the watcher); any number may read, and wait the milliseconds that a change takes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from autophasenn.errors import InputError

FILE = "ledger.sqlite"
VERSION = 3
"""Raised when a column is added or changes its name or meaning."""
ADDED = {2: "number", 3: "expected"}
"""The column that each version added, as the last one."""
BEGUN_WITH = "begun with"
"""The fact that says how the scans of a campaign are reconstructed; a watcher's ledger has none."""
PATIENCE = 20.0
"""Seconds to wait for another process that is at the database."""

State = Literal["arriving", "waiting", "running", "imaged", "refined", "failed"]
"""Frames still come; all are there; the network is at it; its image is there; refined; could not be reconstructed."""
STATES: tuple[str, ...] = get_args(State)


@dataclass(frozen=True)
class ScanRecord:
    """One scan, and what became of it.

    Parameters
    ----------
    key : str
        Tells it from all others; also the folder of its results, relative to the results folder.
    name : str
        For people: the name of its folder or file.
    state : str
        One of `STATES`.
    reason : str, optional
        Why it failed, in a sentence.
    frames : int
        That have arrived; 0 while nobody has looked into its file.
    arrived : float
        When its last frame did, unix seconds.
    seconds_to_image, seconds_to_refined : float, optional
        From its last frame, or from the start of the watcher where that was later.
    chi2, chi2_free, strain_std : float, optional
        Of the newest image (docs/physics/conventions.md); strain_std only where the geometry is known.
    confidence : float, optional
        0 to 1, how far the newest image can be believed (docs/physics/confidence.md).
    result : str, optional
        Folder of the newest image, relative to the results folder.
    thumbnail : str, optional
        A PNG file relative to the results folder: the crystal, or the frames so far.
    source : str
        Its folder or file, absolute.
    fingerprint : str
        What its files looked like, so that it is reconstructed anew if they change.
    counted_from : float
        Unix seconds from which the two times above count.
    attempts : int
        How often work on it began and no answer came, because the watcher itself was killed.
    number : int, optional
        Of the scan, where its file holds several.
    expected : int, optional
        Frames that it will have when it is complete, where that was recorded.
    """

    key: str
    name: str
    state: State
    reason: str | None = None
    frames: int = 0
    arrived: float = 0.0
    seconds_to_image: float | None = None
    seconds_to_refined: float | None = None
    chi2: float | None = None
    chi2_free: float | None = None
    strain_std: float | None = None
    confidence: float | None = None
    result: str | None = None
    thumbnail: str | None = None
    source: str = ""
    fingerprint: str = ""
    counted_from: float = 0.0
    attempts: int = 0
    number: int | None = None
    expected: int | None = None


COLUMNS = tuple(column.name for column in fields(ScanRecord))

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS scans ({", ".join(COLUMNS)}, PRIMARY KEY (key));
CREATE INDEX IF NOT EXISTS queue ON scans (state, arrived);
CREATE TABLE IF NOT EXISTS facts (name PRIMARY KEY, value);
INSERT OR IGNORE INTO facts VALUES ('version', 0);
CREATE TRIGGER IF NOT EXISTS inserted AFTER INSERT ON scans
    BEGIN UPDATE facts SET value = value + 1 WHERE name = 'version'; END;
CREATE TRIGGER IF NOT EXISTS updated AFTER UPDATE ON scans
    BEGIN UPDATE facts SET value = value + 1 WHERE name = 'version'; END;
PRAGMA user_version = {VERSION};
"""


class Ledger:
    """The scans of a results folder; may be used from any thread.

    Open it with :meth:`open`, and close it, or use it as a context.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        there = {row["name"] for row in connection.execute("PRAGMA table_info(scans)")}
        self._columns = ", ".join(name if name in there else f"NULL AS {name}" for name in COLUMNS)
        self._turn = threading.Lock()

    @classmethod
    def open(cls, folder: Path, *, only_reads: bool = False) -> Ledger:
        """The ledger of a results folder, made if it is missing.

        Parameters
        ----------
        folder : Path
        only_reads : bool
            Whether one of an earlier version stays as it is: its watcher may be at work.

        Raises
        ------
        InputError
            If it cannot be opened, is damaged, or was written by another version of this package.
        """
        path = folder / FILE
        with _explained(path):
            connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                connection.row_factory = sqlite3.Row
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if not 0 <= version <= VERSION:
                    raise InputError(
                        f"{path} is a ledger of version {version}, and this program knows version {VERSION}; give another "
                        "results folder, or the autophasenn that wrote it."
                    )
                if 0 < version < VERSION and not only_reads:
                    added = "".join(
                        f"ALTER TABLE scans ADD COLUMN {ADDED[n]};" for n in range(version + 1, VERSION + 1)
                    )
                    connection.executescript(f"BEGIN IMMEDIATE; {added} PRAGMA user_version = {VERSION}; COMMIT;")
                if version == 0:
                    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def scans(self) -> list[ScanRecord]:
        """All scans, the newest first."""
        return self._read("ORDER BY arrived DESC, key DESC")

    def scan(self, key: str) -> ScanRecord | None:
        """The scan with this key."""
        return next(iter(self._read("WHERE key = ?", key)), None)

    def queue(self, states: Sequence[State]) -> list[ScanRecord]:
        """The scans in one of these states, the newest first."""
        return self._read(f"WHERE state IN ({_marks(states)}) ORDER BY arrived DESC, key DESC", *states)

    def count(self, states: Sequence[State] = STATES) -> int:  # type: ignore[assignment]
        """How many scans are in one of these states."""
        return int(self._execute(f"SELECT count(*) FROM scans WHERE state IN ({_marks(states)})", *states)[0][0])

    def version(self) -> int:
        """A number that grows with every change."""
        return int(self._execute("SELECT value FROM facts WHERE name = 'version'")[0][0])

    def put(self, record: ScanRecord) -> None:
        """Enter a scan, in the place of what was known of it."""
        self._execute(
            f"INSERT OR REPLACE INTO scans ({', '.join(COLUMNS)}) VALUES ({_marks(COLUMNS)})", *astuple(record)
        )

    def change(self, *keys: str, **values: Any) -> None:
        """Change some of the fields of scans that are there, of all or of none."""
        if not keys:
            return
        assignments = ", ".join(f"{name} = ?" for name in values)
        statement = f"UPDATE scans SET {assignments} WHERE key = ?"
        with self._turn, _explained(self.path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(statement, [(*values.values(), key) for key in keys])

    def fact(self, name: str) -> Any:
        """Something noted about the whole folder; None where nothing is."""
        found = self._execute("SELECT value FROM facts WHERE name = ?", name)
        return found[0][0] if found else None

    def note(self, name: str, value: str | int | float) -> None:
        """Note something about the whole folder."""
        self._execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def _read(self, rest: str, *values: Any) -> list[ScanRecord]:
        rows = self._execute(f"SELECT {self._columns} FROM scans {rest}", *values)
        return [ScanRecord(*row) for row in rows]

    def _execute(self, statement: str, *values: Any) -> list[Any]:
        with self._turn, _explained(self.path):
            return self._connection.execute(statement, values).fetchall()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise  # a fault of this program
    except sqlite3.Error as error:
        raise InputError(
            f"The ledger {path} cannot be used ({error}); check that its folder is there, that you may write to it and "
            "that its disk has room, or give another results folder."
        ) from error
