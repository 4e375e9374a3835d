"""Frames out of the bytes that detectors send: raw, or compressed by LZ4, bitshuffle and LZ4, or Blosc.

``lz4`` is one bare block (LZ4 block format). ``lz4hdf5`` and ``bslz4`` are framed as the HDF5 filters 32004 and 32008 write
them: the size of the frame in bytes (64 bits) and of a block (32 bits), both big-endian, then the blocks. areaDetector sends
``bslz4`` without this head, in blocks of bitshuffle's default size. ``blosc`` is a chunk of Blosc 1, with its own header.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from math import prod

import numpy as np
from jaxtyping import Shaped

from autophasenn.errors import InputError, PlanError, install

CODECS = ("", "lz4", "lz4hdf5", "bslz4", "blosc")
"""Names of what can be undone, as areaDetector has them; the first means that nothing is compressed."""
LARGEST = 1 << 30
"""Bytes of a frame; what claims more is broken."""
TYPES = frozenset(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)) | {"float32", "float64"}
"""Of a pixel."""
BLOCK = 8192
"""Bytes of a block of bitshuffle where none are told."""
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
    PlanError
        If the library of the codec is not installed.
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
    return np.frombuffer(plain, dtype).reshape(tuple(shape)).astype(dtype.newbyteorder("="))


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


def _plain(data: bytes, codec: str, size: int, item: int, what: str) -> bytes:
    """Undo the compression; what a head says of the size is believed only where it is the frame's."""
    broken = f"the {codec} data of it are broken or cut short; it is left out (look at the network and the sender)"
    try:
        if codec == "blosc":
            from numcodecs.blosc import decompress as unblosc

            told, _, length = _BLOSC_SIZES.unpack_from(data, 4)
            _compare(told, size, what)
            if length != len(data):
                raise InputError(f"{what}; {broken}.")
            return unblosc(data)
        if codec == "lz4":
            import lz4.block

            try:
                return lz4.block.decompress(data, uncompressed_size=size)
            except lz4.block.LZ4BlockError as error:
                raise InputError(f"{what}; {broken}.") from error
        from dectris.compression import decompress

        # Without a head the data begin with the length of the first block, never 0, as the head's first four bytes are.
        if codec == "bslz4" and data[:4] != bytes(4):
            data = _HEAD.pack(size, BLOCK) + data
        _compare(_HEAD.unpack_from(data)[0], size, what)
        return decompress(data, codec.removesuffix("hdf5"), elem_size=item)
    except ModuleNotFoundError as error:
        raise PlanError(f"frames compressed by {codec} need {error.name}: {install('live')}.") from error
    except (RuntimeError, MemoryError, ValueError, struct.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what}; {broken}.") from error


def _compare(told: int, size: int, what: str) -> None:
    if told != size:
        raise InputError(f"{what}, but its compressed data say {told}; send the shape and type that the data have.")
