"""Frames as detectors put them onto the wire: the messages of a Dectris series, the compressed bytes of a frame.

The other side of :mod:`autophasenn.live.codecs` and :mod:`autophasenn.live.simplon`, for detectors that are not there.
Frames are compressed by the HDF5 filters themselves.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from threading import get_ident

import numpy as np
from jaxtyping import Shaped

BLOSC_COPY = 0x22
"""Flags of a chunk of Blosc that is not compressed."""
FRAMED = 1 << 20
"""Bytes of a block of ``lz4hdf5``."""
Numbered = Iterable[tuple[int, Shaped[np.ndarray, "y x"]]]


def encode(frame: Shaped[np.ndarray, "y x"], codec: str) -> bytes:
    """The bytes of a frame, little-endian.

    Parameters
    ----------
    frame : np.ndarray
        Shape (rows, columns).
    codec : str
        One of :data:`autophasenn.live.codecs.CODECS`.

    Returns
    -------
    bytes
    """
    import h5py
    import hdf5plugin

    little = np.ascontiguousarray(frame, frame.dtype.newbyteorder("<"))
    if not codec:
        return little.tobytes()
    compression = {
        "lz4": hdf5plugin.LZ4(),
        "lz4hdf5": hdf5plugin.LZ4(nbytes=FRAMED),
        "bslz4": hdf5plugin.Bitshuffle(cname="lz4"),
        "blosc": hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE),
    }[codec]
    with h5py.File(f"encoded by {get_ident()}", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("frame", data=little, chunks=little.shape, **compression)
        is_raw, chunk = dataset.id.read_direct_chunk((0, 0))
    if codec == "blosc" and is_raw:  # the filter leaves out what it cannot make smaller
        size = little.nbytes
        return struct.pack("<BBBBIII", 2, 1, BLOSC_COPY, little.itemsize, size, size, 16 + size) + chunk
    if codec != "lz4":
        return chunk
    bare = chunk[16:]  # of the only block: behind the sizes of the frame, of a block, and its own
    return bare if len(bare) < little.nbytes else _literally(bare)


def _literally(data: bytes) -> bytes:
    """A block of LZ4 that says every byte as it is, for what cannot be compressed."""
    more, rest = divmod(len(data) - 15, 255)
    return (bytes([len(data) << 4]) if more < 0 else b"\xf0" + b"\xff" * more + bytes([rest])) + data


def series_1(
    name: str, frames: Numbered, number: int, dtype: np.dtype, series: int, codec: str = ""
) -> Iterator[list[bytes]]:
    """The messages of a series of the Dectris stream, version 1: header, one a frame, end.

    Parameters
    ----------
    name : str
        Of the scan; an appendix of the header.
    frames : iterable of (int, np.ndarray)
        Numbers, from 0, and frames, shape (rows, columns).
    number : int
        How many there will be.
    dtype : np.dtype
        Of their pixels.
    series : int
    codec : str
        Empty, ``lz4`` or ``bslz4``.

    Yields
    ------
    list of bytes
        The parts of a message.
    """

    def part(**facts: object) -> bytes:
        return json.dumps(facts).encode()

    encoding = {"": "<", "lz4": "lz4<", "bslz4": f"bs{8 * dtype.itemsize}-lz4<"}[codec]
    yield [
        part(htype="dheader-1.0", series=series, header_detail="basic"),
        part(nimages=number, ntrigger=1, bit_depth_image=8 * dtype.itemsize, compression=codec or "none"),
        part(scan=name),
    ]
    for index, frame in frames:
        data, shape = encode(frame, codec), [frame.shape[1], frame.shape[0]]
        yield [
            part(htype="dimage-1.0", series=series, frame=index, hash=""),
            part(htype="dimage_d-1.0", shape=shape, type=frame.dtype.name, encoding=encoding, size=len(data)),
            data,
            part(htype="dconfig-1.0", start_time=0, stop_time=0, real_time=0),
        ]
    yield [part(htype="dseries_end-1.0", series=series)]


def series_2(
    name: str, frames: Numbered, number: int, dtype: np.dtype, series: int, codec: str = ""
) -> Iterator[list[bytes]]:
    """The messages of a series of the Dectris stream, version 2 (CBOR): start, one a frame, end.

    Parameters
    ----------
    name, frames, number, dtype, series, codec
        As :func:`series_1` has them; the name is the ``user_data``, pixels are unsigned integers.

    Yields
    ------
    list of bytes
        One part, the message.
    """
    from cbor2 import CBORTag, dumps

    channel, tag = "threshold_1", {1: 64, 2: 69, 4: 70, 8: 71}[dtype.itemsize]
    facts = {"series_id": series, "series_unique_id": f"simulated-{series}"}
    start = {"number_of_images": number, "channels": [channel], "user_data": {"scan": name}}
    yield [dumps({"type": "start", **facts, **start})]
    for index, frame in frames:
        data: object = encode(frame, "lz4hdf5" if codec == "lz4" else codec)
        if codec:
            data = CBORTag(56500, [codec, dtype.itemsize if codec == "bslz4" else 0, data])
        array = CBORTag(40, [list(frame.shape), CBORTag(tag, data)])
        yield [dumps({"type": "image", **facts, "image_id": index, "data": {channel: array}})]
    yield [dumps({"type": "end", **facts})]
