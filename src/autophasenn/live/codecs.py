"""Frames out of the bytes that detectors send: raw, or compressed by LZ4, bitshuffle and LZ4, or Blosc.

``lz4`` is one bare block (LZ4 block format). ``lz4hdf5`` and ``bslz4`` are framed as the HDF5 filters 32004 and 32008 write
them: the size of the frame in bytes (64 bits) and of a block (32 bits), both big-endian, then the blocks. areaDetector sends
``bslz4`` without this head, in blocks of bitshuffle's default size. ``blosc`` is a chunk of Blosc 1, with its own header.

They are undone by the HDF5 filters of hdf5plugin, which every installation has for files.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from math import prod
from threading import get_ident
from typing import Any

import numpy as np
from jaxtyping import Shaped

from autophasenn.errors import InputError
from autophasenn.files.damaged_hdf5 import block_places

CODECS = ("", "lz4", "lz4hdf5", "bslz4", "blosc")
"""Names of what can be undone, as areaDetector has them; the first means that nothing is compressed."""
LARGEST = 1 << 30
"""Bytes of a frame; what claims more is broken."""
TYPES = frozenset(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)) | {"float32", "float64"}
"""Of a pixel."""
BLOCK = 8192
"""Bytes of a block of bitshuffle where none are told."""
LZ4_RATIO = 255
"""LZ4 makes at most so many bytes of one; what claims more is not decoded at all."""
LZ4_UNSPLIT = 0x30
"""Flags of a chunk of Blosc: LZ4, and each block in one piece."""
_HEAD = struct.Struct(">QI")
_BLOSC_SIZES = struct.Struct("<III")
"""Of the frame, of a block, of the chunk; after the four bytes of versions, flags and element size."""
_ENCODING = re.compile(r"(?:(bs)(8|16|32|64)-?)?(lz4)?([<>])")


def decode(data: bytes, codec: str, kind: str, shape: Sequence[int], order: str = "<") -> Shaped[np.ndarray, "y x"]:
    """A frame out of its bytes.

    Parameters
    ----------
    data : bytes
    codec : str
        One of :data:`CODECS`.
    kind : str
        Type of a pixel, one of :data:`TYPES`.
    shape : sequence of int
        Rows and columns.
    order : str
        ``<`` where the pixels are little-endian, ``>`` where they are big-endian.

    Returns
    -------
    np.ndarray
        Counts, shape (rows, columns), in the byte order of this machine; its own memory.

    Raises
    ------
    InputError
        If the codec, type or shape is not one of a frame, or the data are not as long as it or broken.
    """
    if codec not in CODECS:
        known = ", ".join(CODECS[1:])
        raise InputError(f"frames are compressed by {codec!r}, which is not read; set the detector to {known} or none.")
    if kind not in TYPES:
        raise InputError(f"pixels are of type {kind!r}; a frame's are integers or floats such as uint16 or uint32.")
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"an array has the shape {tuple(shape)}; a frame has rows and columns.")
    dtype = np.dtype(kind).newbyteorder(">" if order == ">" else "<")
    size = prod(shape) * dtype.itemsize
    what = f"a frame of {shape[0]} x {shape[1]} {kind} has {size} bytes"
    if size > LARGEST:
        raise InputError(f"{what}, more than any detector's; the shape or type that was sent is wrong.")
    plain = _plain(data, codec, size, dtype.itemsize, what) if codec else data
    if len(plain) != size:
        raise InputError(f"{what}, but {len(plain)} came; send the shape and type that the data have.")
    frame = np.frombuffer(plain, dtype).reshape(tuple(shape))
    return frame.astype(dtype.newbyteorder("="), copy=not codec)


def dectris_encoding(encoding: str, kind: str) -> tuple[str, str]:
    """Codec and byte order of an encoding of the Dectris stream, version 1.

    Parameters
    ----------
    encoding : str
        ``[bs<BITS>][[-]lz4]<|>``, such as ``bs32-lz4<`` (SIMPLON API 1.8, stream interface). Nothing means little-endian.
    kind : str
        Type of a pixel; the bits of the encoding must be its own.

    Returns
    -------
    tuple of str
        For :func:`decode`.

    Raises
    ------
    InputError
        If the encoding is another.
    """
    match = _ENCODING.fullmatch(encoding or "<")
    if not match or (match[1] and not match[3]):
        raise InputError(
            f"the encoding {encoding!r} is not read; set the stream's compression to bslz4, lz4 or none "
            "(such as 'bs32-lz4<', 'lz4<', '<')."
        )
    if match[2] and kind.lstrip("uintfloa") != match[2]:
        raise InputError(f"the encoding {encoding!r} has not the bits of a pixel, {kind}; one of both is sent wrong.")
    return ("bslz4" if match[1] else match[3] or ""), match[4]


def _plain(data: bytes, codec: str, size: int, item: int, what: str) -> Shaped[np.ndarray, " n"]:
    """Undo the compression; what a head says of the size is believed only where it is the frame's."""
    broken = (
        f"{what}; the {codec} data of it are broken or cut short; it is left out (look at the network and the sender)."
    )
    try:
        if codec == "blosc":
            told, _, length = _BLOSC_SIZES.unpack_from(data, 4)
            _compare(told, size, what)
            if length != len(data):
                raise InputError(broken)
            return _blosc_undone(data, size)
        if codec == "lz4":
            if size > LZ4_RATIO * len(data):
                raise InputError(broken)
            return _lz4_undone(data, size)
        # Without a head the data begin with the length of the first block, never 0, as the head's first four bytes are.
        if codec == "bslz4" and data[:4] != bytes(4):
            data = _HEAD.pack(size, BLOCK) + data
        told, block = _HEAD.unpack_from(data)
        _compare(told, size, what)
        places = block_places(data, size, 8 * item if codec == "bslz4" else 1)
        if places is None:
            raise InputError(broken)
        if codec == "bslz4":
            return _bitshuffle_undone(data, size, item)
        lengths = (int.from_bytes(data[place : place + 4], "big") for place in places)
        blocks = [data[place + 4 : place + 4 + length] for place, length in zip(places, lengths, strict=True)]
        return _blosc_undone(_as_blosc(blocks, min(block, size), size), size)
    except (OSError, RuntimeError, MemoryError, struct.error) as error:
        raise InputError(broken) from error


def _lz4_undone(block: bytes, size: int) -> Shaped[np.ndarray, " n"]:
    """One bare block of LZ4."""
    before = 0
    if (
        len(block) == size
    ):  # Blosc would take it for a copy, so five zeros are put before it: one, and four more like it
        block, before = bytes([0x10, 0, 1, 0]) + block, 5
    return _blosc_undone(_as_blosc([block], size + before, size + before), size + before)[before:]


def _as_blosc(blocks: Sequence[bytes], block: int, size: int) -> bytes:
    """Blocks of LZ4 as a chunk of Blosc 1, whose decoder never reads past their ends, as that of the LZ4 filter does.

    Source: github.com/Blosc/c-blosc, README_CHUNK_FORMAT.rst.
    """
    start = 16 + 4 * len(blocks)
    places = start + np.cumsum([0, *(4 + len(each) for each in blocks)])
    head = struct.pack("<BBBBIII", 2, 1, LZ4_UNSPLIT, 1, size, block, int(places[-1]))
    parts = [piece for each in blocks for piece in (struct.pack("<I", len(each)), each)]
    return b"".join([head, places[:-1].astype("<u4").tobytes(), *parts])


def _blosc_undone(chunk: bytes, size: int) -> Shaped[np.ndarray, " n"]:
    from hdf5plugin import Blosc

    return _filtered_back(chunk, np.dtype("u1"), size, Blosc())


def _bitshuffle_undone(chunk: bytes, size: int, item: int) -> Shaped[np.ndarray, " n"]:
    from hdf5plugin import Bitshuffle

    return _filtered_back(chunk, np.dtype(f"u{item}"), size // item, Bitshuffle(cname="lz4"))


def _filtered_back(
    chunk: bytes, dtype: np.dtype, number: int, compression: Mapping[str, Any]
) -> Shaped[np.ndarray, " n"]:
    """What a chunk of an HDF5 file that is only in memory holds; no two of one name may be open at once."""
    import h5py

    with h5py.File(f"decoded by {get_ident()}", "w", driver="core", backing_store=False) as file:
        data = file.create_dataset("frame", (number,), dtype, chunks=(number,), **compression)
        data.id.write_direct_chunk((0,), chunk)
        return np.asarray(data[()]).view(np.uint8)


def _compare(told: int, size: int, what: str) -> None:
    if told != size:
        raise InputError(f"{what}, but its compressed data say {told}; send the shape and type that the data have.")
