"""What else was recorded of a scan: when it was taken, where all motors stood, what counters gave on average.

A series is plotted against these: a temperature, a potential, a motor of the sample.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import h5py
import numpy as np

from autophasenn.beamlines.fio import Fio
from autophasenn.beamlines.spec import SpecScan
from autophasenn.errors import InputError
from autophasenn.files.tree import node, text

Metadata = dict[str, float | str]
"""Name -> number, or text; ``time`` is when the scan began, ISO 8601."""
TIME = "time"
MOST = 2000
"""Entries of one group that are looked at."""
LONGEST = 100_000
"""Numbers of a counter that are averaged."""
FORMATS = ("%a %b %d %H:%M:%S %Y", "%d-%b-%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%d/%m/%Y %H:%M:%S")
"""Of SPEC, FIO, and files that are no ISO 8601."""
MOMENT = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}|\d{1,2}-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d")
"""Among other words, as P10's logs have it."""


def moment(words: str) -> str | None:
    """A time as it stands in a file, in ISO 8601 to a second; None where it is none.

    Examples
    --------
    >>> moment("Tue Feb 04 12:28:23 2020")
    '2020-02-04T12:28:23'
    """
    said = " ".join(words.split())
    with suppress(ValueError):
        return datetime.fromisoformat(said).replace(microsecond=0).isoformat()
    for each in FORMATS:
        with suppress(ValueError):
            return datetime.strptime(said, each).isoformat()
    return None


def seconds_of(words: str) -> float | None:
    """Seconds since 1970 of a time in ISO 8601, without a zone taken as UTC; None where it is none."""
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def of_spec(record: SpecScan) -> Metadata:
    """Of a SPEC file: its motors, the means of its columns, and the time in its ``#D`` line."""
    found: Metadata = {name: value for name, value in record.motors.items() if np.isfinite(value)}
    found |= _means({name: values for name, values in record.columns.items() if name not in found})
    return _with_time(found, record.header.get("D", ""))


def of_fio(log: Fio) -> Metadata:
    """Of a FIO file: the parameters that are numbers, the means of its columns, and the first time in its comments."""
    numbers = {name: log.number(name) for name in log.parameters}
    found: Metadata = {name: value for name, value in numbers.items() if value is not None and np.isfinite(value)}
    found |= _means({name: values for name, values in log.columns.items() if name not in found})
    match = MOMENT.search(" ".join(log.comments))
    return _with_time(found, match[0] if match else "")


def of_hdf5(entry: h5py.Group, groups: Sequence[str], times: Sequence[str] = ("start_time",)) -> Metadata:
    """Of an HDF5 file: numbers, and means of counters, that lie in `groups` of an entry, and the first of `times`.

    What cannot be read is left out: nothing but plots needs it.

    Parameters
    ----------
    entry : h5py.Group
    groups : sequence of str
        Paths in it; of each number the name is that of its data set, or of the group around a ``value``.
    times : sequence of str
        Paths of texts.
    """
    found: Metadata = {}
    for path in groups:
        group = _node(entry, path)
        if not isinstance(group, h5py.Group):
            continue
        for name, _ in zip(group, range(MOST), strict=False):
            value = _number(_node(group, name))
            if value is not None:
                found.setdefault(str(name), value)
    said = next((words for path in times if (words := text(_node(entry, path)))), "")
    return _with_time(found, said)


def _node(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    try:
        return node(group, name)
    except InputError:
        return None


def _number(found: h5py.Group | h5py.Dataset | None) -> float | None:
    if isinstance(found, h5py.Group):
        names = [name for name in ("value", "position") if name in found]
        found = _node(found, names[0]) if names else None
    is_short = isinstance(found, h5py.Dataset) and found.dtype.kind in "uif" and found.shape is not None
    if not is_short or found is None or found.ndim > 1 or not 0 < found.size <= LONGEST:
        return None
    return _mean(np.asarray(found[()], np.float64).ravel())


def _means(columns: Mapping[str, np.ndarray]) -> Metadata:
    means = {name: _mean(np.asarray(values, np.float64)) for name, values in columns.items()}
    return {name: value for name, value in means.items() if value is not None}


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _with_time(found: Metadata, words: str) -> Metadata:
    when = moment(words)
    return found if when is None else {**found, TIME: when}
