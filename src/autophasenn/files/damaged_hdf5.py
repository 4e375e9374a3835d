"""Damage that the HDF5 library cannot bear: it would read without end, or fill all memory (seen in HDF5 2.0.0).

Looked for, or bounded, before the library is asked.
"""

from __future__ import annotations

import math
import mmap
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import psutil

from autophasenn.errors import InputError, quoted

SEARCHED = 16 * 2**20
"""Bytes at either end of a file in which heaps of text are looked for; writers put them beside the first names."""
SPARE = 2 * 2**30
"""Bytes that names, attributes and layouts of a file may take; they are some kilobytes."""
SMALLEST_HEAP = 4096
BITSHUFFLE, LZ4 = 32008, 32004
COMPRESSED = ((2,), (3,))
"""Values of the fifth parameter of bitshuffle: LZ4, Zstandard."""


def check_heaps(path: Path) -> None:
    """Refuse a file whose heaps of text are damaged, on which the library goes round without end.

    Source: HDF5 File Format Specification 3.0, section III.E, global heap: a collection is a row of objects, each of which
    says how far the next is; the last, number 0, is the space that is left.

    Raises
    ------
    InputError
    """
    size = path.stat().st_size
    if size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for first, last in ((0, min(size, SEARCHED)), (max(SEARCHED, size - SEARCHED), size)):
            at = content.find(b"GCOL", first, last)
            while at >= 0:
                if not _is_whole(content, at, size):
                    raise InputError(
                        f"{quoted(path)} cannot be read as an HDF5 file (its heap of text at byte {at} is damaged); copy it "
                        "again from where it was made."
                    )
                at = content.find(b"GCOL", at + 4, last)


def _is_whole(content: mmap.mmap, at: int, size: int) -> bool:
    """Do the objects of a collection follow one another to its end? What only looks like a collection is taken for whole."""
    if at + 16 > size:
        return True
    version, reserved, length = struct.unpack("<B3sQ", content[at + 4 : at + 16])
    if version != 1 or reserved != bytes(3) or length < SMALLEST_HEAP or at + length > size:
        return True  # the library refuses these
    place, end = at + 16, at + length
    while end - place >= 16:
        index, _, _, held = struct.unpack("<HHIQ", content[place : place + 16])
        step = held if index == 0 else 16 + (held + 7) // 8 * 8
        if not 16 <= step <= end - place:
            return False
        place += step
    return True


def check_chunks(dataset: h5py.Dataset) -> None:
    """Refuse chunks compressed by bitshuffle or LZ4 whose own sizes cannot be: the decoders read past their ends.

    Raises
    ------
    InputError
    """
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    if dataset.chunks is None or len(filters) != 1:
        return
    number, _, parameters, _ = filters[0]
    if number != LZ4 and (number != BITSHUFFLE or parameters[4:5] not in COMPRESSED):
        return
    unit = 1 if number == LZ4 else 8 * dataset.dtype.itemsize
    whole = math.prod(dataset.chunks) * dataset.dtype.itemsize

    for index in range(dataset.id.get_num_chunks()):
        place = dataset.id.get_chunk_info(index).chunk_offset
        skipped, content = dataset.id.read_direct_chunk(place)
        if not skipped & 1 and block_places(content, whole, unit) is None:
            raise InputError(
                f"The dataset {quoted(dataset.name)} of {quoted(dataset.file.filename)} cannot be read: its chunk at "
                f"{place} is damaged; copy it again from where it was made."
            )


def block_places(content: bytes, whole: int, unit: int) -> list[int] | None:
    """Where the compressed blocks of a chunk begin.

    A chunk has its uncompressed size (8 bytes, the most significant first), the size of a block (4), and of each block its
    compressed size (4) and its bytes. Source: github.com/kiyo-masui/bitshuffle, bshuf_h5filter.c; LZ4's filter does alike.

    Parameters
    ----------
    content : bytes
    whole : int
        Bytes of the chunk when it is uncompressed.
    unit : int
        Bytes that are compressed together, 8 values by bitshuffle; fewer at the end stand as they are.

    Returns
    -------
    list of int
        Of the compressed size of each block; None where these sizes cannot be.
    """
    if len(content) < 12:
        return None
    size, block = struct.unpack(">QI", content[:12])
    if size != whole or block < unit:
        return None
    places, place = [], 12
    for _ in range(-(-(size // unit * unit) // block)):
        if place + 4 > len(content):
            return None
        places.append(place)
        place += 4 + int.from_bytes(content[place : place + 4], "big")
    return places if place + size % unit <= len(content) else None


class _Bound:
    """The bound of this process, and how many blocks hold it."""

    lock = threading.Lock()
    holders = 0
    former = (0, 0)


@contextmanager
def memory_bounded() -> Iterator[None]:
    """Let the process take `SPARE` more address space and no more: a ring of headers ends in an error, not in full memory.

    Without effect where the system has no such limit, and where other threads run, whose work needs memory too.
    """
    if threading.active_count() > 1 and _Bound.holders == 0:
        yield
        return
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
    with _Bound.lock:
        _Bound.holders += 1
        if _Bound.holders == 1:
            _Bound.former = resource.getrlimit(resource.RLIMIT_AS)
        _set_bound()
    try:
        yield
    finally:
        with _Bound.lock:
            _Bound.holders -= 1
            if _Bound.holders == 0:
                with suppress(OSError, ValueError):
                    resource.setrlimit(resource.RLIMIT_AS, _Bound.former)


@contextmanager
def unbounded() -> Iterator[None]:
    """Lift the bound, if there is one, while numbers are read whose size was held against the memory."""
    if _Bound.holders == 0:
        yield
        return
    import resource

    with _Bound.lock, suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, _Bound.former)
    try:
        yield
    finally:
        with _Bound.lock:
            if _Bound.holders:
                _set_bound()


def _set_bound() -> None:
    import resource

    soft, hard = _Bound.former
    wanted = psutil.Process().memory_info().vms + SPARE
    with suppress(OSError, ValueError):
        if soft == resource.RLIM_INFINITY or wanted < soft:
            resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
