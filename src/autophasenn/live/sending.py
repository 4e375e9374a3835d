"""Frames as detectors put them onto the wire: the messages of a Dectris series, the compressed bytes of a frame.

The other side of :mod:`autophasenn.live.codecs` and :mod:`autophasenn.live.simplon`, for detectors that are not there.
Framed blocks are written by the HDF5 filters themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Shaped

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
    little = np.ascontiguousarray(frame, frame.dtype.newbyteorder("<"))
    if codec == "lz4":
        import lz4.block

        return lz4.block.compress(little, store_size=False)
    if codec == "blosc":
        from numcodecs.blosc import SHUFFLE, compress

        return compress(little, b"lz4", 5, SHUFFLE)
    if not codec:
        return little.tobytes()
    import h5py
    import hdf5plugin

    framed = {"lz4hdf5": hdf5plugin.LZ4(), "bslz4": hdf5plugin.Bitshuffle(cname="lz4")}[codec]
    with h5py.File("frame", "w", driver="core", backing_store=False) as file:
        return file.create_dataset("frame", data=little, chunks=little.shape, **framed).id.read_direct_chunk((0, 0))[1]


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
