"""Messages of Dectris detectors (SIMPLON API 1.8), read into what they mean: a series begins, brings a frame, ends.

Version 1 of the stream: parts, the first of them JSON (``dheader-1.0``, ``dimage-1.0``, ``dseries_end-1.0``). A header
appendix ``{"scan": "name"}`` names the scan.

Version 2: one part, CBOR (RFC 8949), ``type`` being ``start``, ``image`` or ``end``; frames are multi-dimensional arrays
(tag 40) of typed arrays (tags 64 to 87, RFC 8746), whose bytes may be compressed (tag 56500 of Dectris). ``user_data``
``{"scan": "name"}`` names the scan. Of several thresholds the first channel is taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from autophasenn.errors import AutoPhaseNNError, InputError, PlanError, install
from autophasenn.live.codecs import decode, dectris_encoding

ARRAY, COMPRESSED = 40, 56500
"""CBOR tags: a multi-dimensional array in row-major order, bytes that are compressed."""
TYPED = {64 + bits: (f"uint{8 << bits}", ">") for bits in range(4)}
TYPED |= {68 + bits: (f"uint{8 << bits}", "<") for bits in range(4)}  # 68 clamps in arithmetic and is stored as 64 is
TYPED |= {72 + bits: (f"int{8 << bits}", ">") for bits in range(4)}
TYPED |= {77 + bits: (f"int{16 << bits}", "<") for bits in range(3)}  # 76 is reserved
TYPED |= {81: ("float32", ">"), 82: ("float64", ">"), 85: ("float32", "<"), 86: ("float64", "<")}
"""Type and byte order of a typed array's tag (RFC 8746, table 1), of those that are pixels."""
CODECS_OF_V2 = {"bslz4": "bslz4", "lz4": "lz4hdf5"}
"""Algorithms of tag 56500; both have the head of the HDF5 filter."""


@dataclass(frozen=True)
class Begin:
    """A series begins; `name` of its scan and number of frames where they were sent."""

    series: int
    name: str | None
    expected: int | None


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a series, counted from 0; `others` are the channels that are left."""

    series: int
    number: int
    image: Shaped[np.ndarray, "y x"]
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """A series has ended."""

    series: int


def read_message(parts: Sequence[bytes]) -> Begin | Frame | End | None:
    """What a message of either version means.

    Parameters
    ----------
    parts : sequence of bytes
        Of a ZMQ message.

    Returns
    -------
    Begin, Frame, End or None
        None of a message that is for somebody else.

    Raises
    ------
    InputError
        If it is no message of a detector, or its frame cannot be decoded.
    PlanError
        If a library that it takes is not installed.
    """
    if not parts or not parts[0]:
        raise InputError("it is empty; a message of a detector begins with JSON or CBOR.")
    version_2 = parts[0][0] >> 5 == 5  # the major type of a CBOR map; no JSON begins so
    try:
        return _version_2(parts[0]) if version_2 else _version_1(parts)
    except (KeyError, IndexError) as error:
        missing = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else "a part of it is missing"
        raise InputError(f"{missing}; the SIMPLON stream of version 1 or 2 has it.") from error
    except (TypeError, AttributeError, RecursionError, ValueError) as error:
        if isinstance(error, AutoPhaseNNError):
            raise
        raise InputError(f"it is no message of the SIMPLON stream, version 1 or 2 ({error}).") from error


def _version_1(parts: Sequence[bytes]) -> Begin | Frame | End | None:
    header = json.loads(parts[0])
    kind, series = header["htype"].split("-")[0], _whole(header, "series")
    if kind == "dheader":
        config = json.loads(parts[1]) if len(parts) > 1 else {}
        expected = _whole(config, "nimages", 0) * _whole(config, "ntrigger", 1)
        return Begin(series, _scan_name(parts[-1]), expected or None)
    if kind == "dimage":
        facts, data = json.loads(parts[1]), parts[2]
        codec, order = dectris_encoding(facts["encoding"], facts["type"])
        return Frame(
            series, _whole(header, "frame"), decode(data, codec, facts["type"], _sizes(facts["shape"])[::-1], order)
        )
    return End(series) if kind == "dseries_end" else None


def _version_2(message: bytes) -> Begin | Frame | End | None:
    try:
        import cbor2
    except ModuleNotFoundError as error:
        raise PlanError(f"version 2 of the Dectris stream needs cbor2: {install('live')}.") from error
    try:
        said = cbor2.loads(message)
    except (cbor2.CBORError, ValueError) as error:
        raise InputError(f"its CBOR is broken or cut short ({error}); it is left out.") from error
    kind, series = said["type"], _whole(said, "series_id")
    if kind == "start":
        return Begin(series, _scan_name(said.get("user_data")), _whole(said, "number_of_images", 0) or None)
    if kind == "image":
        channels = said["data"]
        if not isinstance(channels, Mapping) or not channels:
            raise InputError("an image has no channel; enable a threshold of the detector.")
        (_, array), *others = channels.items()
        return Frame(
            series, _whole(said, "image_id"), _multi_dimensional(array), tuple(str(name) for name, _ in others)
        )
    return End(series) if kind == "end" else None


def _multi_dimensional(array: Any) -> Shaped[np.ndarray, "y x"]:
    """The frame in a tag 40."""
    if getattr(array, "tag", None) != ARRAY:
        raise InputError(f"an image is no array of rows and columns (CBOR tag 40) but {_named(array)}.")
    shape, typed = array.value
    if getattr(typed, "tag", None) not in TYPED:
        raise InputError(f"an image is no typed array of integers or floats (CBOR tags 64 to 87) but {_named(typed)}.")
    kind, order = TYPED[typed.tag]
    data, codec = typed.value, ""
    if getattr(data, "tag", None) == COMPRESSED:
        algorithm, item, data = data.value
        codec = CODECS_OF_V2.get(algorithm, str(algorithm))
        if codec == "bslz4" and item != np.dtype(kind).itemsize:
            raise InputError(
                f"elements of {item} bytes are compressed, but pixels are {kind}; one of both is sent wrong."
            )
    if not isinstance(data, bytes):
        raise InputError(f"the bytes of an image are {_named(data)}; send them raw or compressed by bslz4 or lz4.")
    return decode(data, codec, kind, _sizes(shape), order)


def _named(thing: Any) -> str:
    return f"tag {thing.tag}" if hasattr(thing, "tag") else f"of type {type(thing).__name__}"


def _sizes(shape: Any) -> list[int]:
    if not isinstance(shape, list | tuple) or not all(type(size) is int for size in shape):
        raise InputError(f"an image has the shape {shape!r}; a frame has rows and columns.")
    return list(shape)


def _whole(facts: Mapping[str, Any], key: str, default: int | None = None) -> int:
    number = facts[key] if default is None else facts.get(key, default)
    if type(number) is not int or number < 0:
        raise InputError(f"{key} is {number!r}; it must be a whole number.")
    return number


def _scan_name(appendix: Any) -> str | None:
    """Of an appendix that names the scan; there may be none, or one for somebody else."""
    with suppress(ValueError, KeyError, TypeError):
        said = json.loads(appendix) if isinstance(appendix, bytes | str) else appendix
        return str(said["scan"])
    return None
